"""Consistency: is the same said when the same is asked again, or in other words?"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from eval.measures.base import CaseMeasure
from eval.measures.overlap import token_f1

if TYPE_CHECKING:
    from eval.judges.base import Judged
    from eval.reply import Reply


def alike(first: Reply, second: Reply) -> float:
    """How much two replies say the same, 0..1: token F1 of two answers, 1 for two abstentions, 0 for an answer
    and an abstention, 0 where one of them failed.
    """
    if first.error or second.error or first.answered != second.answered:
        return 0.0
    if not first.answered or first.prose == second.prose:
        return 1.0
    return token_f1(first.prose, second.prose)


def _mean_likeness(reply: Reply, others: Sequence[Reply]) -> float | None:
    return fmean(alike(reply, other) for other in others) if others else None


def _over_runs(judged: Judged) -> float | None:
    return _mean_likeness(judged.reply, judged.repeats)


def _over_paraphrases(judged: Judged) -> float | None:
    return _mean_likeness(judged.reply, judged.paraphrases)


MEASURES = (
    CaseMeasure("run_consistency", "likeness of the answers when the same is asked again (--repeat)", _over_runs),
    CaseMeasure(
        "paraphrase_consistency", "likeness of the answers to the same question in other words", _over_paraphrases
    ),
)
