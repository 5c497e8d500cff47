"""What can be evaluated: a library of ours, or any callable that answers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from eval.case import PastTurn
from eval.reply import Reply
from rag.answers import Answer, Filters, Turn
from rag.errors import UsageError
from rag.papers import Paper

if TYPE_CHECKING:
    from rag.library import Library
    from rag.pipeline import AnswerStream

DEPTH = 50  # papers of a ranking that are looked at: enough to tell a miss of retrieval from one of ranking
NO_FILTERS = Filters()
Answering = Callable[..., "Reply | Answer | str"]
_IRRELEVANT = {  # to what is answered
    "library": True,
    "chat": True,
    "prices": True,
    "llm": {"max_session_cost"},
    "embedding": {"max_cost", "retries", "batch_size"},
}


class System(Protocol):
    """Answers questions from papers it can list. `fingerprint` changes whenever replies may; None forbids
    reuse.
    """

    @property
    def name(self) -> str:
        """Named in reports."""
        ...

    @property
    def fingerprint(self) -> str | None:
        """Of all that replies depend on."""
        ...

    def reply(self, question: str, history: Sequence[PastTurn], *, filters: Filters = NO_FILTERS) -> Reply:
        """Answer one question; what it raises is a failed case. Filters are given only where a case has them."""
        ...

    def papers(self) -> Iterator[Paper]:
        """All papers; none when they cannot be listed."""
        ...

    def paper(self, identifier: str) -> Paper | None:
        """One paper by id."""
        ...


class FunctionSystem:
    """Any callable as a system: `answer(question)`, or `answer(question, history)` for multi-turn cases, with
    `filters=` for cases that have them.

    It may return a `Reply`, an `Answer`, or prose. Without `papers` the citation checks have nothing to look
    at, and cases must name papers by the ids that the callable uses.
    """

    def __init__(
        self,
        answer: Answering,
        papers: Iterable[Paper] = (),
        *,
        name: str = "system",
        fingerprint: str | None = None,
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self._answer = answer
        self._papers: Mapping[str, Paper] = {paper.id: paper for paper in papers}

    def reply(self, question: str, history: Sequence[PastTurn], *, filters: Filters = NO_FILTERS) -> Reply:
        """Call it, and time it."""
        started = time.perf_counter()
        asked = (question, history) if history else (question,)
        given = self._answer(*asked, filters=filters) if filters else self._answer(*asked)
        seconds = time.perf_counter() - started
        return replace(as_reply(given), seconds=seconds)

    def papers(self) -> Iterator[Paper]:
        """The papers given."""
        return iter(self._papers.values())

    def paper(self, identifier: str) -> Paper | None:
        """One of them."""
        return self._papers.get(identifier)


class LibrarySystem:
    """A library of ours. Earlier turns of a case are asked again, as its user would have had them answered."""

    def __init__(self, library: Library, *, name: str = "citewise", depth: int = DEPTH) -> None:
        self.name = name
        self._library = library
        self._depth = depth
        self._fingerprint: str | None = None

    @property
    def fingerprint(self) -> str:
        """Of the settings, the papers and the engine's own code and models."""
        if self._fingerprint is None:
            digest = hashlib.sha256(_engine_digest())
            settings = self._library.settings.model_dump_json(exclude=_IRRELEVANT)
            digest.update(f"{settings}|{self._depth}".encode())
            for paper in self._library.papers():
                digest.update(repr(paper).encode())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def reply(self, question: str, history: Sequence[PastTurn], *, filters: Filters = NO_FILTERS) -> Reply:
        """Answer, then rank more deeply for the retrieval measures; only the answering is timed."""
        turns: list[Turn] = []
        for past in history:
            stream = self._library.stream(past.question, filters=past.filters or None, history=turns)
            turns.append(Turn(past.question, _within_limits(stream)))
        started = time.perf_counter()
        stream = self._library.stream(question, filters=filters or None, history=turns)
        answer = _within_limits(stream)
        seconds = time.perf_counter() - started
        context = tuple(hit.paper.id for event in stream for hit in getattr(event, "hits", ()))
        hits = self._library.search(answer.searched or question, self._depth, filters=answer.filters or None)
        ranked = tuple(hit.paper.id for hit in hits)
        return Reply.from_answer(answer, retrieved=ranked, context=context, seconds=seconds, cost=_cost(answer))

    def papers(self) -> Iterator[Paper]:
        """All papers of the library."""
        return self._library.papers()

    def paper(self, identifier: str) -> Paper | None:
        """One of them."""
        return self._library.paper(identifier)


def as_system(answerer: Any, papers: Iterable[Paper] = (), *, name: str = "system") -> System:
    """A system from a system, or from a callable with `papers`. Raises UsageError for anything else."""
    if all(hasattr(answerer, part) for part in ("reply", "papers", "paper", "fingerprint")):
        return answerer
    if callable(answerer):
        return FunctionSystem(answerer, papers, name=name)
    raise UsageError(f"cannot evaluate a {type(answerer).__name__}: give a System or a callable that answers")


def as_reply(given: Reply | Answer | str) -> Reply:
    """A reply from what a callable returned."""
    if isinstance(given, Reply):
        return given
    if isinstance(given, Answer):
        ids = tuple(source.paper.id for source in given.sources)
        return Reply.from_answer(given, retrieved=ids, context=ids)
    return Reply.from_text(given)


def _within_limits(stream: AnswerStream) -> Answer:
    """The answer; CostLimit where the session's limit kept the model out of it, for such an answer says nothing of the
    system."""
    answer = stream.result()
    refused = stream.tally.refused
    if refused and refused.session:
        raise refused
    return answer


def _cost(answer: Answer) -> float | None:
    """Dollars for an answer, of a multi-turn case the last one; 0 where no model was called, None where the price is
    not known."""
    free = answer.cost is None and not answer.usage and answer.mode != "llm"
    return 0.0 if free else answer.cost


def _engine_digest() -> bytes:
    """Of the engine's files, so that no reply of other code is taken for one of this code."""
    import rag

    root = Path(rag.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in {".py", ".json", ".npz", ".txt", ".md", ".safetensors"} and "starter" not in path.parts:
            digest.update(f"{path.relative_to(root)}:".encode())
            digest.update(path.read_bytes())
    return digest.digest()
