"""Second looks at a ranking: by the papers' best sentences, and for diversity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from rag.evidence import ScoredSentence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]


def sentence_scores(sentences: Sequence[ScoredSentence]) -> dict[str, float]:
    """By paper id: its best sentence's relevance, and a tenth of the mean of its three best to settle
    near-ties.
    """
    by_paper: dict[str, list[float]] = {}
    for sentence in sentences:
        by_paper.setdefault(sentence.paper_id, []).append(sentence.relevance)
    best = {paper: sorted(values, reverse=True)[:3] for paper, values in by_paper.items()}
    return {paper: values[0] + 0.1 * fmean(values) for paper, values in best.items()}


def blend(scores: Mapping[str, float], second: Mapping[str, float], *, weight: float) -> dict[str, float]:
    """`scores`, with a share of `weight` (0..1) of a second opinion on the papers in `second`.

    The second opinion is put on the mean and spread of the same papers' own scores, so that papers without
    one, which keep their score, stay comparable.
    """
    ids = [key for key in second if key in scores]
    own, other = [scores[key] for key in ids], [second[key] for key in ids]
    if len(ids) < 2 or pstdev(other) < 1e-9:
        return dict(scores)
    scale, centre, mean = pstdev(own) / pstdev(other), fmean(own), fmean(other)
    blended = {key: centre + (second[key] - mean) * scale for key in ids}
    return dict(scores) | {key: (1 - weight) * scores[key] + weight * blended[key] for key in ids}


def diversified(
    order: Sequence[str], scores: Mapping[str, float], vectors: Mapping[str, Vectors], *, share: float
) -> list[str]:
    """Maximal marginal relevance (Carbonell and Goldstein, 1998), over ids best first.

    Each next one has the highest score, scaled to 0..1, less its greatest cosine to those already chosen,
    with weights 1 - `share` and `share`. An id without a vector is like no other.
    """
    if not order:
        return []
    low, high = min(scores[key] for key in order), max(scores[key] for key in order)
    relevance = {key: (scores[key] - low) / (high - low) if high > low else 1.0 for key in order}
    nearest = dict.fromkeys(order, 0.0)
    chosen, left = list[str](), list(order)
    while left:
        best = max(left, key=lambda key: (1 - share) * relevance[key] - share * nearest[key])
        left.remove(best)
        chosen.append(best)
        for key in left if best in vectors else ():
            if key in vectors:
                nearest[key] = max(nearest[key], float(vectors[key] @ vectors[best]))
    return chosen
