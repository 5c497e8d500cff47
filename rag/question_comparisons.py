"""Questions that compare the records of two papers: which is older, which has more authors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Compared = Literal["date", "n_authors", "upvotes", "comments"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two papers, as the question names them, whose field is compared; `least` says that the older, or the one with
    fewer, is asked for. Without `least` (None) both are only to be told."""

    field: Compared
    papers: tuple[str, str]
    least: bool | None = None


_OLDER = r"(?P<early>older|oldest|earlier|earliest|first)"
_NEWER = r"(?:newer|newest|later|latest|last|younger|youngest|(?:more|most)\srecent)"
_OUT = (
    r"(?:first\s)?(?:published|posted|released|written|introduced|proposed|submitted|presented|come\sout|came\sout"
    r"|appear(?:ed)?|out)"
)
_DATED = rf"(?:{_OUT}\s)?(?:the\s)?(?:{_OLDER}|{_NEWER})(?:\s(?:paper|one|work|of\sthe\stwo|to\sbe|to))*(?:\s{_OUT})?"
_WHICH = r"(?:which|what)(?:\s(?:one|paper|method|model|work|of\s(?:the\stwo|these|them)))*"
_VERB = r"(?:['’]s|\sis|\swas|\scame|\scomes|\scome|\swere|\sappeared|\sgot)?\s"
_ONE = r"(?P<one>(?!(?:papers?|works?|on|about|for|in|of|that|which|using|with)\b).{2,150}?)"
_TWO = r"(?P<two>.{2,150}?)"
_PAUSE = r"\s?[,:;–-]?\s"
_COUNTED = r"(?:(?:co-?)?(?P<n_authors>authors)|(?P<upvotes>up-?votes|votes|likes)|(?P<comments>comments))"
_COUNT = rf"(?:(?P<early>fewer|less|the\sfewest|the\sleast)|more|the\smost)\s{_COUNTED}"

# A pattern matches a whole question; white space in it means nothing, \s does.
_TABLE = (
    rf"{_WHICH} {_VERB} {_DATED} {_PAUSE} {_ONE} \s(?:or|vs\.?|versus)\s {_TWO}",
    rf"which\s(?:of|between)\s {_ONE} \s(?:or|and)\s {_TWO} {_VERB} {_DATED}",
    rf"{_ONE} \s(?:or|and|vs\.?|versus)\s {_TWO} \s?[,:;?–-]\s {_WHICH} {_VERB} {_DATED}",
    rf"(?:is|was|did)\s {_ONE} \sor\s {_TWO} \s {_DATED}",
    rf"(?:is|was)\s {_ONE} \s(?:(?P<early>older|earlier)|newer|later|(?:more|less)\srecent)\sthan\s {_TWO}",
    rf"(?:is|was|did|were)\s {_ONE} \s{_OUT}\s(?:(?P<early>before|earlier\sthan)|after|later\sthan)\s {_TWO}",
    rf"{_WHICH} \s(?:has|have|had|got|gets|lists?)\s {_COUNT} {_PAUSE} {_ONE} \s(?:or|vs\.?)\s {_TWO}",
    rf"(?:does|did|has)\s {_ONE} \s(?:have\s|has\s|got\s|get\s)? {_COUNT} \sthan\s {_TWO}",
    rf"when\s(?:was|were|did)\s {_ONE} \sand\s(?:when\s(?:was|did)\s)? {_TWO} \s{_OUT}",
    rf"how\smany\s {_COUNTED} \s(?:do|does|did|have|has)\s {_ONE} \sand\s {_TWO} \s(?:have|has|get|got)(?:\seach)?",
)
_RULES = tuple(
    re.compile(rf"^\W*(?:(?:and|so|please|tell\sme)\W+)?{pattern}\W*$", re.IGNORECASE | re.VERBOSE)
    for pattern in _TABLE
)
_ONLY_TOLD = 2  # so many of the rules, the last ones, ask for no order
_LEADING = re.compile(
    r"^(?:(?:the|both)\s)?(?:(?:paper|article|work)s?\s)?(?:(?:on|about|called|titled)\s)?", re.IGNORECASE
)
_TRAILING = re.compile(r"\s(?:papers?|articles?|works?)$", re.IGNORECASE)
_PLURAL = re.compile(r"[A-Z]{2,}s")
_NO_PAPER = re.compile(r"(?:19|20)\d\d|it|this|that|they|them|these|those|one|other|the\sother|\W*", re.IGNORECASE)
_LONGEST = 400


def comparison(question: str) -> Comparison | None:
    """Which two papers' records a question compares, None when it does not.

    >>> comparison("Which is older, BERT or the Transformer?")
    Comparison(field='date', papers=('BERT', 'Transformer'), least=True)
    """
    plain = " ".join(question.split())
    if len(plain) > _LONGEST:
        return None
    for place, pattern in enumerate(_RULES):
        match = pattern.match(plain)
        if match is None:
            continue
        papers = _named(match["one"]), _named(match["two"])
        if any(_NO_PAPER.fullmatch(paper) for paper in papers):
            return None
        said = match.groupdict()
        field = _field(said)
        least = None if place >= len(_RULES) - _ONLY_TOLD else bool(said.get("early"))
        return Comparison(field, papers, least)
    return None


def _field(said: Mapping[str, str | None]) -> Compared:
    if said.get("n_authors"):
        return "n_authors"
    if said.get("upvotes"):
        return "upvotes"
    return "comments" if said.get("comments") else "date"


def _named(phrase: str) -> str:
    bare = _LEADING.sub("", phrase.strip(" .?!:,;"), count=1)
    bare = _TRAILING.sub("", bare).strip(" .?!:,;\"“”«»„‘’'")
    return bare[:-1] if _PLURAL.fullmatch(bare) else bare
