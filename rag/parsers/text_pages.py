"""Reads pasted or written text: a title and its abstract, abstracts alone, wrapped lines, Markdown headings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rag.papers import Record, Reject
from rag.parsers.clean import tidy
from rag.parsers.listings import Pairing
from rag.parsers.reading import Line, Source
from rag.parsers.title_split import TitleSplitter

_MAX_BLOCK = 1024 * 1024
_MAX_LINES = 5_000
_UNWRAPPED = 250
_SLACK = 12
_FEW_LINES = 4
_LONG_WORD = 3
_MAX_TITLE_LINES = 3


class _Paragraph(NamedTuple):
    number: int
    text: str
    heading: bool


def read_text(source: Source, columns: Mapping[str, str | int]) -> Iterator[Record | Reject]:
    """A short paragraph (or a heading, or a first line broken off early) is a title, what follows is its abstract."""
    pairing = Pairing(source, joins=True)
    for block in _blocks(source.lines()):
        for number, text, heading in _paragraphs(block):
            yield from pairing.feed(number, text, title=heading)
    yield from pairing.finish()


def _blocks(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """Runs of lines without a blank line between them, cut where they grow beyond all sense."""
    block: list[Line] = []
    size = 0
    for number, text in lines:
        line = tidy(text)
        if line:
            block.append(Line(number, line))
            size += len(line)
        if block and (not line or size > _MAX_BLOCK or len(block) > _MAX_LINES):
            yield block
            block, size = [], 0
    if block:
        yield block


def _paragraphs(block: list[Line]) -> Iterator[_Paragraph]:
    """A block's lines joined where they were only wrapped; a line that ends early stands on its own."""
    if any(len(line.text) >= _UNWRAPPED for line in block):
        for number, text in block:
            yield _Paragraph(number, text, heading=False)
        return
    underlined = _underlined(block)
    if underlined:
        yield _Paragraph(block[0].number, block[0].text, heading=True)
        block = block[2:]
    elif count := _title_lines(block):
        yield _Paragraph(block[0].number, " ".join(line.text for line in block[:count]), heading=False)
        block = block[count:]
    width = _width(block)
    held: list[str] = []
    first = 0
    for index, (number, text) in enumerate(block):
        heading = text.startswith("#") and text.lstrip("#").startswith(" ")
        if heading:
            if held:
                yield _Paragraph(first, " ".join(held), heading=False)
                held = []
            yield _Paragraph(number, text, heading=True)
            continue
        first = first if held else number
        held.append(text)
        following = block[index + 1].text if index + 1 < len(block) else ""
        if not following or _broken_off(text, following, width):
            yield _Paragraph(first, " ".join(held), heading=False)
            held = []


def _width(block: list[Line]) -> int:
    """The width that a block was wrapped to. Not its longest line: a formula or an address may stand out."""
    lengths = sorted(len(line.text) for line in block)
    return lengths[len(lengths) * 4 // 5] if lengths else 0


def _title_lines(block: list[Line]) -> int:
    """How many lines at the start of wrapped text are its title: in Title Case or with a colon, ending at a line's
    end, and where the splitter would end it. 0 when there is none."""
    if len(block) < _FEW_LINES:
        return 0
    title = TitleSplitter.load().split(" ".join(line.text for line in block[:40]))[0]
    for count in range(1, _MAX_TITLE_LINES + 1):
        if " ".join(line.text for line in block[:count]) == title:
            return count if _reads_like_title(title) else 0
    return 0


def _reads_like_title(text: str) -> bool:
    words = [word for word in text.split() if len(word) > _LONG_WORD and word[0].isalpha()]
    capitals = sum(word[0].isupper() for word in words)
    return bool(words) and not text.endswith(".") and (capitals * 3 >= len(words) * 2 or ": " in text)


def _underlined(block: list[Line]) -> bool:
    """A Markdown or reStructuredText heading: a line with a rule of = or - under it."""
    return len(block) > 1 and len(block[1].text) >= 3 and set(block[1].text) in ({"="}, {"-"})


def _broken_off(line: str, following: str, width: int) -> bool:
    """Whether the next line's first word would have fit: then the break was meant, unless a sentence just goes on."""
    room = width - len(line) - 1 - len(following.split(" ", 1)[0])
    return room > _SLACK and not following[0].islower()
