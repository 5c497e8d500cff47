"""Papers that a question names: by title, by the name a title introduces, by a rare exact name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rag import text
from rag.evidence import idf
from rag.interfaces import WordStatistics
from rag.papers import Paper
from rag.questions import exact_names

# In units of the fused z-score, whose best values lie around 3.
_TITLE_BONUS, _NAME_BONUS, _WORD_BONUS = 6.0, 4.0, 3.0
_IN_TITLE, _IN_ABSTRACT = 0.7, 0.4


@dataclass(frozen=True, slots=True)
class Called:
    """What a question calls things: its normalised words between spaces, its exact names, and how rare words
    are.

    `rarity` is 0..1 by normalised word: inverse document frequency, 1 for a word of a single passage.
    """

    asked: str
    names: tuple[str, ...]
    rarity: Mapping[str, float]


def called(topic: str, names: Sequence[str], statistics: WordStatistics) -> Called:
    """Look up how rare the words of a question are."""
    asked = text.normalised_title(topic)
    keys = tuple(key for name in names if (key := text.normalised_title(name)))
    words = sorted({*asked.split(), *" ".join(keys).split()} - text.STOP_WORDS)
    count = max(1, statistics.count())
    frequency = statistics.document_frequency(words)
    top = idf(1, count) or 1.0
    rarity = {word: min(1.0, idf(frequency.get(word, 0), count) / top) for word in words}
    return Called(f" {asked} ", keys, rarity)


def name_bonuses(question: Called, papers: Iterable[Paper]) -> dict[str, float]:
    """What papers gain, by id, because the question names them; papers that gain nothing are left out.

    A title said in full gains most, then the name that a title introduces ("LDReg: ..."), then a rare exact
    name in a title, then one in an abstract.
    """
    bonuses = {paper.id: _bonus(question, paper) for paper in papers}
    return {key: bonus for key, bonus in bonuses.items() if bonus > 0}


def _bonus(question: Called, paper: Paper) -> float:
    title = "" if paper.untitled else text.normalised_title(paper.title)
    if len(title.split()) > 1 and f" {title} " in question.asked:
        return _TITLE_BONUS
    head, colon, _ = paper.title.partition(":")
    introduced = text.normalised_title(head) if colon and title else ""
    bonus = _said(head, introduced, question)
    for name in question.names:
        bonus = max(bonus, _NAME_BONUS * _carried(name, paper, question, title=title, introduced=introduced))
    return bonus


def _said(head: str, introduced: str, question: Called) -> float:
    """The bonus when the question says, in whatever letter case, the name that a title introduces."""
    words = introduced.split()
    if not words or len(words) > 3 or f" {introduced} " not in question.asked:
        return 0.0
    return _NAME_BONUS if exact_names(head) else _WORD_BONUS * _rarest(words, question) ** 2


def _carried(name: str, paper: Paper, question: Called, *, title: str, introduced: str) -> float:
    if name == introduced:
        return 1.0
    rare = _rarest(name.split(), question)
    if f" {name} " in f" {title} ":
        return _IN_TITLE * rare**2
    # Normalising an abstract costs more than looking whether the name can be in it at all.
    if name.split()[0] not in paper.abstract.casefold():
        return 0.0
    return _IN_ABSTRACT * rare**3 if f" {name} " in f" {text.normalised_title(paper.abstract)} " else 0.0


def _rarest(words: Sequence[str], question: Called) -> float:
    return max((question.rarity.get(word, 0.0) for word in words), default=0.0)
