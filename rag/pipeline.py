"""One path from a question to a checked answer, for chat, function, command line and evaluation."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from rag.answerers.base import Answerer, Draft, Request, summed
from rag.answerers.catalog import CatalogAnswerer
from rag.answerers.metadata import MetadataAnswerer
from rag.answerers.repair import Mender, with_repairs
from rag.answers import Answer, Delta, Event, Filters, Finished, Hit, Retrieved, Source, Turn
from rag.citations import Checked, DraftSentence, check
from rag.connection import Stop
from rag.conversation import Condensed, Condenser, about, by_rules
from rag.errors import CostLimit, ModelError, UsageError
from rag.markers import bracketed
from rag.parts import Looked, cited, joined, passed_over, together, unanswered
from rag.quarantine import usable
from rag.question_parts import parts_of, sides_of
from rag.questions import asks_of_full_text
from rag.settings import AnswerSettings
from rag.steps import Step, step, streamed

if TYPE_CHECKING:
    from rag.evidence import ScoredSentence
    from rag.gate import Verdict
    from rag.interfaces import CatalogReader, Encoder
    from rag.papers import Paper
    from rag.question_parts import Part
    from rag.questions import Understanding
    from rag.retrieval import Retrieval
    from rag.spending import Tally

LONGEST_QUESTION = 4000
_NEAREST = 3  # papers named when abstaining
_ABSTRACTS_ONLY = "The library holds abstracts only: what stands in a paper's full text cannot be told from it."


class Retrieves(Protocol):
    """What the pipeline needs of `retrieval.Retriever`."""

    def retrieve(self, question: str, *, k: int, filters: Filters | None = None, stop: Stop | None = None) -> Retrieval:
        """The best papers for a question, with their sentences scored."""
        ...


class Judges(Protocol):
    """What the pipeline needs of `gate.Gate`."""

    def judge(
        self,
        question: str,
        hits: Sequence[Hit],
        sentences: Sequence[ScoredSentence],
        understanding: Understanding,
    ) -> Verdict:
        """Whether what was found answers the question."""
        ...


@dataclass(frozen=True, slots=True)
class Answerers:
    """The ways to answer; `model` is None where none is set up, `catalog` where questions about the library as a whole
    are answered like others, `mender` where what has no support is only marked."""

    extractive: Answerer
    metadata: MetadataAnswerer
    model: Answerer | None = None
    catalog: CatalogAnswerer | None = None
    mender: Mender | None = None


class Pipeline:
    """Answers questions from one open library. Holds no state of its own; `gate` None never abstains.

    `catalog` tells what the one paper is called that a question was narrowed to; `encoder` serves the citation check,
    so it should be a local one.
    """

    def __init__(
        self,
        retriever: Retrieves,
        gate: Judges | None,
        answerers: Answerers,
        *,
        encoder: Encoder,
        settings: AnswerSettings | None = None,
        papers: int = 8,
        condenser: Condenser = by_rules,
        catalog: CatalogReader | None = None,
    ) -> None:
        self.retriever = retriever
        self.gate = gate
        self.answerers = answerers
        self.encoder = encoder
        self.settings = settings or AnswerSettings.model_validate({})
        self.papers = papers
        self.condense = condenser
        self.catalog = catalog
        if self.settings.mode == "llm" and answerers.model is None:
            raise UsageError("answer.mode is llm but no model is set up; set llm.kind, or add --config openai")

    def extractive(self) -> Pipeline:
        """This pipeline without its language model."""
        return Pipeline(
            self.retriever,
            self.gate,
            replace(self.answerers, model=None),
            encoder=self.encoder,
            settings=self.settings.model_copy(update={"mode": "extractive"}),
            papers=self.papers,
            catalog=self.catalog,
        )

    def stream(self, question: str, *, filters: Filters | None = None, history: Sequence[Turn] = ()) -> AnswerStream:
        """Start answering; nothing happens before the stream is read.

        Raises UsageError for an empty question and for one of more than 4,000 characters.
        """
        plain = question.strip()
        if not plain:
            raise UsageError("the question is empty; ask something about the papers")
        if len(plain) > LONGEST_QUESTION:
            raise UsageError(
                f"the question has {len(plain):,} characters; at most {LONGEST_QUESTION:,} can be answered,"
                f" so shorten it"
            )
        stop = Stop()
        run = _Run(self, plain, filters or Filters(), tuple(history), stop)
        return AnswerStream(run.told(), stop)

    def ask(self, question: str, *, filters: Filters | None = None, history: Sequence[Turn] = ()) -> Answer:
        """The finished answer: `stream(...).result()`."""
        return self.stream(question, filters=filters, history=history).result()


class AnswerStream:
    """The events of one answer: Retrieved, any number of Delta, Finished. Iterating again replays them."""

    def __init__(self, events: Generator[Event], stop: Stop) -> None:
        self._source = events
        self._stop = stop
        self._seen: list[Event] = []

    @property
    def tally(self) -> Tally:
        """What the model's calls have cost so far, also when the answer was stopped or failed."""
        return self._stop.tally

    def __iter__(self) -> Iterator[Event]:
        place = 0
        while True:
            if place == len(self._seen):
                event = next(self._source, None)
                if event is None:
                    return
                self._seen.append(event)
            yield self._seen[place]
            place += 1

    def result(self) -> Answer:
        """Read the stream to its end; UsageError when it was closed before the answer was finished."""
        for event in self:
            if isinstance(event, Finished):
                return event.answer
        raise UsageError("the answer was stopped before it was finished; ask again")

    def close(self) -> None:
        """Stop the work, a running model included, from any thread; what was seen can still be replayed."""
        self._stop.set()
        with suppress(ValueError):  # another thread is reading: it sees the switch
            self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Run:
    """One question on its way through the stages."""

    def __init__(
        self, pipeline: Pipeline, question: str, filters: Filters, history: tuple[Turn, ...], stop: Stop
    ) -> None:
        self._pipeline = pipeline
        self._question = question
        self._filters = filters
        self._history = history
        self._stop = stop
        self._timings: dict[str, float] = {}
        self._began = time.perf_counter()
        self._outcome = "answered"

    def told(self) -> Generator[Event]:
        """The events, as a step that whoever listens is told of."""
        work = Step("ask", outcome="stopped")
        work.content["question"] = self._question
        return streamed(work, self._noted(work))

    def _noted(self, work: Step) -> Generator[Event]:
        """The events, and in the step what they say."""
        for event in self.events():
            if isinstance(event, Delta) and "first_words_seconds" not in work.facts:
                work.facts["first_words_seconds"] = time.perf_counter() - self._began
            elif isinstance(event, Finished):
                work.facts |= _facts(event.answer) | {"outcome": self._outcome}
                work.content |= {"searched": event.answer.searched, "answer": event.answer.text}
            yield event

    def events(self) -> Generator[Event]:
        """The events of the answer; none after the stop switch was thrown."""
        self._began = time.perf_counter()
        with self._timed("condense"):
            asked = self._whole()
        looked = self._looked(asked.question, asked.filters)
        parts = () if self._stop.is_set else self._apart(looked, asked.filters)
        if self._stop.is_set:
            return
        looked = joined(looked, parts) if parts else looked
        yield Retrieved(asked.question, tuple(_whole_hits(looked)))
        draft = Draft(abstained=looked.reason)
        if looked.verdict and not looked.verdict.near and draft.abstained:
            draft = replace(draft, hits=())
        if looked.reason is None:
            started = time.perf_counter()
            draft = yield from streamed(Step("write"), self._drafted(looked, parts))
            self._timings["answer"] = time.perf_counter() - started
        if self._stop.is_set:
            return
        cited_from = looked.request if draft.hits is None else replace(looked.request, hits=draft.hits)
        draft = self._repaired(draft, cited_from)
        if self._stop.is_set:
            return
        found = looked.found
        prompts = "+".join(name for name in (asked.prompt, *found.prompts, draft.prompt_version) if name)
        usage = summed(summed(asked.usage, found.usage), draft.usage)
        draft = replace(draft, usage=usage, prompt_version=prompts or None)
        answer = _whole(self._finished(draft, found, looked.verdict), looked.papers)
        if answer.abstained:
            self._outcome = "abstained"
            yield Delta(answer.text)
        yield Finished(answer)

    def _looked(self, question: str, filters: Filters) -> Looked:
        """What is found for a question, who is to answer it, and whether it can be."""
        with self._timed("retrieve") as work:
            found = self._pipeline.retriever.retrieve(
                question, k=self._pipeline.papers, filters=filters, stop=self._stop
            )
            work.facts |= {"papers": len(found.hits)}
        papers = {hit.paper.id: hit.paper for hit in found.hits}
        found = _sound(found)
        request = Request(
            question, found.hits, found.sentences, found.understanding, self._history, self._stop, found.filters
        )
        chosen = self._answerer(request)
        answerers = self._pipeline.answerers
        with self._timed("gate") as work:
            verdict = None if chosen in (answerers.metadata, answerers.catalog) else self._judge(found)
            work.facts |= {"answerable": verdict.answerable, "confidence": verdict.probability} if verdict else {}
        reason = None if chosen is answerers.catalog else _missing(found, verdict)
        return Looked(request, found, papers, chosen, verdict, reason)

    def _apart(self, whole: Looked, filters: Filters) -> tuple[Looked, ...]:
        """The parts of a question that is to be answered part by part: where as a whole it is not answered, or its
        answer would pass one of them over; none where it is answered as a whole."""
        questions, sides = parts_of(whole.request.question), sides_of(whole.request.question)
        parts = tuple(self._part(part, filters, most=3 if questions else 2) for part in questions or sides)
        told = [part for part in parts if part.reason is None]
        if not told or self._stop.is_set:
            return ()
        if whole.reason is not None:  # one side alone is no comparison
            return parts if questions or len(told) == len(parts) else ()
        if any(part.of_record for part in questions):
            return parts
        known = self._cites(whole)
        if sides and whole.request.understanding.names:  # papers that are named are found for the two together
            return parts if any(passed_over(part, known.values()) for part in parts) else ()
        own = [self._cites(part).keys() for part in told if part.part and part.part.named]
        if sides and len(own) == len(parts):
            return () if own[0] & own[1] else parts
        elsewhere = any(not known.keys() & keys for keys in own)
        return parts if elsewhere or any(passed_over(part, known.values()) for part in parts) else ()

    def _part(self, part: Part, filters: Filters, *, most: int) -> Looked:
        looked = self._looked(part.question, filters)
        return replace(looked, part=part, request=replace(looked.request, most=most))

    def _cites(self, looked: Looked) -> dict[str, Paper]:
        """The papers that an answer would cite, by id; no model is asked for that."""
        answerers = self._pipeline.answerers
        chosen = answerers.extractive if looked.answerer is answerers.model else looked.answerer
        return cited(looked.request, _drained(_events(chosen, looked.request)))

    def _drafted(self, looked: Looked, parts: Sequence[Looked]) -> Generator[Event, None, Draft]:
        """The draft of a question, or of its answerable parts: a model is given them all at once."""
        told = [part for part in parts if part.reason is None]
        if not told or all(part.answerer is self._pipeline.answerers.model for part in told):
            draft = yield from self._written(looked.answerer, looked.request)
        else:
            draft = together(looked, [(part, _drained(self._written(part.answerer, part.request))) for part in told])
            for place, item in enumerate(draft.sentences):
                yield Delta((item.lead if place else "") + bracketed(item.text))
        unsaid = [unanswered(part, part.reason) for part in parts if part.reason is not None]
        return replace(draft, notes=(*draft.notes, *unsaid))

    def _whole(self) -> Condensed:
        """The question made whole: by the one paper that it was narrowed to, else by the conversation."""
        chosen = self._chosen()
        told = about(self._question, chosen) if chosen else self._question
        if told != self._question:
            return Condensed(told, self._filters)
        return self._pipeline.condense(self._question, self._filters, self._history, self._stop)

    def _chosen(self) -> Paper | None:
        """The only paper to be asked, unless the conversation knows it: chosen in a list or on the map."""
        catalog, only = self._pipeline.catalog, self._filters.only
        last = self._history[-1].answer if self._history else None
        if catalog is None or len(only) != 1:
            return None
        if last and not last.abstained and any(source.paper.id in only for source in last.sources):
            return None
        return catalog.papers(only).get(only[0])

    def _judge(self, found: Retrieval) -> Verdict | None:
        if self._pipeline.gate is None or not found.hits:
            return None
        return self._pipeline.gate.judge(found.question, found.hits, found.sentences, found.understanding)

    def _written(self, chosen: Answerer, request: Request) -> Generator[Event, None, Draft]:
        """Deltas as events; returns the draft. A failing model hands over to the extractive answerer."""
        try:
            return (yield from _events(chosen, request))
        except ModelError as error:
            if self._stop.is_set:
                return Draft()
            if not self._pipeline.settings.fall_back or chosen is not self._pipeline.answerers.model:
                raise
            failed = "was not asked" if isinstance(error, CostLimit) else "failed"
            note = f"The model {failed} ({error}); this answer is extractive instead."
        self._outcome = "failed over"
        draft = yield from _events(self._pipeline.answerers.extractive, request)
        return replace(draft, notes=(*draft.notes, note))

    def _repaired(self, draft: Draft, request: Request) -> Draft:
        """The draft with what a model proposes for its unsupported sentences, as far as that is better."""
        mender = self._pipeline.answerers.mender
        if mender is None or draft.mode != "llm" or draft.abstained or self._stop.is_set:
            return draft
        papers = [hit.paper for hit in request.hits]
        wrong = [at for at, item in enumerate(self._check(draft.sentences, papers).sentences) if not item.supported]
        if not wrong:
            return draft
        try:
            with self._timed("repair"):
                mended = mender.mend(request, draft.sentences, wrong)
        except ModelError as error:
            note = f"Sentences without support could not be repaired ({error})."
            return draft if self._stop.is_set else replace(draft, notes=(*draft.notes, note))
        better = {at: new for at, new in mended.proposals.items() if self._is_supported(new, papers)}
        return with_repairs(draft, better, mended, all_wrong=len(wrong) == len(draft.sentences))

    def _is_supported(self, sentences: Sequence[DraftSentence], papers: Sequence[Paper]) -> bool:
        return all(item.supported for item in self._check(sentences, papers).sentences)

    def _check(self, sentences: Sequence[DraftSentence], papers: Sequence[Paper]) -> Checked:
        settings, encoder = self._pipeline.settings, self._pipeline.encoder
        return check(sentences, papers, encoder=encoder, min_support=settings.min_support)

    def _answerer(self, request: Request) -> Answerer:
        answerers = self._pipeline.answerers
        if answerers.catalog is not None and answerers.catalog.applies(request):
            return answerers.catalog
        if answerers.metadata.applies(request):
            return answerers.metadata
        if self._pipeline.settings.mode == "extractive" or answerers.model is None:
            return answerers.extractive
        return answerers.model

    def _finished(self, draft: Draft, found: Retrieval, verdict: Verdict | None) -> Answer:
        hits = found.hits if draft.hits is None else draft.hits
        papers = [hit.paper for hit in hits]
        with self._timed("check"):
            checked = self._check(draft.sentences, papers)
        cited = [hits[number - 1] for number in checked.order]
        shown = hits[:_NEAREST] if draft.abstained else cited
        self._timings["total"] = time.perf_counter() - self._began
        return Answer(
            question=self._question,
            text=_abstention(draft.abstained, shown, found.understanding) if draft.abstained else checked.text,
            sentences=() if draft.abstained else checked.sentences,
            citations=() if draft.abstained else checked.citations,
            sources=tuple(Source(marker, hit.paper, hit.score) for marker, hit in enumerate(shown, start=1)),
            abstained=draft.abstained,
            mode=draft.mode,
            model=draft.model,
            searched=found.question,
            filters=found.filters,
            confidence=verdict.probability if verdict else None,
            notes=(*(found.notes if found.hits else ()), *draft.notes, *_limits(self._question, draft)),
            usage=draft.usage,
            cost=self._stop.tally.cost,
            prompt_version=draft.prompt_version,
            timings=self._timings,
        )

    @contextmanager
    def _timed(self, stage: str) -> Generator[Step]:
        started = time.perf_counter()
        try:
            with step(stage) as work:
                yield work
        finally:
            self._timings[stage] = self._timings.get(stage, 0.0) + time.perf_counter() - started


