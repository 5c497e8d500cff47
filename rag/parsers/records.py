"""Turns one object of any input (our field names, any values) into a Record, or says why it is none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from rag.papers import Record, Reject, SourceRef
from rag.parsers import identifiers
from rag.parsers.base import MAX_ABSTRACT, MAX_TITLE
from rag.parsers.clean import is_placeholder, tidy, untagged, without_heading
from rag.parsers.names import read_authors

_SPLIT_KEYWORDS = re.compile(r"\s*[;|,\n]\s*")
_SPLIT_STRONG = re.compile(r"\s*[;|\n]\s*")
_SURROGATES = re.compile("[\ud800-\udfff]+")
_NESTED = ("value", "text", "name", "display_name", "title", "content", "#text", "url")
_INTEGER_LIMIT = 2**53
_NO_PAPERS = frozenset({"attachment", "note", "annotation"})
Fields = Mapping[str, Any]


def build(fields: Fields, source: SourceRef, *, markup: bool = False) -> Record | Reject:
    """A record from values by our field names. `markup`: the format is known to carry HTML tags and entities."""
    if plain(fields.get("item_type")).casefold() in _NO_PAPERS:
        return Reject(source.path, source.line, f"a Zotero {plain(fields.get('item_type'))}, not a paper")
    title, abstract = _texts(fields, markup=markup)
    reason = _objection(title, abstract)
    if reason:
        return Reject(source.path, source.line, reason)
    date, year = _dates(fields)
    url, doi, arxiv_id = _identifiers(fields)
    authors = read_authors(fields.get("authors_parsed") or fields.get("authors"))
    return Record(
        title=title,
        abstract=abstract,
        source=source,
        authors=authors,
        n_authors=len(authors) or _count(fields.get("n_authors")),
        date=date,
        year=year,
        venue=_short(fields.get("venue"), markup=markup),
        url=url,
        doi=doi,
        arxiv_id=arxiv_id,
        external_id=_short(fields.get("id"), markup=False),
        code_urls=_code(fields.get("code"), abstract),
        keywords=_keywords(fields.get("keywords")) or _categories(fields.get("categories")),
        tldr=_short(fields.get("tldr"), markup=markup, limit=MAX_TITLE),
        upvotes=_count(fields.get("upvotes")),
        comments=_count(fields.get("comments")),
    )


def plain(value: Any) -> str:
    """Any value as text: numbers in digits, lists joined, {"value": …} unwrapped, others empty.

    Lone surrogates, which JSON can spell and no file can hold, are dropped.
    """
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATES.sub("", value)
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int | float):
        return _digits(value)
    if isinstance(value, list):
        return " ".join(filter(None, (plain(item) for item in cast("list[Any]", value)[:1_000])))
    if isinstance(value, Mapping):
        inner = cast("Mapping[Any, Any]", value)
        return next((plain(inner[key]) for key in _NESTED if key in inner), "")
    return ""


def _digits(value: float) -> str:
    if isinstance(value, int):
        return str(value) if abs(value) < _INTEGER_LIMIT else ""
    if not math.isfinite(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < _INTEGER_LIMIT else repr(value)


def _texts(fields: Fields, *, markup: bool) -> tuple[str, str]:
    title, abstract = _text(fields.get("title")), _text(fields.get("abstract"), inverted=True)
    if markup:
        title, abstract = untagged(title), untagged(abstract)
    title, abstract = tidy(title), without_heading(tidy(abstract))
    return "" if is_placeholder(title) else title, abstract if _says_something(abstract) else ""


def _says_something(abstract: str) -> bool:
    return not is_placeholder(abstract) and (len(abstract) > 60 or any(char.isalpha() for char in abstract))


def _text(value: Any, *, inverted: bool = False) -> str:
    if isinstance(value, str):
        return value
    if inverted and isinstance(value, Mapping) and "value" not in value:
        return _uninverted(cast("Mapping[Any, Any]", value)) or plain(value)
    return plain(value)


def _uninverted(index: Mapping[Any, Any]) -> str:
    """The text of an OpenAlex inverted index: {word: [positions]}."""
    places: list[tuple[int, str]] = []
    for word, positions in index.items():
        if not isinstance(positions, list) or len(places) > MAX_ABSTRACT:
            return ""
        places.extend((at, str(word)) for at in cast("list[Any]", positions) if isinstance(at, int))
    return " ".join(word for _, word in sorted(places))


def _objection(title: str, abstract: str) -> str | None:
    if not title and not abstract:
        return "neither a title nor an abstract"
    if len(title) > MAX_TITLE:
        return f"a title of {len(title):,} characters (at most {MAX_TITLE:,})"
    if len(abstract) > MAX_ABSTRACT:
        return f"an abstract of {len(abstract):,} characters (at most {MAX_ABSTRACT:,})"
    if not any(char.isalpha() for char in title + abstract):
        return "neither a title nor an abstract: no letters"
    return None


def _dates(fields: Fields) -> tuple[str | None, int | None]:
    date = identifiers.read_date(_first_version(fields.get("versions")) or _unwrapped(fields.get("date")))
    year = identifiers.read_year(_unwrapped(fields.get("year")))
    if date is None and year is not None:
        date = str(year)
    if date is not None and not date.startswith("--"):
        year = year or int(date[:4])
    if date is not None and year is not None and date.startswith("--"):
        date = f"{year}{date[1:]}"
    return date, year


def _first_version(versions: Any) -> Any:
    """When an arXiv record's first version was created."""
    if isinstance(versions, list) and versions and isinstance(versions[0], Mapping):
        return cast("Mapping[str, Any]", versions[0]).get("created")
    return None


