"""The judge that needs no key: the citation check of `rag.citations`, applied to any system's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from eval.judges.base import Evidence, as_text
from rag.citations import SupportScorer
from rag.interfaces import Encoder
from rag.papers import Paper
from rag.settings import AnswerSettings

_PAIRS_PER_SCORER = 2_000  # a scorer keeps every vector it made: a fresh one now and then bounds the memory


class DeterministicJudge:
    """Supported when the check's score is at least the engine's own default `min_support`.

    Several papers support a claim together when one of them does, or when their best sentences side by side
    do.
    """

    name = "deterministic"

    def __init__(self, encoder: Encoder, *, min_support: float | None = None) -> None:
        self._encoder = encoder
        self._least = AnswerSettings().min_support if min_support is None else min_support
        self._scorer = SupportScorer(encoder)
        self._asked = 0

    def supports(self, claim: str, evidence: Sequence[Evidence]) -> bool:
        """Whether the evidence supports the claim."""
        return self.score(claim, evidence) >= self._least

    def score(self, claim: str, evidence: Sequence[Evidence]) -> float:
        """Support in 0..1."""
        papers = [_as_evidence(item) for item in evidence]
        found = [self._support(claim, paper) for paper in papers]
        best = max((score for score, _ in found), default=0.0)
        if len(papers) < 2 or best >= self._least:
            return best
        joined = replace(
            papers[0],
            id="joined",
            title=" / ".join(paper.title for paper in papers),
            abstract=" ".join(_ended(quote) for _, quote in found if quote),
        )
        return max(best, self._support(claim, joined)[0])

    def _support(self, claim: str, paper: Paper) -> tuple[float, str]:
        self._asked += 1
        if self._asked % _PAIRS_PER_SCORER == 0:
            self._scorer = SupportScorer(self._encoder)
        support = self._scorer.support(claim, paper)
        return support.score, support.quote.text


def default_judge() -> DeterministicJudge:
    """The deterministic judge on the encoder that ships with Citewise."""
    from rag.chosen_encoder import build_encoder
    from rag.settings import EmbeddingSettings

    return DeterministicJudge(build_encoder(EmbeddingSettings()))


def _as_evidence(evidence: Evidence) -> Paper:
    return replace(evidence.paper, abstract=as_text(evidence)) if evidence.metadata else evidence.paper


def _ended(quote: str) -> str:
    return quote if quote.rstrip().endswith((".", "!", "?")) else f"{quote.rstrip()}."
