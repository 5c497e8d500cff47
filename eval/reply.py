"""What a system gave for one case, in a form that any system can fill and a file can hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rag.answers import Answer
from rag.citations import split_draft
from rag.markers import canonical, find_markers, numbers_in, without_markers

_SHOWN_MARKER = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True, slots=True)
class Cite:
    """A paper that a sentence cites, and the stretch of its abstract (or its metadata) said to support it."""

    paper_id: str
    quote: str = ""
    metadata: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence of an answer without its markers, what it cites, and how many markers lead nowhere."""

    text: str
    cites: tuple[Cite, ...] = ()
    dangling: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A system's reply to one case.

    `retrieved` ranks paper ids, best first, deeper than the answer needs; `context` holds those the answer
    was written from. `abstained` is None or the reason given. `confidence` (0..1) is the system's probability
    that the papers answer the question, None where it has none. `error` says why there is no reply at all.
    `usage` counts tokens ("prompt", "completion"), `cost` is in dollars, None where it is not known.
    """

    text: str = ""
    sentences: tuple[Said, ...] = ()
    retrieved: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    abstained: str | None = None
    confidence: float | None = None
    mode: str = ""
    searched: str = ""
    seconds: float = 0.0
    error: str | None = None
    usage: dict[str, int] = field(default_factory=dict[str, int])
    cost: float | None = None

    @property
    def answered(self) -> bool:
        """Whether it claims an answer: neither abstained nor failed."""
        return self.abstained is None and self.error is None

    @property
    def cited(self) -> tuple[str, ...]:
        """Ids of the papers cited, in reading order."""
        return tuple(dict.fromkeys(cite.paper_id for sentence in self.sentences for cite in sentence.cites))

    @property
    def prose(self) -> str:
        """The answer without markers; empty when there is none."""
        return " ".join(sentence.text for sentence in self.sentences) if self.answered else ""

    @classmethod
    def from_text(cls, text: str, sources: Sequence[str] = (), **more: Any) -> Reply:
        """A reply from prose with [n] markers, n counting `sources` (paper ids) from 1."""
        drafts = split_draft(canonical(text, len(sources)))
        lost = _dangling(text, len(sources))
        said = [
            Said(without_markers(draft.text), tuple(Cite(sources[n - 1]) for n in numbers_in(draft.text)))
            for draft in drafts
        ]
        if said and lost:  # dangling markers are gone from the canonical text: they are counted on the last sentence
            said[-1] = Said(said[-1].text, said[-1].cites, lost)
        return cls(
            text=text,
            sentences=tuple(said),
            **{"context": tuple(sources), "retrieved": tuple(sources), **more},
        )

    @classmethod
    def from_answer(cls, answer: Answer, **more: Any) -> Reply:
        """A reply from one of our own answers."""
        known = {source.marker for source in answer.sources}
        said = tuple(
            Said(
                _SHOWN_MARKER.sub("", sentence.text).strip(),
                tuple(
                    Cite(citation.paper_id, citation.quote, citation.start == citation.end)
                    for citation in answer.citations
                    if citation.sentence == index
                ),
                sum(marker not in known for marker in sentence.markers),
            )
            for index, sentence in enumerate(answer.sentences)
        )
        return cls(
            text=answer.text,
            sentences=said,
            abstained=answer.abstained,
            confidence=answer.confidence,
            mode=answer.mode,
            searched=answer.searched,
            usage=dict(answer.usage),
            **more,
        )

    def as_json(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Reply:
        """The reverse of `as_json`; raises KeyError or TypeError for other objects."""
        sentences = tuple(
            Said(said["text"], tuple(Cite(**cite) for cite in said["cites"]), said["dangling"])
            for said in plain["sentences"]
        )
        lists = {key: tuple(plain[key]) for key in ("retrieved", "context")}
        return cls(**{**plain, **lists, "sentences": sentences})


def _dangling(text: str, known: int) -> int:
    numbers = (number for marker in find_markers(text, known) for number in marker.numbers)
    return sum(not 1 <= number <= known for number in numbers)
