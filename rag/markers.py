"""Citation markers in answer text: finding every kind a model writes, and turning them into one canonical form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

OPEN, CLOSE = "\ue000", "\ue001"  # private-use characters: no abstract, model or user text may hold them

_NUMBER = r"\d{1,3}"
_LABEL = (
    r"(?:(?:sources?|papers?|passages?|abstracts?|documents?|docs?|refs?\.?|references?|nos?\.?|citations?|cites?|id)"
    r"\s*[:=#]?\s*|[#^SP@]\s?)?"
)
_JOIN = r"\s*(?:,\s*and|[,;&]|and|[-–—]|to)\s*"
_LIST = re.compile(rf"{_LABEL}{_NUMBER}(?:{_JOIN}{_LABEL}{_NUMBER})*(?:†[^\]】]*)?", re.IGNORECASE)
_AUTHOR_YEAR = re.compile(r"[^\W\d_][^\[\]]*?(?:,\s*|\s)\(?(?:19|20)\d\d[a-z]?\)?(?:\s*;.*)?")
_BRACKETED = re.compile(r"\[\[?([^\[\]\n]{1,120})\]?\]|【([^【】\n]{1,120})】")
# A number in round brackets is a citation only where a sentence ends, or when it says "source 2".
_ROUND = re.compile(
    rf"(?<=[\w\])%\"”.!?])\s*\(({_NUMBER}(?:\s*,\s*{_NUMBER})*)\)(?=\s*[.!?](?:\s|$)|\s*$)", re.MULTILINE
)
_ROUND_LABELLED = re.compile(rf"\(((?:sources?|papers?|passages?|abstracts?)\s*{_NUMBER}(?:{_JOIN}{_NUMBER})*)\)", re.I)
_RANGE = re.compile(rf"({_NUMBER})\s*(?:[-–—]|to)\s*({_NUMBER})", re.IGNORECASE)
# What is no source but looks like one: a key, a number that no source has, a reference in round brackets.
_NOT_A_SOURCE = re.compile(
    r"-?\d+|\d+\s*[-–—]\s*\d+|@[\w:.-]+|\^[\w-]+|(?:cite|ref|source|citation)s?\s*[:=].*", re.IGNORECASE
)
_COMMAND = re.compile(r"\\(?:auto|paren|text|foot)?cite\w*\s*(?:\[[^\]\n]*\])*\{([^{}\n]{1,120})\}")
_ROUND_AUTHOR_YEAR = re.compile(
    r"\((?:see |cf\. |e\.g\.,? )?[^\W\d_][\w'’.-]*(?:(?: et al\.?)?,| et al\.?|(?:, [^\W\d_][\w'’.-]*)*,? (?:and|&)"
    r" [^\W\d_][\w'’.-]*,?) ?(?:19|20)\d\d[a-z]?(?:;[^()\n]{1,80})?\)"
)
_UNCLOSED = re.compile(rf"[\[【]\s*{_LABEL}({_NUMBER}(?:{_JOIN}{_NUMBER})*)?[\s,;–-]*\Z", re.IGNORECASE)
_EMPTY = frozenset({"source", "sources", "citation", "citations", "citation needed", "n", "?", "ref", "reference"})
_CANONICAL = re.compile(rf"{OPEN}(\d+){CLOSE}")
_AFTER_STOP = re.compile(
    rf"([.!?])([\"'”’)]*)[ \t]*((?:{OPEN}\d+{CLOSE}[ \t]*)+)(?=$|\n|[ \t]*(?:[^a-z\s{OPEN}]))", re.M
)
_LITERAL = re.compile(r"\[\s*(\d+)\s*\]")
_MOST_IN_RANGE = 20


class Marker(NamedTuple):
    """A marker as written, `text[start:end]`, and the source numbers it names (none for "[Smith 2020]")."""

    start: int
    end: int
    numbers: tuple[int, ...]


def find_markers(text: str, known: int) -> list[Marker]:
    """All markers of a text in order. `known` is how many sources exist: it decides whether "(2)" is a citation.

    >>> [marker.numbers for marker in find_markers("A [1, 3-5]. B【2】. C [Smith 2020]. D in [0, 1] (2).", 5)]
    [(1, 3, 4, 5), (2,), (), (2,)]
    """
    found = sorted([*_square(text), *_round(text, known), *_others(text)])
    return [marker for place, marker in enumerate(found) if not place or marker.start >= found[place - 1].end]


def canonical(text: str, known: int) -> str:
    """The text with every marker of a known source in canonical form, every other one gone.

    Canonical: one `OPEN n CLOSE` a source, inside the sentence (before its full stop) that it belongs to.
    """
    plain = text.replace(OPEN, "").replace(CLOSE, "")
    parts: list[str] = []
    position = 0
    for marker in find_markers(plain, known):
        kept = [number for number in dict.fromkeys(marker.numbers) if 1 <= number <= known]
        before = plain[position : marker.start]
        parts.append(before if kept else before.rstrip(" \t"))
        parts.extend(f"{OPEN}{number}{CLOSE}" for number in kept)
        position = marker.end
    parts.append(plain[position:])
    return _AFTER_STOP.sub(_before_stop, "".join(parts))


def bracketed(text: str) -> str:
    """Canonical markers as [n], for the eye; every character keeps its offset."""
    return text.replace(OPEN, "[").replace(CLOSE, "]")


def numbers_in(text: str) -> tuple[int, ...]:
    """Source numbers of a canonical text, each once, in reading order."""
    return tuple(dict.fromkeys(int(number) for number in _CANONICAL.findall(text)))


def renumber(text: str, numbers: dict[int, int]) -> str:
    """Canonical text with each marker shown as [new number], a repeated one in a row once, others dropped.

    A number that stood in square brackets in a title or an abstract is no marker, and does not look like one.
    """
    text = _LITERAL.sub(r"(\1)", text)
    shown = _CANONICAL.sub(lambda match: _shown(int(match.group(1)), numbers), text)
    return re.sub(r"(\[\d+\])(?:\s*\1)+", r"\1", shown)


def moved(text: str, numbers: Mapping[int, int]) -> str:
    """Canonical text with each marker's number replaced, still canonical; markers of other numbers are dropped."""

    def shown(match: re.Match[str]) -> str:
        number = numbers.get(int(match.group(1)))
        return "" if number is None else f"{OPEN}{number}{CLOSE}"

    return _CANONICAL.sub(shown, text)


