"""Answers made of the abstracts' own sentences: chosen, ordered, trimmed, each with its citation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rag.answerers.base import Draft, Request
from rag.answerers.polish import Polished, paper_name, polish
from rag.answerers.selection import Chooser, Taste, by_paper
from rag.answers import Delta, Quote
from rag.citations import DraftSentence
from rag.markers import append_marker, bracketed

if TYPE_CHECKING:
    from rag.evidence import ScoredSentence
    from rag.papers import Paper


class ExtractiveAnswerer:
    """Writes an answer with no model. The same request always gives the same answer."""

    def __init__(self, *, max_sentences: int = 6, taste: Taste | None = None) -> None:
        self._most = max_sentences
        self._taste = taste or Taste()

    def write(self, request: Request) -> Iterator[Delta | Draft]:
        """One delta a sentence, then the draft; abstains when no paper has a sentence to give."""
        sentences = tuple(self._sentences(request))
        for place, item in enumerate(sentences):
            yield Delta((item.lead if place else "") + bracketed(item.text))
        reason = None if sentences else "none of the abstracts found has a sentence that answers this"
        yield Draft(sentences, reason)

    def _sentences(self, request: Request) -> Iterator[DraftSentence]:
        number = {hit.paper.id: place for place, hit in enumerate(request.hits, start=1)}
        papers = {hit.paper.id: hit.paper for hit in request.hits}
        several = request.understanding.several
        chooser = Chooser(request, self._taste)
        for chosen in self._chosen(request, chooser):
            paper = papers[chosen[0].paper_id]
            lead = "\n" if several else " "
            for place, (item, told) in enumerate(
                _readable(chosen, request.sentences, paper, answer_first=chooser.answer_first)
            ):
                named = _introduced(told, paper, always=several) if place == 0 else told
                marked = append_marker(named, number[paper.id])
                yield DraftSentence(marked, lead, Quote(item.text, item.start, item.end))
                lead = " "

    def _chosen(self, request: Request, chooser: Chooser) -> Iterator[list[ScoredSentence]]:
        """Sentences by paper, the paper that answers best first."""
        groups = by_paper(request.sentences)
        ranked = [groups[hit.paper.id] for hit in request.hits if hit.paper.id in groups]
        if request.understanding.several:
            yield from self._one_each(chooser, ranked, request)
        elif ranked:
            chooser.weigh(ranked[0])
            yield chooser.several_of(ranked[0], min(self._most, self._taste.most_sentences))

    def _one_each(
        self, chooser: Chooser, ranked: Sequence[list[ScoredSentence]], request: Request
    ) -> Iterator[list[ScoredSentence]]:
        best = max((item.relevance for group in ranked for item in group), default=0.0)
        papers = {hit.paper.id: hit.paper for hit in request.hits}
        given = 0
        for group in ranked:
            chooser.weigh(group)
            alone = [item for item in group if not polish(item.text, papers[item.paper_id]).dependent]
            item = chooser.one_of(alone or group, self._taste.other_paper * best)
            if item is None:
                continue
            chooser.take(item)
            yield [item]
            given += 1
            if given >= min(self._most, self._taste.most_papers):
                return


def _readable(
    chosen: Sequence[ScoredSentence], everything: Sequence[ScoredSentence], paper: Paper, *, answer_first: bool
) -> Iterator[tuple[ScoredSentence, str]]:
    """Chosen sentences of one paper in reading order: as in the abstract, and with `answer_first` the best one before
    the others where it stands alone. One that points at the sentence before it brings that sentence along, where it is
    the first."""
    polished = {item.ordinal: polish(item.text, paper) for item in chosen}
    order = sorted(chosen, key=lambda item: item.ordinal)
    if answer_first and not polished[chosen[0].ordinal].dependent and not _chained(order, polished):
        order = [chosen[0], *(item for item in order if item is not chosen[0])]
    if polished[order[0].ordinal].dependent:
        yield from _before(order[0], everything, paper)
    for item in order:
        yield item, polished[item.ordinal].text


def _before(
    item: ScoredSentence, everything: Sequence[ScoredSentence], paper: Paper
) -> Iterator[tuple[ScoredSentence, str]]:
    """The sentence before, where it stands alone."""
    for other in everything:
        if other.paper_id == paper.id and other.ordinal == item.ordinal - 1:
            previous = polish(other.text, paper)
            if not previous.dependent:
                yield other, previous.text


def _chained(order: Sequence[ScoredSentence], polished: dict[int, Polished]) -> bool:
    ordinals = {item.ordinal for item in order}
    return any(polished[item.ordinal].dependent and item.ordinal - 1 in ordinals for item in order)


def _introduced(sentence: str, paper: Paper, *, always: bool) -> str:
    """The sentence with its paper named: where it tells of "the authors", and `always` in an answer from several."""
    name = paper_name(paper)
    if (name and name.lower() in sentence.lower()) or (paper.untitled and not always):
        return sentence
    called = f"“{paper.title}”" if not paper.untitled else "one paper"
    if sentence.startswith(("The authors ", "The authors’ ")):
        return f"In {called}, the{sentence[3:]}"
    return f"From {called}: {sentence}" if always else sentence