def _unwrapped(value: Any) -> Any:
    return value if isinstance(value, int | float) else plain(value)


def _code(given: Any, abstract: str) -> tuple[str, ...]:
    """The links of a code field, then those in the abstract; a field that says only "yes" gives none."""
    return tuple(dict.fromkeys((*identifiers.links(plain(given)), *identifiers.code_links(abstract))))[:20]


def _identifiers(fields: Fields) -> tuple[str | None, str | None, str | None]:
    link, pdf, own = plain(fields.get("url")), plain(fields.get("pdf")), plain(fields.get("id"))
    other = _external(fields.get("external_ids"))
    given_doi = plain(fields.get("doi")) or plain(other.get("doi"))
    doi = identifiers.find_doi(given_doi) or identifiers.find_doi(link) if given_doi or link else None
    marked = plain(fields.get("arxiv_id")) or plain(other.get("arxiv"))
    arxiv_id = identifiers.as_arxiv_id(marked) if marked else None
    if arxiv_id is None:
        arxiv_id = identifiers.as_arxiv_id(own) or identifiers.find_arxiv_id(f"{link} {pdf} {given_doi}")
    url = identifiers.find_url(link) or identifiers.find_url(pdf) or identifiers.find_url(own)
    if url is None and arxiv_id:
        url = f"https://arxiv.org/abs/{arxiv_id}"
    return url or (identifiers.doi_url(doi) if doi else None), doi, arxiv_id


def _external(value: Any) -> dict[str, Any]:
    """Semantic Scholar's {"DOI": …, "ArXiv": …} with keys in lower case."""
    if not isinstance(value, Mapping):
        return {}
    return {str(key).lower(): item for key, item in cast("Mapping[Any, Any]", value).items()}


def _short(value: Any, *, markup: bool, limit: int = 500) -> str | None:
    text = plain(value) if value is not None else ""
    if not text:
        return None
    text = tidy(untagged(text) if markup else text)
    return text if text and len(text) <= limit and not is_placeholder(text) else None


def _count(value: Any) -> int | None:
    """A whole number from 0, from numbers and from text such as "1,204"."""
    if isinstance(value, bool) or value is None:
        return None
    text = plain(value).replace(",", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _keywords(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, Mapping) and "value" in value:
        value = cast("Mapping[str, Any]", value)["value"]
    if isinstance(value, list):
        words = [plain(item) for item in cast("list[Any]", value)[:200]]
    else:
        text = _listed(plain(value))
        words = text if isinstance(text, list) else _split(text)
    kept = (tidy(word) for word in words)
    return tuple(dict.fromkeys(word for word in kept if 0 < len(word) <= 120 and not is_placeholder(word)))[:60]


def _categories(value: Any) -> tuple[str, ...]:
    """arXiv's categories: one string with spaces between, or a list."""
    return tuple(dict.fromkeys(plain(value).split()))[:60] if value else ()


def _split(text: str) -> list[str]:
    """On ; | or line breaks when there are any, else on commas."""
    return (_SPLIT_STRONG if _SPLIT_STRONG.search(text) else _SPLIT_KEYWORDS).split(text)


def _listed(text: str) -> str | list[str]:
    """A list that was written into a cell as JSON or Python text."""
    if text.startswith("[") and text.endswith("]"):
        try:
            items = json.loads(text)
        except (ValueError, RecursionError):
            return text[1:-1].replace("'", "").replace('"', "")
        return [plain(item) for item in items]
    return text
