"""Score fusion: two lists of raw scores become one ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import fmean


@dataclass(frozen=True, slots=True)
class Fused:
    """One candidate: `score` ranks; `dense` and `lexical` are the raw scores, None where a side has none."""

    id: str
    score: float
    dense: float | None
    lexical: float | None


def fuse(dense: Mapping[str, float], lexical: Mapping[str, float], *, dense_weight: float) -> list[Fused]:
    """The union of two candidate lists, best first, by a convex combination of z-scored scores.

    Each side's scores become z-scores over the union; a candidate that a side does not know gets that side's
    lowest known score, so give a side's true score wherever it is cheap to compute. A side that knows
    nothing, or gives all the same score, does not take part. `dense_weight` (0..1) is the dense side's
    share. Equal scores are ordered by the raw scores and then by id, so the same input always gives the same
    ranking.

    Convex combination of normalised scores: Bruch et al., "An Analysis of Fusion Functions for Hybrid
    Retrieval".
    """
    union = sorted(dense.keys() | lexical.keys())
    dense_z = standardised(dense, union)
    lexical_z = standardised(lexical, union)
    share = dense_weight if lexical else 1.0
    share = share if dense else 0.0
    fused = [
        Fused(
            id=key,
            score=share * dense_z[key] + (1 - share) * lexical_z[key],
            dense=dense.get(key),
            lexical=lexical.get(key),
        )
        for key in union
    ]
    return sorted(fused, key=_order)


def standardised(scores: Mapping[str, float], union: list[str]) -> dict[str, float]:
    """z-scores over `union`, missing ones taken as the lowest known; all zero when the scores do not
    differ.
    """
    if not scores:
        return dict.fromkeys(union, 0.0)
    floor = min(scores.values())
    filled = [scores.get(key, floor) for key in union]
    mean = fmean(filled)
    deviation = sqrt(fmean([(value - mean) ** 2 for value in filled]))
    if deviation < 1e-9:
        return dict.fromkeys(union, 0.0)
    return {key: (value - mean) / deviation for key, value in zip(union, filled, strict=True)}


def _order(item: Fused) -> tuple[float, float, float, str]:
    low = float("-inf")
    return (
        -round(item.score, 12),
        -(low if item.lexical is None else item.lexical),
        -(low if item.dense is None else item.dense),
        item.id,
    )
