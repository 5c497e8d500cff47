"""Word overlap with a reference answer: token F1 as SQuAD defines it, and ROUGE-L."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from eval.measures.base import CaseMeasure

if TYPE_CHECKING:
    from eval.judges.base import Judged

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def token_f1(said: str, reference: str) -> float:
    """F1 over the bags of words, lower-case without articles and punctuation (Rajpurkar et al. 2016).

    >>> round(token_f1("The cat sat.", "a cat sat down"), 3)
    0.8
    """
    given, wanted = _squad_tokens(said), _squad_tokens(reference)
    shared = sum((Counter(given) & Counter(wanted)).values())
    return _f1(shared, len(given), len(wanted))


def rouge_l(said: str, reference: str) -> float:
    """F1 over the longest common subsequence of words (Lin 2004), lower-case, no stemming.

    >>> rouge_l("police kill the gunman", "police killed the gunman")
    0.75
    """
    given, wanted = _rouge_tokens(said), _rouge_tokens(reference)
    return _f1(_longest_common(given, wanted), len(given), len(wanted))


def _squad_tokens(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def _rouge_tokens(text: str) -> list[str]:
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).split()


def _f1(shared: int, given: int, wanted: int) -> float:
    return 2 * shared / (given + wanted) if shared else 0.0


def _longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for place, other in enumerate(second, start=1):
            above = row[place]
            row[place] = diagonal + 1 if word == other else max(above, row[place - 1])
            diagonal = above
    return row[-1]


def _against_reference(compare: Callable[[str, str], float]) -> Callable[[Judged], float | None]:
    def value(judged: Judged) -> float | None:
        if not judged.case.answer or not judged.case.answerable:
            return None
        return compare(judged.reply.prose, judged.case.answer)

    return value


MEASURES = (
    CaseMeasure("token_f1", "F1 of the words shared with the reference answer", _against_reference(token_f1)),
    CaseMeasure("rouge_l", "ROUGE-L F1 against the reference answer", _against_reference(rouge_l)),
)
