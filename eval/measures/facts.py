"""Required-fact recall: the share of the facts that an answer must say and does."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from eval.measures.base import CaseMeasure

if TYPE_CHECKING:
    from eval.judges.base import Judged

_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-") | dict.fromkeys("‘’`´", "'"))

_HYPHENED = re.compile(r"(?<=\d)-(?=[^\W\d])")  # "175-billion-parameter" says "175 billion"


def says(text: str, alternatives: tuple[str, ...]) -> bool:
    """Whether a text says one of the alternatives.

    Case, accents' encoding, dashes and white space do not count, nor a hyphen after a number. A fact starts
    where a word starts, and may be the beginning of a longer word ("masked language model" in "modelling") but
    never of a longer number.

    >>> says("It has 1.10 billion parameters.", ("1.1",)), says("In 12.27 s.", ("2.27",))
    (False, False)
    >>> says("A masked language modelling task with 110M.", ("masked language model",))
    True
    >>> says("The 175-billion-parameter model.", ("175 billion",))
    True
    """
    plain = _plain(text)
    return any(_pattern(alternative).search(plain) for alternative in alternatives)


@lru_cache(maxsize=8192)
def _pattern(alternative: str) -> re.Pattern[str]:
    plain = _plain(alternative)
    before = r"(?<!\w)(?<!\d[.,])" if plain[0].isdigit() else r"(?<!\w)" if plain[0].isalnum() else ""
    after = r"(?!\d)(?![.,]\d)" if plain[-1].isdigit() else ""
    return re.compile(before + re.escape(plain) + after)


def _plain(text: str) -> str:
    plain = " ".join(unicodedata.normalize("NFKC", text).translate(_DASHES).casefold().split())
    return _HYPHENED.sub(" ", plain)


def missing_facts(facts: tuple[tuple[str, ...], ...], text: str) -> list[tuple[str, ...]]:
    """The facts that a text does not say."""
    return [fact for fact in facts if not says(text, fact)]


def _recall(judged: Judged) -> float | None:
    facts = judged.case.facts
    if not facts or not judged.case.answerable:
        return None
    return 1 - len(missing_facts(facts, judged.reply.prose)) / len(facts)


MEASURES = (CaseMeasure("facts", "share of the required facts that the answer says; abstaining says none", _recall),)
