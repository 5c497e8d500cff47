"""Filters as chips, and the menu that sets them: years with a histogram, venues, sources, code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from rag import Filters
from rag.text import shorten
from ui.render.text import attribute, counted, plain

_LONGEST = 44  # characters of a title in a chip
_MOST = 40  # venues or sources in the menu


def chips_html(filters: Filters, *, left: int, total: int, titles: Mapping[str, str]) -> str:
    """One removable chip a filter, and how many papers are left; nothing where no filter is set.

    `titles` names the papers that are chosen or excluded.
    """
    if not filters:
        return ""
    drawn = "".join(
        _chip(words, f'data-do="drop" data-field="{name}" data-value="{attribute(value)}"')
        for name, value, words in _said(filters, titles)
    )
    remaining = f'<span class="left">{left:,} of {counted(total, "paper")}</span>'
    return f'<div class="chips" role="group" aria-label="Filters">{drawn}{remaining}</div>'


def heard_html(heard: Filters, turn: int, titles: Mapping[str, str]) -> str:
    """The filters heard in a question; each can be taken back, which asks again without it. `titles` by paper id."""
    drawn = "".join(
        _chip(words, f'data-do="unhear" data-turn="{turn}" data-field="{name}" data-value="{attribute(value)}"')
        for name, value, words in _said(heard, titles)
    )
    return f'<p class="chips heard"><span>Heard in the question:</span>{drawn}</p>' if drawn else ""


def menu_html(facets: Mapping[str, Mapping[str, int]], filters: Filters, with_code: int) -> str:
    """What filters there are. `facets` holds papers by "years", "venues" and "sources"."""
    years = {int(year): count for year, count in facets["years"].items()}
    parts = [
        _years(years, filters) if len(years) > 1 else "",
        _choices("venues", "Venue", facets["venues"], filters.venues),
        _choices("sources", "Source", facets["sources"], filters.sources) if len(facets["sources"]) > 1 else "",
        _code(with_code, filters) if with_code else "",
    ]
    if not any(parts):
        return ""
    return (
        '<details class="menu filters"><summary>Filters</summary><form class="filter-form" aria-label="Filters">'
        f'{"".join(parts)}<p class="actions"><button type="button" data-do="clear-filters">Clear all</button></p>'
        "</form></details>"
    )


def _years(years: Mapping[int, int], filters: Filters) -> str:
    first, last = min(years), max(years)
    most = max(years.values())
    bars = "".join(
        f'<i data-year="{year}" style="height:{max(6, round(100 * years[year] / most)) if year in years else 0}%"'
        f' title="{year}: {counted(years.get(year, 0), "paper")}"></i>'
        for year in range(first, last + 1)
    )
    ends = ((filters.year_from or first, "year_from", "First year"), (filters.year_to or last, "year_to", "Last year"))
    ranges = "".join(
        f'<input type="range" name="{name}" min="{first}" max="{last}" value="{value}" aria-label="{words}">'
        for value, name, words in ends
    )
    said = f"{ends[0][0]} – {ends[1][0]}"
    legend = f"<legend>Years <output>{said}</output></legend>"
    return f'<fieldset class="years">{legend}<div class="bars">{bars}</div><div class="ends">{ranges}</div></fieldset>'


def _choices(name: str, legend: str, counts: Mapping[str, int], chosen: tuple[str, ...]) -> str:
    if not counts:
        return ""
    rows = "".join(
        f'<label><input type="checkbox" name="{name}" value="{attribute(value)}"'
        f"{' checked' if value in chosen else ''}>"
        f"<span>{plain(_short(name, value))}</span><small>{count:,}</small></label>"
        for value, count in list(counts.items())[:_MOST]
    )
    return f'<fieldset class="choices"><legend>{legend}</legend><div>{rows}</div></fieldset>'


def _code(with_code: int, filters: Filters) -> str:
    checked = " checked" if filters.has_code else ""
    return (
        f'<fieldset><label><input type="checkbox" name="has_code" value="1"{checked}><span>Has a link to code</span>'
        f"<small>{with_code:,}</small></label></fieldset>"
    )


def _short(name: str, value: str) -> str:
    return PurePath(value).name or value if name == "sources" else value


def _named(title: str) -> str:
    """A title in short: what stands before its colon says enough."""
    head, colon, _ = title.partition(":")
    return head if colon and len(head) <= _LONGEST else shorten(title, _LONGEST)


def _chip(words: str, data: str) -> str:
    cross = '<span aria-hidden="true">×</span>'
    return f'<button type="button" class="chip" {data} title="Remove this filter">{plain(words)}{cross}</button>'


def _said(filters: Filters, titles: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Field, value and words of each single filter."""
    first, last = filters.year_from, filters.year_to
    said: list[tuple[str, str, str]] = []
    if first is not None or last is not None:
        years = f"{first}" if first == last else f"{first or '…'} – {last or '…'}"
        said.append(("years", f"{first or ''}-{last or ''}", years))
    if filters.date_from or filters.date_to:
        said.append(("dates", "", f"{filters.date_from or '…'} – {filters.date_to or '…'}"))
    for name, label in (("venues", ""), ("authors", "by "), ("sources", "from ")):
        said += [(name, value, f"{label}{_short(name, value)}") for value in getattr(filters, name)]
    if filters.has_code is not None:
        said.append(("has_code", "1" if filters.has_code else "0", "with code" if filters.has_code else "without code"))
    said += [("only", paper, f"only {_named(titles.get(paper, paper))}") for paper in filters.only]
    said += [("exclude", paper, f"not {_named(titles.get(paper, paper))}") for paper in filters.exclude]
    return said
