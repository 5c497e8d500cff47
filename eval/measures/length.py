"""How long answers are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.measures.base import CaseMeasure

if TYPE_CHECKING:
    from eval.judges.base import Judged


def _words(judged: Judged) -> float | None:
    return float(len(judged.reply.prose.split())) if judged.reply.answered else None


MEASURES = (CaseMeasure("words", "words an answer, markers not counted", _words, higher_is_better=False),)
