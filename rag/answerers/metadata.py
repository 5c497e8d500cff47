"""Answers from a paper's record (date, authors, venue, link…), which its abstract does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from rag import text
from rag.answerers.base import Draft, Request
from rag.answerers.polish import paper_name
from rag.answerers.sentence_model import is_announcement
from rag.answers import Delta, Quote
from rag.citations import DraftSentence
from rag.markers import append_marker, bracketed
from rag.questions import exact_names

if TYPE_CHECKING:
    from rag.papers import Paper

_LOOKED_AT = 5  # hits among which the named paper is looked for
_MONTHS = "January February March April May June July August September October November December".split()


class Known(NamedTuple):
    """What a record says: the end of a sentence that begins with the paper's title, and the field as recorded."""

    predicate: str
    quote: str


class MetadataAnswerer:
    """Answers a question about one paper's record, or says that the record does not hold it."""

    def applies(self, request: Request) -> bool:
        """Whether the question is about the record of one of the papers found."""
        return self._meant(request) is not None

    def write(self, request: Request) -> Iterator[Delta | Draft]:
        """A sentence and its citation for each field asked for; abstains when none of them is known."""
        intent = request.understanding.metadata
        number = self._meant(request)
        if intent is None or number is None:
            yield Draft(abstained="none of the papers found is the one asked about")
            return
        paper = request.hits[number - 1].paper
        found = [_READERS[name](paper) for name in dict.fromkeys((intent.field, *intent.also))]
        told = [known for known in found if isinstance(known, Known)]
        unknown = [known for known in found if isinstance(known, str)]
        if not told:
            yield Draft(abstained=" and ".join(unknown))
            return
        sentences = tuple(_sentence(known, paper, number, first=known is told[0]) for known in told)
        for sentence in sentences:
            yield Delta(sentence.lead + bracketed(sentence.text))
        yield Draft(sentences, notes=tuple(f"{reason[:1].upper()}{reason[1:]}." for reason in unknown))

    def _meant(self, request: Request) -> int | None:
        """The number of the hit that the question means."""
        intent = request.understanding.metadata
        if intent is None or not request.hits:
            return None
        if not intent.paper:
            return 1 if len(request.hits) == 1 else None
        likeness = [_likeness(intent.paper, hit.paper) for hit in request.hits[:_LOOKED_AT]]
        best = max(likeness)
        if best == 0:
            return None
        number = likeness.index(best) + 1
        paper = request.hits[number - 1].paper
        # The abstract may say where the code is even when no link was found in it: that is for the other answerers.
        announced = any(is_announcement(span.text) for span in text.sentences(paper.abstract))
        return None if intent.field == "code" and not paper.code_urls and announced else number


def _sentence(known: Known, paper: Paper, number: int, *, first: bool) -> DraftSentence:
    subject = f"“{paper.title}”" if first else "It"
    text = append_marker(f"{subject} {known.predicate}.", number)
    return DraftSentence(text, "" if first else " ", Quote(known.quote, 0, 0))


def _likeness(phrase: str, paper: Paper) -> int:
    """4 for the title itself, 3 for a part of it, 2 for the name a paper gives its own thing, 1 for words that all
    stand in it or a name that it speaks of again and again ("DPR")."""
    asked, title = text.normalised_title(phrase), text.normalised_title(paper.title)
    if asked == title and not paper.untitled:
        return 4
    if f" {asked} " in f" {title} ":
        return 3
    name = text.normalised_title(paper_name(paper) or "")
    if name and f" {name} " in f" {asked} ":
        return 2
    if exact_names(phrase) == (phrase,) and paper.abstract.count(phrase) > 1:
        return 1
    stems = set(text.stems(phrase))
    in_title = stems & set(text.stems(paper.title))
    everything = set(text.stems(f"{paper.title} {paper.abstract}"))
    return 1 if stems and stems <= everything and 2 * len(in_title) >= len(stems) else 0


