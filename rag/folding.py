"""Records of one paper folded into the paper, and the id that a paper gets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import TypeVar

from rag.papers import Paper, Record
from rag.text import normalised_title, shorten

_ID_LENGTH = 100
_DISPLAY_TITLE = 70
_UNSAFE = re.compile(r"[^A-Za-z0-9._:/+=@-]+")

T = TypeVar("T")


def fold(paper_id: str, records: Sequence[Record]) -> Paper:
    """The paper that its records describe together; the order of `records` does not matter.

    The longest abstract and the best documented title are kept; missing fields are taken from the next best
    record, lists are united, counts are the largest seen.
    """
    ranked = sorted(records, key=_rank) if len(records) > 1 else records
    abstract = max((record.abstract for record in ranked), key=len)
    title = _first(ranked, lambda record: record.title)
    authors = max((record.authors for record in ranked), key=len)
    date = _date(ranked)
    return Paper(
        id=paper_id,
        title=title or display_title(abstract),
        abstract=abstract,
        untitled=not title,
        authors=authors,
        n_authors=len(authors) or _largest(record.n_authors for record in ranked),
        date=date,
        year=_first(ranked, lambda record: record.year) or _year(date),
        venue=_first(ranked, lambda record: record.venue),
        url=_first(ranked, lambda record: record.url),
        doi=_first(ranked, lambda record: record.doi),
        arxiv_id=_first(ranked, lambda record: record.arxiv_id),
        code_urls=_united(record.code_urls for record in ranked),
        keywords=_united(record.keywords for record in ranked),
        tldr=_first(ranked, lambda record: record.tldr),
        upvotes=_largest(record.upvotes for record in ranked),
        comments=_largest(record.comments for record in ranked),
        sources=tuple(sorted({record.source for record in ranked})),
    )


def display_title(abstract: str) -> str:
    """What an untitled paper is called: the first words of its abstract."""
    return shorten(" ".join(abstract.split()), _DISPLAY_TITLE)


def proposed_id(record: Record) -> str:
    """An id that any shell takes unquoted: the record's own, else arXiv's, the DOI, or words and a hash."""
    if record.external_id and (own := _safe(record.external_id)):
        return own
    if record.arxiv_id:
        return _safe(f"arxiv:{record.arxiv_id.removeprefix('arxiv:')}")
    if record.doi:
        return _safe(f"doi:{record.doi.removeprefix('doi:').strip().lower()}")
    text = normalised_title(record.title) or normalised_title(record.abstract[:400]) or record.title + record.abstract
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    words = "-".join(text.encode("ascii", "ignore").decode().split()[:5])
    if len(words) > 40:
        words = words[:41].rpartition("-")[0] or words[:40]
    return f"{_safe(words) or 'paper'}-{digest}"


def numbered_id(proposed: str, number: int) -> str:
    """The id of the `number`-th paper for which the same id was proposed."""
    return proposed if number == 1 else f"{proposed[: _ID_LENGTH - 8]}-{number}"


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text.strip()).strip("-.")[:_ID_LENGTH]


def _rank(record: Record) -> tuple[object, ...]:
    """Best documented first: a bibliographic record before a listing, then the one that says more."""
    known = (record.doi, record.arxiv_id, record.external_id, record.authors, record.venue)
    return (
        -sum(bool(item) for item in known),
        record.title.isupper(),
        -len(record.abstract),
        record.abstract,
        record.title,
        record.source,
    )


def _first(ranked: Sequence[Record], field: Callable[[Record], T]) -> T | None:
    return next((value for record in ranked if (value := field(record))), None)


def _largest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _united(lists: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for items in lists for item in items))


def _date(ranked: Sequence[Record]) -> str | None:
    """The most precise date; of equally precise ones the earliest (a preprint before its proceedings)."""
    dates = [record.date for record in ranked if record.date]
    return min(dates, key=lambda date: (date.startswith("--"), -len(date), date), default=None)


def _year(date: str | None) -> int | None:
    return int(date[:4]) if date and not date.startswith("--") else None
