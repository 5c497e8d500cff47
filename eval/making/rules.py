"""Answerable questions without a model: gaps in sentences, names, and what the records say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from eval.case import Case
from eval.making.names import Texts, title_name
from rag.papers import Paper, display_date
from rag.text import sentences

GAP = "____"
_NUMBER = re.compile(r"(?<![\w.,/-])\d+(?:,\d{3})*(?:\.\d+)?%?(?![\w/-]|[.,]\d)")
_NAMED = re.compile(
    r"\S \W*[A-Z]\S* $"
)  # a name before a number, not at the sentence's head: “IBM 7090”, “GeForce RTX 4090”
_YEAR = re.compile(r"(?:19|20)\d\d")
_LEANS = re.compile(r"(?:This|It|Its|These|Those|They|Their|That|He|She|Here|Such|Both|There)\b")
_WORDS = range(8, 41)  # of a sentence with a gap: fewer name nothing, more are no question


def gap_cases(papers: Sequence[Paper]) -> Iterator[Case]:
    """One sentence a paper with its number left out: “… scored ____ BLEU …”. The number stands nowhere else in the
    abstract and is no part of a name, and the sentence does not lean on the one before it. Easier than a real question:
    it shares all words but one with its source.
    """
    for paper in papers:
        found = next(_gaps(paper), None)
        if found:
            question, number, sentence = found
            yield _case(f"Complete: “{question}”", paper, "gap", [[number]], sentence)


def definition_cases(papers: Sequence[Paper], texts: Texts) -> Iterator[Case]:
    """“What is NAME?”, where one paper has the name in its title and says “NAME is …” (or “NAME: …”)."""
    for paper in papers:
        name = title_name(paper)
        if not name:
            continue
        opening = re.compile(rf"{re.escape(name)}(?: \([^)]*\))? (?:is|are) (?:an?|the|one)\b")
        said = [span.text for span in sentences(paper.abstract) if opening.match(span.text)]
        if said and _sole_owner(paper, name, texts):
            yield _case(f"What is {name}?", paper, "definition", [], said[0])


def naming_cases(papers: Sequence[Paper]) -> Iterator[Case]:
    """“Which paper introduces NAME?”, where only one title begins with the name."""
    names = Counter(filter(None, map(title_name, papers)))
    for paper in papers:
        name = title_name(paper)
        if name and names[name] == 1:
            yield _case(f"Which paper introduces {name}?", paper, "naming", [], f"“{paper.title}”.")


def record_cases(papers: Sequence[Paper]) -> Iterator[Case]:
    """When a paper appeared, who wrote it, where: answered by its record, one question a paper."""
    for place, paper in enumerate(papers):
        if paper.untitled:
            continue
        asked = list(_recorded(paper))
        if asked:
            question, facts, answer = asked[place % len(asked)]
            yield _case(question, paper, "record", facts, answer)


def _gaps(paper: Paper) -> Iterator[tuple[str, str, str]]:
    for span in sentences(paper.abstract):
        if len(span.text.split()) not in _WORDS or _LEANS.match(span.text):
            continue
        numbers = [
            match
            for match in _NUMBER.finditer(span.text)
            if _telling(match[0], paper.abstract) and not _NAMED.search(span.text[: match.start()])
        ]
        if numbers:
            match = numbers[0]
            yield f"{span.text[: match.start()]}{GAP}{span.text[match.end() :]}", match[0], span.text


def _telling(number: str, abstract: str) -> bool:
    """A number of two digits or more that is no year, and that the abstract says once."""
    digits = re.sub(r"\D", "", number)
    return len(digits) > 1 and not _YEAR.fullmatch(number) and abstract.count(number.rstrip("%")) == 1


def _sole_owner(paper: Paper, name: str, texts: Texts) -> bool:
    """Whether no other paper could define the name as well."""
    return texts.holding(f"{name} is") == [paper.id] or texts.holding(name) == [paper.id]


def _recorded(paper: Paper) -> Iterator[tuple[str, list[list[str]], str]]:
    title = f"“{paper.title}”"
    if paper.year:
        yield f"In which year did {title} appear?", [[str(paper.year)]], f"In {paper.year}."
    if paper.authors and len(paper.authors) <= 3:
        surnames = [[author.split()[-1]] for author in paper.authors]
        yield f"Who wrote {title}?", surnames, f"{', '.join(paper.authors)}."
    if paper.venue:
        yield f"Where was {title} published?", [[paper.venue]], f"{paper.venue}."
    if paper.date and not paper.year:
        shown = display_date(paper.date)
        yield f"On which day was {title} posted?", [[shown, paper.date.lstrip("-")]], f"On {shown}."


def _case(question: str, paper: Paper, kind: str, facts: Sequence[Sequence[str]], answer: str) -> Case:
    return Case(
        id=f"{kind}-{paper.id}",
        question=question,
        relevant=(paper.id,),
        facts=tuple(tuple(fact) for fact in facts),
        answer=answer,
        tags=("made", kind),
    )
