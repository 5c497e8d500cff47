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
_TEXTS = {"title": "title", "summary": "abstract", "id": "id", "published": "date", "journal_ref": "venue", "doi": "doi"}


def read_atom(source: Source, columns: Mapping[str, str | int]) -> Iterator[Record | Reject]:
    """One record an <entry>. Each is parsed on its own (defusedxml: no entities, no DTD) under the feed's namespaces."""
    feed = _FEED.search(source.sample())
    spaces = "".join(dict.fromkeys(_NAMESPACE.findall(feed.group()))) if feed else ""
    for number, entry in _entries(source):
        yield entry if isinstance(entry, Reject) else _parsed(source, number, entry, spaces)


def _entries(source: Source) -> Iterator[tuple[int, str | Reject]]:
    """(line, text) of each entry, found in the stream by its tags."""
    text, line, closing = "", 1, ""
    for chunk in source.chunks():
        text += chunk
        while True:
            if not closing:
                start = _OPEN.search(text)
                if start is None:
                    kept = max(len(text) - 64, 0)
                    line, text = line + text.count("\n", 0, kept), text[kept:]
                    break
                line, text = line + text.count("\n", 0, start.start()), text[start.start() :]
                closing = f"</{start['prefix'] or ''}entry>"
            end = text.find(closing)
            another = _OPEN.search(text, 1)
            if another and (end < 0 or another.start() < end):
                yield line, source.reject(line, "an entry that is never closed")
                line, text, closing = line + text.count("\n", 0, another.start()), text[another.start() :], ""
                continue
            if end < 0:
                if len(text) > MAX_RECORD:
                    yield line, source.reject(line, f"an entry of more than {MAX_RECORD // 2**20} MiB")
                    line, text, closing = line + text.count("\n"), "", ""
                break
            end += len(closing)
            yield line, text[:end]
            line, text, closing = line + text.count("\n", 0, end), text[end:], ""
    if closing:
        yield line, source.reject(line, "an entry that is never closed: the feed is cut short")


def _parsed(source: Source, number: int, entry: str, spaces: str) -> Record | Reject:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(f"<feed{spaces}>{entry}</feed>")
        return build(_fields(root[0]), SourceRef(source.name, number))
    except ParseError as error:
        line, column = error.position
        return source.reject(number + line - 1, f"not well-formed XML at column {column}: {str(error).partition(':')[0]}")
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
