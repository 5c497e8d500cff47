"""Value objects for questions and answers: queries, filters, hits, citations and the Answer itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rag.papers import Paper

Mode = Literal["extractive", "llm"]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a paper must be to be retrieved. None or empty means "any". Dates are cut ISO dates, inclusive.

    Names are matched case-insensitively as substrings of the paper's venue, authors or source paths.
    """

    year_from: int | None = None
    year_to: int | None = None
    date_from: str | None = None
    date_to: str | None = None
    venues: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    has_code: bool | None = None
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != Filters()


@dataclass(frozen=True, slots=True)
class Quote:
    """A stretch of a paper's abstract: `abstract[start:end] == text`."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Hit:
    """One retrieved paper. `score` is the fused score that ranks; `dense` (cosine) and `lexical` (BM25) are raw.

    `quote` is the abstract's sentence nearest to the question (the title stands in for an empty abstract).
    """

    rank: int
    paper: Paper
    score: float
    quote: Quote
    dense: float | None = None
    lexical: float | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """One [marker] in one sentence of an answer, with the abstract sentence that supports it.

    `support` is in 0..1. `start` and `end` are character offsets into the paper's stored abstract; a citation
    of metadata (a date, an author count) has `start == end == 0` and names the field in `quote`.
    """

    marker: int
    paper_id: str
    title: str
    quote: str
    start: int
    end: int
    support: float
    sentence: int
    supported: bool


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer: its text with markers, the markers, and whether a cited abstract supports it."""

    text: str
    markers: tuple[int, ...]
    supported: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A numbered paper under an answer: cited ones first, in reading order; the nearest ones when abstaining."""

    marker: int
    paper: Paper
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and all that is needed to check it.

    `abstained` is None or the reason, in words, why the abstracts do not answer. `searched` is the question
    as it was searched, after a follow-up was completed from the history. `notes` are for the user (for example
    that the model failed and the answer is extractive). `timings` are seconds a stage. `cost` is what the model's
    calls took, in dollars; None where none was made, or the price is not known. `prompt_version` names the
    prompts of all calls, in order.
    """

    question: str
    text: str
    sentences: tuple[Sentence, ...] = ()
    citations: tuple[Citation, ...] = ()
    sources: tuple[Source, ...] = ()
    abstained: str | None = None
    mode: Mode = "extractive"
    model: str | None = None
    searched: str = ""
    filters: Filters = field(default_factory=Filters)
    confidence: float | None = None
    notes: tuple[str, ...] = ()
    usage: dict[str, int] = field(default_factory=dict[str, int])
    cost: float | None = None
    prompt_version: str | None = None
    timings: dict[str, float] = field(default_factory=dict[str, float])

    def as_json(self) -> dict[str, Any]:
        """The object that `citewise ask --json` prints."""
        return {
            "question": self.question,
            "text": self.text,
            "abstained": self.abstained,
            "sentences": [asdict(sentence) for sentence in self.sentences],
            "citations": [asdict(citation) for citation in self.citations],
            "sources": [
                {
                    "marker": source.marker,
                    "paper_id": source.paper.id,
                    "title": source.paper.title,
                    "score": round(source.score, 6),
                    "year": source.paper.year,
                    "url": source.paper.url,
                }
                for source in self.sources
            ],
            "mode": self.mode,
            "model": self.model,
            "searched": self.searched or self.question,
            "confidence": self.confidence,
            "notes": list(self.notes),
            "usage": self.usage,
            "cost": self.cost,
            "prompt_version": self.prompt_version,
            "timings": {stage: round(seconds, 6) for stage, seconds in self.timings.items()},
        }


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier exchange of a conversation: the question as asked, the answer given."""

    question: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Retrieved:
    """First event of a stream: the papers found, before a word is written, and the question as searched."""

    searched: str
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of answer text, in order. The final text may differ: it is checked, its markers are renumbered, and a
    sentence without support may have been repaired. Whoever shows pieces replaces them by the finished answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Last event of a stream: the checked answer."""

    answer: Answer


Event = Retrieved | Delta | Finished
