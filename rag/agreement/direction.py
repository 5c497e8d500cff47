"""Which way a sentence points: more or less, who beats whom, and claims of being first, best or only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from rag import text

_ALNUM = re.compile(r"[\W_]+")
_ROLE = 3  # content words on either side of a verb that say who beats whom

_OPPOSITES = (
    "increas rais grow boost / decreas reduc lower drop diminish shrink",
    "improv enhanc / degrad worsen hurt harm deterior",
    "higher / lower",
    "high / low",
    "more / less fewer",
    "better / wors inferior",
    "best / worst",
    "faster / slower",
    "fast / slow",
    "larger bigger / smaller",
    "larg big / small",
    "longer / shorter",
    "stronger / weaker",
    "strong / weak",
    "easier / harder",
    "easi / hard difficult",
    "outperform surpass exceed beat / underperform trail",
    "stabl / unstabl",
    "supervis / unsupervis",
    "offlin / onlin",
    "necessari requir need / unnecessari",
    "possibl / imposs",
    "suffici / insuffici",
    "robust / fragil vulner brittl",
    "open / close proprietari",
    "posit / negat",
    "linear / quadrat exponenti cubic",
    "converg / diverg",
    "succeed success / fail",
    "before / after",
    "upper / lower",
    "maxim / minim",
    "cheaper / costlier",
    "effici / ineffici",
    "effect / ineffect",
    "consist / inconsist",
    "accur / inaccur",
    "dens / spars",
    "discret / continu",
    "global / local",
    "overestim / underestim",
    "accelerat speed / slow",
    "allow enabl / prevent",
)
_BEATS = re.compile(
    r"\b(?:outperform|surpass|exceed|beat|improv\w* (?:up)?on|(?:better|faster|smaller|higher|stronger|more \w+) than"
    r"|superior to|over)\w*\b",
    re.I,
)
_BEATEN = re.compile(
    r"\b(?:outperformed|surpassed|exceeded|beaten) by\b|\b(?:worse|slower|lower|inferior|less \w+) (?:than|to)\b",
    re.I,
)
# What a sentence claims by a rank, and the words that give it leave to.
_CLAIMED = {
    "first": re.compile(r"\b(?:the|is|are) first (?:\w+ ){0,3}(?:to|that|which)\b|\bfirst[- ]ever\b|\bpioneer", re.I),
    "best": re.compile(r"\bbest\b|\bstate[- ]of[- ]the[- ]art\b|\bsota\b", re.I),
    "only": re.compile(r"(?<!not )\bonly\b|\bsole(?:ly)?\b|\bexclusive", re.I),
}
_GIVEN = {
    "first": re.compile(r"\bfirst\b|\bpioneer|\bnovel|\bnew\b", re.I),
    "best": re.compile(
        r"\bbest\b|\bstate[- ]of[- ]the[- ]art\b|\bsota\b|\boutperform|\bsurpass|\bsuperior|\btop\b|\bhighest\b", re.I
    ),
    "only": re.compile(
        r"\bonly\b|\bsole(?:ly)?\b|\bjust\b|\bexclusive|\balone\b|\bmere(?:ly)?\b|\bno other\b|\bsingle\b", re.I
    ),
}


class Direction(NamedTuple):
    """A word that has an opposite, and the stems near it: what it is said of."""

    word: str
    near: frozenset[str]


def ranks_unsaid(claim: str, whole: str) -> int:
    """How many ranks (first, best, only) a claim gives to something whose paper says nothing of the kind."""
    return sum(bool(pattern.search(claim)) and not _GIVEN[rank].search(whole) for rank, pattern in _CLAIMED.items())


def _sides() -> dict[str, frozenset[tuple[int, int]]]:
    table: dict[str, frozenset[tuple[int, int]]] = {}
    for group, line in enumerate(_OPPOSITES):
        for side, words in enumerate(line.split(" / ")):
            for word in words.split():
                table[word] = table.get(word, frozenset()) | {(group, side)}
    return table


_SIDES = _sides()


@lru_cache(maxsize=65_536)
def _side(word: str) -> frozenset[tuple[int, int]]:
    return _SIDES.get(word, frozenset()) | _SIDES.get(text.stem(word), frozenset())


def read_directions(sentence: str) -> Iterator[Direction]:
    """Each word with an opposite, and the content stems near it: what it is said of."""
    plain = [word.lower() for word in text.words(sentence)]
    parts = [part for word in plain for part in _ALNUM.split(word) if part]
    for place, word in enumerate(parts):
        if _side(word):
            near = [item for item in parts[max(0, place - 4) : place + 5] if item not in text.STOP_WORDS]
            yield Direction(word, frozenset(text.stem(item) for item in near if item != word))


def direction_differs(said: Sequence[Direction], found: Sequence[Direction]) -> bool:
    """Whether a claim says the opposite of what its evidence says of the same things."""
    return any(_reversed(word, near, found) for word, near in said)


def _reversed(word: str, near: frozenset[str], found: Sequence[Direction]) -> bool:
    """Whether the evidence says the opposite word of the same things, and nowhere the word itself."""
    same = opposite = 0
    for other, around in found:
        shared = len((near & around) - {text.stem(word), text.stem(other)})
        groups = dict(_side(other))
        ours = dict(_side(word))
        common = groups.keys() & ours.keys()
        if any(groups[group] == ours[group] for group in common):
            same = max(same, 1 + shared)
        elif common and shared:
            opposite = max(opposite, 1 + shared)
    return opposite > same


def roles_swapped(claim: str, evidence: str) -> bool:
    """ "A outperforms B" against "B outperforms A": the named things stand on the other sides of the verb."""
    winner, loser = _roles(claim)
    other_winner, other_loser = _roles(evidence)
    if not (winner | loser) or not (other_winner | other_loser):
        return False
    kept = bool(winner & other_winner) or bool(loser & other_loser)
    crossed = bool(winner & other_loser) or bool(loser & other_winner)
    return crossed and not kept


def _roles(sentence: str) -> tuple[frozenset[str], frozenset[str]]:
    beaten = _BEATEN.search(sentence)
    match = beaten or _BEATS.search(sentence)
    if not match:
        return frozenset(), frozenset()
    before = frozenset(text.stems(sentence[: match.start()])[-_ROLE:])
    after = frozenset(text.stems(sentence[match.end() :])[:_ROLE])
    shared = before & after
    return (after - shared, before - shared) if beaten else (before - shared, after - shared)
