"""The library view: its papers as a table, the progress and report of an ingest; and the list of conversations."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from rag import Paper
from ui.history import Kept
from ui.render.text import attribute, counted, links, people, plain

_CANCEL = '<button type="button" data-do="cancel-ingest">Cancel</button>'
_CANCELLING = '<button type="button" disabled>Cancelling…</button>'
_MOST = 500  # rows of a report


def summary_html(papers: int, years: tuple[int, int] | None, folder: str) -> str:
    """One line on what the library holds."""
    span = f", {years[0]}–{years[1]}" if years and years[0] != years[1] else f", {years[0]}" if years else ""
    return f'<p class="library" title="{attribute(folder)}">{counted(papers, "paper")}{span}</p>'


def to_add_html() -> str:
    """The way from the top of the library to the form below it, for narrow screens."""
    return '<p class="actions"><button type="button" data-do="to-add">Add papers</button></p>'


def table_html(papers: Sequence[Paper], *, total: int, offset: int, order: str, searching: bool = False) -> str:
    """One page of the papers; `total` is how many there are in all pages, `searching`: of those with some words."""
    if not papers:
        told = "No paper has these words in its title." if searching else "No papers yet. The form adds some."
        return f'<p class="quiet">{told}</p>' if total == 0 else ""
    rows = "".join(_row(paper) for paper in papers)
    head = "".join(
        f'<th scope="col"{_sorted(key, order)}>{_heading(words, key)}</th>'
        for words, key in (
            ("Title", "title"),
            ("Date", "newest"),
            ("Venue", ""),
            ("Links", ""),
        )
    )
    return (
        f'<table class="papers"><caption class="unseen">Papers of the library</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>{_pager(len(papers), total, offset)}"
    )


def _sorted(key: str, order: str) -> str:
    if not key or key != order:
        return ""
    return ' aria-sort="descending"' if key == "newest" else ' aria-sort="ascending"'


def _heading(words: str, key: str) -> str:
    return f'<button type="button" data-do="sort" data-order="{key}">{words}</button>' if key else words


def _row(paper: Paper) -> str:
    title = f'<button type="button" data-do="paper" data-paper="{attribute(paper.id)}">{plain(paper.title)}</button>'
    authors = f"<small>{plain(people(paper, 2))}</small>" if paper.authors or paper.n_authors else ""
    cells = (plain(paper.date_text or ""), plain(paper.venue or ""), links(paper))
    return f'<tr><th scope="row">{title}{authors}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _pager(shown: int, total: int, offset: int) -> str:
    buttons = "".join(
        f'<button type="button" data-do="page" data-offset="{place}"{"" if possible else " disabled"}>{words}</button>'
        for words, place, possible in (
            ("Earlier", max(0, offset - 50), offset > 0),
            ("Later", offset + shown, offset + shown < total),
        )
    )
    return f'<p class="pager"><span>{offset + 1:,}–{offset + shown:,} of {total:,}</span>{buttons}</p>'


def progress_html(stage: str, done: int, share: float | None, rate: float, *, cancelled: bool = False) -> str:
    """How far an ingest is; `share` in 0..1, None where it cannot be known. A cancelled one finishes its batch."""
    width = 0 if share is None else round(100 * min(1.0, share))
    told = f"{stage.capitalize()}: {counted(done, 'paper')}" + (f", {rate:,.0f} a second" if rate else "")
    return (
        f'<div class="progress" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{width}"'
        f' aria-label="{attribute(told)}"><i style="width:{width}%"></i></div>'
        f'<p class="quiet">{plain(told)}</p><p>{_CANCELLING if cancelled else _CANCEL}</p>'
    )


def report_html(report: Mapping[str, Any]) -> str:
    """What an ingest kept, merged and rejected, and why."""
    counts = "".join(
        f"<div><dt>{name}</dt><dd>{report[name]:,}</dd></div>"
        for name in ("parsed", "added", "updated", "unchanged", "removed")
        if report.get(name) or name in {"parsed", "added"}
    )
    merged = [_merged(item) for item in report["duplicates"][:_MOST]]
    refused = [plain(f"{_place(item)}: {item['reason']}") for item in report["rejected"][:_MOST]]
    notices = [plain(f"{_place(item)}: {item['message']}") for item in report.get("notices", [])[:_MOST]]
    formats = [plain(f"{PurePath(path).name or path}: {name}") for path, name in report.get("formats", {}).items()]
    encoder = f" · encoder {plain(report['encoder'])}" if report.get("encoder") else ""
    stopped = '<p class="note">Cancelled: what was read until then is kept.</p>' if report.get("stopped") else ""
    return (
        f'<div class="report" role="status">{stopped}<dl>{counts}</dl>'
        f"{_listed('rejected', refused, len(report['rejected']), opened=True)}"
        f"{_listed('merged', merged, len(report['duplicates']))}"
        f"{_listed('notices', notices, len(report.get('notices', [])))}{_listed('formats', formats, len(formats))}"
        f'<p class="quiet">{report["seconds"]:.1f} s{encoder}</p>'
        '<p class="actions"><button type="button" data-do="report">Save the full report</button></p></div>'
    )


def _merged(item: Mapping[str, Any]) -> str:
    """A record that was merged, why, and the way to the paper that it joined."""
    into = (
        f' <button type="button" class="plain" data-do="paper" data-paper="{attribute(item["kept"])}">open</button>'
        if item.get("kept")
        else ""
    )
    return f"{plain(item['title'])} — {plain(item['reason'])}{into}"


def _place(item: Mapping[str, Any]) -> str:
    name = PurePath(item["path"]).name or item["path"]
    return f"{name}, line {item['line']}" if item["line"] else name


def _listed(name: str, rows: Sequence[str], total: int, *, opened: bool = False) -> str:
    """Rows of HTML under a heading that says how many there are in all."""
    if not total:
        return ""
    words = counted(total, name[:-1]) if name.endswith("s") else f"{total:,} {name}"
    items = "".join(f"<li>{row}</li>" for row in rows)
    more = f"<li>and {total - len(rows):,} more, in the full report</li>" if total > len(rows) else ""
    return f"<details{' open' if opened else ''}><summary>{words}</summary><ul>{items}{more}</ul></details>"


def conversations_html(kept: Sequence[Kept], current: str | None, *, searching: bool) -> str:
    """The kept conversations, the last changed first."""
    if not kept:
        return f'<p class="quiet">{"Nothing found." if searching else "No conversations yet."}</p>'
    rows = "".join(_conversation(item, item.id == current) for item in kept)
    return f'<ul class="conversations">{rows}</ul>'


def _conversation(item: Kept, current: bool) -> str:
    named = f'data-conversation="{attribute(item.id)}"'
    then, today = time.localtime(item.updated), time.localtime()
    recent = then.tm_year == today.tm_year and then.tm_yday == today.tm_yday
    day = time.strftime("Today %H:%M" if recent else "%d %b %Y", then).lstrip("0")
    return (
        f"<li{' aria-current=true' if current else ''}>"
        f'<button type="button" class="open" data-do="open" {named}><b>{plain(item.title)}</b>'
        f'<small>{day} · {counted(item.questions, "question")}</small></button><span class="tools">'
        f'<button type="button" data-do="rename" {named} data-title="{attribute(item.title)}">Rename</button>'
        f'<button type="button" data-do="delete" {named}>Delete</button></span></li>'
    )
