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
    """A case, a reply, and all that measures are computed from. `verdicts` None: no papers to judge by.

    `repeats` are further replies to the same question, `paraphrases` the replies to the same in other words.
    """

    case: Case
    reply: Reply
    verdicts: tuple[SentenceVerdict, ...] | None = None
    retrieval: Mapping[str, float] = field(default_factory=dict[str, float])
    repeats: tuple[Reply, ...] = ()
    paraphrases: tuple[Reply, ...] = ()


def as_text(evidence: Evidence) -> str:
    """What the evidence says: the abstract, and with `metadata` the record of the paper as one more sentence."""
    paper = evidence.paper
    return f"{paper.abstract} {_record_sentence(paper)}".strip() if evidence.metadata else paper.abstract


def _record_sentence(paper: Paper) -> str:
    """What a paper's record says, as one sentence that a claim about it can be compared with."""
    from rag.answerers.records import spelled_date

    authors = len(paper.authors) or paper.n_authors
    parts = [
        f"was written by {', '.join(paper.authors)}" if paper.authors else "",
        f"has {authors} authors" if authors else "",
        f"is dated {spelled_date(paper.date)} ({paper.date})" if paper.date else "",
        f"is from {paper.year}" if paper.year else "",
        f"appeared at {paper.venue}" if paper.venue else "",
        f"has {paper.upvotes} upvotes" if paper.upvotes is not None else "",
        f"has {paper.comments} comments" if paper.comments is not None else "",
        f"is at {paper.url}" if paper.url else "",
        f"is at https://arxiv.org/abs/{paper.arxiv_id}" if paper.arxiv_id else "",
        f"is at https://doi.org/{paper.doi}" if paper.doi else "",
        f"has its code at {' and '.join(paper.code_urls)}" if paper.code_urls else "",
    ]
    title = paper.title.rstrip(".")
    return f"“{title}” {' and '.join(part for part in parts if part)}."
