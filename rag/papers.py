"""Value objects for what is ingested: papers, the records they come from, and rejected input."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from typing import Any

_DATE = re.compile(r"(?:\d{4}(?:-\d{2}(?:-\d{2})?)?|--\d{2}-\d{2})")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


@dataclass(frozen=True, slots=True, order=True)
class SourceRef:
    """Where a record was read: the path (or URL, or "pasted text") as given, and its first line, from 1."""

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Record:
    """One paper as one input says it: what a parser yields. Unknown fields are None or empty.

    `date` is ISO 8601 cut to what is known: "2024-11-27", "2024-11", "2024", or "--03-11" for a
    month and day without a year. `external_id` is the input's own identifier, when it has one.
    `n_authors` is known without names in some listings. An abstract may be empty, a title too, not both.
    """

    title: str
    abstract: str
    source: SourceRef
    authors: tuple[str, ...] = ()
    n_authors: int | None = None
    date: str | None = None
    year: int | None = None
    venue: str | None = None
    url: str | None = None
    doi: str | None = None
    arxiv_id: str | None = None
    external_id: str | None = None
    code_urls: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    tldr: str | None = None
    upvotes: int | None = None
    comments: int | None = None

    def __post_init__(self) -> None:
        if not self.title and not self.abstract:
            raise ValueError("a record needs a title or an abstract")
        if self.date is not None and not _DATE.fullmatch(self.date):
            raise ValueError(f"not a cut ISO date: {self.date!r}")


@dataclass(frozen=True, slots=True)
class Reject:
    """A piece of input that did not become a record, and why, in words for the user."""

    path: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Paper:
    """One paper of a library: its records folded into one. See `Record` for the fields.

    `untitled` papers carry a display title made from the abstract's first words.
    """

    id: str
    title: str
    abstract: str
    untitled: bool = False
    authors: tuple[str, ...] = ()
    n_authors: int | None = None
    date: str | None = None
    year: int | None = None
    venue: str | None = None
    url: str | None = None
    doi: str | None = None
    arxiv_id: str | None = None
    code_urls: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    tldr: str | None = None
    upvotes: int | None = None
    comments: int | None = None
    sources: tuple[SourceRef, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The object that `citewise papers --json` prints: all fields, null where unknown."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        plain["authors"] = list(self.authors) or None
        plain["code_urls"] = list(self.code_urls)
        plain["keywords"] = list(self.keywords)
        plain["sources"] = [{"path": source.path, "line": source.line} for source in self.sources]
        return plain

    @property
    def date_text(self) -> str | None:
        """The date for a reader, with no more precision than is known: "27 Nov 2024", "11 Mar", "2024"."""
        return display_date(self.date) if self.date else (str(self.year) if self.year else None)


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a paper that is indexed: `abstract[start:end]` with the title carried in `text`."""

    id: str
    paper_id: str
    ordinal: int
    start: int
    end: int
    text: str = field(repr=False)


def display_date(date: str) -> str:
    """A cut ISO date in words.

    >>> [display_date(text) for text in ("2024-11-27", "2024-11", "2024", "--03-11")]
    ['27 Nov 2024', 'Nov 2024', '2024', '11 Mar']
    """
    if date.startswith("--"):
        month, day = date[2:].split("-")
        return f"{int(day)} {_MONTHS[int(month) - 1]}"
    year, *rest = date.split("-")
    words = [year]
    if rest:
        words.insert(0, _MONTHS[int(rest[0]) - 1])
    if len(rest) > 1:
        words.insert(0, str(int(rest[1])))
    return " ".join(words)


def with_source(record: Record, path: str, line: int) -> Record:
    """The same record, said to come from another place."""
    return replace(record, source=SourceRef(path, line))
