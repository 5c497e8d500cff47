"""What answers cost: tokens and dollars, as far as the system knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.measures.base import CaseMeasure

if TYPE_CHECKING:
    from eval.judges.base import Judged


def _tokens(judged: Judged) -> float | None:
    usage = judged.reply.usage
    return float(sum(usage.values())) if usage else None


def _dollars(judged: Judged) -> float | None:
    return judged.reply.cost


MEASURES = (
    CaseMeasure("tokens", "tokens of the model an answer, prompt and completion", _tokens, higher_is_better=False),
    CaseMeasure("cost", "dollars an answer, at the prices in the settings", _dollars, higher_is_better=False),
)
