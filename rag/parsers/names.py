"""Reads author lists in the ways that files write them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from rag.parsers.clean import is_placeholder, tidy, unescaped

MAX_AUTHORS = 5_000
_AND = re.compile(r"\s*,?\s+(?:and|&)\s+|\s+&\s*", re.IGNORECASE)
_BRACKETS = re.compile(r"\s*\([^()]*\)")
_NUMBER = re.compile(r"\s*\(\d{6,}\)\s*$")  # of an author, in Scopus
# "van der Berg, Anna": one author of an export that has ";" between several. Two whole names have spaces in both.
_LONE = re.compile(r"(?!.*(?:\bet al\b|\band\b|[&(]))(?:[^\s,;]+,\s*[^,;]+|[^,;]+,\s*[^\s,;]+)", re.IGNORECASE)
_INITIALS = re.compile(r"(?:[A-Z]\.?[\s-]?){1,4}")


def read_authors(value: Any) -> tuple[str, ...]:
    """Author names in order, "First Last" each, from a string or a list of strings, objects or [last, first]."""
    if not value:
        return ()
    if isinstance(value, Mapping):
        inner = cast("Mapping[str, Any]", value)
        value = inner.get("value") or inner.get("name") or inner.get("names") or ""
    names = [_one(item) for item in cast("list[Any]", value)] if isinstance(value, list) else split_authors(value)
    kept = (tidy(unescaped(name)) for name in names[:MAX_AUTHORS])
    return tuple(name for name in kept if 1 < len(name) <= 200 and not (len(name) < 16 and is_placeholder(name)))


def split_authors(value: Any) -> list[str]:
    """The names in one string: "A B, C D and E F", "Last, First; Last, First", "Last, First and Last, First"."""
    if not isinstance(value, str):
        return []
    text = value.strip()
    if text.startswith("[") and text.endswith("]"):
        return _written_list(text)
    if ";" in text or "\n" in text or "|" in text:
        return [swapped(_NUMBER.sub("", part)) for part in re.split(r"[;\n|]", text)]
    if _LONE.fullmatch(name := _NUMBER.sub("", text)):
        return [swapped(name)]
    text = _without_brackets(text)
    parts = _AND.split(text)
    if len(parts) > 1 and all(part.count(",") == 1 for part in parts):
        return [swapped(part) for part in parts]
    pieces = [piece.strip() for part in parts for piece in part.split(",")]
    return _paired(pieces)


def swapped(name: str) -> str:
    """ "Last, First" as "First Last"; any other name as it is."""
    last, comma, first = name.partition(",")
    return f"{first.strip()} {last.strip()}".strip() if comma and "," not in first else name.strip()


def _one(item: Any) -> str:
    if isinstance(item, str):
        return swapped(item)
    if isinstance(item, list):  # arXiv's authors_parsed: [last, first, suffix]
        parts = [str(part).strip() for part in cast("list[Any]", item)[:3] if isinstance(part, str)]
        return " ".join(part for part in (parts[1:2] + parts[:1] + parts[2:]) if part)
    if isinstance(item, Mapping):
        return _from_object({str(key).lower(): part for key, part in cast("Mapping[Any, Any]", item).items()})
    return ""


def _from_object(item: dict[str, Any]) -> str:
    for key in ("name", "display_name", "fullname", "full_name", "author", "literal"):
        if item.get(key):
            return _one(item[key])
    first = next((item[key] for key in ("first", "given", "firstname", "first_name") if item.get(key)), "")
    last = next((item[key] for key in ("last", "family", "lastname", "last_name", "surname") if item.get(key)), "")
    return f"{first} {last}".strip() if isinstance(first, str) and isinstance(last, str) else ""


def _written_list(text: str) -> list[str]:
    """A list that was written into a cell as JSON or Python text."""
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return re.findall(r"'((?:[^'\\]|\\.|'(?=\w))*)'|\"([^\"]*)\"", text) and [
            swapped(first or second) for first, second in re.findall(r"'((?:[^'\\]|\\.|'(?=\w))*)'|\"([^\"]*)\"", text)
        ]
    return [_one(item) for item in items]


def _without_brackets(text: str) -> str:
    """arXiv writes affiliations in brackets after a name, sometimes nested."""
    for _ in range(3):
        shorter = _BRACKETS.sub("", text)
        if shorter == text:
            break
        text = shorter
    return text


def _paired(pieces: list[str]) -> list[str]:
    """Joins "Last", "F." pairs; pieces that are whole names stay."""
    seconds = pieces[1::2]
    surnames = all(" " not in piece for piece in pieces[::2])
    if len(pieces) % 2 == 0 and seconds and surnames and all(_INITIALS.fullmatch(piece) for piece in seconds):
        return [f"{first} {last}" for last, first in zip(pieces[::2], seconds, strict=True)]
    return pieces
