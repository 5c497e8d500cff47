"""Values that pass between deciding what a library holds, writing it, and indexing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from rag.papers import Paper, Passage, Record


class Known(NamedTuple):
    """A stored record of one source, without its content; `merged_into` is a paper id where `reason` is given."""

    pk: int
    paper: int
    line: int
    hash: int
    title_key: int | None
    external_key: int | None
    reason: str | None
    merged_into: str | None


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record, its stored form and hash, the keys that find it, and why it was merged (None: a paper's first)."""

    record: Record
    source: int
    keys: tuple[int, ...]
    reason: str | None
    data: str
    hash: int
    pk: int | None = None


@dataclass(slots=True)
class Draft:
    """A paper being changed: its records as they shall be, and what is made of them.

    `pk` is None for a new paper; `paper` is None for one that no record is left of.
    """

    id: str
    records: list[StoredRecord]
    pk: int | None = None
    dropped: list[StoredRecord] = field(default_factory=list[StoredRecord])
    paper: Paper | None = None
    passages: list[Passage] = field(default_factory=list[Passage])


class Doomed(NamedTuple):
    """A passage id that the indexes must forget before anything else is written under it."""

    seq: int
    passage: str


@dataclass(frozen=True, slots=True)
class IndexJob:
    """Work for both indexes: ids to forget, then passages to hold. `revisions` are (paper pk, revision)."""

    doomed: tuple[Doomed, ...]
    passages: tuple[Passage, ...]
    revisions: tuple[tuple[int, int], ...]

    def __bool__(self) -> bool:
        return bool(self.doomed or self.passages or self.revisions)
