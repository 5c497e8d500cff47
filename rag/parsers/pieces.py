"""Inputs cut into pieces: each can be read by itself, in any process, and together they give what the whole gives."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from rag.papers import Record, Reject
from rag.parsers.base import Format, Item, Notice
from rag.parsers.reading import Line, LineSource, Source

if TYPE_CHECKING:
    from rag.parsers.base import LineReader

_AT_ONCE = 1024
_CHARACTERS = 4 * 1024 * 1024
"""Most that a piece made of lines holds; the line that passes it is the last."""
_WHOLE = 16 * 1024 * 1024
"""Bytes up to which an input that cannot be cut at its lines is one piece."""

Columns = Mapping[str, str | int]


class Piece(Protocol):
    """A part of an input. Iterating reads it, here or, pickled, in another process: it needs no file."""

    def __iter__(self) -> Iterator[Item]: ...


@dataclass(frozen=True, slots=True)
class Read:
    """Items that were read already."""

    items: tuple[Item, ...]

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)


@dataclass(frozen=True, slots=True)
class _Whole:
    """All of a small input, as bytes."""

    name: str
    content: bytes
    chosen: Format
    columns: Columns

    def __iter__(self) -> Iterator[Item]:
        source = Source(self.name, lambda: io.BytesIO(self.content), len(self.content))
        return told(source, self.chosen.read(source, self.columns))


@dataclass(frozen=True, slots=True)
class _Lines:
    """Some lines of an input, and what reading them had to say, in their order."""

    name: str
    entries: tuple[Line | Notice | Reject, ...]
    read: LineReader
    columns: Columns

    def __iter__(self) -> Iterator[Item]:
        source = _Entries(self.name, self.entries)
        return told(source, self.read(source, self.columns))


class _Entries:
    """A `LineSource` of lines that were read before."""

    def __init__(self, name: str, entries: tuple[Line | Notice | Reject, ...]) -> None:
        self.name = name
        self._entries = entries
        self._events: list[Notice | Reject] = []

    def lines(self) -> Iterator[Line]:
        for entry in self._entries:
            if isinstance(entry, Line):
                yield entry
            else:
                self._events.append(entry)

    def reject(self, line: int, reason: str) -> Reject:
        return Reject(self.name, line, reason)

    def drain(self) -> list[Notice | Reject]:
        events, self._events = self._events, []
        return events


def told(source: LineSource, items: Iterator[Record | Reject]) -> Iterator[Item]:
    """What a format reads from a source, with what reading itself had to say in between."""
    for item in items:
        yield from source.drain()
        yield item
    yield from source.drain()


def cut(source: Source, chosen: Format, columns: Columns) -> Iterator[Piece]:
    """The pieces of an input in order: of its lines, where each line is a record; else the whole, when it is small.

    What is neither is read here.
    """
    if chosen.read_lines is not None:
        yield from _cut_lines(source, chosen.read_lines, columns)
    elif (content := source.content(_WHOLE)) is not None:
        yield _Whole(source.name, content, chosen, columns)
    else:
        items = told(source, chosen.read(source, columns))
        while some := tuple(islice(items, _AT_ONCE)):
            yield Read(some)


def _cut_lines(source: Source, read: LineReader, columns: Columns) -> Iterator[Piece]:
    held: list[Line | Notice | Reject] = []
    size = 0
    for line in source.lines():
        held += (*source.drain(), line)
        size += len(line.text)
        if len(held) >= _AT_ONCE or size >= _CHARACTERS:
            yield _Lines(source.name, tuple(held), read, columns)
            held, size = [], 0
    if held := [*held, *source.drain()]:
        yield _Lines(source.name, tuple(held), read, columns)
