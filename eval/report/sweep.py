"""A sweep as a page with its quality-latency front, and as Markdown."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from eval.report.charts import scatter
from eval.report.document import document
from eval.report.markdown import escaped, number, table

if TYPE_CHECKING:
    from eval.sweeping import Point, Sweep

_CAUTION = (
    "The settings were chosen on these cases, so the best value here flatters them a little; see whether the choice "
    "holds on other cases."
)


def sweep_page(sweep: Sweep) -> str:
    """The front as a chart, and every point as a row, best first."""
    points = [(point.seconds, point.quality, point.on_front, _told(sweep, point)) for point in sweep.points]
    chart = scatter(
        points, title="Quality and time; the line joins the front", x="median seconds an answer", y=sweep.quality
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(point.name)}</th><td class="n"><strong>{number(point.quality)}</strong></td>'
        f'<td class="n">{number(point.low)} – {number(point.high)}</td><td class="n">{point.seconds:.4f}</td>'
        f"<td>{'yes' if point.on_front else ''}</td><td>{'yes' if point.like_best else ''}</td></tr>"
        for point in sweep.points
    )
    content = (
        f'<section><div class="charts single">{chart}</div></section><section><h2>Settings, best first</h2>'
        '<div class="wide">'
        f'<table><thead><tr><th>settings</th><th class="n">{escape(sweep.quality)}</th><th class="n">95 % interval</th>'
        f'<th class="n">median s</th><th>front</th><th>like the best</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        f'<p class="note">Front: nothing else is at least as good and as fast. Like the best: the paired randomisation '
        f"test does not tell it from the best (p &gt; 0.05, not corrected). {_CAUTION}</p></section>"
    )
    lead = (
        f"{len(sweep.points)} settings, {sweep.n} cases · fastest on the front that is not told from the best: "
        f"<strong>{escape(sweep.choice.name)}</strong>"
    )
    return document(f"Sweep by {escape(sweep.quality)}", lead, content)


def sweep_markdown(sweep: Sweep) -> str:
    """The same table for a pull request."""
    rows = [
        [
            point.name,
            number(point.quality),
            f"{number(point.low)} – {number(point.high)}",
            f"{point.seconds:.4f}",
            "yes" if point.on_front else "",
            "yes" if point.like_best else "",
        ]
        for point in sweep.points
    ]
    head = ["settings", sweep.quality, "95 % interval", "median s", "front", "like the best"]
    choice = f"Fastest on the front that is not told from the best: {escaped(sweep.choice.name)}. {_CAUTION}"
    return "\n\n".join([f"### {len(sweep.points)} settings, {sweep.n} cases", table(head, rows), choice]) + "\n"


def _told(sweep: Sweep, point: Point) -> str:
    return f"{point.name}: {sweep.quality} {number(point.quality)}, {point.seconds:.4f} s"
