"""Whether a case was handled rightly as a whole: the measure that "worst first" and risk are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.measures.base import CaseMeasure
from eval.measures.facts import missing_facts

if TYPE_CHECKING:
    from eval.case import Case
    from eval.judges.base import Judged
    from eval.reply import Reply


def is_correct(case: Case, reply: Reply) -> bool:
    """Unanswerable: abstained. Answerable: answered, with every fact; where none is given, citing a relevant
    paper.
    """
    if reply.error:
        return False
    if not case.answerable:
        return not reply.answered
    if not reply.answered:
        return False
    if case.facts:
        return not missing_facts(case.facts, reply.prose)
    return not case.relevant or bool(set(case.relevant) & set(reply.cited))


def _value(judged: Judged) -> float:
    return float(is_correct(judged.case, judged.reply))


MEASURES = (CaseMeasure("correct", "every fact said, or rightly abstained", _value),)
