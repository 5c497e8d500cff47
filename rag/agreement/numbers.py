"""Quantities in a sentence, as digits or words, with their units, and whether two sentences agree in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rag import text

_ROUNDED = 10_000
MISSING = 0.3  # share of the support left by a number that the paper does not have
ELSEWHERE = 0.8  # and by one that it has in another place

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


class Number(NamedTuple):
    """A quantity: its value, its unit ("%", "×" or ""), and the digits after the point as written."""

    value: float
    unit: str
    decimals: int


def read_numbers(sentence: str) -> Iterator[Number]:
    """The quantities of a sentence; digits inside names ("GPT-4") are none."""
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


def numbers_agree(said: Sequence[Number], found: Sequence[Number], around: Sequence[Number]) -> float:
    """A factor for numbers of a claim that its evidence does not have; `around` are those of the whole paper."""
    factor = 1.0
    for number in set(said):
        if not _among(number, found):
            factor *= ELSEWHERE if _among(number, around) else MISSING
    return factor


def _among(number: Number, others: Sequence[Number]) -> bool:
    return any(_same(number, other) for other in others)


def _same(claimed: Number, other: Number) -> bool:
    if claimed.unit and other.unit and claimed.unit != other.unit:
        return False
    if "%" in (claimed.unit, other.unit) and claimed.unit != other.unit and claimed.value != other.value:
        return False
    # Large quantities are told roundly; small ones, years above all, are the same or they are not.
    slack = 0.005 * abs(other.value) if other.value >= _ROUNDED else 1e-9
    close = abs(claimed.value - other.value) <= slack
    return close or (claimed.decimals < other.decimals and round(other.value, claimed.decimals) == claimed.value)
