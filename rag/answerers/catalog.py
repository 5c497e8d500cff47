"""Answers about the library itself: which papers it holds, how many, the newest, the oldest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol

from rag.answerers.base import Draft, Request
from rag.answerers.records import spelled_date
from rag.answers import Delta, Filters, Hit, Quote
from rag.citations import DraftSentence
from rag.markers import append_marker, bracketed
from rag.question_filters import described
from rag.question_library import LibraryIntent

if TYPE_CHECKING:
    from rag.papers import Paper
    from rag.question_library import Wish

Order = Literal["newest", "oldest", "upvotes"]

_ORDERS: dict[str, Order] = {"oldest": "oldest", "upvoted": "upvotes"}  # any other wish: the newest first
_SHOWN = 8
_FIRST_YEAR = 1
_ANY = Filters()
_DECLINED = {
    "greeting": "that is no question about the papers",
    "tool": "that asks about the program, not about the papers, and “citewise --help” answers it",
    "instruction": "that is an instruction, not a question about the papers",
    "advice": "no abstract says which paper is the one to read",
    "vague": "the question does not say at what, so name a task, a data set or a measure",
    "nothing": "the question names no subject to search for",
    "institutions": "the records name authors and venues, but not where the authors work",
    "cited": "no record holds how often a paper is cited",
    "tallied": "papers are not ranked, counted or chosen by that; “citewise papers --json” lists every record",
    "negated": "abstracts say what a paper does, hardly ever what it does not, so that such a list would be guessed;"
    " ask for the papers that do",
    "relative": "papers are not chosen by the date of another one; ask when that one was published, and then for papers"
    " before or after that year",
}
_MOST = 20  # papers in a list, however many are asked for
_TRIED = 200  # papers that are looked at to see whether records here name authors
_HINT = "; ask about a topic, a method, or a paper by its name"


class Shelf(Protocol):
    """What is needed of the catalog."""

    def search_titles(
        self, text: str = "", *, limit: int = 50, offset: int = 0, order: Order, filters: Filters
    ) -> list[Paper]:
        """The first papers that pass the filters, dated ones before undated ones."""
        ...

    def count_titles(self, text: str = "", *, filters: Filters = _ANY) -> int:
        """How many papers pass the filters."""
        ...


class CatalogAnswerer:
    """Lists and counts papers by their records; declines what is no question about papers."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def applies(self, request: Request) -> bool:
        """Whether the question is about the library as a whole. One that names nothing may follow an earlier one, which
        has then chosen its papers."""
        intent = request.understanding.library
        return intent is not None and not (intent.declined and request.filters.only)

    def write(self, request: Request) -> Iterator[Delta | Draft]:
        """A line for each paper, at most eight where no number is asked for; a note says how many there are in all."""
        intent = request.understanding.library
        if intent is None or intent.declined:
            yield Draft(abstained=_declined(intent or LibraryIntent("nothing")), hits=())
            return
        total = self._shelf.count_titles(filters=request.filters)
        if not total:
            yield Draft(abstained=self._none(request.filters), hits=())
            return
        order = _ORDERS.get(intent.wish, "newest")
        shown = min(intent.most or _SHOWN, _MOST)
        papers = self._shelf.search_titles(limit=shown, order=order, filters=request.filters)
        if order == "upvotes" and papers[0].upvotes is None:
            yield Draft(abstained="no record in this library holds upvotes", hits=())
            return
        sentences = tuple(_lines(papers, intent.wish, total, request.filters))
        for item in sentences:
            yield Delta(item.lead + bracketed(item.text))
        yield Draft(sentences, notes=tuple(self._notes(papers, total, request.filters, order)), hits=_as_hits(papers))

    def _none(self, filters: Filters) -> str:
        told = f"this library holds no paper {described(filters)}"
        if filters.authors and not any(
            paper.authors for paper in self._shelf.search_titles(limit=_TRIED, order="newest", filters=_ANY)
        ):
            return f"{told} (its records do not seem to name authors)"
        if filters.year_from is filters.year_to is filters.date_from is filters.date_to is None:
            return told
        known, total = self._dated(_ANY), self._shelf.count_titles()
        return told if known == total else f"{told} ({known:,} of its {total:,} papers have a year on record)"

    def _notes(self, papers: Sequence[Paper], total: int, filters: Filters, order: Order) -> Iterator[str]:
        chosen = f" {described(filters)}" if filters else ""
        if total > len(papers):
            yield f"{len(papers)} of the {total:,} papers{chosen} are listed."
        elif total > 1:
            yield f"These are all {total} papers{chosen}."
        else:
            yield f"This is the only paper{chosen}."
        undated = total - self._dated(filters)
        if undated and order != "upvotes" and any(paper.year is not None for paper in papers):
            yield f"{undated:,} of them have no year on record and come last."

    def _dated(self, filters: Filters) -> int:
        first = filters.year_from if filters.year_from is not None else _FIRST_YEAR
        return self._shelf.count_titles(filters=replace(filters, year_from=first))


def _declined(intent: LibraryIntent) -> str:
    return _DECLINED[intent.wish] + (_HINT if intent.hinted else "")


def _lines(papers: Sequence[Paper], wish: Wish, total: int, filters: Filters) -> Iterator[DraftSentence]:
    for number, paper in enumerate(papers, start=1):
        dated = f" ({spelled_date(paper.date)})" if paper.date else f" ({paper.year})" if paper.year else ""
        named = f"“{paper.title}”{dated}"
        votes = f", with {_votes(paper)}" if wish == "upvoted" and paper.upvotes is not None else ""
        told = named if number > 1 else _first(named, wish, total, filters)
        told += votes
        quote = Quote(f"Date: {paper.date_text}" if paper.date_text else f"Title: {paper.title}", 0, 0)
        yield DraftSentence(append_marker(f"{told}.", number), "\n- " if number > 1 else "", quote)


def _first(named: str, wish: Wish, total: int, filters: Filters) -> str:
    """The first line. Only a question for a number gets one here: it is read off the catalog, not off the paper that
    the line cites, so elsewhere a note says it."""
    chosen = f" {described(filters)}" if filters else ""
    match wish:
        case "count" if total == 1:
            return f"This library holds one paper{chosen}: {named}"
        case "count":
            return f"This library holds {total:,} papers{chosen}, among them {named}"
        case "newest" | "oldest":
            return f"The {wish} paper{chosen} in this library is {named}"
        case "upvoted":
            return f"The most upvoted paper{chosen} in this library is {named}"
        case _:
            return f"- {named}" if total > 1 else named


def _votes(paper: Paper) -> str:
    return f"{paper.upvotes} upvote{'' if paper.upvotes == 1 else 's'}"


def _as_hits(papers: Sequence[Paper]) -> tuple[Hit, ...]:
    return tuple(
        Hit(rank=rank, paper=paper, score=0.0, quote=Quote(paper.title, 0, 0))
        for rank, paper in enumerate(papers, start=1)
    )
