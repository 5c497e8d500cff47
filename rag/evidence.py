"""Sentences of papers scored against a question: the ground of quotes, reranks, the gate and answers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rag import text
from rag.answer_signs import holds, number_near
from rag.interfaces import Encoder, WordStatistics
from rag.papers import Paper
from rag.question_target import asked_for
from rag.questions import Asked, Understanding, asks_for_papers, kind_of_answer
from rag.text import stem_set

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

# How much of its title's vector a sentence's vector carries, and how much a stem that only the title holds
# counts towards the sentence's coverage: a sentence rarely repeats what its paper is about.
_TITLE_MIX, _TITLE_SHARE = 0.3, 0.5
# Relevance, chosen by how often the first sentence of a right paper holds the asked fact (388 papers of the
# hand-written cases): cosine and coverage alone 0.59, with these shares and cues 0.62.
_COSINE_SHARE, _KIND_CUE, _NUMBER_CUE = 0.35, 0.1, 0.1

# Words by which a question refers to papers and to itself rather than to its topic: they say nothing about
# whether a sentence answers.
_SCAFFOLD = """
    paper work article study author abstract publication research researcher propose introduce present
    describe discuss mention report explain address explore investigate deal concern tell know give find show
    list name call say question answer kind sort type exist make come want need help look many people anyone
    something anything main exactly actually according please example recent new post publish
    appear library collection online found known shown told given gave said made came sought
"""
_LISTING = frozenset(
    "paper papers article articles work works study studies publication publications preprint preprints abstract"
    " abstracts"
    " mention mentions discuss discusses list find show library collection deal deals recommend suggest".split()
)
_USING = frozenset(
    "use uses used using employ employs apply applies evaluate evaluates evaluated test tests tested train trains"
    " trained experiment experiments report reports result results benchmark benchmarks dataset datasets data say says"
    " contain contains include includes cite cites run runs".split()
)
_JOINTS = re.compile(r"[\W_]+")
_POSSESSIVE = re.compile(r"['’]s\b")
_FREQUENCIES = Path(__file__).with_name("word_frequencies.json")
_PRIOR = 300


@dataclass(frozen=True, slots=True)
class Term:
    """One content stem of a question: the word as asked, its weight (inverse document frequency), and the
    number of passages that hold it."""

    stem: str
    word: str
    weight: float
    frequency: int


@dataclass(frozen=True, slots=True)
class ScoredSentence:
    """One sentence of a paper's abstract (its title, with `start == end == 0`, when it has no abstract).

    `relevance` (0..1) is the number to rank by; `cosine` compares the question's vector with `vector`, the
    sentence's vector in the context of its title; `coverage` (0..1) is the weight share of the question's
    terms that the sentence holds, terms found only in the title counting half.
    """

    paper_id: str
    ordinal: int
    text: str
    start: int
    end: int
    relevance: float
    cosine: float
    coverage: float
    vector: Vectors


def score_sentences(
    question: str, papers: Sequence[Paper], *, encoder: Encoder, statistics: WordStatistics
) -> list[ScoredSentence]:
    """Every sentence of `papers`, in the order of the papers and of their sentences; one encoder call for all."""
    import numpy as np

    spans = [(row, ordinal, span) for row, paper in enumerate(papers) for ordinal, span in enumerate(_spans(paper))]
    if not spans:
        return []
    terms = question_terms(question, statistics)
    asked = encoder.encode([question], side="query")[0]
    encoded = encoder.encode([*(span.text for *_, span in spans), *(paper.title for paper in papers)], side="passage")
    mixed = encoded[: len(spans)] + _TITLE_MIX * encoded[len(spans) :][[row for row, *_ in spans]]
    lengths = np.linalg.norm(mixed, axis=1, keepdims=True)
    vectors = np.divide(mixed, lengths, out=np.zeros_like(mixed), where=lengths > 0)
    cosines: list[float] = (vectors @ asked).tolist()
    titles = [stem_set(paper.title) for paper in papers]
    kind, phrase = kind_of_answer(question), asked_for(question)
    scored: list[ScoredSentence] = []
    for (row, ordinal, span), cosine, vector in zip(spans, cosines, vectors, strict=True):
        coverage = _coverage(terms, stem_set(span.text), titles[row])
        plain = _COSINE_SHARE * cosine + (1 - _COSINE_SHARE) * coverage
        relevance = min(1.0, max(0.0, plain + _cue(kind, phrase, span.text)))
        scored.append(ScoredSentence(papers[row].id, ordinal, *span, relevance, cosine, coverage, vector))
    return scored


def _cue(kind: Asked, phrase: frozenset[str], sentence: str) -> float:
    """What a sentence gains for holding a thing of the kind asked for."""
    if kind == "number":
        return _KIND_CUE * holds(kind, sentence) + _NUMBER_CUE * number_near(phrase, sentence)
    return 0.0 if kind in {"open", "yes-no", "definition"} else _KIND_CUE * holds(kind, sentence)


def question_terms(question: str, statistics: WordStatistics) -> tuple[Term, ...]:
    """The content stems of a question with their weights, in order, each once.

    Words that only refer to papers are left out, unless there are no others.
    """
    words: dict[str, str] = {}
    for part in _JOINTS.sub(" ", _POSSESSIVE.sub("", " ".join(text.content_words(question)))).split():
        if part not in text.STOP_WORDS:
            words.setdefault(text.stem(part), part)
    kept = {stem: word for stem, word in words.items() if stem not in _scaffold()} or words
    frequency = statistics.document_frequency(list(kept.values()))
    count = max(1, statistics.count())
    return tuple(
        Term(stem, word, term_weight(stem, frequency.get(word, 0), count), frequency.get(word, 0))
        for stem, word in kept.items()
    )


def subject(topic: str) -> str:
    """A question that asks for papers without the words that say so, or as it was when there are no others: no paper is
    about "papers" or "mention" because papers that mention something are asked for.

    >>> subject("Which papers mention MNIST?")
    'MNIST'
    """
    kept = [word for word in text.words(topic) if word.lower() not in text.STOP_WORDS and word.lower() not in _LISTING]
    return " ".join(kept) or topic


def wants_whoever_says(understanding: Understanding) -> bool:
    """Whether a question wants the papers that say a name, and asks nothing else of them.

    >>> from rag.questions import understand
    >>> [wants_whoever_says(understand(f"Which papers {rest}?")) for rest in ("mention MNIST", "generate MNIST digits")]
    [True, False]
    """
    names = " ".join(understanding.names)
    if not names or not asks_for_papers(understanding.topic):
        return False
    return stem_set(subject(understanding.topic)) <= stem_set(names) | {text.stem(word) for word in _USING}


def says_all(names: Sequence[str], source: str) -> bool:
    """Whether a text says each of the names, in whatever letter case."""
    said = f" {text.normalised_title(source)} "
    return all(f" {text.normalised_title(name)} " in said for name in names)


def is_bare(topic: str) -> bool:
    """Whether a topic has no words but those that refer to papers: "Which papers are there?"."""
    return stem_set(topic) <= _scaffold()


def term_weight(stem: str, frequency: int, count: int) -> float:
    """How much a stem says: its inverse document frequency, in a library of `count` passages and in abstracts
    at large, which count as `_PRIOR` more passages. In a small library alone, "take" is as rare as any name."""
    return idf(frequency + _PRIOR * background(stem), count + _PRIOR)


def background(stem: str) -> float:
    """The share (0..1) of abstracts at large that hold a stem; 0 for a rare or unknown one."""
    return _shares().get(stem, 0.0)


def idf(frequency: float, count: float) -> float:
    """BM25's inverse document frequency, never negative."""
    return math.log(1 + max(0.0, count - frequency + 0.5) / (frequency + 0.5))


