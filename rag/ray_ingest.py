"""An ingest's costly parts on a Ray cluster: parsing with its splitting of titles, MinHash sketches, and embedding.

All three are functions of the input alone, so any process may do them. What decides which papers there are stays with
the one session that writes, in the order of the input: the library is the same, however many workers read. Workers
see no files and no database, as the writer hands them the bytes. They are actors of Ray's core, and there is no dataset
of Ray Data: what is embedded depends on what the writer decided about the records before (known ones are not), order
matters, and rows are objects, for which Ray Data would want Arrow and pandas installed besides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, cast

from rag.embeddings import StaticTextEncoder
from rag.ingest_inputs import Input
from rag.interfaces import Encoder, Side
from rag.merging import Reading
from rag.papers import Record, Reject
from rag.parsers import Notice, Parse
from rag.parsers.pieces import Piece, Read
from rag.ray_pool import Pool, Promise
from rag.settings import IngestSettings
from rag.sketches import Keymaker

if TYPE_CHECKING:
    from rag.interfaces import Vectors

_AHEAD = 2
"""Pieces a worker that are read ahead of the writer."""
_FEW = 64
"""Texts and items that are not worth the way to a worker and back."""


def distributed(settings: IngestSettings, encoder: Encoder) -> tuple[Encoder, RayWorkers]:
    """An encoder and readers on the cluster that the settings name, which is joined when there is something to do.

    An encoder on a server stays where its requests are paid for and remembered. Raises MissingExtra without Ray.
    """
    ours = encoder if isinstance(encoder, StaticTextEncoder) else None
    pool = Pool(settings, Worker, ours)
    return (RayEncoder(ours, pool) if ours else encoder), RayWorkers(pool)


class Worker:
    """What one process does; it remembers nothing but what makes it fast."""

    def __init__(self, encoder: Encoder | None) -> None:
        self._encoder = encoder
        self._keymaker = Keymaker()

    def read(self, piece: Piece) -> list[Reading | Reject | Notice]:
        """The items of a piece in order, records in the form that is stored, with the keys that find their like."""
        items = [Reading.of(item) if isinstance(item, Record) else item for item in piece]
        keys = iter(self._keymaker.keys([item.record for item in items if isinstance(item, Reading)]))
        return [item._replace(keys=next(keys).all()) if isinstance(item, Reading) else item for item in items]

    def encode(self, texts: Sequence[str]) -> Vectors:
        """The vectors of passages."""
        assert self._encoder is not None  # noqa: S101 - only a `RayEncoder` asks for them
        return self._encoder.encode(texts, side="passage")


class RayWorkers:
    """Reads the inputs of an ingest on the workers of a pool; see `ingest_inputs.Workers`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def read(self, opened: Iterator[Parse | Reject]) -> Iterator[Input | Reject]:
        """Each input in order; pieces of it and of those after it are read ahead."""
        for _, group in groupby(self._ahead(opened), key=lambda entry: entry.number):
            entries = iter(group)
            given = next(entries).given
            yield given if isinstance(given, Reject) else _Distributed(given, entries, self._pool)

    def close(self) -> None:
        """End the workers."""
        self._pool.close()

    def _ahead(self, opened: Iterator[Parse | Reject]) -> Iterator[_Entry]:
        waiting: deque[_Entry] = deque()
        promised = 0
        for entry in self._entries(opened):
            waiting.append(entry)
            promised += entry.promise is not None
            while promised and promised >= _AHEAD * self._pool.size():
                promised -= waiting[0].promise is not None
                yield waiting.popleft()
        yield from waiting

    def _entries(self, opened: Iterator[Parse | Reject]) -> Iterator[_Entry]:
        """Of each input itself, then its pieces, which are given to workers as they are asked for."""
        for number, given in enumerate(opened):
            yield _Entry(number, given)
            if isinstance(given, Reject):
                continue
            for piece in given.pieces():
                if isinstance(piece, Read) and len(piece.items) < _FEW:
                    yield _Entry(number, given, piece, bytes_read=given.bytes_read)
                else:
                    yield _Entry(number, given, None, self._pool.ask("read", piece), given.bytes_read)


class _Entry(NamedTuple):
    """An input, or what becomes of one piece of it."""

    number: int
    given: Parse | Reject
    piece: Read | None = None
    promise: Promise | None = None
    bytes_read: int = 0


class _Distributed:
    """An input whose pieces workers read; see `ingest_inputs.Input`."""

    def __init__(self, parse: Parse, entries: Iterator[_Entry], pool: Pool) -> None:
        self.path = parse.path
        self.format = parse.format
        self.bytes_total = parse.bytes_total
        self.bytes_read = 0
        self._entries = entries
        self._pool = pool

    def __iter__(self) -> Iterator[Record | Reading | Reject | Notice]:
        for entry in self._entries:
            self.bytes_read = entry.bytes_read
            if entry.promise:
                yield from cast("list[Reading | Reject | Notice]", self._pool.answer(entry.promise))
            elif entry.piece:
                yield from entry.piece


class RayEncoder:
    """An encoder whose passages the workers of a pool encode, which hold a copy of it. Safe for many threads."""

    def __init__(self, encoder: Encoder, pool: Pool) -> None:
        self.name, self.dimension, self.fingerprint = encoder.name, encoder.dimension, encoder.fingerprint
        self._encoder = encoder
        self._pool = pool

    def encode(self, texts: Sequence[str], *, side: Side = "passage") -> Vectors:
        """As the encoder does; float32 (len(texts), dimension)."""
        import numpy as np

        if side == "query" or len(texts) < _FEW:
            return self._encoder.encode(texts, side=side)
        share = max(_FEW, -(-len(texts) // self._pool.size()))
        parts = [texts[start : start + share] for start in range(0, len(texts), share)]
        promises = [self._pool.ask("encode", part) for part in parts]
        return np.concatenate([self._pool.answer(promise) for promise in promises])
