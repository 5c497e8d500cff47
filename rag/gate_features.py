"""What the gate looks at: raw similarities, and how much of what was asked the nearest papers say."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from rag import text
from rag.answer_signs import holds, number_near
from rag.answers import Hit
from rag.coverage import View, Viewer, closest, joined_views
from rag.evidence import ScoredSentence, Term, background, idf, question_terms, term_weight
from rag.interfaces import Encoder, WordStatistics
from rag.limitations import LIMIT_WORDS, asks_limits, tells_limits
from rag.papers import Paper
from rag.question_target import asked_for
from rag.questions import Understanding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

FEATURES = tuple(
    """closest_cosine top3_cosine paper_hard paper_soft sentence_hard best_sentence_soft plain_hard plain_soft
    plain_sentence_soft most_unsaid most_unsaid_hard most_unsaid_sentence unsaid_name unsaid_head unsaid_light
    unsaid_common left residual residual_any unknown_words name_missing has_name head_soft head_sentence_soft
    head_by_kind number_head_unsaid number_near_head asks_name asks_yes_no asks_open dense_best lexical_share
    lexical_margin length unsaid_share unsaid_last unsaid_end names_nowhere""".split()
)
"""The names of the features, in the order of the model's columns."""

CLOSER = ("maxsim_mean", "maxsim_least", "maxsim_least_three")
"""The names of those that cost a look at the closest paper with a transformer."""

TokenMatcher = Callable[[str, Sequence[str]], "Vectors"]
"""For each token of a question, the greatest cosine with a token of some texts, all in their context."""