def _drained(events: Generator[Event, None, Draft]) -> Draft:
    """What a stream comes to, without its pieces."""
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def _facts(answer: Answer) -> dict[str, str | int | float | bool]:
    """What can be told of an answer without its words."""
    facts: dict[str, str | int | float | bool] = {
        "mode": answer.mode,
        "sentences": len(answer.sentences),
        "supported": sum(sentence.supported for sentence in answer.sentences),
        "citations": len(answer.citations),
    }
    known = {"model": answer.model, "confidence": answer.confidence, "cost": answer.cost}
    tokens = {f"{kind}_tokens": count for kind, count in answer.usage.items()}
    return facts | {name: value for name, value in known.items() if value is not None} | tokens


def _limits(question: str, draft: Draft) -> tuple[str, ...]:
    """What to say where a question asks for more than abstracts hold."""
    return (_ABSTRACTS_ONLY,) if asks_of_full_text(question, unanswered=bool(draft.abstained)) else ()


def _sound(found: Retrieval) -> Retrieval:
    """What was found, without what gives orders."""
    hits, sentences, notes = usable(found.hits, found.sentences)
    return replace(found, hits=hits, sentences=sentences, notes=(*found.notes, *notes)) if notes else found


def _whole_hits(looked: Looked) -> Iterator[Hit]:
    """The papers found, as they are in the library."""
    for hit in looked.request.hits:
        yield replace(hit, paper=looked.papers.get(hit.paper.id, hit.paper))


