"""The map of the library: Plotly's figure as JSON, and what stands beside it in HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from rag import Answer, Paper
from rag.text import collapse, shorten
from ui.render.text import attribute, counted, plain

if TYPE_CHECKING:
    from ui.paper_map import PaperMap

_CENTRAL = 8  # papers named of each group
_LONGEST = 90  # characters of a title in a label
_LETTER, _LINE = 0.0085, 0.026  # a letter's width and a line's height in a label, as shares of the plot
_STEPS = (0.0, 0.6, -0.6, 1.2, -1.2, 1.8, -1.8)
_MARKED = "Sources of the last answer"
_AXIS: dict[str, Any] = {"visible": False, "fixedrange": False}
_LAYOUT: dict[str, Any] = {
    "autosize": True,
    "showlegend": False,
    "hovermode": "closest",
    "dragmode": "pan",
    "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "xaxis": _AXIS,
    "yaxis": _AXIS,
    "hoverlabel": {"align": "left"},
}
_CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "scrollZoom": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "toImage", "autoScale2d"],
}


def figure_json(shown: PaperMap, answer: Answer | None, places: Mapping[str, tuple[float, float]]) -> str:
    """Plotly's figure: one trace of points a group, one of the sources of `answer`, which lie at `places`.

    `customdata` of a point is the id of its paper. Titles are escaped: Plotly reads some HTML in labels.
    """
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": escape(group.name),
            "x": [_short(shown.positions[row][0]) for row in group.rows],
            "y": [_short(shown.positions[row][1]) for row in group.rows],
            "text": [_label(shown.papers[row]) for row in group.rows],
            "customdata": [shown.papers[row].id for row in group.rows],
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {"size": _size(len(shown.papers)), "color": _colour(number), "opacity": 0.75},
        }
        for number, group in enumerate(shown.clusters)
    ]
    sources = [source for source in answer.sources if source.paper.id in places] if answer else []
    layout = {**_LAYOUT, "annotations": _names(shown, [places[source.paper.id] for source in sources])}
    return json.dumps({"data": [*traces, _marks(sources, places)], "layout": layout, "config": _CONFIG})


def _marks(sources: Sequence[Any], places: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    at = [places[source.paper.id] for source in sources]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": _MARKED,
        "x": [_short(x) for x, _ in at],
        "y": [_short(y) for _, y in at],
        "text": [str(source.marker) for source in sources],
        "hovertext": [f"[{source.marker}] {_label(source.paper)}" for source in sources],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "customdata": [source.paper.id for source in sources],
        "marker": {"size": 22, "symbol": "circle", "color": "#ffd95c", "line": {"width": 2, "color": "#8f4a0b"}},
        "textfont": {"color": "#211e1a", "size": 12},
    }


def _names(shown: PaperMap, taken: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    """The groups' names over their middles (medians, which strays do not move), out of each other's way."""
    if not shown.papers:
        return []
    low, high = shown.positions.min(axis=0), shown.positions.max(axis=0)
    wide, tall = (float(size) or 1.0 for size in high - low)
    boxes = [_Box(x, y, 0.03 * wide, 0.04 * tall) for x, y in taken]
    names: list[dict[str, Any]] = []
    for group in shown.clusters:
        first, *others = group.name.split(", ")
        lines = [first, *others[:1]]
        xs, ys = (sorted(float(shown.positions[row][axis]) for row in group.rows) for axis in (0, 1))
        x, y = xs[len(xs) // 2], ys[len(ys) // 2]
        box = _Box(x, y, _LETTER * wide * max(map(len, lines)), _LINE * tall * len(lines))
        free = next((moved for step in _STEPS if not (moved := box.up(step)).meets(boxes)), None)
        if free is not None:
            boxes.append(free)
            text = "<br>".join([f"<b>{escape(first)}</b>", *map(escape, others[:1])])
            names.append({"x": _short(free.x), "y": _short(free.y), "text": text, "showarrow": False})
    return names


class _Box(NamedTuple):
    x: float
    y: float
    wide: float
    tall: float

    def up(self, heights: float) -> _Box:
        return self._replace(y=self.y + heights * self.tall)

    def meets(self, others: Sequence[_Box]) -> bool:
        return any(
            2 * abs(self.x - other.x) < self.wide + other.wide and 2 * abs(self.y - other.y) < self.tall + other.tall
            for other in others
        )


def _label(paper: Paper) -> str:
    year = f" ({paper.year})" if paper.year else ""
    return escape(shorten(collapse(paper.title), _LONGEST)) + year


def _short(number: Any) -> float:
    return round(float(number), 3)


def _size(papers: int) -> int:
    return 11 if papers <= 200 else 7 if papers <= 1500 else 5


def _colour(number: int) -> str:
    """A colour of its own for each group: hues by the golden angle, of one quiet strength."""
    return f"hsl({round(215 + 137.508 * number) % 360}, 45%, 52%)"


def topics_html(shown: PaperMap) -> str:
    """The groups as a list: the map for those who do not see it, and the way to a group's most central papers."""
    if not shown.papers:
        return ""
    groups = "".join(
        f'<details class="topic"><summary><i style="background:{_colour(number)}"></i><b>{plain(group.name)}</b>'
        f"<small>{len(group.rows):,}</small></summary><ol>"
        + "".join(
            f'<li><button type="button" data-do="map-paper" data-paper="{attribute(shown.papers[row].id)}">'
            f"{plain(shown.papers[row].title)}</button></li>"
            for row in group.rows[:_CENTRAL]
        )
        + "</ol></details>"
        for number, group in enumerate(shown.clusters)
    )
    return f"<h2>Topics <small>{counted(len(shown.papers), 'paper')}</small></h2>{groups}"


def map_notice_html(shown: PaperMap, marked: int) -> str:
    """One line above the map: what it shows, and what it leaves out."""
    if not shown.papers:
        return '<p class="quiet">The map appears once there are papers.</p>'
    told = "Near papers lie near. Click a paper to open it; drag to move, scroll to zoom."
    sample = (
        f" <b>This is a sample of {len(shown.papers):,} of {counted(shown.total, 'paper')}.</b>"
        if shown.total > len(shown.papers)
        else ""
    )
    sources = (
        f" The {counted(marked, 'source')} of the last answer {'is' if marked == 1 else 'are'} marked."
        if marked
        else ""
    )
    return f'<p class="quiet">{told}{sample}{sources}</p>'
