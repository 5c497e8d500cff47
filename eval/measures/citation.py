"""Citation quality per sentence as ALCE defines it (Gao et al. 2023), and faithfulness to what was retrieved."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from typing import TYPE_CHECKING

from eval.measures.base import CaseMeasure

if TYPE_CHECKING:
    from eval.judges.base import Judged, SentenceVerdict

JUDGED = ("citation_recall", "citation_precision", "faithfulness")  # rest on a judge


def _recall(verdicts: tuple[SentenceVerdict, ...]) -> float:
    return fmean(verdict.supported for verdict in verdicts)


def _precision(verdicts: tuple[SentenceVerdict, ...]) -> float:
    """0 for an answer that cites nothing, as ALCE has it."""
    precise = [mark for verdict in verdicts for mark in verdict.precise]
    return fmean(precise) if precise else 0.0


def _faithful(verdicts: tuple[SentenceVerdict, ...]) -> float:
    return fmean(verdict.faithful for verdict in verdicts)


def _of_answers(measure: Callable[[tuple[SentenceVerdict, ...]], float]) -> Callable[[Judged], float | None]:
    """Applies to what claims to answer: an abstention cites nothing, a failed case counts as zero."""

    def value(judged: Judged) -> float | None:
        if judged.reply.error:
            return 0.0
        if not judged.reply.answered or judged.verdicts is None:
            return None
        return measure(judged.verdicts) if judged.verdicts else 0.0

    return value


def _cited_share(judged: Judged) -> float | None:
    if not judged.reply.answered:
        return 0.0 if judged.reply.error else None
    said = judged.reply.sentences
    return fmean(bool(sentence.cites) for sentence in said) if said else 0.0


def _dangling(judged: Judged) -> float | None:
    if not judged.reply.answered:
        return None
    return float(sum(sentence.dangling for sentence in judged.reply.sentences))


_SOME = "share of the sentences that "
MEASURES = (
    CaseMeasure("citation_recall", _SOME + "the papers they cite support together", _of_answers(_recall)),
    CaseMeasure(
        "citation_precision",
        "share of the citations that stand in a supported sentence and are needed for it, or support it alone",
        _of_answers(_precision),
    ),
    CaseMeasure("faithfulness", _SOME + "some cited or retrieved paper supports", _of_answers(_faithful)),
    CaseMeasure("cited", _SOME + "cite anything", _cited_share),
    CaseMeasure("dangling", "citation markers an answer that lead nowhere", _dangling, higher_is_better=False),
)