def _date(paper: Paper) -> Known | str:
    if paper.date is None:
        return _year(paper) if paper.year else _unrecorded(paper, "its date")
    if paper.date.startswith("--"):
        return Known(f"is dated {spelled_date(paper.date)}; the year is not recorded", f"Date: {paper.date_text}")
    more = "" if paper.date.count("-") == 2 else "; nothing more exact is recorded"
    iso = f" ({paper.date})" if "-" in paper.date else ""
    return Known(f"is dated {spelled_date(paper.date)}{iso}{more}", f"Date: {paper.date_text}")


def _year(paper: Paper) -> Known | str:
    if paper.year is not None:
        return Known(f"is from {paper.year}", f"Year: {paper.year}")
    if paper.date:
        return f"the record of “{paper.title}” gives {spelled_date(paper.date)} without a year"
    return _unrecorded(paper, "its year")


def _n_authors(paper: Paper) -> Known | str:
    number = paper.n_authors if paper.n_authors is not None else len(paper.authors) or None
    if number is None:
        return _unrecorded(paper, "the number of its authors")
    return Known(f"has {number} author{'' if number == 1 else 's'}", f"Authors: {number}")


def _authors(paper: Paper) -> Known | str:
    if paper.authors:
        names = paper.authors
        listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        return Known(f"was written by {listed}", f"Authors: {', '.join(names)}")
    if paper.n_authors is not None:
        return (
            f"the record of “{paper.title}” does not name its authors, it only says that there {_are(paper.n_authors)}"
        )
    return _unrecorded(paper, "its authors")


def _counted(name: str, what: str) -> Callable[[Paper], Known | str]:
    def read(paper: Paper) -> Known | str:
        number: int | None = getattr(paper, name)
        if number is None:
            return _unrecorded(paper, f"its {what}s")
        return Known(f"has {number} {what}{'' if number == 1 else 's'}", f"{what.capitalize()}s: {number}")

    return read


def _venue(paper: Paper) -> Known | str:
    if paper.venue is None:
        return _unrecorded(paper, "its venue")
    return Known(f"appeared at {paper.venue}{f' in {paper.year}' if paper.year else ''}", f"Venue: {paper.venue}")


def _url(paper: Paper) -> Known | str:
    found = paper.url or (f"https://arxiv.org/abs/{paper.arxiv_id}" if paper.arxiv_id else None)
    found = found or (f"https://doi.org/{paper.doi}" if paper.doi else None)
    return Known(f"is at {found}", f"Link: {found}") if found else _unrecorded(paper, "a link to it")


def _code(paper: Paper) -> Known | str:
    if not paper.code_urls:
        return f"neither the record nor the abstract of “{paper.title}” says where its code is"
    return Known(f"has its code at {' and '.join(paper.code_urls)}", f"Code: {', '.join(paper.code_urls)}")


_READERS: dict[str, Callable[[Paper], Known | str]] = {
    "date": _date,
    "year": _year,
    "n_authors": _n_authors,
    "authors": _authors,
    "upvotes": _counted("upvotes", "upvote"),
    "comments": _counted("comments", "comment"),
    "venue": _venue,
    "url": _url,
    "code": _code,
}


def spelled_date(date: str) -> str:
    """A cut ISO date with the month in full.

    >>> [spelled_date(date) for date in ("2024-11-27", "2024-11", "2024", "--03-11")]
    ['27 November 2024', 'November 2024', '2024', '11 March']
    """
    year, month, day = ("", *date[2:].split("-")) if date.startswith("--") else (*date.split("-"), "", "")[:3]
    parts = [str(int(day)) if day else "", _MONTHS[int(month) - 1] if month else "", year]
    return " ".join(part for part in parts if part)


def _unrecorded(paper: Paper, what: str) -> str:
    return f"the record of “{paper.title}” does not hold {what}"


def _are(number: int) -> str:
    return "is 1" if number == 1 else f"are {number}"
