"""Papers cut into passages: token-bounded, at sentence ends, each carrying its paper's title."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rag.papers import Paper, Passage
from rag.settings import ChunkingSettings
from rag.text import sentences
from rag.tokens import LONGEST_TOKEN, fits

_WORD = re.compile(r"\S+")


class _Part(NamedTuple):
    """A stretch of an abstract that is not divided further: a sentence, or a part of one that is too long."""

    start: int
    end: int


def chunk(paper: Paper, settings: ChunkingSettings) -> list[Passage]:
    """The passages of a paper in order: the whole abstract if it fits, else windows of whole sentences.

    A passage's text is the title, a line break and `abstract[start:end]` (an untitled paper's display title
    is left out: it is the abstract's beginning); the title alone when there is no abstract. No text has more
    than `settings.max_tokens` tokens: a sentence that is too long is cut between words, and a title of more
    than half the tokens is shortened. Every character of the abstract that is not white space is in some
    passage.
    """
    title = "" if paper.untitled else " ".join(paper.title.split())
    abstract = paper.abstract
    begin, end = _inner(abstract)
    if begin == end:
        return [_passage(paper, 0, _Part(0, 0), _cut(title or paper.title, settings.max_tokens))]
    whole = _carry(title, abstract[begin:end])
    if fits(whole, settings.max_tokens):
        return [_passage(paper, 0, _Part(begin, end), whole)]
    head = _cut(title, settings.max_tokens // 2)
    windows = _windows(_Window(head, abstract, settings.max_tokens), settings.overlap_sentences)
    return [
        _passage(paper, ordinal, window, _carry(head, abstract[window.start : window.end]))
        for ordinal, window in enumerate(windows)
    ]


class _Window(NamedTuple):
    """What windows are cut from, and bound by: carried title, abstract, and the tokens of both together."""

    head: str
    abstract: str
    max_tokens: int

    def holds(self, start: int, end: int) -> bool:
        return fits(_carry(self.head, self.abstract[start:end]), self.max_tokens)


def _windows(window: _Window, overlap: int) -> Iterator[_Part]:
    parts = list(_parts(window))
    first = 0
    while first < len(parts):
        last = first
        while last + 1 < len(parts) and window.holds(parts[first].start, parts[last + 1].end):
            last += 1
        yield _Part(parts[first].start, parts[last].end)
        first = _next_first(window, parts, last, max(first + 1, last + 1 - overlap))


def _next_first(window: _Window, parts: Sequence[_Part], last: int, first: int) -> int:
    """Where the next window starts: at `first`, or later if the sentence after `last` would not fit."""
    if last + 1 == len(parts):
        return len(parts)
    while first <= last and not window.holds(parts[first].start, parts[last + 1].end):
        first += 1
    return first


def _parts(window: _Window) -> Iterator[_Part]:
    for span in sentences(window.abstract):
        if window.holds(span.start, span.end):
            yield _Part(span.start, span.end)
        else:
            yield from _split(window, span.start, span.end)


def _split(window: _Window, start: int, end: int) -> Iterator[_Part]:
    """A sentence that is too long, cut between words; a word that is too long, between characters."""
    while start < end:
        reach = min(end, start + LONGEST_TOKEN * window.max_tokens)
        words = [match.end() for match in _WORD.finditer(window.abstract, start, reach)]
        cut = _last_held(window, start, words) or _last_held(window, start, range(start + 1, words[0]))
        cut = cut or start + 1
        yield _Part(start, cut)
        following = _WORD.search(window.abstract, cut, end)
        start = following.start() if following else end


def _last_held(window: _Window, start: int, ends: Sequence[int]) -> int | None:
    """The last of the ascending `ends` up to which the window holds the text from `start`, by bisection."""
    held, low, high = None, 0, len(ends)
    while low < high:
        middle = (low + high) // 2
        if window.holds(start, ends[middle]):
            held, low = ends[middle], middle + 1
        else:
            high = middle
    return held


def _cut(title: str, limit: int) -> str:
    """The title, or as many of its first words (else characters) as `limit` tokens hold."""
    window = _Window("", title, limit)
    if fits(title, limit):
        return title
    return title[: next(_split(window, 0, len(title))).end]


def _carry(title: str, part: str) -> str:
    return f"{title}\n{part}" if title else part


def _inner(text: str) -> tuple[int, int]:
    """Where a text begins and ends without the white space around it; twice 0 for an empty one."""
    inner = text.strip()
    begin = len(text) - len(text.lstrip()) if inner else 0
    return begin, begin + len(inner)


def _passage(paper: Paper, ordinal: int, part: _Part, text: str) -> Passage:
    return Passage(f"{paper.id}#{ordinal}", paper.id, ordinal, part.start, part.end, text)
