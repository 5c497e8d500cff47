"""What a judge owes: does this evidence support this claim?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from eval.case import Case
    from eval.reply import Reply
    from rag.papers import Paper


@dataclass(frozen=True, slots=True)
class Evidence:
    """A paper as evidence. With `metadata` its record (authors, date, venue, links) counts beside its
    abstract.
    """

    paper: Paper
    metadata: bool = False


class Judge(Protocol):
    """Says whether the evidence, taken together, supports a claim (a sentence without markers)."""

    @property
    def name(self) -> str:
        """Named in summaries."""
        ...

    def supports(self, claim: str, evidence: Sequence[Evidence]) -> bool:
        """Whether the evidence, all of it together, supports the claim."""
        ...


@dataclass(frozen=True, slots=True)
class SentenceVerdict:
    """One sentence judged: by what it cites together, each citation alone, and by anything retrieved."""

    supported: bool
    precise: tuple[bool, ...]
    faithful: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """A case, a reply, and all that measures are computed from. `verdicts` None: no papers to judge by."""

    case: Case
    reply: Reply
    verdicts: tuple[SentenceVerdict, ...] | None = None
    retrieval: Mapping[str, float] = field(default_factory=dict[str, float])
