"""Finds the objects of a JSON document one by one, so that a list of a million is never held as a whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from rag.papers import Reject
from rag.parsers.base import MAX_RECORD
from rag.parsers.fields import field_of
from rag.parsers.reading import Source

_SPACE = re.compile(r"[\s,\x1e]*")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]|"', re.DOTALL)
_NEXT_OBJECT = re.compile(r"(?:^|[\n,\[])\s*(?=\{\s*\")")
_LIST_OF_OBJECTS = re.compile(r"\"\s*:\s*\[\s*\{")
_ENVELOPE = frozenset("meta query facets status time params".split())
"""Keys of objects that say something about an answer and hold no records: OpenAlex, Crossref and DBLP have them."""
_MAX_DEPTH = 40
_FREE_WORK, _MAX_WORK = 16 * 1024 * 1024, 16
"""Characters that may be looked at in vain: so many, and so many more for each character that was passed."""

_DECODER = json.JSONDecoder()


class _End(Exception):
    """The text ended where more was needed."""


def stream_objects(source: Source) -> Iterator[tuple[int, Any] | Reject]:
    """(line of its first character, object) for every record in a document: the elements of a top-level list,
    of lists within objects ({"notes": […]}), the values of an object of objects, or one object alone."""
    yield from _Document(source).values()


class _Document:
    """A window that slides over the text."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._chunks = source.chunks()
        self._text = ""
        self._at = 0
        self._line = 1
        self._counted = 0
        self._ended = False
        self._before = 0
        self._spent = 0

    def values(self) -> Iterator[tuple[int, Any] | Reject]:
        """All records; concatenated documents are read one after another."""
        while self._peek():
            yield from self._value(0)

    def _value(self, depth: int) -> Iterator[tuple[int, Any] | Reject]:
        mark = self._peek()
        line = self._here()
        if mark == "[":
            self._at += 1
            if depth < _MAX_DEPTH:
                yield from self._list(depth)
            else:  # its elements are read as those of the list around it
                yield self._source.reject(line, "lists nested too deeply")
        elif mark == "{" and depth < _MAX_DEPTH and not self._is_record():
            self._at += 1
            yield from self._object(line, depth)
        elif mark in "]}:":
            yield self._source.reject(line, f"{mark!r} where a value should be")
            self._at += 1
        else:
            found = self._whole(line)
            if isinstance(found, Reject):
                yield found
            else:
                yield found

    def _list(self, depth: int) -> Iterator[tuple[int, Any] | Reject]:
        while True:
            mark = self._peek()
            if mark == "]":
                self._at += 1
                return
            if not mark:
                yield self._source.reject(self._here(), "the JSON ends before its list is closed")
                return
            if mark == "{":
                yield self._whole(self._here())
            else:
                yield from self._value(depth + 1)

    def _object(self, line: int, depth: int) -> Iterator[tuple[int, Any] | Reject]:
        """An object too large to be one record: its lists and objects are looked through."""
        own: dict[str, Any] = {}
        while (mark := self._peek()) != "}":
            if mark != '"':
                yield self._source.reject(self._here(), "the JSON ends early or a key is missing; read up to there")
                self._skip_to_object()
                break
            key = self._whole(self._here())
            if isinstance(key, Reject) or self._peek() != ":":
                yield key if isinstance(key, Reject) else self._source.reject(self._here(), "a key without a value")
                self._skip_to_object()
                break
            self._at += 1
            if self._peek() in "[{" and field_of(str(key[1])) in (None, "content"):
                yield from self._envelope(depth + 1) if key[1] in _ENVELOPE else self._value(depth + 1)
                continue
            value = self._whole(self._here())
            if isinstance(value, Reject):
                yield value
            else:
                own[str(key[1])] = value[1]
        else:
            self._at += 1
        if any(field_of(key) in ("title", "abstract") for key in own):
            yield line, own

    def _envelope(self, depth: int) -> Iterator[tuple[int, Any] | Reject]:
        """What lies under a key of an envelope: nothing where it is an object that holds no record."""
        if self._peek() == "{" and self._is_record():
            found = self._whole(self._here())
            if isinstance(found, Reject) or _names(found[1]) & {"title", "abstract"}:
                yield found
        else:
            yield from self._value(depth)

    def _is_record(self) -> bool:
        """Whether the object here is a record by itself (or broken), and nothing to look through for records."""
        try:
            end = self._close()
        except _End:
            end = len(self._text)
        if end is None:
            return False
        try:
            value = json.loads(self._text[self._at : end])
        except (ValueError, RecursionError):
            return not self._holds_objects(end)
        return _is_record(value)

    def _holds_objects(self, end: int) -> bool:
        """Whether broken JSON still shows a list of objects, which can be read one by one."""
        return _LIST_OF_OBJECTS.search(self._text, self._at, end) is not None

    def _whole(self, line: int) -> tuple[int, Any] | Reject:
        """The value here, decoded whole; a Reject, and a place after it, when it is broken or too large."""
        needed = 0
        while True:
            try:
                value, self._at = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                self._spent += 4_096
                return self._skip(line, "nested too deeply")
            except ValueError as error:
                wrong = error.pos if isinstance(error, json.JSONDecodeError) else self._at
                self._spent += wrong - self._at
                near_end = wrong >= len(self._text) - 16 or _unterminated(error)
                if not near_end or len(self._text) - self._at > MAX_RECORD or not self._more(needed):
                    return self._skip(line, _describe(error, self._ended))
                needed = len(self._text) - self._at  # double the window: the whole stays linear
                continue
            if self._at == len(self._text) and self._more(0) and not isinstance(value, dict | list | str):
                return self._whole_number(line, value)
            return line, value

    def _whole_number(self, line: int, value: Any) -> tuple[int, Any]:
        """A number that touched the window's end; its further digits belong to it and are dropped with it."""
        match = re.compile(r"[\w.+-]*").match(self._text, self._at)
        self._at = match.end() if match else self._at
        return line, value

    def _skip(self, line: int, reason: str) -> Reject:
        """Past the broken value: to where its brackets close, else to what looks like the next object."""
        if self._spent > _FREE_WORK + _MAX_WORK * (self._before + self._at):
            return self._give_up(line)
        start = self._at
        try:
            end = self._close()
        except _End:
            end = None
        following = _NEXT_OBJECT.search(self._text, start + 1)
        self._spent += (following.end() if following else len(self._text)) - start
        if following and (end is None or following.end() < end) and "{" in self._text[start : start + 1]:
            nested = end is not None and self._text.count("\n", start, following.start() + 1) == 0
            end = end if nested else following.end()
        if end is None:
            reason = "a value of more than 8 MiB" if not self._ended else reason
            self._skip_to_object()
        else:
            self._at = max(end, start + 1)
        return self._source.reject(line, reason)

    def _give_up(self, line: int) -> Reject:
        """Ends the document: it was made so that each wrong value costs a look at all that follows."""
        self._ended, self._at = True, len(self._text)
        return self._source.reject(line, "too much of this JSON is broken: reading stopped here")

    def _close(self) -> int | None:
        """Where the brackets opened here close; None when that is further than a record may reach."""
        depth, at = 0, self._at
        while True:
            begun = at
            for match in _TOKEN.finditer(self._text, at):
                mark = match.group()
                if mark == '"':
                    break
                at = match.end()
                if len(mark) == 1:
                    depth += 1 if mark in "{[" else -1
                    if depth <= 0:
                        return at
                elif depth == 0:
                    return at
            self._spent += len(self._text) - begun
            if len(self._text) - self._at > MAX_RECORD:
                return None
            at -= self._at  # reading on drops what lies before the value
            if not self._more(len(self._text) - self._at):
                raise _End
            at += self._at

    def _skip_to_object(self) -> None:
        """To the next thing that looks like a record, however far, holding nothing of what is between."""
        self._at += 1
        while True:
            match = _NEXT_OBJECT.search(self._text, min(self._at, len(self._text)))
            if match:
                self._at = match.end()
                return
            self._at = max(self._at, len(self._text) - 64)
            if not self._more(0):
                self._at = len(self._text)
                return

    def _peek(self) -> str:
        """The next character that is no white space or comma, "" at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(0):
                return ""

    def _more(self, at_least: int) -> bool:
        """Reads on, by `at_least` characters when there are as many; False at the end of the text."""
        if self._ended:
            return False
        pieces, size = [self._text[self._at :]], 0
        self._here()
        while size <= at_least:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
                break
            pieces.append(chunk)
            size += len(chunk)
        self._before += self._at
        self._text, self._at, self._counted = "".join(pieces), 0, 0
        return size > 0

    def _here(self) -> int:
        """The number of the line that the window stands on."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = max(self._at, self._counted)
        return self._line


def _is_record(value: dict[str, Any]) -> bool:
    """Whether an object has a title or an abstract, or has nothing in it where records could be."""
    known = _names(value)
    if known & {"title", "abstract"} or ("content" in known and isinstance(value.get("content"), dict)):
        return True
    return not any(isinstance(item, list | dict) and _may_hold(key, item) for key, item in value.items())


def _names(value: dict[str, Any]) -> set[str | None]:
    return {field_of(key) for key in value}


def _may_hold(key: str, item: Any) -> bool:
    if field_of(key) not in (None, "content"):
        return False
    return isinstance(item, dict) or any(isinstance(part, dict | list) for part in item)


def _unterminated(error: Exception) -> bool:
    return isinstance(error, json.JSONDecodeError) and error.msg.startswith(("Unterminated", "Invalid \\u"))


def _describe(error: Exception, ended: bool) -> str:
    if ended and _unterminated(error):
        return "the JSON ends in the middle of a value"
    return (
        f"not JSON: {error.msg.lower()}" if isinstance(error, json.JSONDecodeError) else f"not JSON: {str(error)[:80]}"
    )
