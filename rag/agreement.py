"""Do two sentences agree in what topic similarity cannot see: numbers, names, negation and direction?

Rules, not a model: each check says nothing where it is not sure, and returns a factor of 1 then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from rag import text

# How much of the support is left when a check fails. Tuned on pairs in tests/support_pairs.py, see citations.py.
CONTRADICTED = 0.25
MISSING_NUMBER = 0.3
MISSING_NAME = 0.4
NUMBER_ELSEWHERE = 0.8
UNSAID_RANK = 0.7

_UNITS = {"%": "%", "percent": "%", "percentage": "%", "x": "×", "×": "×", "times": "×", "fold": "×"}
_SCALES = {
    "k": 1e3,
    "thousand": 1e3,
    "m": 1e6,
    "million": 1e6,
    "b": 1e9,
    "billion": 1e9,
    "bn": 1e9,
    "t": 1e12,
}
_SCALES["trillion"] = 1e12
_UNITS_SPELLED = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TENS_SPELLED = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SPELLED = (
    {name: float(value) for value, name in enumerate(_UNITS_SPELLED, start=2)}
    | {name: 10.0 * value for value, name in enumerate(_TENS_SPELLED, start=2)}
    | {"dozen": 12.0}
)
_POWERS = {"hundred": 100.0, "thousand": 1e3, "million": 1e6, "billion": 1e9}
_IN_WORDS = re.compile(
    rf"(?<!\d )(?<!\d)\b(?:(?P<count>an?|one|{'|'.join(_SPELLED)})[ -])?(?P<power>{'|'.join(_POWERS)})\b"
    rf"|\b(?P<plain>{'|'.join(_SPELLED)})\b"
)
_UNIT_NEXT = re.compile(r"[ -]?(percent|times|fold)\b")
_FRACTION = re.compile(r"\b\w+ (?:and a half|quarters?|thirds?|fifths?)\b")
_MULTIPLES = {
    "tripled": 3.0,
    "triples": 3.0,
    "quadruple": 4.0,
    "twice": 2.0,
    "double": 2.0,
    "doubles": 2.0,
    "doubled": 2.0,
    "doubling": 2.0,
    "triple": 3.0,
    "thrice": 3.0,
}
_NUMERAL = re.compile(
    r"(?<![\w.])(?<![^\W\d_]-)(\d[\d,]*(?:\.\d+)?)\s*-?\s*"
    r"(%|percent(?:age)?\b|[x×](?![a-z])|times\b|fold\b|(?:thousand|million|billion|trillion|bn|[kKMBT])\b)?"
    r"\s*-?\s*(%|percent\b|times\b|fold\b)?",
    re.IGNORECASE,
)
_NAME = re.compile(r"[^\W_]+(?:[-.+/#][^\W_]+)*[+#]*")
_ALNUM = re.compile(r"[\W_]+")


class Number(NamedTuple):
    """A quantity: its value, its unit ("%", "×" or ""), and the digits after the point as written."""

    value: float
    unit: str
    decimals: int


class Statement(NamedTuple):
    """What the checks look at in one text."""

    numbers: tuple[Number, ...]
    names: frozenset[str]
    denials: tuple[frozenset[str], ...]
    denied: frozenset[str]
    plain: frozenset[str]
    directions: tuple[tuple[str, frozenset[str]], ...]
    ranks: frozenset[str]
    leave: frozenset[str]


def agreement(claim: str, evidence: str, *, whole: str = "") -> float:
    """How far `evidence` leaves the details of `claim` standing, in 0..1; 1 where nothing disagrees.

    `whole` is the title and abstract that the evidence is a part of: a name may be said elsewhere in it.
    """
    said, found, around = read(claim), read(evidence), read(whole or evidence)
    factor = _numbers(said, found, around)
    factor *= _names(claim, said, whole or evidence)
    if _polarity_differs(said, found) or _direction_differs(said, found) or _roles_swapped(claim, evidence):
        factor *= CONTRADICTED
    return factor * UNSAID_RANK ** len(said.ranks - around.leave)


@lru_cache(maxsize=4096)
def read(sentence: str) -> Statement:
    """Everything the checks need of a text, in one go."""
    denials, dropped, plain = _polarity(sentence)
    return Statement(
        numbers=tuple(_read_numbers(sentence)),
        names=frozenset(_read_names(sentence)),
        denials=denials,
        denied=frozenset[str]().union(*denials, dropped),
        plain=plain,
        directions=tuple(_read_directions(sentence)),
        ranks=frozenset(rank for rank, pattern in _CLAIMED.items() if pattern.search(sentence)),
        leave=frozenset(rank for rank, pattern in _GIVEN.items() if pattern.search(sentence)),
    )


# --- numbers ---------------------------------------------------------------------------------------------------


def _read_numbers(sentence: str) -> Iterator[Number]:
    for match in _NUMERAL.finditer(sentence):
        digits = match.group(1).rstrip(",").replace(",", "")
        suffix, second = (match.group(2) or "").lower(), (match.group(3) or "").lower()
        value = float(digits) * _SCALES.get(suffix, 1.0)
        unit = _UNITS.get(second) or _UNITS.get(suffix, "")
        yield Number(value, unit, len(digits.partition(".")[2]) if suffix not in _SCALES else 0)
    lowered = _FRACTION.sub(" ", sentence.lower())
    for word in text.words(lowered):
        if word in _MULTIPLES:
            yield Number(_MULTIPLES[word], "×", 0)
    for match in _IN_WORDS.finditer(lowered):
        count = _SPELLED.get(match["count"] or "", 1.0)
        value = count * _POWERS[match["power"]] if match["power"] else _SPELLED[match["plain"]]
        unit = _UNIT_NEXT.match(lowered, match.end())
        yield Number(value, _UNITS[unit[1]] if unit else "", 0)


def _numbers(said: Statement, found: Statement, around: Statement) -> float:
    factor = 1.0
    for number in set(said.numbers):
        if not _among(number, found.numbers):
            factor *= NUMBER_ELSEWHERE if _among(number, around.numbers) else MISSING_NUMBER
    return factor


def _among(number: Number, others: Sequence[Number]) -> bool:
    return any(_same(number, other) for other in others)


def _same(claimed: Number, other: Number) -> bool:
    if claimed.unit and other.unit and claimed.unit != other.unit:
        return False
    if "%" in (claimed.unit, other.unit) and claimed.unit != other.unit and claimed.value != other.value:
        return False
    close = abs(claimed.value - other.value) <= 0.005 * abs(other.value)
    return close or (claimed.decimals < other.decimals and round(other.value, claimed.decimals) == claimed.value)


# --- names -----------------------------------------------------------------------------------------------------


def _read_names(sentence: str) -> Iterator[str]:
    """Words that look like names: capitals inside, digits among letters, a capital where no sentence starts."""
    for match in _NAME.finditer(sentence):
        word = match.group()
        if len(word) < 2 or not any(char.isalpha() for char in word):
            continue
        inner = any(char.isupper() or char.isdigit() for char in word[1:]) and not word[0].isdigit()
        starts = not sentence[: match.start()].rstrip(" \"'“‘([") or sentence[: match.start()].rstrip()[-1:] in ".!?:"
        capital = word[0].isupper() and not starts and word.lower() not in text.STOP_WORDS
        if inner or capital:
            yield word


def _names(claim: str, said: Statement, whole: str) -> float:
    if not said.names:
        return 1.0
    tokens, initials = _tokens(whole)
    missing = sum(not _named(name, tokens, initials) for name in said.names)
    return MISSING_NAME ** min(missing, 2)


def _named(name: str, tokens: str, initials: str) -> bool:
    key = _ALNUM.sub("", name).lower()
    if _spelling(key).search(tokens):
        return True
    if name.isupper() or (name[:-1].isupper() and name.endswith("s")):  # RL, LLMs: spelt out in the abstract?
        return 2 <= len(key.removesuffix("s")) <= 6 and key.removesuffix("s") in initials
    parts = [part for part in re.split(r"[-/.+#]", name) if part]
    return len(parts) > 1 and all(_named(part, tokens, initials) for part in parts)


@lru_cache(maxsize=4096)
def _spelling(key: str) -> re.Pattern[str]:
    """A name whatever its hyphens and its plural, as whole words of `_tokens`."""
    stem = key.removesuffix("s") if len(key) > 3 else key
    return re.compile(r"\|" + r"\|?".join(stem) + r"(?:e?s)?\|")


@lru_cache(maxsize=256)
def _tokens(whole: str) -> tuple[str, str]:
    """The words in lower case between bars, and the first letters of all words."""
    parts = [part for part in _ALNUM.split(whole.lower()) if part]
    capitals = "".join(word.lower() for word in re.findall(r"\b[A-Z]+\b", whole))
    return f"|{'|'.join(parts)}|", "".join(part[0] for part in parts) + " " + capitals


# --- negation and direction ------------------------------------------------------------------------------------

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
_ROLE = 3  # content words on either side of a verb that say who beats whom
_SCOPE = 4  # content words that a negation reaches
_CLAUSE_END = re.compile(r"[,;:.!?()]|\b(?:but|while|whereas|and|which|that|because|although)\b", re.IGNORECASE)

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
_BEATS = re.compile(
    r"\b(?:outperform|surpass|exceed|beat|improv\w* (?:up)?on|(?:better|faster|smaller|higher|stronger|more \w+) than"
    r"|superior to|over)\w*\b",
    re.I,
)
_BEATEN = re.compile(
    r"\b(?:outperformed|surpassed|exceeded|beaten) by\b|\b(?:worse|slower|lower|inferior|less \w+) (?:than|to)\b",
    re.I,
)


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


def _polarity(sentence: str) -> tuple[tuple[frozenset[str], ...], frozenset[str], frozenset[str]]:
    """The stems that each negation reaches, those that are said to be left out, and all that are affirmed."""
    shielded = _NOT_NEGATION.sub(lambda match: " " * len(match.group()), sentence)
    denials = [_reach(sentence, match.end()) for match in _NEGATION.finditer(shielded)]
    dropped = [_reach(sentence, match.end()) for match in _LEFT_OUT.finditer(shielded)]
    denied = "".join(sentence[start:end] for start, end in denials)
    affirmed = sentence
    for start, end in reversed(denials):
        affirmed = affirmed[:start] + " " + affirmed[end:]
    plain = frozenset(text.stems(affirmed)) if denied.strip() else frozenset(text.stems(sentence))
    reached = tuple(_stems_at(sentence, place) for place in denials)
    left_out = frozenset[str]().union(*(_stems_at(sentence, place) for place in dropped))
    return tuple(stems for stems in reached if stems), left_out, plain


def _reach(sentence: str, start: int) -> tuple[int, int]:
    """From a negation to the end of its clause or the next negation."""
    stop = _CLAUSE_END.search(sentence, start)
    other = _NEGATION.search(sentence, start)
    ends = [match.start() for match in (stop, other) if match]
    return start, min(ends, default=len(sentence))


def _stems_at(sentence: str, place: tuple[int, int]) -> frozenset[str]:
    return frozenset(text.stems(sentence[place[0] : place[1]])[:_SCOPE])


def _polarity_differs(said: Statement, found: Statement) -> bool:
    return _denies(said, found) or _denies(found, said)


def _denies(one: Statement, other: Statement) -> bool:
    """Whether a negation of `one` reaches what `other` affirms and nowhere denies."""
    return any(not reach & other.denied and 2 * len(reach & other.plain) > len(reach) for reach in one.denials)


def _read_directions(sentence: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Each word with an opposite, and the content stems near it: what it is said of."""
    plain = [word.lower() for word in text.words(sentence)]
    parts = [part for word in plain for part in _ALNUM.split(word) if part]
    for place, word in enumerate(parts):
        if _side(word):
            near = [item for item in parts[max(0, place - 4) : place + 5] if item not in text.STOP_WORDS]
            yield word, frozenset(text.stem(item) for item in near if item != word)


def _direction_differs(said: Statement, found: Statement) -> bool:
    return any(_reversed(word, near, found) for word, near in said.directions)


def _reversed(word: str, near: frozenset[str], found: Statement) -> bool:
    """Whether the evidence says the opposite word of the same things, and nowhere the word itself."""
    same = opposite = 0
    for other, around in found.directions:
        shared = len((near & around) - {text.stem(word), text.stem(other)})
        groups = {group: side for group, side in _side(other)}
        ours = {group: side for group, side in _side(word)}
        common = groups.keys() & ours.keys()
        if any(groups[group] == ours[group] for group in common):
            same = max(same, 1 + shared)
        elif common and shared:
            opposite = max(opposite, 1 + shared)
    return opposite > same


def _roles_swapped(claim: str, evidence: str) -> bool:
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
