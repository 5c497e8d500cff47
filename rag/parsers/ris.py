"""Reads RIS (Zotero, EndNote, publishers) record by record; a bad record costs only itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rag.papers import Record, Reject, SourceRef
from rag.parsers.base import MAX_RECORD
from rag.parsers.reading import Source
from rag.parsers.records import build

_TAG = re.compile(r"^\s*([A-Z][A-Z0-9])\s{0,3}-(?:\s|$)")
_END_OF_FILE = "EF"  # of the Web of Science
_FIELDS: dict[str, tuple[str, ...]] = {
    "title": ("title", "primary_title", "short_title"),
    "abstract": ("abstract", "notes_abstract"),
    "authors": ("authors", "first_authors"),
    "date": ("date", "publication_year", "year"),
    "year": ("year", "publication_year", "date"),
    "venue": ("journal_name", "alternate_title3", "secondary_title", "alternate_title2", "tertiary_title", "publisher"),
    "doi": ("doi",),
    "url": ("urls",),
    "pdf": ("file_attachments1",),
    "keywords": ("keywords",),
    "id": ("id", "accession_number"),
}


def read_ris(source: Source, columns: Mapping[str, str | int]) -> Iterator[Record | Reject]:
    """One record from each TY to its ER, or to the next TY where the ER is missing."""
    for number, size, text in _records(source):
        if size > MAX_RECORD:
            yield source.reject(number, f"a record of more than {MAX_RECORD // 2**20} MiB")
        else:
            yield _parsed(source, number, text)


def _records(source: Source) -> Iterator[tuple[int, int, str]]:
    """(first line, size, text) of each record; what is too long is not held."""
    held: list[str] = []
    first = size = stray = 0
    for number, text in source.lines():
        match = _TAG.match(text)
        tag = match[1] if match else ""
        if tag == "TY":
            if first:
                yield first, size, "\n".join(held)
            held, first, size = [], number, 0
        elif not first:
            stray = stray or (number if text.strip() and tag != _END_OF_FILE else 0)
            continue
        size += len(text) + 1
        if size <= MAX_RECORD:
            held.append(f"{tag}  - {text[match.end() :]}" if match else text)
        if tag == "ER":
            yield first, size, "\n".join(held)
            held, first = [], 0
    if first:
        yield first, size, "\n".join(held)
    if stray:
        source.events.append(source.reject(stray, "lines outside any record (a record starts with “TY  -”)"))


def _parsed(source: Source, number: int, text: str) -> Record | Reject:
    import rispy

    try:
        found = rispy.loads(text if text.rstrip().endswith("ER  -") else f"{text}\nER  - \n")
    except (ValueError, OSError, KeyError, TypeError, AttributeError, IndexError) as error:
        return source.reject(number, f"not a RIS record: {' '.join(str(error).split())[:100]}")
    if not found:
        return source.reject(number, "not a RIS record")
    return build(_fields(found[0]), SourceRef(source.name, number), markup=True)


def _fields(record: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field, names in _FIELDS.items():
        value = next((record[name] for name in names if record.get(name)), None)
        fields[field] = value.strip("/") if field == "date" and isinstance(value, str) else value
    return fields
