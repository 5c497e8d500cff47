"""Reads BibTeX entry by entry, with LaTeX accents and braces decoded; a bad entry costs only itself."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rag.papers import Record, Reject, SourceRef
from rag.parsers.base import MAX_RECORD
from rag.parsers.fields import declared, field_of
from rag.parsers.latex import decoded
from rag.parsers.names import swapped
from rag.parsers.reading import Source
from rag.parsers.records import build

if TYPE_CHECKING:
    from bibtexparser.model import Entry

_START = re.compile(r"^\s*@\s*(?P<kind>[A-Za-z]+)\s*[{(]")
_SKIPPED = frozenset(("comment", "preamble"))
_MAX_STRINGS = 2_000
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_VENUES = ("journal", "journaltitle", "booktitle", "eventtitle", "school", "institution", "publisher", "howpublished")


def read_bibtex(source: Source, columns: Mapping[str, str | int]) -> Iterator[Record | Reject]:
    """One record an @entry; @string macros are resolved, @comment and @preamble skipped."""
    # The library logs what it cannot read; our Rejects say it, so its words need not reach a user's terminal.
    logging.getLogger("bibtexparser").addHandler(logging.NullHandler())
    strings: list[str] = []
    wanted = declared(columns)
    for number, kind, text in _entries(source):
        if kind == "string":
            if len(strings) < _MAX_STRINGS:
                strings.append(text)
        elif kind not in _SKIPPED:
            yield from _parsed(source, number, text, strings, wanted)


def _entries(source: Source) -> Iterator[tuple[int, str, str]]:
    """(first line, kind, text) of each @block; what stands between blocks is a comment in BibTeX."""
    held: list[str] = []
    kind, first, size = "", 0, 0
    for number, text in source.lines():
        match = _START.match(text)
        if match:
            if held:
                yield first, kind, "\n".join(held)
            held, kind, first, size = [], match["kind"].lower(), number, 0
        if kind:
            size += len(text) + 1
            if size <= MAX_RECORD:
                held.append(text)
            elif held:
                held, kind = [], ""
                source.events.append(source.reject(first, f"an entry of more than {MAX_RECORD // 2**20} MiB"))
    if held:
        yield first, kind, "\n".join(held)


def _parsed(
    source: Source, number: int, text: str, strings: list[str], wanted: dict[str, str]
) -> Iterator[Record | Reject]:
    from bibtexparser.entrypoint import parse_string
    from bibtexparser.model import DuplicateFieldKeyBlock, Entry

    used = [line for line in strings if (name := _string_name(line)) and name in text]
    offset = sum(line.count("\n") + 1 for line in used)
    library = parse_string("\n".join([*used, text]))
    found = False
    for block in library.blocks:
        if isinstance(block, DuplicateFieldKeyBlock):
            block = block.ignore_error_block
        if isinstance(block, Entry):
            found = True
            line = number + max((block.start_line or 0) - offset, 0)
            yield build(_fields(block, wanted), SourceRef(source.name, line), markup=True)
    if not found:
        yield source.reject(number, "not a BibTeX entry: a brace or quote is not closed, or a comma is missing")


@lru_cache(maxsize=4_096)
def _string_name(text: str) -> str:
    match = re.match(r"\s*@\s*string\s*[{(]\s*([\w:.+/-]+)\s*=", text, re.IGNORECASE)
    return match[1] if match else ""


def _fields(entry: Entry, wanted: dict[str, str]) -> dict[str, Any]:
    given: dict[str, str] = {}
    for item in entry.fields:
        given.setdefault(item.key.lower(), str(item.value))
    fields: dict[str, Any] = {"id": entry.key}
    for key, value in given.items():
        field = wanted.get(key) or field_of(key)
        if field and field not in ("authors", "venue", "date", "id", "categories"):
            fields.setdefault(field, value if field in ("url", "doi", "pdf", "code") else decoded(value))
    fields["authors"] = [swapped(decoded(name)) for name in _names(given.get("author") or given.get("editor") or "")]
    fields["venue"] = next((decoded(given[key]) for key in _VENUES if given.get(key)), None)
    fields["date"] = given.get("date") or _date(given)
    if given.get("archiveprefix", "").lower() not in ("", "arxiv"):
        fields.pop("arxiv_id", None)
    return fields


def _date(given: dict[str, str]) -> str | None:
    """ISO date from year, month (a name or a number) and day."""
    year, month = given.get("year", "").strip("{} "), given.get("month", "").strip('{}" ').lower()
    if not year.isdigit():
        return year or None
    number = next((index for index, name in enumerate(_MONTHS, 1) if month.startswith(name)), None)
    if number is None and month.isdigit():
        number = int(month) if 1 <= int(month) <= 12 else None
    day = given.get("day", "").strip("{} ")
    if number is None:
        return year
    return f"{year}-{number:02d}-{int(day):02d}" if day.isdigit() and len(day) < 3 else f"{year}-{number:02d}"


def _names(text: str) -> list[str]:
    """Names between "and"s that stand outside braces."""
    parts: list[str] = []
    start = depth = 0
    for match in re.finditer(r"[{}]|\s+and\s+", text):
        mark = match.group()
        if mark in "{}":
            depth = max(depth + (1 if mark == "{" else -1), 0)
        elif depth == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    return [part for part in [*parts, text[start:]] if part.strip() and part.strip().lower() != "others"]
