"""Runs and comparisons as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eval.comparing import Comparison
    from eval.gates import GateResult
    from eval.outcome import Run

_CASES_SHOWN = 20
_SPECIAL = str.maketrans({mark: f"\\{mark}" for mark in "|`*_[]<>\\"})


def number(value: float | None) -> str:
    """A value for a table: three digits, a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def run_markdown(run: Run, gate: Sequence[GateResult] = ()) -> str:
    """A run: measures with intervals, what went wrong, the gate."""
    rows = [
        [name, number(item["mean"]), f"{number(item['low'])} – {number(item['high'])}", str(item["n"])]
        for name, item in run.summary["measures"].items()
    ]
    parts = [
        f"### Evaluation of {escaped(run.name)}: {len(run.rows)} cases",
        table(["measure", "value", "95 % interval", "cases"], rows),
        _latency(run),
    ]
    if run.summary["diagnosis"]:
        parts.append(table(["stage to blame", "cases"], [[k, str(v)] for k, v in run.summary["diagnosis"].items()]))
    return "\n\n".join([*parts, *gate_lines(gate)]) + "\n"


def comparison_markdown(comparison: Comparison, gate: Sequence[GateResult] = ()) -> str:
    """A comparison: a row a measure, the verdict after Holm's correction, the cases won and lost."""
    rows = [
        [
            item.measure,
            number(item.paired.first),
            number(item.paired.second),
            f"{item.paired.difference:+.3f}",
            f"{item.paired.low:+.3f} – {item.paired.high:+.3f}",
            number(item.p_holm),
            number(item.paired.effect),
            str(item.paired.n),
            item.verdict,
        ]
        for item in comparison.differences
    ]
    head = [
        "measure",
        "first",
        "second",
        "difference",
        "95 % interval",
        "p (Holm)",
        "d",
        "cases",
        "second is",
    ]
    first, second = escaped(comparison.first), escaped(comparison.second)
    parts = [f"### {second} against {first}: {comparison.n} cases", table(head, rows)]
    parts += _changes("Right now, wrong before", [case for case, right in comparison.changed if right])
    parts += _changes("Wrong now, right before", [case for case, right in comparison.changed if not right])
    parts += map(escaped, comparison.notes)
    return "\n\n".join([*parts, *gate_lines(gate)]) + "\n"


def gate_lines(gate: Sequence[GateResult]) -> list[str]:
    """The gate's conditions as a list."""
    return ["\n".join(f"- {'✅' if item.passed else '❌'} {escaped(str(item))}" for item in gate)] if gate else []


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; numbers stand right."""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join([" --- "] + [" ---: "] * (len(head) - 1)) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(map(escaped, row)) + " |" for row in rows)])


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return " ".join(text.split()).translate(_SPECIAL)


def _latency(run: Run) -> str:
    latency = run.latency
    return f"Seconds an answer: median {latency['latency_p50']:.3f}, 95th percentile {latency['latency_p95']:.3f}."


def _changes(heading: str, cases: Sequence[str]) -> list[str]:
    if not cases:
        return []
    more = f" and {len(cases) - _CASES_SHOWN} more" if len(cases) > _CASES_SHOWN else ""
    return [f"{heading} ({len(cases)}): {', '.join(escaped(case) for case in cases[:_CASES_SHOWN])}{more}"]
