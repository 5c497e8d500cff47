"""Gates for continuous integration: conditions that a run must meet."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from eval.measures import named
from eval.outcome import Run
from rag.errors import UsageError

_CONDITION = re.compile(
    r"\s*(?P<measure>[a-z][\w@.]*)\s*(?P<operator>>=|<=|==|>|<)\s*(?P<base>base)?\s*(?P<number>[+-]?\s*(?:\d+\.?\d*|\.\d+))?\s*"
)
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda value, bound: value >= bound - 1e-9,
    "<=": lambda value, bound: value <= bound + 1e-9,
    ">": operator.gt,
    "<": operator.lt,
    "==": lambda value, bound: abs(value - bound) <= 1e-9,
}
_LATENCIES = ("latency_mean", "latency_p50", "latency_p95")


@dataclass(frozen=True, slots=True)
class Condition:
    """A bound on one measure; with `relative`, `number` is added to the base run's value."""

    text: str
    measure: str
    operator: str
    number: float
    relative: bool


@dataclass(frozen=True, slots=True)
class GateResult:
    """A condition, what was measured, the bound it met or broke (each None where no case has the measure)."""

    condition: Condition
    value: float | None
    bound: float | None
    passed: bool

    def __str__(self) -> str:
        value, bound = ("not measured in any case" if x is None else f"{x:.4f}" for x in (self.value, self.bound))
        word = "ok" if self.passed else "BROKEN"
        return f"{word}: {self.condition.text} ({self.condition.measure} is {value}, the bound is {bound})"


def parse_gate(text: str) -> list[Condition]:
    """Conditions from "ndcg@10>=0.85,facts>=base-0.02". Raises UsageError for what is no condition.

    >>> [(item.measure, item.number, item.relative) for item in parse_gate("rr>=0.8, facts>=base-0.02")]
    [('rr', 0.8, False), ('facts', -0.02, True)]
    """
    conditions = [_condition(part) for part in text.split(",") if part.strip()]
    if not conditions:  # as of an unset variable in a build's script
        raise UsageError('the gate is empty; write conditions, such as "ndcg@10>=0.85,facts>=base-0.02"')
    return conditions


def check_checkable(conditions: Sequence[Condition], measures: Iterable[str], *, based: bool) -> None:
    """Raise UsageError for a condition that a run of these measures could not be held to, before it is made."""
    known = [*measures, *_LATENCIES]
    for condition in conditions:
        if condition.measure not in known:
            raise UsageError(f"{condition.text!r} needs the measure {condition.measure}; add it to --measures")
        if condition.relative and not based:
            raise UsageError(f"{condition.text!r} needs a run to start from; give --base RUN")


def check_gate(conditions: Sequence[Condition], run: Run, base: Run | None = None) -> list[GateResult]:
    """Each condition checked, relative ones over the cases that both runs have. A measure that no case has breaks its
    condition: a gate never passes on nothing.
    """
    return [_checked(condition, run, base) for condition in conditions]


def _condition(part: str) -> Condition:
    match = _CONDITION.fullmatch(part)
    if not match or not (match["base"] or match["number"]):
        raise UsageError(f"cannot read the condition {part.strip()!r}; write MEASURE>=NUMBER or MEASURE>=base-NUMBER")
    number = (match["number"] or "0").replace(" ", "")
    if match["base"] and match["number"] and number[0] not in "+-":
        raise UsageError(f"in {part.strip()!r}, write base+{number} or base-{number}")
    known = [*named(), *_LATENCIES]
    if match["measure"] not in known:
        raise UsageError(f"no measure is called {match['measure']!r}; known: {', '.join(known)}")
    return Condition(part.strip(), match["measure"], match["operator"], float(number), bool(match["base"]))


def _checked(condition: Condition, run: Run, base: Run | None) -> GateResult:
    start: float | None = 0.0
    if condition.relative:
        if base is None:
            raise UsageError(f"{condition.text!r} needs a run to start from; give --base RUN")
        run, base = run.over(base), base.over(run)
        start = _value(base, condition.measure)
    value = _value(run, condition.measure)
    bound = None if start is None else start + condition.number
    met = value is not None and bound is not None and _OPERATORS[condition.operator](value, bound)
    return GateResult(condition, value, bound, met)


def _value(run: Run, measure: str) -> float | None:
    try:
        return run.value(measure)
    except KeyError as error:
        raise UsageError(f"{run.name} was run without the measure {measure!r}") from error
