"""Unanswerable questions by construction: about a paper of the library, but of what its abstract does not say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from eval.case import Case
from eval.making.names import Texts, title_name
from rag.papers import Paper

UNSAID = "The abstracts do not say this."
# A question about a named method, and how the words begin of which an abstract that answers it needs one.
_ASPECTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("How many dollars did it cost to train {name}?", ("dollar", "$", "cost", "price", "USD", "cheap", "expens")),
    ("Who funded the work on {name}?", ("fund", "grant", "sponsor", "financ", "donat")),
    ("Under which licence is the code of {name} released?", ("licen", "open-source", "open source", "MIT", "Apache")),
    (
        "How much carbon dioxide did the training of {name} emit?",
        ("carbon", "emission", "emit", "CO2", "energy", "footprint"),
    ),
    ("Which programming language is {name} written in?", ("Python", "C++", "Java", "programming", "implement", "code")),
    ("On how many GPUs was {name} trained?", ("GPU", "TPU", "accelerator", "hardware", "V100", "A100", "H100", "P100")),
    ("How old were the people who tested {name}?", ("age", "old", "year", "participant", "volunteer", "subject")),
    ("Which optimiser was used to train {name}?", ("optimi", "Adam", "SGD", "gradient", "momentum")),
    ("How many authors of {name} work in industry?", ("industr", "compan", "affiliat", "author")),
    ("Which random seeds were used in the experiments with {name}?", ("seed", "random")),
)
_DATASET = re.compile(r"\bon (?:the )?([A-Z][\w.+]*(?:-[\w.+]+)*)(?= |,|\.|;|\))")
_COMMON = re.compile(r"[A-Z][a-z]+")  # one capitalised word may open a phrase: "on English text"


def aspect_cases(papers: Sequence[Paper], texts: Texts) -> Iterator[Case]:
    """Something that could be asked of any method, where no paper that names it has a word for the answer."""
    for place, paper in enumerate(papers):
        name = title_name(paper)
        if not name:
            continue
        speaking = texts.holding(name)
        # Each paper starts elsewhere in the table, so that a library is asked about all aspects.
        for question, words in (*_ASPECTS[place % len(_ASPECTS) :], *_ASPECTS[: place % len(_ASPECTS)]):
            if texts.lack(speaking, words):
                yield _case(question.format(name=name), paper, "unsaid", words)
                break


def swapped_cases(papers: Sequence[Paper], texts: Texts) -> Iterator[Case]:
    """A method asked for its result on a dataset that only papers which do not speak of the method name."""
    datasets = {name: paper.id for paper in papers for name in _datasets(paper)}
    ordered = sorted(datasets)
    for place, paper in enumerate(papers):
        name = title_name(paper)
        if not name or not ordered:
            continue
        speaking = texts.holding(name)
        start = (place * 7) % len(ordered)
        for dataset in (*ordered[start:], *ordered[:start]):
            if dataset.casefold() != name.casefold() and texts.lack(speaking, [dataset]):
                yield _case(f"Which score does {name} reach on {dataset}?", paper, "swapped", [dataset])
                break


def _datasets(paper: Paper) -> Iterator[str]:
    """Names after “on” that look like those of datasets: with a second capital, a digit or a hyphen."""
    for match in _DATASET.finditer(paper.abstract):
        if not _COMMON.fullmatch(match[1]) and len(match[1]) > 2:
            yield match[1].rstrip(".")


def _case(question: str, paper: Paper, kind: str, absent: Sequence[str]) -> Case:
    return Case(
        id=f"{kind}-{paper.id}",
        question=question,
        answer=UNSAID,
        answerable=False,
        tags=("made", "unanswerable", kind),
        about=(paper.title,),
        absent=tuple(absent),
    )
