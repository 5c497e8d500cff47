"""The gate: whether the abstracts found answer the question, how sure that is, and what is missing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag import text
from rag.answers import Hit
from rag.errors import LibraryError
from rag.evidence import ScoredSentence, Term, background, is_bare
from rag.gate_features import Closest, FeatureMaker, TokenMatcher, closer
from rag.gate_rules import lacks, names_one, names_unsaid
from rag.interfaces import Encoder, WordStatistics
from rag.papers import Paper
from rag.questions import Understanding
from rag.settings import GateSettings

MODEL_FILE = Path(__file__).with_name("gate_model.json")

Tree = Any
"""A leaf is a number; a fork is [feature, threshold, left, right]: left when the value is at most the threshold."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to answer. `probability` is the calibrated one that the abstracts hold the answer; `reason` says
    in words for the user what is missing, None when answerable. `near` says whether the papers found may still have to
    do with it."""

    answerable: bool
    probability: float
    reason: str | None
    near: bool = True


@dataclass(frozen=True, slots=True)
class Forest:
    """Gradient-boosted trees and a logistic curve (Platt 1999) that turns their sum into a probability."""

    trees: tuple[Tree, ...]
    slope: float
    intercept: float

    def probability(self, features: Mapping[str, float]) -> float:
        """Probability (0..1) that the question with these features is answerable."""
        total = sum(_leaf(tree, features) for tree in self.trees)
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, self.slope * total + self.intercept))))


@dataclass(frozen=True, slots=True)
class GateModel:
    """A cascade: where the `first` forest, on `FEATURES`, is unsure, `second` decides, which knows those of `CLOSER`
    too."""

    first: Forest
    second: Forest
    unsure: tuple[float, float]
    """The probabilities between which the first is unsure."""
    threshold: float

    @classmethod
    def read(cls, path: Path = MODEL_FILE) -> GateModel:
        """Read a model written by `eval/bench/calibrate_gate.py`; LibraryError says what is wrong with it."""
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            low, high = map(float, plain["unsure"])
            first, second = (
                Forest(tuple(plain[name]["trees"]), float(plain[name]["slope"]), float(plain[name]["intercept"]))
                for name in ("first", "second")
            )
            return cls(first, second, (low, high), float(plain["threshold"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LibraryError(f"cannot read the gate's model {path}: {error!r}; install Citewise again") from error


def _leaf(tree: Tree, features: Mapping[str, float]) -> float:
    while not isinstance(tree, int | float):
        name, threshold, left, right = tree
        tree = left if features[name] <= threshold else right
    return tree


class Gate:
    """Judges whether what was found answers the question. `encoder` compares sentences and words; `own` is the
    built-in encoder where the library's vectors are another's. Without `matched` there is no second look where the
    first leaves it unsure."""

    def __init__(
        self,
        encoder: Encoder,
        statistics: WordStatistics,
        *,
        settings: GateSettings | None = None,
        model: GateModel | None = None,
        own: Encoder | None = None,
        matched: TokenMatcher | None = None,
    ) -> None:
        self._matched = matched
        self._settings = settings or GateSettings.model_validate({})
        self._model = model or GateModel.read()
        self._maker = FeatureMaker(encoder, statistics, own)

    @property
    def threshold(self) -> float:
        """The probability below which the gate abstains."""
        return self._model.threshold if self._settings.threshold is None else self._settings.threshold

    def judge(
        self,
        question: str,
        hits: Sequence[Hit],
        sentences: Sequence[ScoredSentence],
        understanding: Understanding,
    ) -> Verdict:
        """Judge the `hits` and the scored `sentences` of the first of them, both from one `Retrieval`.

        A gate that is switched off still says no when there is nothing to answer from.
        """
        if not text.words(question):
            return Verdict(False, 0.0, "the question has no words to search for")
        if not hits:
            return Verdict(False, 0.0, "no paper in the library has anything to do with it")
        if understanding.heard and is_bare(understanding.topic):
            return Verdict(True, 1.0, None)  # a list of the papers that pass the filter is all that is asked for
        evidence = self._maker.evidence(hits, sentences, understanding)
        if evidence.closest is None:
            return Verdict(False, 0.0, "the question names no subject to search for")
        probability = self._probability(evidence.features, evidence.closest, understanding)
        if not self._settings.enabled or self.threshold <= 0:
            return Verdict(True, probability, None)
        if understanding.language and not names_one(question, understanding, (hit.paper for hit in hits)):
            return Verdict(False, min(probability, self.threshold / 2), _OTHER_WORDS, near=False)
        certain = _surely_missing(hits, understanding)
        if certain is not None:
            return Verdict(False, min(probability, self.threshold / 2), certain)
        if probability >= self.threshold:
            return Verdict(True, probability, None)
        stranger = all(term.frequency == 0 and background(term.stem) == 0 for term in evidence.terms)
        return Verdict(False, probability, _reason(evidence.closest, understanding), near=not stranger)

    def _probability(self, features: Mapping[str, float], paper: Closest, understanding: Understanding) -> float:
        probability = self._model.first.probability(features)
        low, high = self._model.unsure
        # The transformer reads English: it finds the words of another language nowhere, whatever they ask.
        if self._matched is None or understanding.language or not low < probability < high:
            return probability
        return self._model.second.probability({**features, **closer(understanding.topic, paper, self._matched)})


_NO_KIND = {
    "number": "gives no number for it",
    "date": "gives no date for it",
    "person": "names nobody for it",
    "name": "names none",
    "reason": "gives no reason for it",
}
_OTHER_WORDS = "its words are not those of the abstracts"
_FAR = 0.6
_OF_RECORD = frozenset("wrote write written authored posted published released year date venue upvotes".split())


def _surely_missing(hits: Sequence[Hit], understanding: Understanding) -> str | None:
    """What is missing beyond doubt, where something is."""
    unsaid = names_unsaid(understanding, (hit.paper for hit in hits))
    if unsaid:
        return f"none of the papers found mentions “{'” or “'.join(unsaid)}”"
    first = hits[0].paper  # a number of another paper is a number of something else
    wanted = None if understanding.several else lacks(understanding.topic, first)
    return f"{_nearest(first)} {wanted}" if wanted else None


def _nearest(paper: Paper) -> str:
    return f"the nearest paper, “{text.shorten(paper.title, 80)}”,"


def _reason(nearest: Closest, understanding: Understanding) -> str:
    """What is missing; every phrase states only what was checked, word by word."""
    names = {text.stem(part) for name in understanding.names for part in text.normalised_title(name).split()}
    unknown = [term for term in nearest.uncovered if term.frequency == 0]
    if unknown and understanding.language:
        return _OTHER_WORDS
    if unknown and all(term.word in _OF_RECORD for term in unknown):
        return "who wrote a paper, when and where stands in its record, not in its abstract; ask for that on its own"
    if unknown:
        return f"none of the abstracts mentions {_listed(unknown, understanding, names)}"
    paper = _nearest(nearest.paper)
    unsaid = [term for term in nearest.uncovered if term.stem in names or nearest.soft[term.stem] < _FAR]
    if unsaid:
        return f"{paper} does not mention {_listed(unsaid, understanding, names)}"
    if not nearest.has_kind:
        return f"{paper} {_NO_KIND[understanding.asked]}"
    return f"{paper} is on the subject, but no sentence of it comes close to what is asked"


def _listed(terms: Sequence[Term], understanding: Understanding, names: set[str]) -> str:
    ordered = sorted(terms, key=lambda term: (term.stem not in names, -term.weight))[:3]
    shown = dict.fromkeys(_as_written(term, understanding) for term in ordered)
    *most, last = [f"“{word}”" for word in shown]
    return f"{', '.join(most)} or {last}" if most else last


def _as_written(term: Term, understanding: Understanding) -> str:
    for word in text.words(understanding.topic):
        if term.stem in {text.stem(part) for part in text.normalised_title(word).split()}:
            return word
    return term.word