def covered(terms: Sequence[Term], stems: frozenset[str]) -> float:
    """The weight share of the terms that are among `stems`; 0 when there are no terms."""
    total = sum(term.weight for term in terms)
    return sum(term.weight for term in terms if term.stem in stems) / total if total else 0.0


def best_by_paper(sentences: Sequence[ScoredSentence]) -> Mapping[str, ScoredSentence]:
    """The most relevant sentence of each paper, the earlier one of equals."""
    best: dict[str, ScoredSentence] = {}
    for sentence in sentences:
        if sentence.paper_id not in best or sentence.relevance > best[sentence.paper_id].relevance:
            best[sentence.paper_id] = sentence
    return best


@lru_cache(maxsize=1)
def _shares() -> dict[str, float]:
    plain = json.loads(_FREQUENCIES.read_text(encoding="utf-8"))
    return {stem: number / plain["passages"] for stem, number in plain["stems"].items()}


@lru_cache(maxsize=1)
def _scaffold() -> frozenset[str]:
    return frozenset(text.stem(word) for word in _SCAFFOLD.split())


def _spans(paper: Paper) -> list[text.Span]:
    return text.sentences(paper.abstract) or [text.Span(paper.title, 0, 0)]


def _coverage(terms: Sequence[Term], sentence: frozenset[str], title: frozenset[str]) -> float:
    return covered(terms, sentence) + _TITLE_SHARE * covered(terms, title - sentence)
