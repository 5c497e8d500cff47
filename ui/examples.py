"""Example questions made from the papers at hand, each kept only when the library really answers it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from rag import CitewiseError, Paper
from rag.steps import step

if TYPE_CHECKING:
    from rag.library import Library

_LOOKED_AT = 400
_TRIED = 12
_NAME = re.compile(r"[A-Z][\w.+-]{2,24}(?: [A-Z][\w.+-]*){0,2}")


def examples(library: Library, most: int = 4) -> list[str]:
    """Up to `most` questions about papers spread over the library, each answered with its own paper as first source."""
    papers = list(islice(library.papers(), _LOOKED_AT))
    found: list[str] = []
    with step("examples"):  # so that whoever listens can tell these from questions that somebody asked
        for question, wanted in islice(_candidates(papers), _TRIED):
            if _answered(library, question, wanted):
                found.append(question)
            if len(found) == most:
                break
    return found


def _candidates(papers: list[Paper]) -> Iterator[tuple[str, set[str]]]:
    topics = _topics(papers)
    if topics:
        topic, ids = topics[0]
        yield f"Which papers are about {topic}?", ids
    named = [(paper, name) for paper in papers if (name := _name(paper))]
    step = max(1, len(named) // _TRIED)
    shapes = ("What is {}?", "How does {} work?", "What results does {} report?")
    for place, (paper, name) in enumerate(named[::step]):
        yield shapes[place % 3].format(name), {paper.id}


def _name(paper: Paper) -> str | None:
    """The method's name in a title such as "Name: what it does", when the abstract speaks of it."""
    head, colon, _ = paper.title.partition(":")
    return head if colon and _NAME.fullmatch(head) and head in paper.abstract else None


def _topics(papers: list[Paper]) -> list[tuple[str, set[str]]]:
    """Pairs of words that stand in several titles, the most frequent first."""
    pairs: Counter[str] = Counter()
    owners: dict[str, set[str]] = {}
    for paper in papers:
        words = re.findall(r"[a-z]{4,}", paper.title.lower())
        for pair in {f"{one} {two}" for one, two in pairwise(words)}:
            pairs[pair] += 1
            owners.setdefault(pair, set()).add(paper.id)
    return [(pair, owners[pair]) for pair, count in pairs.most_common(5) if count >= 3]


def _answered(library: Library, question: str, wanted: set[str]) -> bool:
    try:
        answer = library.ask(question, extractive=True)  # nobody pays for, or waits for, a question that nobody asked
    except CitewiseError:
        return False
    cited = bool(answer.citations) and all(sentence.supported for sentence in answer.sentences)
    return answer.abstained is None and cited and answer.citations[0].paper_id in wanted
