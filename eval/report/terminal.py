"""Runs and comparisons for a reader at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.report.markdown import number

if TYPE_CHECKING:
    from eval.comparing import Comparison
    from eval.outcome import Run

_STYLES = {"better": "green", "worse": "red"}
_WIDTH = 100


def show_run(run: Run) -> None:
    """Every measure with its interval, latency, and what went wrong."""
    table = Table("measure", title=f"{run.name}: {len(run.rows)} cases", title_style="bold")
    for head in ("value", "95 % interval", "cases"):
        table.add_column(head, justify="right")
    for name, item in run.summary["measures"].items():
        interval = f"{number(item['low'])} – {number(item['high'])}"
        table.add_row(name, number(item["mean"]), interval, str(item["n"]))
    console = _console()
    console.print(table)
    latency = run.latency
    console.print(
        f"seconds an answer: median {latency['latency_p50']:.3f}, 95th percentile {latency['latency_p95']:.3f}"
    )
    blamed = ", ".join(f"{stage} {count}" for stage, count in run.summary["diagnosis"].items())
    console.print(f"faults by stage: {blamed or 'none'}")


def show_comparison(comparison: Comparison) -> None:
    """A row a measure, and the verdict."""
    title = Text(f"{comparison.second} against {comparison.first}: {comparison.n} cases", style="bold")
    table = Table("measure", title=title)
    for head in ("first", "second", "difference", "95 % interval", "p (Holm)", "cases"):
        table.add_column(head, justify="right")
    table.add_column("second is")
    for item in comparison.differences:
        paired = item.paired
        table.add_row(
            item.measure,
            number(paired.first),
            number(paired.second),
            f"{paired.difference:+.3f}",
            f"{paired.low:+.3f} – {paired.high:+.3f}",
            number(item.p_holm),
            str(paired.n),
            Text(item.verdict, style=_STYLES.get(item.verdict, "dim")),
        )
    console = _console()
    console.print(table)
    if comparison.left_out:
        console.print(f"{len(comparison.left_out)} cases are in one of the runs only and were left out")


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.width <= _WIDTH else Console(highlight=False, width=_WIDTH)
