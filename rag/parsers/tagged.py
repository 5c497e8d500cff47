"""Reads records of short tags: PubMed's MEDLINE form (.nbib), Web of Science text, EndNote's tagged form (.enw)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rag.papers import Record, Reject, SourceRef
from rag.parsers.base import MAX_RECORD
from rag.parsers.names import swapped
from rag.parsers.reading import Source
from rag.parsers.records import build

Columns = Mapping[str, str | int]
_DOI = re.compile(r"(\S+)\s*\[doi\]")
_MEDLINE_LINE = re.compile(r"^([A-Z]{2,4}) {0,2}- (.*)$")
_ENDNOTE_LINE = re.compile(r"^%([0-9A-Z!?@#$&()*+<>^=~\[\]])(?:\s+(.*))?$")
_WOS_LINE = re.compile(r"^([A-Z][A-Z0-9])(?: (.*))?$")


@dataclass(frozen=True, slots=True)
class _Form:
    """How a record of one kind is written: its lines, the tag that opens one, the tags that are no part of any, and
    what its values mean."""

    line: re.Pattern[str]
    opens: str
    outside: frozenset[str]
    fields: Callable[[Mapping[str, list[str]]], dict[str, Any]]
    indented: bool = True
    """Whether a line that goes on with a value is indented; else each line without a tag goes on with the last."""


def read_medline(source: Source, _: Columns) -> Iterator[Record | Reject]:
    """One record from each PMID to the next."""
    return _read(source, _Form(_MEDLINE_LINE, "PMID", frozenset(), _of_medline))


def read_wos(source: Source, _: Columns) -> Iterator[Record | Reject]:
    """One record from each PT to its ER."""
    return _read(source, _Form(_WOS_LINE, "PT", frozenset({"FN", "VR", "ER", "EF"}), _of_wos))


def read_endnote(source: Source, _: Columns) -> Iterator[Record | Reject]:
    """One record from each %0 to the next."""
    return _read(source, _Form(_ENDNOTE_LINE, "0", frozenset(), _of_endnote, indented=False))


def _read(source: Source, form: _Form) -> Iterator[Record | Reject]:
    number = 0
    for number, size, found in _records(source, form):
        if size > MAX_RECORD:
            yield source.reject(number, f"a record of more than {MAX_RECORD // 2**20} MiB")
        else:
            yield build(form.fields(found), SourceRef(source.name, number))
    if not number:
        yield source.reject(1, f"no record starts with {form.opens}")


def _records(source: Source, form: _Form) -> Iterator[tuple[int, int, dict[str, list[str]]]]:
    """Line, size and values by tag of each record, continuations after line breaks; what is too long is not held."""
    held: defaultdict[str, list[str]] = defaultdict(list)
    first = size = 0
    tag = ""
    for number, text in source.lines():
        match = form.line.match(text)
        if match and match[1] == form.opens:
            if first:
                yield first, size, held
            held, first, size = defaultdict(list), number, 0
        tag = match[1] if match else tag if _goes_on(text, form) else ""
        size += len(text)
        if not first or not tag or tag in form.outside or size > MAX_RECORD:
            continue
        if match:
            held[tag].append((match[2] or "").strip())
        elif held[tag]:
            held[tag][-1] = f"{held[tag][-1]}\n{text.strip()}"
    if first:
        yield first, size, held


def _goes_on(text: str, form: _Form) -> bool:
    return bool(text[:1].isspace() and text.strip()) if form.indented else True


def _of_medline(found: Mapping[str, list[str]]) -> dict[str, Any]:
    number = _first(found, "PMID")
    doi = next(
        (match[1] for value in (*found.get("LID", ()), *found.get("AID", ())) if (match := _DOI.match(value))), ""
    )
    return {
        "title": _medline_title(_first(found, "CTI", "TI", "BTI")),
        "abstract": _first(found, "AB"),
        "authors": [*(found.get("FAU") or found.get("AU") or ()), *found.get("CN", ())],
        "date": _date(_first(found, "DP")),
        "year": _first(found, "DP")[:4],
        "venue": _first(found, "JT", "TA") or (_first(found, "BTI") if found.get("CTI") else ""),
        "doi": doi,
        "url": f"https://pubmed.ncbi.nlm.nih.gov/{number}/" if number.isdigit() else "",
        "keywords": [term.lstrip("*") for term in found.get("OT", ())],  # "*" is for a major one
        "id": number,
    }


def _medline_title(given: str) -> str:
    """Without its full stop, and without the brackets of a title that was translated."""
    title = given.removesuffix(".")
    return title[1:-1].removesuffix(".") if title[:1] == "[" and title.find("]") == len(title) - 1 else title


def _date(given: str) -> str:
    """PubMed's "2019 Nov 3" with the year last; "2019 Nov-Dec" and "2019 Winter" say no more than the year."""
    year, month, day = (*given.split(), "", "", "")[:3]
    return f"{month} {day}, {year}" if day else f"{month} {year}" if month.isalpha() and len(month) == 3 else year


def _of_wos(found: Mapping[str, list[str]]) -> dict[str, Any]:
    authors = found.get("AF") or found.get("AU") or ()
    return {
        "title": _first(found, "TI"),
        "abstract": _first(found, "AB"),
        "authors": [name for value in authors for name in value.split("\n")],
        "date": _first(found, "PD"),
        "year": _first(found, "PY"),
        "venue": _first(found, "SO"),
        "doi": _first(found, "DI"),
        "keywords": _first(found, "DE"),
        "id": _first(found, "UT"),
    }


def _of_endnote(found: Mapping[str, list[str]]) -> dict[str, Any]:
    return {
        "title": _first(found, "T"),
        "abstract": _first(found, "X"),
        "authors": [swapped(name) for name in found.get("A") or found.get("E") or ()],
        "date": _first(found, "8"),
        "year": _first(found, "D"),
        "venue": _first(found, "J", "B", "I"),
        "doi": _first(found, "R"),
        "url": _first(found, "U"),
        "keywords": "\n".join(found.get("K", ())),
        "id": _first(found, "M", "F"),
    }


def _first(found: Mapping[str, list[str]], *tags: str) -> str:
    value = next((found[tag][0] for tag in tags if found.get(tag)), "")
    return " ".join(value.split())