# Papers that may hold the answer; looking further makes strangers look answerable.
_DEPTH = 5
# Sentences of a paper that are looked at closer: nearly all of most, and no more of an abstract of a hundred.
_READ_CLOSER = 6
_BM25_PEAK = 2.2  # k1 + 1: what a term's weight tends to in BM25 with k1 = 1.2, before length normalisation
_COMMON = 0.03  # share of abstracts from which on a word is common
# Words that carry little of what is asked: an abstract that answers rarely repeats them.
_LIGHT = """
    able across actual add adopt affect aim allow alone already altogether amount apply arrive aside ask avoid
    away back bad bar base become begin behave behind believe best better big bit break bring bound build buy
    call care carry case cause certain change check choose claim clear close collect compare compute consider
    contain cope cost count cover create cut day deal decide define depend describe design detail determine
    differ difference different difficult do draw easily easy effect enable end enough even ever every exact
    example exist expect extent fact fail fair far fast few figure find fit fix follow form full gain gather
    general get give go goal good group grow guess half handle hand happen hard hardly have help hidden high
    hint hold hope hurt idea improve include increase instead involve issue judge keep kind know lack large last
    late lead learn least leave let level like likely line little long look lose lot low made main make manage
    matter mean measure meet miss mix mostly move name near need new next nice note number obtain offer often
    old open own pair part people pick piece place plain play point poor possible prefer present prevent prove
    provide purpose put quality quantity quick quite reach read ready real reason record reduce refer rely
    remain remove replace require respect rest result return right role run safe same save say see seem select
    send sense separate set several shape share show shrink side simple single size skip slow small solve sort
    speed squeeze stand start state stay step still stop strong study suffer suggest suit supply support sure
    switch take talk task tell tend term test thing think time together took total touch toward treat trick true
    trust try turn type understand useful useless usual value vary want watch way weak well whole win within
    wonder word work world worse worst wrong year
"""
# Words by which a question asks for several papers side by side.
_GATHERING = frozenset(
    "compare compared comparison contrast versus vs difference differences differ overview survey surveys summary"
    " summarise summarize review".split()
)
# Words by which a question asks what a paper is for.
_AIMS = frozenset(
    "problem problems issue issues challenge challenges contribution contributions idea ideas goal purpose aim solve"
    " solves solved address addressed tackle tackled key main".split()
)
_ASKS_AIM = re.compile(
    r"\bwhat\s(?:\w+\s)?(?:problem|issue|challenge)s?\s(?:does|do|did|is|are)\b"
    r"|\bwhat\s(?:is|are|was|were)\sthe\s(?:\w+\s)?(?:contributions?|ideas?|goal|purpose|aim)\s(?:of|behind)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Closest:
    """The paper that says most of what was asked, and what it leaves unsaid."""

    paper: Paper
    uncovered: tuple[Term, ...]
    soft: dict[str, float]
    """By stem of a term: how near the paper's words come to it, 0..1."""
    has_kind: bool
    """Whether a likely sentence holds the kind of thing asked for (a number, a date, a reason, a name)."""
    told: tuple[str, ...]
    """Its title and its most relevant sentences."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The gate's view of a question: finite features by name; the closest paper, None when there is nothing."""

    features: dict[str, float]
    terms: tuple[Term, ...]
    closest: Closest | None


def closer(topic: str, paper: Closest, matched: TokenMatcher) -> dict[str, float]:
    """The features `CLOSER`: how near the words asked come to the closest paper's, in the context of their sentences.

    A question that an abstract answers finds each of its words again, in other words perhaps; of a near miss one or two
    words have no counterpart, which the mean of all hides.
    """
    found = sorted(matched(topic, paper.told).tolist())
    mean, *least = (sum(part) / len(part) if part else 0.0 for part in (found, found[:1], found[:3]))
    return dict(zip(CLOSER, (mean, *least), strict=True))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question's T terms as arrays (T,): `weights` sum to one, `absolute` ones are shares of the greatest
    weight that any word can have; `named` marks parts of exact names, `head` what is asked for."""

    terms: tuple[Term, ...]
    weights: Vectors
    absolute: Vectors
    named: NDArray[np.bool_]
    head: NDArray[np.bool_]
    light: NDArray[np.bool_]
    understanding: Understanding


class FeatureMaker:
    """Computes the features of questions for one library. `own` is the built-in encoder where another one made the
    library's vectors."""

    def __init__(self, encoder: Encoder, statistics: WordStatistics, own: Encoder | None = None) -> None:
        self._own = own
        self._encoder = encoder
        self._statistics = statistics
        self._viewer = Viewer(encoder)

    def evidence(
        self, hits: Sequence[Hit], sentences: Sequence[ScoredSentence], understanding: Understanding
    ) -> Evidence:
        """The evidence for a question; `sentences` are those of the first hits."""
        terms = question_terms(understanding.topic, self._statistics)
        unsayable = _unsayable(understanding)
        if hits and asks_limits(understanding.topic) and tells_limits(hits[0].paper.abstract):
            unsayable |= LIMIT_WORDS
        terms = tuple(term for term in terms if term.word not in unsayable) or terms
        by_paper: dict[str, list[ScoredSentence]] = {}
        for sentence in sentences:
            by_paper.setdefault(sentence.paper_id, []).append(sentence)
        papers = [hit.paper for hit in hits[:_DEPTH] if hit.paper.id in by_paper]
        if not papers or not terms:
            return Evidence(dict.fromkeys(FEATURES, 0.0), terms, None)
        views = [self._viewer.view(paper, by_paper[paper.id], terms) for paper in papers]
        asked = _asked(terms, understanding, max(1, self._statistics.count()))
        view, place = closest(views, asked.weights, asked.named)
        if understanding.several:
            view = _with_other_names(view, views, asked)
        features = (
            _similarities(views, view.sentences[place])
            | _coverages(asked, views, view, place)
            | _unsaid(asked, view, place)
            | _unsaid_by_place(asked, view)
            | {"names_nowhere": _names_nowhere(understanding, views)}
            | self._residual(asked, views, view)
            | _heads(asked, view, place)
            | {"dense_best": self._nearest(understanding.topic, hits)}
            | self._scores(asked, hits)
        )
        return Evidence({name: features[name] for name in FEATURES}, terms, _closest(asked, view, place))

    def _residual(self, asked: _Asked, views: Sequence[View], view: View) -> dict[str, float]:
        """How near the words that the closest paper lacks, taken together, come to what is said at all."""
        left = [
            term.word
            for term, hard, light in zip(asked.terms, view.hard, asked.light, strict=True)
            if not hard and not light
        ]
        if not left:
            return {"left": 0.0, "residual": 1.0, "residual_any": 1.0}
        vector = self._encoder.encode([" ".join(left)], side="query")[0]
        near = [max(float(item.vector @ vector) for item in each.sentences) for each in (view, *views)]
        return {"left": float(len(left)), "residual": near[0], "residual_any": max(near)}

    def _nearest(self, topic: str, hits: Sequence[Hit]) -> float:
        """The best cosine of the topic with a paper, in the vectors that the gate was calibrated with."""
        if self._own is None:
            return max(hit.dense or 0.0 for hit in hits)
        vector = self._own.encode([topic], side="query")[0]
        papers = self._own.encode([f"{hit.paper.title}\n{hit.paper.abstract}" for hit in hits[:_DEPTH]])
        return float((papers @ vector).max())

    def _scores(self, asked: _Asked, hits: Sequence[Hit]) -> dict[str, float]:
        count = max(1, self._statistics.count())
        # BM25's score of a passage that held nothing but the question.
        ideal = _BM25_PEAK * sum(idf(term.frequency, count) for term in asked.terms) or 1.0
        lexical = sorted((hit.lexical or 0.0 for hit in hits[:10]), reverse=True)
        return {
            "lexical_share": lexical[0] / ideal,
            "lexical_margin": (lexical[0] - lexical[-1]) / ideal,
            "length": float(min(len(asked.terms), 15)),
            "unknown_words": sum(term.frequency == 0 for term in asked.terms) / len(asked.terms),
        }


def _unsayable(understanding: Understanding) -> frozenset[str]:
    """Words of a question that an abstract which answers it need not say: none calls itself an overview or a problem
    because it is asked for one."""
    gathering = _GATHERING if understanding.several else frozenset[str]()
    return gathering | _AIMS if _ASKS_AIM.search(understanding.topic) else gathering


def _asked(terms: tuple[Term, ...], understanding: Understanding, count: int) -> _Asked:
    import numpy as np

    names = {text.stem(part) for name in understanding.names for part in text.normalised_title(name).split()}
    phrase = asked_for(understanding.topic)
    plain = np.array([term.weight for term in terms], dtype=np.float32)
    named = np.array([term.stem in names for term in terms])
    return _Asked(
        terms=terms,
        weights=plain / (plain.sum() or 1.0),
        absolute=plain / term_weight("", 0, count),
        named=named,
        head=np.array([term.stem in phrase for term in terms]),
        light=np.array([term.stem in _stems(_LIGHT) for term in terms]) & ~named,
        understanding=understanding,
    )


def _with_other_names(view: View, views: Sequence[View], asked: _Asked) -> View:
    """The closest paper together with those that bear names, or have words in their title, which are asked for and
    which it lacks: two things that are compared are each in a paper of their own."""
    import numpy as np

    joined = view
    for other in views:
        title = text.stem_set(other.paper.title)
        titled = np.array([term.stem in title for term in asked.terms]) & ~asked.light
        if other is not view and (other.hard > joined.hard)[asked.named | titled].any():
            joined = joined_views(joined, other)
    return joined


def _similarities(views: Sequence[View], sentence: ScoredSentence) -> dict[str, float]:
    cosines = sorted((item.cosine for view in views for item in view.sentences), reverse=True)[:3]
    return {"closest_cosine": sentence.cosine, "top3_cosine": sum(cosines) / len(cosines)}


def _coverages(asked: _Asked, views: Sequence[View], view: View, place: int) -> dict[str, float]:
    """Weight shares of the terms that are covered; "plain" ones are those outside names."""
    plain = asked.weights * ~asked.named
    return {
        "paper_hard": float(view.hard @ asked.weights),
        "paper_soft": float(view.soft @ asked.weights),
        "sentence_hard": float(view.sentence_hard[place] @ asked.weights),
        "best_sentence_soft": max(float((each.sentence_soft @ asked.weights).max()) for each in views),
        "plain_hard": _share(view.hard, plain),
        "plain_soft": _share(view.soft, plain),
        "plain_sentence_soft": max(_share(row, plain) for row in view.sentence_soft),
    }


def _unsaid(asked: _Asked, view: View, place: int) -> dict[str, float]:
    """What the closest paper leaves out: the weightiest term, and sums by class of word."""
    import numpy as np

    gap = (1 - view.soft) * (view.hard == 0)
    common = np.array([background(term.stem) >= _COMMON for term in asked.terms]) & ~asked.named & ~asked.light
    return {
        "most_unsaid": float((gap * asked.absolute).max()),
        "most_unsaid_hard": float(((1 - view.hard) * asked.absolute).max()),
        "most_unsaid_sentence": float(((1 - view.sentence_soft[place]) * asked.absolute).max()),
        "unsaid_name": float(gap[asked.named].sum()),
        "unsaid_head": float(gap[asked.head & ~asked.light].sum()),
        "unsaid_light": float(gap[asked.light].sum()),
        "unsaid_common": float(gap[common].sum()),
        "name_missing": float((view.hard[asked.named] == 0).any()),
        "has_name": float(asked.named.any()),
    }


def _unsaid_by_place(asked: _Asked, view: View) -> dict[str, float]:
    """What the closest paper leaves out, by its place in the question: a near miss names its paper first and asks for
    what the paper does not say at the end ("Does X also work on Y?")."""
    gap = (1 - view.soft) * (view.hard == 0) * asked.absolute * ~asked.light
    return {
        "unsaid_share": float(gap.sum() / max(1e-6, float(asked.absolute.sum()))),
        "unsaid_last": float(gap[-1]),
        "unsaid_end": float(gap[-3:].mean()),
    }


def _names_nowhere(understanding: Understanding, views: Sequence[View]) -> float:
    """How many of the names asked about stand, as a whole, in none of the papers: "Point-E" is not "point" and "e"."""
    names = [name for name in map(text.normalised_title, understanding.names) if name]
    if not names:
        return 0.0
    bodies = [
        f" {text.normalised_title(' '.join([view.paper.title, *(item.text for item in view.sentences)]))} "
        for view in views
    ]
    return float(sum(not any(_bears(body, name) for body in bodies) for name in names))


def _bears(body: str, name: str) -> bool:
    return f" {name} " in body or f" {name}s " in body or name.replace(" ", "") in body.replace(" ", "")


def _heads(asked: _Asked, view: View, place: int) -> dict[str, float]:
    """Whether what is asked for is said, near a thing of the kind asked for."""
    kind, head = asked.understanding.asked, asked.weights * asked.head
    fits = [holds(kind, item.text) for item in view.sentences]
    by_kind = max((_share(row, head) for row, fit in zip(view.sentence_soft, fits, strict=True) if fit), default=0.0)
    by_kind = by_kind if asked.head.any() else float(fits[place])
    number = kind == "number"
    phrase = frozenset(term.stem for term, head in zip(asked.terms, asked.head, strict=True) if head)
    return {
        "head_soft": _share(view.soft, head),
        "head_sentence_soft": _share(view.sentence_soft[place], head),
        "head_by_kind": by_kind,
        "number_head_unsaid": 1 - by_kind if number else 0.0,
        "number_near_head": max(number_near(phrase, item.text) for item in view.sentences) if number else 1.0,
        "asks_name": float(kind in {"name", "person", "date"}),
        "asks_yes_no": float(kind == "yes-no"),
        "asks_open": float(kind in {"open", "definition"}),
    }


def _closest(asked: _Asked, view: View, place: int) -> Closest:
    likely = sorted(view.sentences, key=lambda item: -item.relevance)
    return Closest(
        paper=view.paper,
        uncovered=tuple(term for term, hard in zip(asked.terms, view.hard, strict=True) if not hard),
        soft={term.stem: float(soft) for term, soft in zip(asked.terms, view.soft, strict=True)},
        has_kind=any(holds(asked.understanding.asked, item.text) for item in (view.sentences[place], *likely[:2])),
        told=(view.paper.title, *(item.text for item in likely[:_READ_CLOSER])),
    )


def _share(covered: Vectors, weights: Vectors) -> float:
    total = float(weights.sum())
    return float(covered @ weights) / total if total else 1.0


@lru_cache(maxsize=4)
def _stems(words: str) -> frozenset[str]:
    return frozenset(text.stem(word) for word in words.split())