def without_markers(text: str) -> str:
    """Canonical text with no markers, ready to be compared with an abstract."""
    return re.sub(r"\s+([.,;:!?])", r"\1", re.sub(r"[ \t]{2,}", " ", _CANONICAL.sub("", text))).strip()


def append_marker(sentence: str, number: int) -> str:
    """A sentence with one canonical marker before its full stop.

    >>> bracketed(append_marker("It is fast.", 2))
    'It is fast [2].'
    """
    body = sentence.rstrip()
    stop = re.search(r"[.!?]+[\"'”’)]*$", body)
    at = stop.start() if stop else len(body)
    return f"{body[:at].rstrip()} {OPEN}{number}{CLOSE}{body[at:] or '.'}"


def _square(text: str) -> Iterator[Marker]:
    for match in _BRACKETED.finditer(text):
        inner = (match.group(1) or match.group(2)).strip(" \t.,;:")
        if _LIST.fullmatch(inner):
            numbers = _expand(inner)
            if 0 not in numbers:  # "[0, 1]" is an interval
                yield Marker(match.start(), match.end(), numbers)
            elif len(numbers) == 1:
                yield Marker(match.start(), match.end(), ())
        elif inner.lower() in _EMPTY or _AUTHOR_YEAR.fullmatch(inner) or _NOT_A_SOURCE.fullmatch(inner):
            yield Marker(match.start(), match.end(), ())


def _round(text: str, known: int) -> Iterator[Marker]:
    for match in _ROUND_LABELLED.finditer(text):
        yield Marker(match.start(), match.end(), _expand(match.group(1)))
    for match in _ROUND.finditer(text):
        numbers = _expand(match.group(1))
        if all(1 <= number <= known for number in numbers) and not _numbered_thing(text, match.start()):
            yield Marker(match.start() + len(match.group()) - len(match.group().lstrip()), match.end(), numbers)


def _others(text: str) -> Iterator[Marker]:
    """Citations by command or by name and year, and a marker that the end of the text cuts in half."""
    for match in _COMMAND.finditer(text):
        inner = match.group(1).strip()
        yield Marker(match.start(), match.end(), _expand(inner) if _LIST.fullmatch(inner) else ())
    for match in _ROUND_AUTHOR_YEAR.finditer(text):
        yield Marker(match.start(), match.end(), ())
    if unclosed := _UNCLOSED.search(text):
        yield Marker(unclosed.start(), unclosed.end(), _expand(unclosed.group(1) or ""))


def _numbered_thing(text: str, position: int) -> bool:
    words = text[:position].split()
    return bool(words) and words[-1].lower().rstrip(".") in {
        "eq",
        "equation",
        "fig",
        "figure",
        "table",
        "section",
        "step",
    }


def _expand(inner: str) -> tuple[int, ...]:
    inner = inner.split("†")[0]
    numbers: list[int] = []
    position = 0
    for match in _RANGE.finditer(inner):
        numbers += [int(number) for number in re.findall(r"\d+", inner[position : match.start()])]
        first, last = int(match.group(1)), int(match.group(2))
        numbers += range(first, last + 1) if first <= last < first + _MOST_IN_RANGE else (first, last)
        position = match.end()
    return tuple(numbers + [int(number) for number in re.findall(r"\d+", inner[position:])])


def _before_stop(match: re.Match[str]) -> str:
    stop, quotes, found = match.groups()
    return f" {''.join(found.split())}{stop}{quotes}{found[len(found.rstrip()) :]}"


def _shown(number: int, numbers: dict[int, int]) -> str:
    return f"[{numbers[number]}]" if number in numbers else ""
