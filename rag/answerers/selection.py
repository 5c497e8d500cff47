"""Choosing the sentences of an extractive answer: likely to answer, covering what was asked, nothing said twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag import text
from rag.answerers.sentence_model import SentenceModel, defines, kind_of, shipped_model, signs, thing_of
from rag.evidence import stem_set

if TYPE_CHECKING:
    from rag.answerers.base import Request
    from rag.evidence import ScoredSentence

_DEFINES = 0.9
"""The likelihood of a sentence that says what a thing is, where that was asked: a rule, since few cases teach it."""


@dataclass(frozen=True, slots=True)
class Taste:
    """How many sentences an answer takes; the values are measured by eval/bench/answer_quality.py.

    A further sentence of the same paper is taken while its gain is at least `gain` of the best one's, or `sure_gain`
    where a number was asked for and the best one has it with a likelihood of `sure` or more; `redundancy` is
    what a sentence loses by its likeness (cosine) to those taken, `coverage` what it gains by words of the question
    that none of them has. Two sentences of that cosine or stem overlap say the same. In an answer from several papers a
    paper is taken while its fit is at least `other_paper`: its best sentence's share of the most relevant of all, mixed
    with its share of the best rank score by `ranking_share`; there a sentence also gains by `relevance` (to its paper's
    most relevant one) and by `contribution` (it says what its paper brings). A second paper joins the answer to an open
    question when its relevance is at least `runner_up` of the first one's and its rank score `other_paper`.
    """

    gain: float = 0.4
    sure: float = 0.6
    sure_gain: float = 0.7
    redundancy: float = 0.05
    coverage: float = 0.1
    near_duplicate: float = 0.95
    other_paper: float = 0.62
    ranking_share: float = 0.3
    relevance: float = 0.3
    contribution: float = 0.2
    runner_up: float = 0.85
    most_papers: int = 4
    most_sentences: int = 4
    most_words: int = 90


class Chooser:
    """Greedy choice by marginal gain: maximal marginal relevance with a coverage reward.

    Carbonell and Goldstein, 1998; Lin and Bilmes, 2011.
    """

    def __init__(self, request: Request, taste: Taste, model: SentenceModel | None = None) -> None:
        self._taste = taste
        self._model = model or shipped_model()
        topic = request.understanding.topic or request.question
        # "Papers on X with code" asks for papers on X: where the code is was taken for a filter.
        self._kind = kind_of(topic if request.understanding.heard else request.question, request.understanding)
        self._topic = topic
        self._stems = frozenset(text.stems(topic))
        self._thing = frozenset(text.stems(thing_of(request.question)))
        self._titles = {hit.paper.id: hit.paper.title for hit in request.hits}
        self._scores = {hit.paper.id: hit.score for hit in request.hits}
        self._contributes: dict[tuple[str, int], bool] = {}
        self._likely: dict[tuple[str, int], float] = {}
        self._taken: list[ScoredSentence] = []
        self._covered: set[str] = set()

    def weigh(self, group: Sequence[ScoredSentence], *, thing: str | None = None) -> None:
        """Learn the likelihoods of one paper's sentences, given in order; `thing` is what it is asked to define, where
        the question asks for more than one."""
        wanted = self._thing if thing is None else frozenset(text.stems(thing))
        found = signs(self._kind, self._topic, self._titles[group[0].paper_id], group)
        for item, its_signs in zip(group, found, strict=True):
            likely = self._model.probability(its_signs)
            likely *= 0.5 if len(text.words(item.text)) < 5 else 1.0
            likely *= 0.3 if item.text.rstrip().endswith("?") else 1.0
            if self._kind == "definition" and defines(item.text, wanted):
                likely = max(likely, _DEFINES)
            if its_signs["announcement"]:  # a matter of course that no case teaches: wanted when asked for, else not
                likely = max(likely, 0.9) if self._kind == "code" else 0.1 * likely
            self._likely[item.paper_id, item.ordinal] = likely
            self._contributes[item.paper_id, item.ordinal] = bool(its_signs["contribution"])

    @property
    def answer_first(self) -> bool:
        """Whether the sentence that answers should open the answer; else the abstract's own order reads better."""
        return self._kind in {"number", "result", "code", "reason"}

    @property
    def open_ended(self) -> bool:
        """Whether the question asks for nothing in particular, so that more than one paper may well answer it."""
        return self._kind in {"open", "method"}

    def fit(self, groups: Sequence[Sequence[ScoredSentence]]) -> list[tuple[float, float]]:
        """For each paper's sentences: their best relevance and the paper's score, as shares of the best of all."""
        relevance = [max(item.relevance for item in group) for group in groups]
        scores = [max(0.0, self._scores[group[0].paper_id]) for group in groups]
        best, top = max(relevance, default=0.0) or 1.0, max(scores, default=0.0) or 1.0
        return [(one / best, other / top) for one, other in zip(relevance, scores, strict=True)]

    def likelihood(self, item: ScoredSentence) -> float:
        """Probability (0..1) that a weighed sentence holds the answer."""
        return self._likely[item.paper_id, item.ordinal]

    def gain(self, item: ScoredSentence) -> float:
        """What a sentence adds to those taken; -1 for one that was said already."""
        stems = stem_set(item.text)
        likeness = max((float(item.vector @ other.vector) for other in self._taken), default=0.0)
        shared = max((_overlap(stems, stem_set(other.text)) for other in self._taken), default=0.0)
        if max(likeness, shared) >= self._taste.near_duplicate:
            return -1.0
        fresh = (self._stems & stems) - self._covered
        reward = self._taste.coverage * len(fresh) / max(1, len(self._stems))
        return self.likelihood(item) + reward - self._taste.redundancy * likeness

    def take(self, item: ScoredSentence) -> None:
        """Count a sentence as said."""
        self._taken.append(item)
        self._covered |= self._stems & stem_set(item.text)

    def several_of(self, group: Sequence[ScoredSentence], most: int) -> list[ScoredSentence]:
        """Sentences of one paper, best first, until a further one adds too little or the answer gets long."""
        left = list(group)
        chosen: list[ScoredSentence] = []
        floor, length = 0.0, 0
        while left and len(chosen) < most:
            item = max(left, key=self.gain)
            gain = self.gain(item)
            left.remove(item)
            if gain < floor:
                break
            if chosen and length + len(item.text.split()) > self._taste.most_words:
                continue
            chosen.append(item)
            self.take(item)
            length += len(item.text.split())
            floor = floor or self._share(item) * gain
        return chosen

    def _share(self, best: ScoredSentence) -> float:
        sure = self._kind == "number" and self.likelihood(best) >= self._taste.sure
        return self._taste.sure_gain if sure else self._taste.gain

    def one_of(self, group: Sequence[ScoredSentence]) -> ScoredSentence | None:
        """The sentence of one paper that adds most and says what the paper brings; None when all was said already."""
        best = max(item.relevance for item in group) or 1.0

        def worth(item: ScoredSentence) -> float:
            gain = self.gain(item)
            if gain < 0:
                return gain
            told = self._taste.contribution * self._contributes[item.paper_id, item.ordinal]
            return gain + self._taste.relevance * item.relevance / best + told

        item = max(group, key=worth)
        return item if self.gain(item) > 0 else None


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard similarity; the vectors of one sentence in two papers differ by the papers' titles."""
    return len(one & other) / len(one | other) if one | other else 0.0


def by_paper(sentences: Sequence[ScoredSentence]) -> Mapping[str, list[ScoredSentence]]:
    """Sentences by paper id, in the order given."""
    groups: dict[str, list[ScoredSentence]] = {}
    for item in sentences:
        groups.setdefault(item.paper_id, []).append(item)
    return groups
