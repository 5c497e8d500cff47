"""Answers from a paper's record (date, authors, venue, link…), which its abstract does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag import text
from rag.answerers.base import Draft, Request
from rag.answerers.record_comparison import both, compared
from rag.answerers.records import READERS, Known, likeness
from rag.answerers.sentence_model import is_announcement
from rag.answers import Delta, Quote
from rag.citations import DraftSentence
from rag.markers import append_marker, bracketed

if TYPE_CHECKING:
    from rag.papers import Paper

_LOOKED_AT = 5  # hits among which the named paper is looked for
_TITLE_PART = 3  # likeness from which on "Fact or Fiction" is one paper rather than two


class MetadataAnswerer:
    """Answers a question about the record of a paper or of two, or says that the record does not hold it."""

    def applies(self, request: Request) -> bool:
        """Whether the question is about the record of papers that were found."""
        return self._compares(request) or self._meant(request) is not None

    def write(self, request: Request) -> Iterator[Delta | Draft]:
        """A sentence and its citation for each field asked for; abstains when none of them is known."""
        comparison = request.understanding.comparison
        draft = (
            compared(comparison, request.hits)
            if comparison is not None and self._compares(request)
            else self._about_one(request)
        )
        for sentence in draft.sentences:
            yield Delta(sentence.lead + bracketed(sentence.text))
        yield draft

    def _compares(self, request: Request) -> bool:
        """Whether two papers are asked about, one of which at least was found."""
        comparison, intent = request.understanding.comparison, request.understanding.metadata
        if comparison is None or not any(both(comparison, request.hits)):
            return False
        return intent is None or not any(likeness(intent.paper, hit.paper) >= _TITLE_PART for hit in request.hits)

    def _about_one(self, request: Request) -> Draft:
        intent = request.understanding.metadata
        number = self._meant(request)
        if intent is None or number is None:
            return Draft(abstained="none of the papers found is the one asked about")
        paper = request.hits[number - 1].paper
        found = [READERS[name](paper) for name in dict.fromkeys((intent.field, *intent.also))]
        told = [known for known in found if isinstance(known, Known)]
        unknown = [known for known in found if isinstance(known, str)]
        if not told:
            return Draft(abstained=" and ".join(unknown))
        sentences = tuple(_sentence(known, paper, number, first=known is told[0]) for known in told)
        return Draft(sentences, notes=tuple(f"{reason[:1].upper()}{reason[1:]}." for reason in unknown))

    def _meant(self, request: Request) -> int | None:
        """The number of the hit that the question means."""
        intent = request.understanding.metadata
        if intent is None or not request.hits:
            return None
        if not intent.paper:
            return 1 if len(request.hits) == 1 else None
        found = [likeness(intent.paper, hit.paper) for hit in request.hits[:_LOOKED_AT]]
        best = max(found)
        if best == 0:
            return None
        number = found.index(best) + 1
        paper = request.hits[number - 1].paper
        # The abstract may say where the code is even when no link was found in it: that is for the other answerers.
        announced = any(is_announcement(span.text) for span in text.sentences(paper.abstract))
        return None if intent.field == "code" and not paper.code_urls and announced else number


def _sentence(known: Known, paper: Paper, number: int, *, first: bool) -> DraftSentence:
    subject = f"“{paper.title}”" if first else "It"
    text = append_marker(f"{subject} {known.predicate}.", number)
    return DraftSentence(text, "" if first else " ", Quote(known.quote, 0, 0))
