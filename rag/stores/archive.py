"""A library as one portable file: a zip archive of three parts, which `citewise export` writes.

- `papers.jsonl` (deflated): a JSON object a line, a paper, in the order of arrival. `id`; `records`, each
  `{"record": {title, abstract, source: {path, line}, ...}, "resolved": the source's full path, "reason": why it was
  merged}`, with the fields of `rag.papers.Record` that are known; `passages`, each `{"start", "end", "text"}`.
- `vectors.npy` (stored): float32, little endian, (passages, dimension), unit rows in the order of the passages. A row
  of NaN belongs to a passage that was not indexed yet.
- `manifest.json`: format, what the vectors were made with (encoder, dimension, fingerprint, chunking), the numbers of
  papers, records and passages, and for each part its bytes and SHA-256.

The comment of the archive ends in the SHA-256 of all bytes of the file before that, so that damage anywhere is known
before anything is read. Nothing is ever unpacked to disk: parts are read as streams, under their three names, and no
line may be longer than `MAX_LINE`. Paths of sources are as they were on the machine that made the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field, TypeAdapter

from rag.papers import Record

if TYPE_CHECKING:
    from rag.interfaces import Vectors

FORMAT = 1
PAPERS, VECTORS, MANIFEST = "papers.jsonl", "vectors.npy", "manifest.json"
MAX_LINE = 64 * 2**20
"""Bytes of one paper in an archive; a record is at most 8 MiB when it is read."""

_INTEGERS = ("n_authors", "year", "upvotes", "comments")
_Count = Annotated[int, Field(ge=0, lt=2**40)]


@dataclass(frozen=True, slots=True)
class ArchivedRecord:
    """One record of a paper, the full path of its source, and why it was merged (None: the paper's first)."""

    record: Record
    resolved: str
    reason: str | None = None

    def __post_init__(self) -> None:
        numbers = [self.record.source.line, *(getattr(self.record, name) or 0 for name in _INTEGERS)]
        if max(map(abs, numbers)) >= 2**63:
            raise ValueError("a number is too large")


@dataclass(frozen=True, slots=True)
class ArchivedPassage:
    """A passage: `abstract[start:end]`, and the text that its vector stands for."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class ArchivedPaper:
    """One paper with all that was read of it."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/+=@-]+$", max_length=120)]
    records: Annotated[list[ArchivedRecord], Field(min_length=1)]
    passages: list[ArchivedPassage]


@dataclass(frozen=True, slots=True)
class Part:
    """Size and hash of a part, unpacked."""

    bytes: Annotated[int, Field(ge=0, lt=2**50)]
    sha256: str


@dataclass(frozen=True, slots=True)
class Description:
    """What an archive holds and what its vectors were made with: its `manifest.json`."""

    citewise: str
    encoder: str
    dimension: Annotated[int, Field(ge=1, le=2**16)]
    fingerprint: str
    chunking: Mapping[str, int]
    created: str
    papers: _Count
    records: _Count
    passages: _Count
    parts: Mapping[Literal["papers.jsonl", "vectors.npy"], Part] = field(default_factory=dict[Any, Part])
    format: int = FORMAT


class Batch(NamedTuple):
    """Some papers of an archive, and the vectors of their passages in order, float32 (passages, dimension)."""

    papers: list[ArchivedPaper]
    vectors: Vectors


def header(description: Description) -> bytes:
    """The start of vectors.npy, version 1.0: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"""
    shape = (description.passages, description.dimension)
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text = text.ljust(128 - 10 - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """What turns a value of this kind into JSON and back."""
    return TypeAdapter(kind)
