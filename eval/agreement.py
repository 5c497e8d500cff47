"""How far automatic judges agree with human labels: Cohen's kappa with its interval, and where they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eval.judges.base import Evidence, Judge
from eval.linking import Names
from eval.measures.facts import missing_facts
from eval.statistics import Estimate, estimate
from rag.errors import InputError

if TYPE_CHECKING:
    from eval.case import Case
    from eval.labels import Label
    from eval.statistics import Matrix
    from rag.papers import Paper

FACTS = "facts"  # the automatic judge of whole answers: every required fact is said


@dataclass(frozen=True, slots=True)
class Agreement:
    """One judge against people on `n` items of a level.

    `kappa` is Cohen's (1960), with a bootstrap interval over items; `counts` holds how often (judge, person) said
    (yes, yes), (yes, no), (no, yes), (no, no); `differing` are the labels that the judge contradicts.
    """

    judge: str
    level: str
    kappa: Estimate
    counts: tuple[int, int, int, int]
    differing: tuple[Label, ...]

    @property
    def n(self) -> int:
        """Items judged by both."""
        return sum(self.counts)

    @property
    def same(self) -> float:
        """Share of items judged alike."""
        return (self.counts[0] + self.counts[3]) / self.n

    def as_json(self) -> dict[str, Any]:
        """As summary.json holds it."""
        names = ("yes_yes", "yes_no", "no_yes", "no_no")
        return {
            "judge": self.judge,
            "level": self.level,
            "n": self.n,
            "kappa": self.kappa.as_json(),
            "same": round(self.same, 6),
            "counts": dict(zip(names, self.counts, strict=True)),
            "differing": [{"id": label.id, "text": label.text, "label": label.label} for label in self.differing],
        }


def agreements(
    labels: Sequence[Label], judge: Judge, papers: Iterable[Paper], cases: Iterable[Case] = (), *, seed: int = 0
) -> list[Agreement]:
    """The judge's agreement on labelled sentences, and that of the required facts on labelled answers.

    Raises InputError for labels that name a paper or a case that is not there, and where nothing is labelled.
    """
    known = {paper.id: paper for paper in papers}
    by_id = {case.id: case for case in cases}
    names = Names.of(known.values())
    judged = [
        ("sentence", judge.name, lambda label: judge.supports(label.text, _evidence(label, names, known))),
        ("answer", FACTS, lambda label: not missing_facts(_case(label, by_id).facts, label.text)),
    ]
    found = [_agreement(labels, level, name, verdict, seed) for level, name, verdict in judged]
    if not any(found):
        raise InputError("there is no label yet; fill in the column “label” with yes or no")
    return [item for item in found if item]


def kappa(weights: Matrix, columns: Matrix) -> Matrix:
    """Cohen's kappa (b,) of two judges, columns (n, 2) of 0 and 1, under weights (b, n); 0 where chance alone
    explains all agreement, as when one of them always says the same.
    """
    import numpy as np

    total = weights.sum(axis=1)
    first, second = (weights @ columns[:, side] / total for side in (0, 1))
    same = weights @ (columns[:, 0] == columns[:, 1]) / total
    chance = first * second + (1 - first) * (1 - second)
    return np.divide(same - chance, 1 - chance, out=np.zeros_like(same), where=chance < 1 - 1e-12)


def _agreement(
    labels: Sequence[Label], level: str, name: str, verdict: Callable[[Label], bool], seed: int
) -> Agreement | None:
    items = [label for label in labels if label.level == level and label.label is not None]
    if not items:
        return None
    said = [(verdict(label), bool(label.label)) for label in items]
    return Agreement(
        name,
        level,
        estimate(kappa, said, seed=seed),
        tuple(said.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))),
        tuple(label for label, (judge, person) in zip(items, said, strict=True) if judge != person),
    )


def _evidence(label: Label, names: Names, papers: Mapping[str, Paper]) -> list[Evidence]:
    ids = [names.find(paper) for paper in label.papers]
    if None in ids or not ids:
        lost = [paper for paper, found in zip(label.papers, ids, strict=True) if found is None]
        raise InputError(f"label {label.id!r}: the library holds no paper {(lost or ['at all'])[0]!r}")
    return [Evidence(papers[found], label.record) for found in ids if found]


def _case(label: Label, cases: Mapping[str, Case]) -> Case:
    if label.id not in cases:
        raise InputError(f"the label of an answer names the case {label.id!r}, which is not among the cases")
    return cases[label.id]
