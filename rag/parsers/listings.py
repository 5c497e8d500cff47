"""Reads listings copied from web pages: one line a paper, title and abstract lines or blocks, abstracts alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from rag.papers import Record, Reject, SourceRef
from rag.parsers import furniture
from rag.parsers.clean import tidy
from rag.parsers.furniture import Kind
from rag.parsers.identifiers import code_links, read_date
from rag.parsers.reading import Line, Source
from rag.parsers.records import build
from rag.parsers.title_split import TitleSplitter

_DATE = r"[A-Z][a-z]{2,8}\.?\s+\d{1,2}(?:,\s*\d{4})?|\d{1,2}\s+[A-Z][a-z]{2,8}\.?(?:,?\s+\d{4})?|\d{4}-\d{2}-\d{2}"
TAIL = re.compile(
    rf"(?:^|\s)(?P<authors>\d{{1,5}})\s+authors?\s*[·•|—–,-]\s*(?P<date>{_DATE})(?:\s+(?P<comments>\d{{1,6}}))?\s*$"
)
_HEAD = re.compile(r"(?:(?P<upvotes>\d{1,6})|[-–—])\s+(?=\S)")
_LABEL = re.compile(r"(?:#{1,6}\s*)?\**(?P<label>title|abstract|summary|authors?)\**\s*(?:[:.]\**\s*|$)", re.IGNORECASE)
_HEADING = re.compile(r"#{1,6}\s+(?P<text>.*?)\s*#*$")
_RANK = re.compile(r"^(?:\d{1,4}[.)]|\[\d{1,4}\]|[-*•])\s+(?=\S)")
_SURELY_ABSTRACT = 170
_PARAGRAPH, _ABSTRACT = 600, 3_000  # characters of a paragraph of an abstract, and of the whole, where they are joined
Columns = Mapping[str, str | int]


def read_lines(source: Source, columns: Columns) -> Iterator[Record | Reject]:
    """ "12 Title Abstract. 3 authors · Nov 27, 2024 2": upvotes or "-", then title and abstract run together."""
    splitter = TitleSplitter.load()
    skipped = _Furniture(source)
    for number, text in source.lines():
        line = tidy(text)
        if not line:
            continue
        tail = TAIL.search(line)
        if tail is None and len(line) < 200:
            if not skipped.take(number, line):
                yield source.reject(number, f"no “N authors · date” at the end of the line: {_start(line)}")
            continue
        if tail is not None and not line[: tail.start()].strip(" -–—0123456789"):
            yield source.reject(number, "a line with neither a title nor an abstract")
            continue
        yield _from_line(line, tail, splitter, SourceRef(source.name, number))
    skipped.report()


def _from_line(line: str, tail: re.Match[str] | None, splitter: TitleSplitter, where: SourceRef) -> Record | Reject:
    body = line[: tail.start()].rstrip() if tail else line
    head = _HEAD.match(body)
    title, abstract = splitter.split(body[head.end() :] if head else body)
    fields = {"title": title, "abstract": abstract, "upvotes": head["upvotes"] if head else None}
    if tail:
        fields |= {"n_authors": tail["authors"], "date": tail["date"], "comments": tail["comments"]}
    return build(fields, where)


def read_blocks(source: Source, columns: Columns) -> Iterator[Record | Reject]:
    """Titles and abstracts as blocks with blank lines between them."""
    return _paired(source, source.lines())


def read_pairs(source: Source, columns: Columns) -> Iterator[Record | Reject]:
    """A title line and an abstract line in turn."""
    return _paired(source, source.lines())


def read_abstracts(source: Source, columns: Columns) -> Iterator[Record | Reject]:
    """One abstract a line and no titles."""
    skipped = _Furniture(source)
    for number, text in source.lines():
        line = tidy(text)
        if not line or skipped.take(number, line):
            continue
        if line.count(" ") < 7:
            yield source.reject(number, f"too short for an abstract: {_start(line)}")
        else:
            yield build({"abstract": line}, SourceRef(source.name, number))
    skipped.report()


def _paired(source: Source, lines: Iterator[Line]) -> Iterator[Record | Reject]:
    pairing = Pairing(source)
    for number, text in lines:
        line = tidy(text)
        if line:
            yield from pairing.feed(number, line)
    yield from pairing.finish()


class _Title(NamedTuple):
    line: int
    text: str
    sure: bool


class Pairing:
    """Puts titles and abstracts together as their lines come in; nothing it is fed is lost without a word.

    A title waits for its abstract. Of several waiting lines the last is the title (the one before it, when the
    last is a list of names); the others become papers without an abstract, or rejects when they do not read so.
    """

    def __init__(self, source: Source, *, joins: bool = False) -> None:
        self._source = source
        self._joins = joins
        self._waiting: list[_Title] = []
        self._last: Record | None = None
        self._expects_abstract = False
        self._after_furniture = True
        self._skipped = _Furniture(source)

    def feed(self, number: int, line: str, *, title: bool = False) -> Iterator[Record | Reject]:
        """Take one tidy line (or unwrapped paragraph). `title`: it is marked as a heading."""
        if self._after_furniture:
            line = furniture.unglued(line)
        label = _LABEL.match(line)
        if label:
            yield from self._labelled(number, label["label"].lower(), line[label.end() :])
            return
        heading = _HEADING.fullmatch(line)
        if heading:
            line, title = heading["text"].strip("* "), True
        if not line or (not title and self._aside(number, line)):
            return
        self._after_furniture = False
        if not title and self._is_abstract(line):
            yield from self._abstract(number, line)
        else:
            yield from self._title(number, line, sure=title)

    def finish(self) -> Iterator[Record | Reject]:
        """What is still waiting, as far as it is a paper."""
        yield from self._flush()
        yield from self._alone(self._waiting)
        self._waiting = []
        self._skipped.report()

    def _labelled(self, number: int, label: str, rest: str) -> Iterator[Record | Reject]:
        self._after_furniture = False
        if label == "title" and rest:
            yield from self._title(number, rest, sure=True)
        elif label in ("abstract", "summary"):
            self._expects_abstract = True
            if rest:
                yield from self._abstract(number, rest)
        elif label.startswith("author") and rest:
            self._waiting.append(_Title(number, f"by {rest}", sure=False))

    def _aside(self, number: int, line: str) -> bool:
        """Furniture, or a line about the last paper ("3 authors · Mar 14")."""
        tail = TAIL.fullmatch(line)
        if tail:
            self._annotate(tail)
            return True
        if self._skipped.take(number, line):
            self._after_furniture = True
            return True
        return False

    def _annotate(self, tail: re.Match[str]) -> None:
        if self._last is None or self._last.n_authors is not None:
            return
        date = read_date(tail["date"])
        year = int(date[:4]) if date and not date.startswith("--") else None
        comments = int(tail["comments"]) if tail["comments"] else None
        self._last = replace(self._last, n_authors=int(tail["authors"]), date=date, year=year, comments=comments)

    def _is_abstract(self, line: str) -> bool:
        """Judged by the line and its place: a title may hold sentences, and a short abstract follows its title."""
        if self._expects_abstract or (self._joins and self._continues(line)):
            return True
        if furniture.kind(line) is Kind.ABSTRACT:
            return bool(self._waiting) or len(line) >= _SURELY_ABSTRACT
        return bool(self._waiting) and furniture.is_sentence(line)

    def _continues(self, line: str) -> bool:
        return self._last is not None and not self._waiting and line.endswith((".", "!"))

    def _title(self, number: int, line: str, *, sure: bool) -> Iterator[Record | Reject]:
        yield from self._flush()
        self._expects_abstract = False
        if self._waiting and self._waiting[-1].text == line:
            return  # the link and the heading of one paper
        self._waiting.append(_Title(number, line, sure))
        if len(self._waiting) > 3:
            yield from self._alone([self._waiting.pop(0)])

    def _abstract(self, number: int, line: str) -> Iterator[Record | Reject]:
        self._expects_abstract = False
        if self._is_next_paragraph(line) and self._last is not None:
            abstract = f"{self._last.abstract} {line}".strip()
            self._last = replace(self._last, abstract=abstract, code_urls=code_links(abstract))
            return
        yield from self._flush()
        title, authors = self._settle()
        yield from self._alone(self._waiting)
        self._waiting = []
        where = SourceRef(self._source.name, title.line if title else number)
        made = build({"title": title.text if title else "", "abstract": line, "authors": authors}, where)
        if isinstance(made, Record):
            self._last = made
        else:
            yield made

    def _is_next_paragraph(self, line: str) -> bool:
        """Whether a paragraph goes on with the last abstract, and is no (untitled) abstract of its own."""
        last = self._last
        if not self._joins or self._waiting or last is None or not last.title:
            return False
        return len(line) <= _PARAGRAPH and len(last.abstract) + len(line) <= _ABSTRACT

    def _settle(self) -> tuple[_Title | None, str]:
        """The title of the abstract that came, and its authors' line; takes both from the waiting lines."""
        if not self._waiting:
            return None, ""
        last, authors = self._waiting.pop(), ""
        if self._waiting and not last.sure and furniture.is_author_line(last.text):
            last, authors = self._waiting.pop(), last.text.removeprefix("by ")
        elif self._waiting and not last.sure and _is_handle(last.text) and not _is_handle(self._waiting[-1].text):
            last = self._waiting.pop()
        return last._replace(text=_RANK.sub("", last.text, count=1)), authors

    def _alone(self, waiting: list[_Title]) -> Iterator[Record | Reject]:
        for number, text, sure in waiting:
            if sure or (furniture.is_title_alone(text) and not furniture.is_author_line(text)):
                yield build({"title": text}, SourceRef(self._source.name, number))
            else:
                yield self._source.reject(number, f"neither a title nor an abstract: {_start(text)}")

    def _flush(self) -> Iterator[Record]:
        if self._last is not None:
            yield self._last
            self._last = None


class _Furniture:
    """Counts the page lines that were skipped, to say so once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._count = 0
        self._first = 0

    def take(self, number: int, line: str) -> bool:
        if len(line) >= 450 or not furniture.is_furniture(line):
            return False
        self._count += 1
        self._first = self._first or number
        return True

    def report(self) -> None:
        if self._count:
            plural = "line" if self._count == 1 else "lines"
            self._source.notice(self._first, f"{self._count} {plural} of the web page around the papers skipped")


def _is_handle(line: str) -> bool:
    """Whether a line is one lower-case word: a user's name rather than a title."""
    return " " not in line and line.islower()


def _start(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:59] + "…")
