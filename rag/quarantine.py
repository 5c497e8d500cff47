"""What of the retrieved papers may be used: an abstract ends, for an answer, where it begins to give orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from rag.answers import Quote
from rag.orders import first_order, orders_model
from rag.text import sentences, shorten

if TYPE_CHECKING:
    from rag.answers import Hit
    from rag.evidence import ScoredSentence
    from rag.papers import Paper

_TITLE_CHARACTERS = 70


class Usable(NamedTuple):
    """The hits and sentences that an answer may be made from, and what to tell the user about the rest."""

    hits: tuple[Hit, ...]
    sentences: tuple[ScoredSentence, ...]
    notes: tuple[str, ...]


def usable(hits: Sequence[Hit], scored: Sequence[ScoredSentence]) -> Usable:
    """The papers without titles that give orders to a model, and without what stands in an abstract from its first such
    sentence on. Offsets into abstracts stay right; nearly always, all is usable as it is.
    """
    kept = tuple(_usable(hit) for hit in hits)
    cut = {hit.paper.id: len(new.paper.abstract) for hit, new in zip(hits, kept, strict=True) if new is not hit}
    if not cut:
        return Usable(tuple(hits), tuple(scored), ())
    notes = tuple(
        f"“{shorten(hit.paper.title, _TITLE_CHARACTERS)}” gives orders to language models:"
        " what it says from there on was not used."
        for hit in hits
        if hit.paper.id in cut
    )
    # A paper without an abstract is scored by its title, which begins and ends at 0.
    sound = tuple(item for item in scored if item.paper_id not in cut or 0 < item.end <= cut[item.paper_id])
    return Usable(kept, sound, notes)


def _usable(hit: Hit) -> Hit:
    paper = sound(hit.paper)
    if paper is hit.paper:
        return hit
    if 0 < hit.quote.end <= len(paper.abstract):
        return replace(hit, paper=paper)
    first = next(iter(sentences(paper.abstract)), None)
    return replace(hit, paper=paper, quote=Quote(*first) if first else Quote(paper.title, 0, 0))


def sound(paper: Paper) -> Paper:
    """A paper without what orders a model about; nearly always as it is."""
    order = first_order(paper.abstract)
    if order is not None:
        paper = replace(paper, abstract=paper.abstract[: order.start].rstrip())
    if orders_model(paper.title):
        paper = replace(paper, title=shorten(paper.abstract, _TITLE_CHARACTERS) or "A paper", untitled=True)
    return paper
