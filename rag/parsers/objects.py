"""Reads papers from JSON objects: JSON Lines and JSON lists of any size, arXiv, OpenReview and others alike."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from rag.papers import Record, Reject, SourceRef
from rag.parsers.dialects import understood
from rag.parsers.fields import assign, declared
from rag.parsers.json_stream import stream_objects
from rag.parsers.reading import LineSource, Source
from rag.parsers.records import build

Columns = Mapping[str, str | int]


def read_json_lines(source: LineSource, columns: Columns) -> Iterator[Record | Reject]:
    """One JSON object a line; lines that are no JSON object are rejected one by one."""
    mapper = _Mapper(source, columns)
    for number, text in source.lines():
        text = text.strip()
        if not text or text == "\x1e":
            continue
        try:
            value = json.loads(text.removeprefix("\x1e"))
        except (ValueError, RecursionError) as error:
            yield source.reject(number, f"not JSON: {_reason(error)}")
            continue
        yield mapper.record(number, value)


def read_json(source: Source, columns: Columns) -> Iterator[Record | Reject]:
    """A list of objects, or an object with such a list in it; read object by object."""
    mapper = _Mapper(source, columns)
    for found in stream_objects(source):
        yield found if isinstance(found, Reject) else mapper.record(*found)


class _Mapper:
    """From an input's keys to our fields, as recognised or as declared."""

    def __init__(self, source: LineSource, columns: Columns) -> None:
        self._source = source
        self._declared = declared(columns)

    def record(self, number: int, value: Any) -> Record | Reject:
        if not isinstance(value, dict):
            return self._source.reject(number, f"not a JSON object but a {_kind(value)}")
        given = understood(cast("dict[str, Any]", value))
        fields = self._fields(given)
        content = fields.pop("content", None)
        if isinstance(content, dict):  # OpenReview: {"content": {"title": {"value": …}}}
            fields |= self._fields(cast("dict[str, Any]", content))
            fields.setdefault("url", _forum(given))
        elif content is not None:
            fields.setdefault("abstract", content)
        if "title" not in fields and "abstract" not in fields:
            keys = ", ".join(key[:30] for key in list(given)[:8])
            return self._source.reject(number, f"no title and no abstract among the keys: {keys or 'none'}")
        markup = "categories" not in fields  # arXiv writes LaTeX, where "<" is a relation and never a tag
        return build(fields, SourceRef(self._source.name, number), markup=markup)

    def _fields(self, given: dict[str, Any]) -> dict[str, Any]:
        keys = tuple(given)
        fields = {field: given[keys[index]] for index, field in assign(keys)}
        if self._declared:
            fields |= {self._declared[key.casefold()]: given[key] for key in keys if key.casefold() in self._declared}
        return fields


def _forum(given: dict[str, Any]) -> str | None:
    forum = given.get("forum") or given.get("id")
    return f"https://openreview.net/forum?id={forum}" if isinstance(forum, str) and forum.isprintable() else None


def _kind(value: Any) -> str:
    return {list: "list", str: "string", bool: "boolean", type(None): "null"}.get(type(value), "number")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()} at column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:80]
