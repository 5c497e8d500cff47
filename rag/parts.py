"""One answer from the answers to several questions: papers numbered together, what is not answered said."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from rag.answerers.base import Answerer, Draft, Request, summed
from rag.answerers.selection import by_paper
from rag.answers import Hit
from rag.citations import DraftSentence
from rag.gate_rules import names_unsaid
from rag.markers import moved, numbers_in
from rag.text import stem_set

if TYPE_CHECKING:
    from rag.evidence import ScoredSentence
    from rag.gate import Verdict
    from rag.papers import Paper
    from rag.question_parts import Part
    from rag.retrieval import Retrieval


@dataclass(frozen=True, slots=True)
class Looked:
    """A question looked up: what was found, who is to answer it, and why it cannot be answered (None: it can).

    `papers` are those found as they are in the library, by id; `part` is which part of another question it is.
    """

    request: Request
    found: Retrieval
    papers: Mapping[str, Paper]
    answerer: Answerer
    verdict: Verdict | None
    reason: str | None
    part: Part | None = None


def joined(whole: Looked, parts: Sequence[Looked]) -> Looked:
    """A question with what was found for its parts in place of what was found for it as a whole: their papers in turns,
    the confidence of the least sure."""
    answered = [part for part in parts if part.reason is None]
    hits = _in_turns([part.request.hits for part in answered])
    kept = {part.found.filters for part in answered}
    found = replace(
        whole.found,
        hits=hits,
        sentences=_by_hit(hits, answered),
        filters=kept.pop() if len(kept) == 1 else whole.request.filters,
        notes=tuple(dict.fromkeys(chain.from_iterable(part.found.notes for part in answered))),
        prompts=tuple(dict.fromkeys(chain.from_iterable(part.found.prompts for part in (whole, *parts)))),
    )
    for part in parts:
        found = replace(found, usage=summed(found.usage, part.found.usage))
    request = replace(whole.request, hits=hits, sentences=found.sentences, filters=found.filters)
    papers = dict(chain.from_iterable(part.papers.items() for part in answered))
    verdicts = [part.verdict for part in answered if part.verdict]
    verdict = min(verdicts, key=lambda one: one.probability, default=None)
    return Looked(request, found, papers, answered[0].answerer, verdict, None)


def _in_turns(found: Sequence[Sequence[Hit]]) -> tuple[Hit, ...]:
    """The hits of several questions, the first of each before the second of any, each paper once."""
    every = [hit for turn in zip_longest(*found) for hit in turn if hit]
    distinct = {hit.paper.id: hit for hit in reversed(every)}
    order = dict.fromkeys(hit.paper.id for hit in every)
    return tuple(replace(distinct[key], rank=rank) for rank, key in enumerate(order, start=1))


def _by_hit(hits: Sequence[Hit], parts: Sequence[Looked]) -> tuple[ScoredSentence, ...]:
    """The scored sentences of the hits in their order; of a paper that several questions found, those of the first."""
    found: dict[str, list[ScoredSentence]] = {}
    for part in reversed(parts):
        found |= by_paper(part.request.sentences)
    return tuple(item for hit in hits for item in found.get(hit.paper.id, ()))


def together(whole: Looked, parts: Sequence[tuple[Looked, Draft]]) -> Draft:
    """One draft from those of the answerable parts, with the papers of `whole` and whatever else they cite for its own.
    Abstains where all of them do; a part that does is said in a note."""
    hits = list(whole.request.hits)
    place = {hit.paper.id: number for number, hit in enumerate(hits, start=1)}
    sentences: list[DraftSentence] = []
    for part, draft in parts:
        own = part.request.hits if draft.hits is None else draft.hits
        for hit in own if draft.hits else ():
            if hit.paper.id not in place:
                hits.append(replace(hit, rank=len(hits) + 1))
                place[hit.paper.id] = len(hits)
        numbers = {number: place[hit.paper.id] for number, hit in enumerate(own, start=1) if hit.paper.id in place}
        for at, item in enumerate(() if draft.abstained else draft.sentences):
            lead = "\n" if at == 0 and sentences else item.lead
            sentences.append(replace(item, text=moved(item.text, numbers), lead=lead))
    drafts = [draft for _, draft in parts]
    usage: dict[str, int] = {}
    for draft in drafts:
        usage = summed(usage, draft.usage)
    written = next((draft for draft in drafts if draft.mode == "llm"), drafts[0])
    unsaid = [unanswered(part, draft.abstained) for part, draft in parts if draft.abstained]
    notes = [*chain.from_iterable(draft.notes for draft in drafts), *(unsaid if sentences else ())]
    return replace(
        written,
        sentences=tuple(sentences),
        abstained=None if sentences else " and ".join(draft.abstained or "" for draft in drafts),
        usage=usage,
        notes=tuple(dict.fromkeys(notes)),
        hits=tuple(hits),
    )


def unanswered(looked: Looked, reason: str) -> str:
    """What to say of a part without an answer."""
    part = looked.part
    if part is None:
        return f"{reason[:1].upper()}{reason[1:]}."
    missing = "nothing is told of it" if part.side else "this is not answered"
    return f"“{part.told}”: {missing}, as {reason.rstrip('.')}."


def passed_over(looked: Looked, answer: Collection[Paper]) -> bool:
    """Whether an answer that cites these papers says nothing of a part: none of them tells of that side; or the part
    asks for something by a name that no paper says, which the answer would keep to itself."""
    part = looked.part
    if part and part.side:
        wanted = stem_set(part.told)
        return not any(wanted <= stem_set(f"{paper.title} {paper.abstract}") for paper in answer)
    return bool(part and looked.reason and names_unsaid(part.understanding, looked.papers.values()))


def cited(request: Request, draft: Draft) -> dict[str, Paper]:
    """The papers that a draft cites, by id."""
    hits = request.hits if draft.hits is None else draft.hits
    numbers = dict.fromkeys(number for item in draft.sentences for number in numbers_in(item.text))
    return {hits[number - 1].paper.id: hits[number - 1].paper for number in numbers}
