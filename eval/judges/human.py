"""People as judges: labels read from a CSV, in the place of any other judge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from eval.judges.base import Evidence, Judge
from rag.errors import InputError
from rag.text import collapse

if TYPE_CHECKING:
    from eval.labels import Label
    from eval.linking import Names


class HumanJudge:
    """Answers from labels of sentences; what nobody labelled is asked of `otherwise`, and counted."""

    def __init__(self, labels: Iterable[Label], names: Names, *, otherwise: Judge) -> None:
        self._known = dict(_by_claim(labels, names))
        if not self._known:
            raise InputError("no sentence has a label yet; fill in the column “label” with yes or no")
        self.name = f"{len(self._known)} human labels, else {otherwise.name}"
        self._otherwise = otherwise
        self._asked = {"labelled": 0, "not_labelled": 0}

    def supports(self, claim: str, evidence: Sequence[Evidence]) -> bool:
        """The label of this sentence with these papers, else the other judge's word."""
        label = self._known.get((collapse(claim), frozenset(item.paper.id for item in evidence)))
        self._asked["not_labelled" if label is None else "labelled"] += 1
        return self._otherwise.supports(claim, evidence) if label is None else label

    def report(self) -> dict[str, Any]:
        """How many judgements rest on a label, and how many on the other judge."""
        return dict(self._asked)


def _by_claim(labels: Iterable[Label], names: Names) -> Iterable[tuple[tuple[str, frozenset[str]], bool]]:
    for label in labels:
        if label.level == "sentence" and label.label is not None:
            papers = frozenset(names.find(paper) or paper for paper in label.papers)
            yield (collapse(label.text), papers), label.label
