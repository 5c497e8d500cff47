"""Two runs over the same cases: what differs, by how much, and whether chance explains it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.outcome import Run
from eval.statistics import Paired, holm, paired
from rag.errors import InputError

SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of two runs: `paired` over the cases where it applies to both, `p_holm` corrected over
    measures.
    """

    measure: str
    paired: Paired
    p_holm: float
    higher_is_better: bool

    @property
    def verdict(self) -> str:
        """ "better", "worse" (the second run, beyond chance), "same" (no case differs) or "unclear"."""
        if self.p_holm > SIGNIFICANT:
            return "same" if self.paired.low == self.paired.high == 0 else "unclear"
        return "better" if (self.paired.difference > 0) == self.higher_is_better else "worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences, second minus first, and the ids of cases that only one of the runs has (left out)."""

    first: str
    second: str
    n: int
    differences: tuple[Difference, ...]
    left_out: tuple[str, ...]
    changed: tuple[tuple[str, bool], ...]  # (case, whether it is right now) where `correct` changed

    def as_json(self) -> dict[str, Any]:
        """As comparison.json holds it."""
        rows = {
            item.measure: {**asdict(item.paired), "p_holm": item.p_holm, "verdict": item.verdict}
            for item in self.differences
        }
        return {
            "first": self.first,
            "second": self.second,
            "n": self.n,
            "left_out": list(self.left_out),
            "gained": [case for case, right in self.changed if right],
            "lost": [case for case, right in self.changed if not right],
            "measures": rows,
        }

    def markdown(self) -> str:
        """A table for a pull request."""
        from eval.report.markdown import comparison_markdown

        return comparison_markdown(self)


def compare(first: Run | str | Path, second: Run | str | Path, *, seed: int = 0) -> Comparison:
    """Compare two runs (or their folders), paired by case id: intervals of the differences by bootstrap,
    p-values by the paired randomisation test, Holm-corrected over the measures that both have.

    Raises InputError when they have no case in common.
    """
    before, after = (run if isinstance(run, Run) else Run.load(run) for run in (first, second))
    shared, left_out = _paired_rows(before, after)
    if not shared:
        raise InputError(f"{before.name} and {after.name} have no case in common")
    found = dict(_tested(before, after, shared, seed))
    corrected = holm({name: result.p for name, result in found.items()})
    differences = tuple(
        Difference(name, result, corrected[name], before.measures[name].higher_is_better)
        for name, result in found.items()
    )
    return Comparison(before.name, after.name, len(shared), differences, left_out, tuple(_changed(shared)))


Pairs = list[tuple[dict[str, Any], dict[str, Any]]]


def _paired_rows(before: Run, after: Run) -> tuple[Pairs, tuple[str, ...]]:
    old, new = ({row["id"]: row for row in run.rows} for run in (before, after))
    for name in old.keys() & new.keys():
        if old[name]["question"] != new[name]["question"]:
            raise InputError(f"case {name!r} asks another question in each run: they cannot be compared")
    shared = [(old[name], new[name]) for name in old if name in new]
    return shared, tuple(sorted(old.keys() ^ new.keys()))


def _tested(before: Run, after: Run, shared: Pairs, seed: int) -> Iterator[tuple[str, Paired]]:
    for name, measure in before.measures.items():
        if name not in after.measures:
            continue
        sides = [(measure.columns(old), measure.columns(new)) for old, new in shared]
        both = [(old, new) for old, new in sides if old is not None and new is not None]
        if both:
            yield name, paired(measure.combine, *_unzipped(both), seed=seed)


def _unzipped(pairs: Iterable[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    first, second = zip(*pairs, strict=True)
    return list(first), list(second)


def _changed(shared: Pairs) -> Iterator[tuple[str, bool]]:
    for old, new in shared:
        if old["measures"]["correct"] != new["measures"]["correct"]:
            yield old["id"], bool(new["measures"]["correct"])
