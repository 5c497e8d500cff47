"""Two runs over the same cases: what differs, by how much, and whether chance explains it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.measures.citation import JUDGED
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
    """The differences, second minus first, the ids of cases that only one of the runs has (left out), and what else a
    reader has to know.
    """

    first: str
    second: str
    n: int
    differences: tuple[Difference, ...]
    left_out: tuple[str, ...]
    changed: tuple[tuple[str, bool], ...]  # (case, whether it is right now) where `correct` changed
    notes: tuple[str, ...] = ()

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
            "notes": list(self.notes),
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
    p-values by the paired randomisation test, Holm-corrected over the measures that both have. What rests on the judge
    is compared only where both runs had the same.

    Raises InputError when they have no case in common, or when one of those asks for something else in each.
    """
    before, after = (run if isinstance(run, Run) else Run.load(run) for run in (first, second))
    left_out = tuple(sorted({row["id"] for row in before.rows} ^ {row["id"] for row in after.rows}))
    before, after = before.over(after), after.over(before)
    shared = _paired_rows(before, after)
    found = dict(_tested(before, after, shared, seed))
    corrected = holm({name: result.p for name, result in found.items()})
    differences = tuple(
        Difference(name, result, corrected[name], before.measures[name].higher_is_better)
        for name, result in found.items()
    )
    names = (before.name, after.name)
    if before.name == after.name:
        names = (f"{before.name} (first)", f"{after.name} (second)")
    notes = tuple(_notes(before, after, left_out))
    return Comparison(*names, len(shared), differences, left_out, tuple(_changed(shared)), notes)


# What two rows of one case must have in common.
_SAME = {
    "question": "asks another question in each run",
    "answerable": "is answerable in one run only",
    "facts": "asks for other facts in each run",
}
Pairs = list[tuple[dict[str, Any], dict[str, Any]]]


def _paired_rows(before: Run, after: Run) -> Pairs:
    new = {row["id"]: row for row in after.rows}
    shared = [(row, new[row["id"]]) for row in before.rows]
    for old, other in shared:
        for part, told in _SAME.items():
            if old[part] != other[part]:
                raise InputError(f"case {old['id']!r} {told}: they cannot be compared; run both over the same cases")
    return shared


def _tested(before: Run, after: Run, shared: Pairs, seed: int) -> Iterator[tuple[str, Paired]]:
    for name, measure in before.measures.items():
        if name not in after.measures or (name in JUDGED and before.judge != after.judge):
            continue
        sides = zip(before.columns(name), (measure.columns(new) for _, new in shared), strict=True)
        both = [(old, new) for old, new in sides if old is not None and new is not None]
        if both:
            yield name, paired(measure.combine, *_unzipped(both), seed=seed)


def _notes(before: Run, after: Run, left_out: Sequence[str]) -> Iterator[str]:
    if left_out:
        yield f"{len(left_out)} cases are in one of the runs only and were left out."
    if before.judge != after.judge and set(JUDGED) & set(before.measures) & set(after.measures):
        judges = " and ".join(run.judge or "nobody" for run in (before, after))
        yield f"The citations were judged by {judges}: what rests on them is not compared."


def _unzipped(pairs: Iterable[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    first, second = zip(*pairs, strict=True)
    return list(first), list(second)


def _changed(shared: Pairs) -> Iterator[tuple[str, bool]]:
    for old, new in shared:
        if old["measures"]["correct"] != new["measures"]["correct"]:
            yield old["id"], bool(new["measures"]["correct"])
