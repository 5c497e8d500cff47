"""Papers and records as rows of the catalog and back, and the hash that tells an unchanged record."""

from __future__ import annotations

import json
import unicodedata
from array import array
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from rag.hashing import hashed
from rag.papers import Paper, Passage, Record, SourceRef

_DEFAULTS = {item.name: None if item.default is MISSING else item.default for item in (*fields(Record), *fields(Paper))}
_RECORD_FIELDS = tuple(item.name for item in fields(Record) if item.name not in {"abstract", "source"})
_PAPER_FIELDS = tuple(item.name for item in fields(Paper) if item.name not in {"id", "title", "abstract", "sources"})
_written = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":")
).encode  # json.dumps would make one for every call
_TUPLES = frozenset(name for name, default in _DEFAULTS.items() if isinstance(default, tuple))


def record_json(record: Record) -> str:
    """A record's known fields, without its abstract (a column of its own) and its source."""
    return _dumped(record, _RECORD_FIELDS)


def record_hash(data: str, abstract: str) -> int:
    """A signed 64-bit hash of all that a record says, its place left out; `data` is its `record_json`."""
    return hashed(f"{data}\0{abstract}")


def record_from(data: str, abstract: str, source: SourceRef) -> Record:
    """The record that `record_json` was made from."""
    return Record(abstract=abstract, source=source, **_loaded(data, {"title": ""}))


def paper_json(paper: Paper) -> str:
    """A paper's known fields, without id, title, abstract and sources, which have columns of their own."""
    return _dumped(paper, _PAPER_FIELDS)


def paper_from(paper_id: str, texts: tuple[str, str], data: str, sources: Sequence[SourceRef]) -> Paper:
    """The paper of a row; `texts` are its title and abstract."""
    return Paper(paper_id, *texts, sources=tuple(sources), **_loaded(data, {}))


def passages_json(paper: Paper, passages: Sequence[Passage]) -> str:
    """Offsets of a paper's passages, and texts where title and abstract do not give them."""
    rows = [
        [item.start, item.end] if item.text == _text(paper, item.start, item.end) else [item.start, item.end, item.text]
        for item in passages
    ]
    return _written(rows)


def passages_from(paper: Paper, data: str) -> list[Passage]:
    """The passages of a paper, from `passages_json`."""
    return [
        Passage(
            id=f"{paper.id}#{ordinal}",
            paper_id=paper.id,
            ordinal=ordinal,
            start=start,
            end=end,
            text=text[0] if text else _text(paper, start, end),
        )
        for ordinal, (start, end, *text) in enumerate(json.loads(data))
    ]


def folded(text: str) -> str:
    """Text for substring search: without case and accents, white space made single spaces."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join(text.casefold().split())


def packed(keys: Sequence[int]) -> bytes:
    """64-bit keys as bytes."""
    return array("q", keys).tobytes()


def unpacked(blob: bytes) -> tuple[int, ...]:
    """The keys that `packed` was given."""
    keys = array("q")
    keys.frombytes(blob)
    return tuple(keys)


def _text(paper: Paper, start: int, end: int) -> str:
    title = "" if paper.untitled else " ".join(paper.title.split())
    part = paper.abstract[start:end]
    return f"{title}\n{part}" if title and part else title or part


def _dumped(value: Record | Paper, names: Sequence[str]) -> str:
    known = {name: item for name in names if (item := getattr(value, name)) != _DEFAULTS[name]}
    return _written(known)


def _loaded(data: str, missing: dict[str, Any]) -> dict[str, Any]:
    known = missing | json.loads(data)
    for name in _TUPLES & known.keys():
        known[name] = tuple(known[name])
    return known
