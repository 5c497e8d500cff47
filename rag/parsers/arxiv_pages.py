"""Reads text copied from arXiv's search results and from its lists of new papers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from rag.papers import Record, Reject, SourceRef
from rag.parsers.base import MAX_RECORD
from rag.parsers.clean import tidy
from rag.parsers.reading import Line, Source
from rag.parsers.records import build

HEAD = re.compile(
    r"^\s*(?:\[\d+\]|\d+\.)?\s*arXiv:(?P<id>\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})(?:v\d+)?\s*\[",
    re.MULTILINE,
)
_LABEL = re.compile(
    r"^(?P<name>Title|Authors?|Abstract|Comments?|Subjects?|Submitted|Journal[- ]ref|(?:MSC|ACM) [Cc]lass"
    r"|Report number|DOI)(?::\s*|\s+(?=\d))(?P<value>.*)$"
)
_CATEGORIES = re.compile(
    r"(?:[a-z-]+(?:\.[A-Z][A-Za-z-]+)?|doi|10\.\d{4,}/\S+)(?:\s+(?:[a-z-]+\.[A-Z][A-Za-z-]+|10\.\d{4,}/\S+))*"
)
_DAY = re.compile(r"(\d{1,2}) (\w+),? (\d{4})")
_MORE = "▽ More"
_LESS = "△ Less"


def read_arxiv_page(source: Source, _: Mapping[str, str | int]) -> Iterator[Record | Reject]:
    """One record from each line "arXiv:2411.18092 [pdf, …]" to the next; a list of new papers holds no abstracts."""
    entries = without = 0
    for size, entry in _entries(source):
        entries += 1
        if size > MAX_RECORD:
            yield source.reject(entry[0].number, f"an entry of more than {MAX_RECORD // 2**20} MiB")
            continue
        record = _record(source, entry)
        without += isinstance(record, Record) and not record.abstract
        yield record
    if not entries:
        yield source.reject(1, "no line starts with an arXiv identifier such as arXiv:2411.18092 [pdf]")
    if without:
        source.notice(1, f"{without} entries of this page hold no abstract: only their titles can be found")


def _entries(source: Source) -> Iterator[tuple[int, list[Line]]]:
    """The size of each entry, and its lines that are not blank; what is too long is not held."""
    entry: list[Line] = []
    size = 0
    for line in source.lines():
        if HEAD.match(line.text):
            if entry:
                yield size, entry
            entry, size = [line], 0
        elif entry and line.text.strip():
            size += len(line.text)
            if size <= MAX_RECORD:
                entry.append(line)
    if entry:
        yield size, entry


def _record(source: Source, entry: Sequence[Line]) -> Record | Reject:
    head = HEAD.match(entry[0].text)
    fields: dict[str, list[str]] = {}
    current = "title"
    for line in entry[1:]:
        text = tidy(line.text)
        label = _LABEL.match(text)
        if label:
            current = label["name"].lower().rstrip("s")
            fields.setdefault(current, []).append(label["value"])
        elif not (current == "title" and _CATEGORIES.fullmatch(text)):
            if current == "title" and fields.get("title") and _titled(entry):
                current = "author"  # in a list of new papers the authors follow the title without a label
            fields.setdefault(current, []).append(text)
    day = _DAY.search(" ".join(fields.get("submitted", ())))
    return build(
        {
            "title": " ".join(fields.get("title", ())),
            "abstract": _whole(" ".join(fields.get("abstract", ()))),
            "authors": " ".join(fields.get("author", ())),
            "date": f"{day[1]} {day[2]} {day[3]}" if day else None,
            "arxiv_id": head["id"] if head else None,
            "venue": " ".join(fields.get("journal-ref", fields.get("journal ref", ()))),
        },
        SourceRef(source.name, entry[0].number),
    )


def _titled(entry: Sequence[Line]) -> bool:
    return any(line.text.lstrip().startswith("Title:") for line in entry)


def _whole(abstract: str) -> str:
    """The abstract without the page's buttons; where both its beginning and all of it were copied, all of it."""
    short, _, full = abstract.partition(_MORE)
    return (full or short).partition(_LESS)[0].strip().removesuffix("…").strip()
