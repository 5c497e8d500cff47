"""Gates for continuous integration: conditions that a run must meet."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
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
    """A condition, what was measured (None: no case has the measure), the bound it met or broke."""

    condition: Condition
    value: float | None
    bound: float
    passed: bool

    def __str__(self) -> str:
        shown = "no case has it" if self.value is None else f"{self.value:.4f}"
        word = "ok" if self.passed else "BROKEN"
        return f"{word}: {self.condition.text} ({self.condition.measure} is {shown}, the bound is {self.bound:.4f})"


def parse_gate(text: str) -> list[Condition]:
    """Conditions from "ndcg@10>=0.85,facts>=base-0.02". Raises UsageError for what is no condition.

    >>> [(item.measure, item.number, item.relative) for item in parse_gate("rr>=0.8, facts>=base-0.02")]
    [('rr', 0.8, False), ('facts', -0.02, True)]
    """
    return [_condition(part) for part in text.split(",") if part.strip()]


def check_gate(conditions: list[Condition], run: Run, base: Run | None = None) -> list[GateResult]:
    """Each condition checked. A measure that no case has breaks its condition: a gate never passes on
    nothing.
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
    start = 0.0
    if condition.relative:
        if base is None:
            raise UsageError(f"{condition.text!r} needs a run to start from; give --base RUN")
        start = _value(base, condition.measure) or 0.0
    bound = start + condition.number
    value = _value(run, condition.measure)
    return GateResult(condition, value, bound, value is not None and _OPERATORS[condition.operator](value, bound))


def _value(run: Run, measure: str) -> float | None:
    try:
        return run.value(measure)
    except KeyError as error:
        raise UsageError(f"{run.name} was run without the measure {measure!r}") from error
