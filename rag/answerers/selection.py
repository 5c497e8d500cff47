"""Choosing the sentences of an extractive answer: likely to answer, covering what was asked, nothing said twice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag import text
from rag.answer_signs import tells_of_another
from rag.answerers.definitions import definition_in, thing_of
from rag.answerers.polish import paper_name
from rag.answerers.sentence_model import SentenceModel, kind_of, shipped_model, signs
from rag.evidence import stem_set
from rag.limitations import asks_limits, tells_limits
from rag.questions import asks_for_papers

if TYPE_CHECKING:
    from rag.answerers.base import Request
    from rag.evidence import ScoredSentence

_DEFINES = 0.95
"""The likelihood of the sentence that says what a thing is, where that was asked: a rule, since few cases teach it."""

_LIMITS = 0.85
"""The same of a sentence that tells a weakness, where weaknesses were asked for."""
_ANOTHERS = 0.5
"""What is left of a sentence's likelihood when its number is of a thing that the question does not name."""
_FEW = 2
"""Further words that a question which compares things may have and still be about what they are."""
_MORE = re.compile(
    r"\b(?:more|higher|lower|fewer|larger|smaller|greater|less)\s(?P<what>[A-Za-z][\w-]+)", re.IGNORECASE
)


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
    contribution: float = 0.4
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
        self._kind = kind_of(topic, request.understanding)
        more = _MORE.search(topic) if request.understanding.several else None
        if more and not asks_for_papers(topic):  # "which has more parameters" asks for the number of both
            self._kind, topic = "number", f"How many {more['what']} has {topic}"
        self._topic = topic
        self._asked = stem_set(topic)
        self._stems = frozenset(text.stems(request.understanding.topic or request.question))
        self._thing = stem_set(thing_of(topic) or thing_of(request.question))
        self._titles = {hit.paper.id: hit.paper.title for hit in request.hits}
        self._scores = {hit.paper.id: hit.score for hit in request.hits}
        self._names = {hit.paper.id: stem_set(paper_name(hit.paper) or "") for hit in request.hits}
        self._limits = asks_limits(topic)
        named = stem_set(" ".join(request.understanding.names)).union(*self._names.values())
        self._only_names = self._kind == "definition" or len(self._stems - named) <= _FEW
        self._contributes: dict[tuple[str, int], bool] = {}
        self._likely: dict[tuple[str, int], float] = {}
        self._taken: list[ScoredSentence] = []
        self._covered: set[str] = set()

    def weigh(self, group: Sequence[ScoredSentence], *, thing: str | None = None) -> None:
        """Learn the likelihoods of one paper's sentences, given in order; `thing` is what it is asked to define, where
        the question asks for more than one."""
        wanted = self._thing if thing is None else stem_set(thing) if self._only_names else frozenset[str]()
        found = signs(self._kind, self._topic, self._titles[group[0].paper_id], group)
        texts = [item.text for item in group]
        definition, gist = definition_in(texts, wanted), definition_in(texts, self._names[group[0].paper_id])
        for place, (item, its_signs) in enumerate(zip(group, found, strict=True)):
            likely = self._by_rules(item, its_signs)
            self._likely[item.paper_id, item.ordinal] = max(likely, _DEFINES) if place == definition else likely
            self._contributes[item.paper_id, item.ordinal] = bool(its_signs["contribution"]) or place == gist

    def _by_rules(self, item: ScoredSentence, its_signs: Mapping[str, float]) -> float:
        """The model's likelihood, after matters of course that no case teaches."""
        sentence, likely = item.text, self._model.probability(its_signs)
        likely *= 0.5 if len(text.words(sentence)) < 5 else 1.0
        likely *= 0.3 if sentence.rstrip().endswith("?") else 1.0
        if its_signs["announcement"] and not its_signs["number_asked"]:  # wanted when asked for, else not
            likely = max(likely, 0.9) if self._kind == "code" else 0.1 * likely
        if self._kind == "number" and tells_of_another(sentence, self._asked | stem_set(self._titles[item.paper_id])):
            likely *= _ANOTHERS
        if self._limits:
            likely = max(likely, _LIMITS) if tells_limits(sentence) else likely * (1 - _LIMITS)
        return likely

    @property
    def answer_first(self) -> bool:
        """Whether the sentence that answers should open the answer; else the abstract's own order reads better."""
        return self._limits or self._kind in {"number", "result", "code", "reason"}

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
