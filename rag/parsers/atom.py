"""Reads Atom feeds as the arXiv API gives them, entry by entry; a bad entry costs only itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from rag.papers import Record, Reject, SourceRef
from rag.parsers.base import MAX_RECORD
from rag.parsers.reading import Source
from rag.parsers.records import build

_OPEN = re.compile(r"<(?P<prefix>\w+:)?entry(?=[\s>])")
_FEED = re.compile(r"<(?:\w+:)?feed\b[^<>]*>")
_NAMESPACE = re.compile(r"\sxmlns(?::\w+)?\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*')")
_TEXTS = {
    "title": "title",
    "summary": "abstract",
    "id": "id",
    "published": "date",
    "journal_ref": "venue",
    "doi": "doi",
}


def read_atom(source: Source, columns: Mapping[str, str | int]) -> Iterator[Record | Reject]:
    """One record an <entry>, each parsed on its own (defusedxml: no entities, no DTD) with the feed's namespaces."""
    feed = _FEED.search(source.sample())
    spaces = "".join(dict.fromkeys(_NAMESPACE.findall(feed.group()))) if feed else ""
    for number, entry in _entries(source):
        yield entry if isinstance(entry, Reject) else _parsed(source, number, entry, spaces)


def _entries(source: Source) -> Iterator[tuple[int, str | Reject]]:
    """(line, text) of each entry, found in the stream by its tags."""
    window = _Window()
    for chunk in source.chunks():
        window.text = window.text[window.at :] + chunk
        window.at = 0
        while window.closing or window.open():
            end = window.end()
            if end == _UNCLOSED:
                yield window.line, source.reject(window.line, "an entry that is never closed")
                window.move(window.at + 1)
            elif end == _MORE and len(window.text) - window.at > MAX_RECORD:
                yield window.line, source.reject(window.line, f"an entry of more than {MAX_RECORD // 2**20} MiB")
                window.move(len(window.text))
            elif end == _MORE:
                break
            else:
                yield window.line, window.text[window.at : end]
                window.move(end)
            window.closing = ""
    if window.closing:
        yield window.line, source.reject(window.line, "an entry that is never closed: the feed is cut short")


_UNCLOSED, _MORE = -2, -1


class _Window:
    """The text not yet read, from `at` on; `closing` is the end tag of the entry that stands there."""

    def __init__(self) -> None:
        self.text = ""
        self.at = 0
        self.line = 1
        self.closing = ""

    def open(self) -> bool:
        """Moves to the next entry; keeps only a possible beginning of one when there is none."""
        start = _OPEN.search(self.text, self.at)
        self.move(start.start() if start else max(len(self.text) - 64, self.at))
        self.closing = f"</{start['prefix'] or ''}entry>" if start else ""
        return start is not None

    def end(self) -> int:
        """Where the entry ends, or one of the two negative answers."""
        another = _OPEN.search(self.text, self.at + 1)
        end = self.text.find(self.closing, self.at, another.start() if another else len(self.text))
        if end < 0 and another:
            return _UNCLOSED
        return end + len(self.closing) if end >= 0 else _MORE

    def move(self, to: int) -> None:
        self.line += self.text.count("\n", self.at, to)
        self.at = to


def _parsed(source: Source, number: int, entry: str, spaces: str) -> Record | Reject:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(f"<feed{spaces}>{entry}</feed>")
        return build(_fields(root[0]), SourceRef(source.name, number))
    except ParseError as error:
        line, column = error.position
        return source.reject(
            number + line - 1, f"not well-formed XML at column {column}: {str(error).partition(':')[0]}"
        )
    except (DefusedXmlException, ValueError, RecursionError) as error:
        return source.reject(number, f"XML that is not read: {str(error)[:80]}")


def _fields(entry: Element) -> dict[str, Any]:
    fields: dict[str, Any] = {"authors": [], "keywords": []}
    for child in entry:
        name = child.tag.rpartition("}")[2]
        if name in _TEXTS:
            fields.setdefault(_TEXTS[name], "".join(child.itertext()))
        elif name == "author":
            fields["authors"].append(next((part.text or "" for part in child if part.tag.endswith("name")), ""))
        elif name == "category":
            fields["keywords"].append(child.get("term") or "")
        elif name == "link":
            _link(fields, child)
        elif name == "content":
            fields.setdefault("content", "".join(child.itertext()))
    if not fields.get("abstract"):
        fields["abstract"] = fields.pop("content", "")
    return fields


def _link(fields: dict[str, Any], link: Element) -> None:
    href = link.get("href") or ""
    if link.get("title") == "doi":
        fields.setdefault("doi", href)
    elif link.get("title") == "pdf":
        fields["pdf"] = href
    elif link.get("rel", "alternate") == "alternate":
        fields.setdefault("url", href)
