"""JSON that keeps things in places of its own: OpenAlex, Crossref and CSL, DBLP, records in an envelope."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from rag.parsers.fields import field_of

Fields = dict[str, Any]

_PUBLISHED = ("published", "issued", "published-print", "published-online")
_NAMESAKE = re.compile(r"\s\d{4}$")


def understood(given: Fields) -> Fields:
    """The object with its title, abstract, authors, date, venue and address under names that others give them."""
    record = _inner(given)
    if isinstance(record.get("authorships"), list):
        return _of_openalex(record)
    if any(name in record for name in _PUBLISHED[1:]):
        return _of_crossref(record)
    return _of_dblp(record) if "dblp.org/rec/" in str(record.get("url")) else record


def _inner(given: Fields) -> Fields:
    """The one record in an envelope (DBLP's "info", Elasticsearch's "_source"), with what stands on the envelope."""
    if _says_something(given.keys()):
        return given
    # What has a meaning of its own is no envelope, and a name alone no paper's: authors, journals and institutions.
    held = [value for name, value in given.items() if isinstance(value, dict) and field_of(name) in (None, "content")]
    inner = [value for value in cast("list[Fields]", held) if _says_something(value.keys() - {"name"})]
    outer = {name: value for name, value in given.items() if name[:1] not in "@_"}  # "@score", "_score"
    return {**outer, **inner[0]} if len(inner) == 1 else given


def _says_something(names: Iterable[str]) -> bool:
    return any(field_of(name) in ("title", "abstract", "content") for name in names)


def _of_openalex(work: Fields) -> Fields:
    names = [
        _at(item, "author", "display_name") or _at(item, "raw_author_name")
        for item in cast("list[Any]", work["authorships"])
    ]
    place = _at(work, "primary_location")
    own = {"authors": names, "venue": _at(place, "source", "display_name"), "url": _at(place, "landing_page_url")}
    return {**work, **{name: value for name, value in own.items() if value}}


def _of_crossref(work: Fields) -> Fields:
    """Crossref and the CSL JSON of Zotero: dates in parts; "source" is a catalog's name, "score" a search engine's."""
    date = next((date for name in _PUBLISHED if (date := _from_parts(work.get(name)))), None)
    kept = {name: value for name, value in work.items() if name not in ("source", "score", *_PUBLISHED)}
    return {**kept, "published": date}


def _from_parts(value: Any) -> str | None:
    """A date from {"date-parts": [[2021, 3, 14]]}, as far as it goes; the text of one that says it in words."""
    parts = _at(value, "date-parts")
    first: Any = cast("list[Any]", parts)[0] if isinstance(parts, list) and parts else None
    if isinstance(first, list):
        digits = [str(part) for part in cast("list[Any]", first)[:3] if str(part).isdigit()]
        return "-".join(part.zfill(2) for part in digits) or None
    text = _at(value, "raw") or _at(value, "literal") or value
    return str(text) if isinstance(text, str | int) else None  # others that say "issued" write a year as a number


def _of_dblp(record: Fields) -> Fields:
    """DBLP ends titles with a full stop, numbers namesakes ("Wei Wang 0001"), and has the paper's address in "ee"."""
    own = {"url": record.get("ee") or record.get("url")}
    if isinstance(title := record.get("title"), str):
        own["title"] = title.removesuffix(".")
    if authors := _at(record, "authors", "author"):  # a list of somebody else's who names DBLP's address stays as it is
        names = [str(_at(item, "text") or item) for item in (authors if isinstance(authors, list) else [authors])]
        own["authors"] = [_NAMESAKE.sub("", name) for name in names]
    return {**record, **own}


def _at(value: Any, *keys: str) -> Any:
    """What lies under keys in objects, None where a step is missing."""
    for key in keys:
        value = cast("Mapping[str, Any]", value).get(key) if isinstance(value, Mapping) else None
    return value
