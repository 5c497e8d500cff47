"""What a run's confidences are worth: the risk-coverage curve and the reliability of the probabilities."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from eval.measures.abstention import confidence_of

if TYPE_CHECKING:
    from eval.outcome import Run

_BINS = 10


def risk_coverage(run: Run) -> list[tuple[float, float]]:
    """(share answered, share of those answered that is wrong), answering the most confident first; ties
    together.
    """
    ordered = sorted(run.rows, key=confidence_of, reverse=True)
    points: list[tuple[float, float]] = []
    seen = wrong = 0
    for _, tied in groupby(ordered, key=confidence_of):
        for row in tied:
            seen += 1
            wrong += not (row["answerable"] and row["measures"]["correct"])
        points.append((seen / len(ordered), wrong / seen))
    return points


def reliability_bins(run: Run) -> list[tuple[float, float, int]]:
    """(mean confidence, share answerable, cases) for ten bins of equal width; only cases with a confidence."""
    given = [(float(row["confidence"]), row["answerable"]) for row in run.rows if row["confidence"] is not None]
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(_BINS)]
    for confidence, answerable in given:
        bins[min(_BINS - 1, int(confidence * _BINS))].append((confidence, answerable))
    return [
        (sum(part for part, _ in held) / len(held), sum(kind for _, kind in held) / len(held), len(held))
        for held in bins
        if held
    ]
