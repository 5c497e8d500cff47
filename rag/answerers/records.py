"""What a paper's record says of it, in words; and how likely a phrase is a paper's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from rag import text
from rag.answerers.definitions import introduces
from rag.answerers.polish import paper_name
from rag.questions import exact_names

if TYPE_CHECKING:
    from rag.papers import Paper

_MONTHS = "January February March April May June July August September October November December".split()


class Known(NamedTuple):
    """What a record says: the end of a sentence that begins with the paper's title, and the field as recorded."""

    predicate: str
    quote: str


def likeness(phrase: str, paper: Paper) -> int:
    """5 for the title itself, 4 for the name of what the paper brings, 3 for a part of its title, 2 for words among
    which that name is, 1 for words that all stand in it or a name that it speaks of again and again ("DPR")."""
    asked, title = text.normalised_title(phrase), text.normalised_title(paper.title)
    if asked == title and not paper.untitled:
        return 5
    name = text.normalised_title(paper_name(paper) or "")
    if asked and (asked == name or any(introduces(span.text, phrase) for span in text.sentences(paper.abstract))):
        return 4
    if f" {asked} " in f" {title} ":
        return 3
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


READERS: dict[str, Callable[[Paper], Known | str]] = {
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
