"""Abstention: is silence kept where the papers do not answer, and does the confidence know it?

"Positive" is an unanswerable case on which the system abstained. A failed case counts as one that did not
abstain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.measures.base import Row, SetMeasure

if TYPE_CHECKING:
    from eval.measures.base import Matrix


def confidence_of(row: Row) -> float:
    """The confidence given, or what the decision implies: 0 for abstaining or failing, 1 for answering."""
    if row["confidence"] is not None:
        return float(row["confidence"])
    return 0.0 if row["abstained"] is not None or row["error"] else 1.0


def _decision(row: Row) -> tuple[float, float]:
    return float(row["abstained"] is not None), float(not row["answerable"])


def _kept_silent(row: Row) -> tuple[float] | None:
    return None if row["answerable"] else (float(row["abstained"] is not None),)


def _trusted(row: Row) -> tuple[float, float]:
    return confidence_of(row), float(row["answerable"])


def _risked(row: Row) -> tuple[float, float]:
    """Confidence, and whether an answer would be wrong. A right abstention's answer would have been wrong."""
    return confidence_of(row), 1.0 - float(bool(row["measures"]["correct"]) and row["answerable"])


def _share(part: Matrix, whole: Matrix) -> Matrix:
    """part / whole, 0 where whole is 0: who never abstains has no precision to be proud of."""
    import numpy as np

    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _precision(weights: Matrix, columns: Matrix) -> Matrix:
    return _share(weights @ (columns[:, 0] * columns[:, 1]), weights @ columns[:, 0])


def _recall(weights: Matrix, columns: Matrix) -> Matrix:
    return (weights @ columns[:, 0]) / weights.sum(axis=1)


def _f1(weights: Matrix, columns: Matrix) -> Matrix:
    both = weights @ (columns[:, 0] * columns[:, 1])
    return _share(2 * both, weights @ columns[:, 0] + weights @ columns[:, 1])


def _auroc(weights: Matrix, columns: Matrix) -> Matrix:
    """Chance that an answerable case gets more confidence than an unanswerable one, ties counting half
    (Hanley and McNeil 1982); 0.5 where there is only one kind."""
    import numpy as np

    _, starts, ordered = _levels(weights, columns[:, 0])
    answerable = columns[ordered, 1]
    yes = np.add.reduceat(weights[:, ordered] * answerable, starts, axis=1)
    no = np.add.reduceat(weights[:, ordered] * (1 - answerable), starts, axis=1)
    below = np.cumsum(no, axis=1) - no
    wins = (yes * (below + no / 2)).sum(axis=1)
    pairs = yes.sum(axis=1) * no.sum(axis=1)
    return np.where(pairs > 0, _share(wins, pairs), 0.5)


def _aurc(weights: Matrix, columns: Matrix) -> Matrix:
    """Mean risk over coverage, answering the most confident first (Geifman and El-Yaniv 2017); ties enter
    together.
    """
    import numpy as np

    _, starts, ordered = _levels(weights, -columns[:, 0])
    mass = np.add.reduceat(weights[:, ordered], starts, axis=1)
    wrong = np.add.reduceat(weights[:, ordered] * columns[ordered, 1], starts, axis=1)
    risk = _share(np.cumsum(wrong, axis=1), np.cumsum(mass, axis=1))
    return (risk * mass).sum(axis=1) / mass.sum(axis=1)


def _levels(weights: Matrix, scores: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Distinct scores ascending, where each starts in the order, and the order itself."""
    import numpy as np

    ordered = np.argsort(scores, kind="stable")
    distinct, starts = np.unique(scores[ordered], return_index=True)
    return distinct, starts, ordered


# Where every question has an answer, a system that rightly keeps none back would score as low as one that always does.
_SILENCE, _BOTH = (False,), (False, True)
MEASURES = (
    SetMeasure(
        "abstain_precision", "of the abstentions, the share that was right", _decision, _precision, needs=_SILENCE
    ),
    SetMeasure("abstain_recall", "of the unanswerable questions, the share abstained on", _kept_silent, _recall),
    SetMeasure("abstain_f1", "harmonic mean of abstention precision and recall", _decision, _f1, needs=_SILENCE),
    SetMeasure(
        "abstain_auroc", "how well confidence tells answerable from unanswerable", _trusted, _auroc, needs=_BOTH
    ),
    SetMeasure("aurc", "area under the risk-coverage curve", _risked, _aurc, higher_is_better=False),
)
