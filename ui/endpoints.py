"""What scripts and agents can call: /ask and /search of Gradio's API, and the same as tools over MCP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rag import Filters, Hit
from rag.errors import UsageError

if TYPE_CHECKING:
    from rag.library import Library

MOST = 100  # papers in one reply


class Endpoints:
    """The calls over one library; results are ready for JSON. Raises CitewiseError for what cannot be answered."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def ask(
        self, question: str, year_from: int | None = None, year_to: int | None = None, venue: str | None = None
    ) -> dict[str, Any]:
        """Answer a question from the abstracts; each sentence of the text is cited to a sentence of an abstract."""
        return self._library.ask(question, filters=_filters(year_from, year_to, venue)).as_json()

    def search(
        self,
        question: str,
        k: int = 10,
        year_from: int | None = None,
        year_to: int | None = None,
        venue: str | None = None,
    ) -> dict[str, Any]:
        """The papers nearest to a question, best first, each with its abstract and its nearest sentence."""
        found = self._library.retrieve(question, max(1, min(MOST, k)), filters=_filters(year_from, year_to, venue))
        return {"question": question, "hits": [_plain(hit) for hit in found.hits], "notes": list(found.notes)}


def _filters(year_from: int | None, year_to: int | None, venue: str | None) -> Filters:
    if year_from and year_to and year_from > year_to:
        raise UsageError(f"year_from is {year_from}, after year_to, {year_to}: no paper can be from these years")
    return Filters(year_from=year_from, year_to=year_to, venues=(venue,) if venue else ())


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
