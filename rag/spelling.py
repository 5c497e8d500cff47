"""Misspelt words of a question, put right from the words of the papers that came near it anyway."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from rag import text
from rag.evidence import background
from rag.interfaces import WordStatistics

_PART = re.compile(r"[^\W_]+")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
# A slip is only put right in a word long enough that it is not more likely another word: "hive" is not "give".
_SHORTEST_SWAP, _SHORTEST_GAP, _SHORTEST_CHANGE = 3, 5, 7


def unknown_words(question: str, statistics: WordStatistics) -> list[str]:
    """The lower-case words of a question that neither the library nor abstracts at large know."""
    parts = dict.fromkeys(part.lower() for part in _PART.findall(question))
    rare = [part for part in parts if part not in text.STOP_WORDS and part.isalpha() and not _common(part)]
    frequency = statistics.document_frequency(rare)
    return [part for part in rare if not frequency.get(part, 0)]


def corrections(words: Sequence[str], sources: Iterable[str]) -> dict[str, str]:
    """For each of the unknown lower-case `words` that is one slip away from a word of `sources`: that word, the most
    frequent one of several. Slips are two letters swapped, a letter lost, doubled or changed, after the first."""
    if not words:
        return {}
    known = Counter(part for source in sources for part in _PART.findall(source.lower()))
    known.update(dict.fromkeys(text.STOP_WORDS, 1))
    found: dict[str, str] = {}
    for word in words:
        near = sorted(known.keys() & _slips(word), key=lambda other: (-known[other], other))
        if near:
            found[word] = near[0]
    return found


def corrected(question: str, found: dict[str, str]) -> str:
    """The question with the words of `found` replaced, whatever their letter case."""
    return _PART.sub(lambda match: found.get(match[0].lower(), match[0]), question)


def _common(part: str) -> bool:
    return background(text.stem(part)) > 0


def _slips(word: str) -> set[str]:
    """Words from which one slip makes `word`."""
    size = len(word)
    slips: set[str] = set()
    if size >= _SHORTEST_SWAP:
        slips |= {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(size - 1)}
    if size >= _SHORTEST_GAP - 1:
        slips |= {word[:at] + letter + word[at:] for at in range(1, size + 1) for letter in _LETTERS}
    if size >= _SHORTEST_GAP:
        slips |= {word[:at] + word[at + 1 :] for at in range(1, size) if word[at] == word[at - 1]}
    if size >= _SHORTEST_CHANGE:
        slips |= {word[:at] + letter + word[at + 1 :] for at in range(1, size) for letter in _LETTERS}
    return slips - {word}
