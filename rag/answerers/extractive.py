"""Answers made of the abstracts' own sentences: chosen, ordered, trimmed, each with its citation."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rag import text
from rag.answerers.base import Draft, Request
from rag.answerers.polish import Polished, opening, paper_name, polish
from rag.answerers.records import spelled_date
from rag.answerers.selection import Chooser, Taste, by_paper
from rag.answers import Delta, Hit, Quote
from rag.citations import DraftSentence
from rag.evidence import says_all, wants_whoever_says
from rag.markers import append_marker, bracketed, numbers_in
from rag.questions import asks_extreme, asks_for_papers, counts_papers, leaves_out, papers_asked_for

if TYPE_CHECKING:
    from rag.evidence import ScoredSentence
    from rag.papers import Paper


# Between two names, in a normalised question.
_JOINED = re.compile(
    r"\s(?:(?:(?:is|are|do|does|compares?|compared|differs?|different|better|worse|faster|slower)\s)*"
    r"(?:and|or|vs|versus|with|to|from|than)\s)?(?:(?:what|how|is|are|about|of|the|by|in)\s)*"
)
_NOT_DONE = "What a paper does not do is found only where its abstract says so; read the quotes before relying on this."
_NOT_RANKED = "Each abstract was read for itself: which of all has the most or the best was not compared."
_NO_COUNT = "Papers are found by how near they are to the topic: these are the nearest, not a count."


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
        yield Draft(sentences, reason, notes=tuple(_notes(request, sentences)) if sentences else ())

    def _sentences(self, request: Request) -> Iterator[DraftSentence]:
        number = {hit.paper.id: place for place, hit in enumerate(request.hits, start=1)}
        papers = {hit.paper.id: hit.paper for hit in request.hits}
        several = request.understanding.several or bool(_conjoined(request))
        listed = several and (asks_for_papers(request.question) or request.understanding.order is not None)
        chooser = Chooser(request, self._taste)
        for order, chosen in enumerate(self._chosen(request, chooser)):
            paper = papers[chosen[0].paper_id]
            apart = several or order > 0
            lead = "\n" if apart else " "
            for place, (item, told) in enumerate(
                _readable(chosen, request.sentences, paper, answer_first=chooser.answer_first)
            ):
                called = _called(paper, dated=request.understanding.order is not None)
                named = _introduced(opening(told), paper, called, always=apart, listed=listed) if place == 0 else told
                marked = append_marker(named, number[paper.id])
                yield DraftSentence(marked, lead, Quote(item.text, item.start, item.end))
                lead = " "

    def _chosen(self, request: Request, chooser: Chooser) -> Iterator[list[ScoredSentence]]:
        """Sentences by paper, the paper that answers best first."""
        groups = by_paper(request.sentences)
        ranked = [groups[hit.paper.id] for hit in request.hits if hit.paper.id in groups]
        compared = (_compared(request) if request.understanding.several else []) or _conjoined(request)
        if compared:
            yield from self._side_by_side(
                chooser, [groups[paper.id] for paper in compared if paper.id in groups], request
            )
        elif request.understanding.several:
            yield from self._one_each(chooser, ranked, request)
        elif ranked:
            yield from self._one_and_runner_up(chooser, ranked, request)

    def _limit(self, request: Request) -> int:
        """How many sentences the answer may have."""
        return self._most if request.most is None else min(self._most, request.most)

    def _one_and_runner_up(
        self, chooser: Chooser, ranked: Sequence[list[ScoredSentence]], request: Request
    ) -> Iterator[list[ScoredSentence]]:
        """Sentences of the first paper; and one of the second, where an open question names no paper and the second is
        about as good: then nothing says that the first is the one meant."""
        chooser.weigh(ranked[0])
        most = self._limit(request)
        first = chooser.several_of(ranked[0], min(most, self._taste.most_sentences))
        further = None
        if chooser.open_ended and not request.understanding.names and len(ranked) > 1:
            relevance, ranking = chooser.fit(ranked[:2])[1]
            if relevance >= self._taste.runner_up and ranking >= self._taste.other_paper:
                further = self._of_paper(chooser, ranked[1], request)
        if further is None or most < 2:
            yield first
        else:
            yield first[: min(most, max(3, len(first))) - 1]
            yield [further]

    def _side_by_side(
        self, chooser: Chooser, groups: Sequence[list[ScoredSentence]], request: Request
    ) -> Iterator[list[ScoredSentence]]:
        """Of each of the papers that are compared the same number of sentences."""
        most = self._limit(request)
        each = max(1, min(2, most // max(1, len(groups))))
        for group in groups[:most]:
            paper = _paper_of(group, request)
            chooser.weigh(group, thing=paper_name(paper))
            yield chooser.several_of(group, each)

    def _one_each(
        self, chooser: Chooser, ranked: Sequence[list[ScoredSentence]], request: Request
    ) -> Iterator[list[ScoredSentence]]:
        most = self._limit(request)
        if asks_for_papers(request.question):
            most = papers_asked_for(request.question) or most
        else:
            most = min(most, self._taste.most_papers)
        given: list[list[ScoredSentence]] = []
        for group in self._fitting(chooser, ranked, request):
            chooser.weigh(group)
            item = self._of_paper(chooser, group, request)
            if item is not None and len(given) < most:
                chooser.take(item)
                given.append([item])
        yield from _by_date(given, request) if request.understanding.order else given

    def _fitting(
        self, chooser: Chooser, ranked: Sequence[list[ScoredSentence]], request: Request
    ) -> Iterator[list[ScoredSentence]]:
        """The papers good enough for a list; where papers on something by name are wanted, also all that say it."""
        share = self._taste.ranking_share
        names = request.understanding.names if asks_for_papers(request.question) else ()
        whoever = {hit.paper.id for hit in _whoever_says(request)}
        for group, (relevance, ranking) in zip(ranked, chooser.fit(ranked), strict=True):
            saying = [item for item in group if any(says_all([name], item.text) for name in names)]
            if whoever:
                if group[0].paper_id in whoever:
                    yield saying or group
            elif saying:
                yield saying
            elif (1 - share) * relevance + share * ranking >= self._taste.other_paper:
                yield group

    def _of_paper(self, chooser: Chooser, group: Sequence[ScoredSentence], request: Request) -> ScoredSentence | None:
        """The sentence that tells best what a paper has to do with the question, one that stands alone if there is."""
        paper = _paper_of(group, request)
        chooser.weigh(group)
        alone = [item for item in group if not polish(item.text, paper).dependent]
        return chooser.one_of(alone or group)


def _notes(request: Request, sentences: Sequence[DraftSentence]) -> Iterator[str]:
    """What the reader of a list should know of how it was made."""
    if whoever := _whoever_says(request):
        listed = {request.hits[number - 1] for item in sentences for number in numbers_in(item.text)}
        left = [f"“{hit.paper.title}”" for hit in whoever if hit not in listed]
        if left:
            yield f"Also: {' · '.join(left)}."
        if len(whoever) == len(request.hits):
            yield "There may be more: a search lists as many papers as it is asked for."
    if counts_papers(request.question):
        yield _NO_COUNT
    if leaves_out(request.question):
        yield _NOT_DONE
    if asks_extreme(request.question) and not (request.understanding.order or _names_its_paper(request, sentences)):
        yield _NOT_RANKED
    order = request.understanding.order
    if order and any(hit.paper.year for hit in request.hits):
        yield f"Of the papers nearest to the topic, the {order} come first."
    elif order:
        yield f"None of the papers found has a year on record, so which is the {order} cannot be told."


def _names_its_paper(request: Request, sentences: Sequence[DraftSentence]) -> bool:
    """Whether a question names the paper that the answer begins with."""
    number = next(iter(numbers_in(sentences[0].text)), None)
    paper = request.hits[number - 1].paper if number else None
    asked = f" {text.normalised_title(request.question)} "
    names = [text.normalised_title(name) for name in (paper_name(paper) or "", paper.title)] if paper else []
    return any(name and f" {name} " in asked for name in names)


def _whoever_says(request: Request) -> list[Hit]:
    """The papers that say what a question names, where all that it wants of papers is that they do."""
    if not wants_whoever_says(request.understanding):
        return []
    names = request.understanding.names
    return [hit for hit in request.hits if says_all(names, f"{hit.paper.title} {hit.paper.abstract}")]


def _by_date(groups: Sequence[list[ScoredSentence]], request: Request) -> list[list[ScoredSentence]]:
    """Sentences by paper in the order of time that was asked for, undated papers last."""
    days = {hit.paper.id: hit.paper.date or str(hit.paper.year or "") for hit in request.hits}
    dated = [group for group in groups if days[group[0].paper_id][:1].isdigit()]
    undated = [group for group in groups if not days[group[0].paper_id][:1].isdigit()]
    newest = request.understanding.order == "newest"
    return [*sorted(dated, key=lambda group: days[group[0].paper_id], reverse=newest), *undated]


def _paper_of(group: Sequence[ScoredSentence], request: Request) -> Paper:
    return next(hit.paper for hit in request.hits if hit.paper.id == group[0].paper_id)


def _compared(request: Request) -> list[Paper]:
    """The papers that a question names, two or more: for each name the one that bears it as its own, else one whose
    title holds it, else the one that speaks of it most."""
    found: list[Paper] = []
    for name in request.understanding.names:
        key = text.normalised_title(name)
        papers = [hit.paper for hit in request.hits]
        bearing = [paper for paper in papers if text.normalised_title(paper_name(paper) or "") == key]
        titled = [paper for paper in papers if f" {key} " in f" {text.normalised_title(paper.title)} "]
        telling = sorted((paper for paper in papers if name in paper.abstract), key=lambda p: -p.abstract.count(name))
        found += [paper for paper in [*bearing, *titled, *telling][:1] if key]
    distinct = list({paper.id: paper for paper in found}.values())
    return distinct if len(distinct) > 1 else []


def _conjoined(request: Request) -> list[Paper]:
    """The papers whose own names a question joins ("dropout and batch normalization", "LoRA or about adapters"), where
    it asks of nothing else by name."""
    asked = text.normalised_title(request.understanding.topic or request.question)
    named = {text.normalised_title(paper_name(hit.paper) or ""): hit.paper for hit in request.hits}
    places = sorted(
        (match.start(), match.end(), name)
        for name in named
        if name
        for match in [re.search(rf"\b{re.escape(name)}\b", asked)]
        if match
    )
    joined = (
        all(_JOINED.fullmatch(asked[one[1] : other[0]]) for one, other in itertools.pairwise(places))
        and len(places) > 1
    )
    others = {text.normalised_title(name) for name in request.understanding.names} - {name for *_, name in places}
    return [named[name] for *_, name in places] if joined and not others else []


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


def _called(paper: Paper, *, dated: bool) -> str:
    day = spelled_date(paper.date) if paper.date else str(paper.year or "undated")
    return ("one paper" if paper.untitled else f"“{paper.title}”") + (f" ({day})" if dated else "")


def _introduced(sentence: str, paper: Paper, called: str, *, always: bool, listed: bool) -> str:
    """The sentence with its paper named: where it tells of "the authors", and `always` in an answer from several;
    `listed` with its title, where papers are what was asked for."""
    name = paper_name(paper)
    if not listed and ((name and name.lower() in sentence.lower()) or (paper.untitled and not always)):
        return sentence
    if sentence.startswith(("The authors ", "The authors’ ")):
        return f"In {called}, the{sentence[3:]}"
    return f"From {called}: {sentence}" if always else sentence
