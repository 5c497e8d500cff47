"""Answers that compare the records of two papers: which is older, which has more authors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rag.answerers.base import Draft
from rag.answerers.records import READERS, Known, likeness
from rag.answers import Hit, Quote
from rag.citations import DraftSentence
from rag.markers import append_marker

if TYPE_CHECKING:
    from rag.papers import Paper
    from rag.question_comparisons import Comparison

_THAN_THE_OTHER = {
    "date": ("is older", "is newer"),
    "n_authors": ("has fewer authors", "has more authors"),
    "upvotes": ("has fewer upvotes", "has more upvotes"),
    "comments": ("has fewer comments", "has more comments"),
}


class _Told(NamedTuple):
    """One of the two papers: its number among the hits, and what its record says."""

    number: int
    paper: Paper
    known: Known | str


def both(comparison: Comparison, hits: Sequence[Hit]) -> tuple[int | None, int | None]:
    """The numbers of the hits that the question means, None for one that is not among them."""
    first, second = comparison.papers
    one = _most_like(first, hits, without=None)
    return one, _most_like(second, hits, without=one)


def _most_like(phrase: str, hits: Sequence[Hit], *, without: int | None) -> int | None:
    found = {number: likeness(phrase, hit.paper) for number, hit in enumerate(hits, start=1) if number != without}
    best = max(found, key=lambda number: found[number], default=None)
    return best if best is not None and found[best] else None


def compared(comparison: Comparison, hits: Sequence[Hit]) -> Draft:
    """What the two records say, the one that was asked for first; a note where they do not settle it. Abstains where
    a paper is not there, or no record holds the field."""
    numbers = both(comparison, hits)
    missing = [name for name, number in zip(comparison.papers, numbers, strict=True) if number is None]
    if missing:
        return Draft(abstained=f"none of the papers found is “{'” or “'.join(missing)}”")
    papers = [(number, hits[number - 1].paper) for number in numbers if number is not None]
    told = [_Told(number, paper, READERS[comparison.field](paper)) for number, paper in papers]
    if all(isinstance(item.known, str) for item in told):
        return Draft(abstained=" and ".join(str(item.known) for item in told))
    order = _ordered(told, comparison)
    notes = [f"{item.known[:1].upper()}{item.known[1:]}." for item in told if isinstance(item.known, str)]
    if order is None and comparison.least is not None:
        notes.append("So their records do not say which of the two it is.")
    return Draft(tuple(_sentences(order or told, comparison, settled=order is not None)), notes=tuple(notes))


def _ordered(told: Sequence[_Told], comparison: Comparison) -> list[_Told] | None:
    """The two with the one that was asked for first; None where none was, or the records do not settle it."""
    one, two = (_value(item.paper, comparison.field) for item in told)
    if comparison.least is None or one is None or two is None:
        return None
    if isinstance(one, str) or isinstance(two, str):
        first, second = str(one), str(two)
        if first.startswith(second) or second.startswith(first):
            return None  # "2017" may be before or after "2017-06"
        first_has_less = first < second
    elif one == two:
        return None
    else:
        first_has_less = one < two
    return list(told) if first_has_less == comparison.least else list(reversed(told))


def _value(paper: Paper, field: str) -> int | str | None:
    match field:
        case "date":
            date = paper.date or str(paper.year or "")
            return None if date.startswith("--") else date or None
        case "n_authors":
            return paper.n_authors if paper.n_authors is not None else len(paper.authors) or None
        case _:
            return getattr(paper, field)


def _sentences(told: Sequence[_Told], comparison: Comparison, *, settled: bool) -> Iterator[DraftSentence]:
    less, more = _THAN_THE_OTHER[comparison.field]
    for place, item in enumerate(told):
        if isinstance(item.known, str):
            continue
        verdict = f" {less if comparison.least else more} than the other: it" if settled and place == 0 else ""
        sentence = append_marker(f"“{item.paper.title}”{verdict} {item.known.predicate}.", item.number)
        yield DraftSentence(sentence, " " if place else "", Quote(item.known.quote, 0, 0))
