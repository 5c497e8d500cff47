"""Runs and comparisons for a reader at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.report.markdown import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from eval.comparing import Comparison
    from eval.outcome import Run
    from eval.sweeping import Sweep

_STYLES = {"better": "green", "worse": "red"}
_WIDTH = 100


def show_run(run: Run) -> None:
    """Every measure with its interval, latency, and what went wrong."""
    table = Table("measure", title=f"{run.name}: {len(run.rows)} cases", title_style="bold")
    for head in ("value", "95 % interval", "cases"):
        table.add_column(head, justify="right")
    for name, item in run.summary["measures"].items():
        if item["n"]:  # what no case has is in summary.json and in the report
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
    if run.judging:
        console.print(f"judge: {run.judge}; {', '.join(f'{name} {value}' for name, value in run.judging.items())}")
    if run.agreement:
        show_agreements(run.agreement)


def show_comparison(comparison: Comparison) -> None:
    """A row a measure, and the verdict."""
    table = _tight_table(f"{comparison.second} against {comparison.first}: {comparison.n} cases")
    table.add_column("measure", no_wrap=True)
    for head in ("first", "second", "change", "95 % interval", "p (Holm)", "n"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
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
    for note in comparison.notes:
        console.print(Text(note))


def show_agreements(found: Sequence[Mapping[str, Any]], *, differing: bool = False) -> None:
    """A row a judge: kappa with its interval, and how often it is kinder or stricter than people; with `differing`,
    the items that differ.
    """
    table = _tight_table("agreement with human labels")
    table.add_column("judge")
    table.add_column("of a", no_wrap=True)
    for head in ("kappa", "95 % interval", "alike", "too kind", "too strict", "labels"):
        table.add_column(head, justify="right", no_wrap=True)
    for item in found:
        kappa, counts = item["kappa"], item["counts"]
        interval = f"{number(kappa['low'])} – {number(kappa['high'])}"
        tail = (str(counts["yes_no"]), str(counts["no_yes"]), str(item["n"]))
        table.add_row(item["judge"], item["level"], number(kappa["mean"]), interval, f"{item['same']:.0%}", *tail)
    console = _console()
    console.print(table)
    for item in found if differing else ():
        for label in item["differing"]:
            said = "yes" if label["label"] else "no"
            console.print(Text(f"people: {said} · {label['id']}: {label['text']}"))


def show_sweep(sweep: Sweep) -> None:
    """A row a point, best first; a star for the front."""
    table = Table(title=f"{len(sweep.points)} settings, {sweep.n} cases", title_style="bold")
    table.add_column("settings", overflow="fold")
    for head in (sweep.quality, "95 % interval", "median s", "front", "like best"):
        table.add_column(head, justify="right", no_wrap=True)
    for point in sweep.points:
        table.add_row(
            Text(point.name),
            number(point.quality),
            f"{number(point.low)} – {number(point.high)}",
            f"{point.seconds:.4f}",
            "*" if point.on_front else "",
            "yes" if point.like_best else "",
        )
    console = _console()
    console.print(table)
    console.print(Text(f"fastest on the front that is not told from the best: {sweep.choice.name}"))
    console.print("chosen on these cases: see whether it holds on others before you keep it")


def _tight_table(title: str) -> Table:
    """A table of many columns that cuts no name at 80."""
    return Table(title=Text(title, style="bold"), box=box.SIMPLE_HEAD, padding=0, show_edge=False)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.width <= _WIDTH else Console(highlight=False, width=_WIDTH)