def _whole(answer: Answer, papers: Mapping[str, Paper]) -> Answer:
    """The answer with its papers shown as they are in the library, whatever part of them was used."""
    citations = tuple(
        replace(item, title=papers[item.paper_id].title) if item.paper_id in papers else item
        for item in answer.citations
    )
    sources = tuple(replace(item, paper=papers.get(item.paper.id, item.paper)) for item in answer.sources)
    return replace(answer, citations=citations, sources=sources)


def _missing(found: Retrieval, verdict: Verdict | None) -> str | None:
    """Why there is nothing to answer from, or None."""
    if not found.hits:
        return "; ".join(found.notes) or "no paper in it has anything to do with the question"
    if verdict is None or verdict.answerable:
        return None
    return verdict.reason or "the abstracts found do not say this"


def _events(answerer: Answerer, request: Request) -> Generator[Event, None, Draft]:
    for item in answerer.write(request):
        if isinstance(item, Draft):
            return item
        yield item
    raise AssertionError("an answerer must end with a draft")


def _abstention(reason: str, nearest: Sequence[Hit], understanding: Understanding) -> str:
    if understanding.library and understanding.library.hinted and not nearest:
        return f"{reason[:1].upper()}{reason[1:].rstrip('.')}."
    titles = [f"“{hit.paper.title}”" for hit in nearest]
    told = f"The abstracts in this library do not answer this: {reason.rstrip('.')}."
    if not titles:
        return told
    listed = titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"
    return f"{told} The nearest {'paper is' if len(titles) == 1 else 'papers are'} {listed}."
