"""What a sentence denies and affirms."""

from __future__ import annotations

import re
from typing import NamedTuple

from rag import text

_NEGATION = re.compile(
    r"\b(?:not|no|never|without|cannot|neither|nor|none|hardly|lacks?|lacking|fails?|failed|failing|unable|\w+n[’']t"
    r"|rather than|instead of|absence of|free of|avoids?|avoiding)\b",
    re.IGNORECASE,
)
# Left out is denied too, but saying so contradicts nothing by itself ("removes noise" against "reduces noise").
_LEFT_OUT = re.compile(
    r"\b(?:drop(?:s|ped|ping)?|omit(?:s|ted|ting)?|remov(?:es?|ed|ing)|eliminat(?:es?|ed|ing)|skip(?:s|ped|ping)?"
    r"|leav(?:es?|ing) out|left out|replac(?:es?|ed|ing)|ignor(?:es?|ed|ing)|dispens(?:es?|ed|ing) with|discard\w*"
    r"|abandon\w*|forgo\w*|bypass\w*|reliev\w*)\b",
    re.IGNORECASE,
)
_NOT_NEGATION = re.compile(
    r"\b(?:not only|no longer only|no less|not necessarily only|whether or not)\b", re.IGNORECASE
)
_SCOPE = 4  # content words that a negation reaches
_CLAUSE_END = re.compile(r"[,;:.!?()]|\b(?:but|while|whereas|and|which|that|because|although)\b", re.IGNORECASE)


class Polarity(NamedTuple):
    """Stems by polarity: those that each negation reaches, all that are denied or left out, all that are affirmed."""

    denials: tuple[frozenset[str], ...]
    denied: frozenset[str]
    plain: frozenset[str]


def read_polarity(sentence: str) -> Polarity:
    """What a sentence denies and affirms."""
    shielded = _NOT_NEGATION.sub(lambda match: " " * len(match.group()), sentence)
    places = [_reach(sentence, match.end()) for match in _NEGATION.finditer(shielded)]
    dropped = [_reach(sentence, match.end()) for match in _LEFT_OUT.finditer(shielded)]
    denied = "".join(sentence[start:end] for start, end in places)
    affirmed = sentence
    for start, end in reversed(places):
        affirmed = affirmed[:start] + " " + affirmed[end:]
    plain = frozenset(text.stems(affirmed)) if denied.strip() else frozenset(text.stems(sentence))
    reached = tuple(_stems_at(sentence, place) for place in places)
    left_out = frozenset[str]().union(*(_stems_at(sentence, place) for place in dropped))
    denials = tuple(stems for stems in reached if stems)
    return Polarity(denials, frozenset[str]().union(*denials, left_out), plain)


def _reach(sentence: str, start: int) -> tuple[int, int]:
    """From a negation to the end of its clause or the next negation."""
    stop = _CLAUSE_END.search(sentence, start)
    other = _NEGATION.search(sentence, start)
    ends = [match.start() for match in (stop, other) if match]
    return start, min(ends, default=len(sentence))


def _stems_at(sentence: str, place: tuple[int, int]) -> frozenset[str]:
    return frozenset(text.stems(sentence[place[0] : place[1]])[:_SCOPE])


def polarity_differs(said: Polarity, found: Polarity) -> bool:
    """Whether one of two sentences denies what the other affirms."""
    return _denies(said, found) or _denies(found, said)


def _denies(one: Polarity, other: Polarity) -> bool:
    """Whether a negation of `one` reaches what `other` affirms and nowhere denies."""
    return any(not reach & other.denied and 2 * len(reach & other.plain) > len(reach) for reach in one.denials)
