"""What scripts and agents can call: /ask and /search of Gradio's API, and the same as tools over MCP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rag import Filters, Hit
from rag.errors import UsageError
from rag.pipeline import LONGEST_QUESTION

if TYPE_CHECKING:
    from rag.library import Library

MOST = 100  # papers in one reply
_MOST_NUMBER = 10**9


class Endpoints:
    """The calls over one library; results are ready for JSON. Raises CitewiseError for what cannot be answered."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def ask(
        self, question: str, year_from: int | None = None, year_to: int | None = None, venue: str | None = None
    ) -> dict[str, Any]:
        """Answer a question from the abstracts; each sentence of the text is cited to a sentence of an abstract."""
        return self._library.ask(_text("question", question), filters=_filters(year_from, year_to, venue)).as_json()

    def search(
        self,
        question: str,
        k: int = 10,
        year_from: int | None = None,
        year_to: int | None = None,
        venue: str | None = None,
    ) -> dict[str, Any]:
        """The papers nearest to a question, best first, each with its abstract and its nearest sentence."""
        wanted, filters = max(1, min(MOST, _number("k", k))), _filters(year_from, year_to, venue)
        found = self._library.retrieve(_text("question", question), wanted, filters=filters)
        return {"question": question, "hits": [_plain(hit) for hit in found.hits], "notes": list(found.notes)}


def _filters(year_from: int | None, year_to: int | None, venue: str | None) -> Filters:
    first = None if year_from is None else _number("year_from", year_from)
    last = None if year_to is None else _number("year_to", year_to)
    if first and last and first > last:
        raise UsageError(f"year_from is {first}, after year_to, {last}: no paper can be from these years")
    return Filters(year_from=first, year_to=last, venues=(_text("venue", venue),) if venue else ())


def _text(name: str, given: Any) -> str:
    """A text of a request as it came: Gradio hands on whatever JSON somebody sends."""
    if not isinstance(given, str):
        raise UsageError(f"{name} must be text")
    if len(given) > LONGEST_QUESTION:
        raise UsageError(f"{name} has {len(given):,} characters; at most {LONGEST_QUESTION:,} are read, so shorten it")
    return given


def _number(name: str, given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int | float) or not -_MOST_NUMBER < given < _MOST_NUMBER:
        raise UsageError(f"{name} must be a whole number")
    if given != int(given):
        raise UsageError(f"{name} must be a whole number, not {given}")
    return int(given)


def _plain(hit: Hit) -> dict[str, Any]:
    paper = hit.paper
    return {
        "rank": hit.rank,
        "paper_id": paper.id,
        "title": paper.title,
        "authors": list(paper.authors),
        "year": paper.year,
        "venue": paper.venue,
        "url": paper.url,
        "score": round(hit.score, 6),
        "quote": hit.quote.text,
        "abstract": paper.abstract,
    }
