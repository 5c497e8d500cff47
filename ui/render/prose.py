"""The text of an answer as HTML: paragraphs, lists and headings, its sentences, and markers that open their sources."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from html import escape
from itertools import groupby
from typing import NamedTuple

from rag import Answer, Sentence
from ui.render.text import TEX, attribute, plain

_ENDING = re.compile(r"[.,;:!?]+")
_MARKER = re.compile(r"\s*\[(\d+)\]")
_LEAD = re.compile(r"\s*(?:(?P<ul>[-*•])|(?P<ol>\d{1,3})[.)]|(?P<h3>#{1,6}))\s+(?=\S)|\s+")
# Formulas come first: their stars are none of Markdown's. "x**2" opens nothing, and "``" a quotation of LaTeX.
_EMPHASIS = re.compile(
    rf"{TEX.pattern}|(?:(?<!\w)\*\*|\*\*(?!\d))(?=\S)(?P<b>[^*\n]+?)(?<=\S)\*\*"
    r"|(?<![*^\w])\*(?=\S)(?P<em>[^*\n]+?)(?<=\S)\*(?![*\w])"
    r"|(?<!`)`(?=\S)(?P<code>[^`\n]+)(?<=\S)`(?![`\w])",
    re.DOTALL,
)
_UNSUPPORTED = "The abstracts do not support this sentence."

_Run = tuple[str, int | None]
"""A stretch of text, and the number of the sentence that it belongs to."""


class _Line(NamedTuple):
    kind: str  # p, ul, ol or h3
    number: str  # of an item in an ordered list
    runs: list[_Run]


def answer_html(answer: Answer) -> str:
    """The text of a finished answer; what its sentences lack of support is said."""
    titles = {source.marker: source.paper.title for source in answer.sources}

    def drawn(text: str, number: int | None) -> str:
        html = _with_markers(text, titles, number)
        return html if number is None else _sentence(html, answer.sentences[number], number)

    return _blocks(_runs(answer), drawn)


def draft_html(text: str) -> str:
    """The text of an answer that is still written; no marker in it is live."""
    return _blocks([(text, None)], lambda part, _: _emphasised(part))


def _runs(answer: Answer) -> list[_Run]:
    """The whole text, sentence by sentence, and what stands between them."""
    if not answer.sentences:
        return [(answer.text, None)]
    runs: list[_Run] = []
    position = 0
    for number, sentence in enumerate(answer.sentences):
        start = answer.text.find(sentence.text, position)
        runs += [(answer.text[position:start] if start >= 0 else " ", None), (sentence.text, number)]
        position = start + len(sentence.text) if start >= 0 else position
    return runs


def _blocks(runs: list[_Run], drawn: Callable[[str, int | None], str]) -> str:
    """One element a paragraph, list or heading."""
    html = ""
    for kind, group in groupby(_lines(runs), key=lambda line: line.kind):
        lines = list(group)
        rows = ["".join(drawn(*run) for run in line.runs if run[0]) for line in lines]
        if kind in {"ul", "ol"}:
            start = f' start="{lines[0].number}"' if kind == "ol" and lines[0].number != "1" else ""
            html += f"<{kind}{start}>{''.join(f'<li>{row}</li>' for row in rows)}</{kind}>"
        else:
            html += "".join(f"<{kind}>{row}</{kind}>" for row in rows)
    return html


def _lines(runs: list[_Run]) -> Iterator[_Line]:
    """The lines that are not empty, without what says that they are items or headings."""
    lines: list[list[_Run]] = [[]]
    for text, number in runs:
        formulas_whole = TEX.sub(lambda match: match[0].replace("\n", " "), text)
        first, *others = formulas_whole.split("\n")
        lines[-1].append((first, number))
        lines += [[(other, number)] for other in others]
    for line in lines:
        whole = "".join(text for text, _ in line)
        if whole.strip():
            lead = _LEAD.match(whole)
            kind = (lead and lead.lastgroup) or "p"
            yield _Line(kind, (lead and lead["ol"]) or "", list(_without(line, lead.end() if lead else 0)))


def _without(line: list[_Run], length: int) -> Iterator[_Run]:
    """A line without its first characters."""
    for text, number in line:
        yield text[length:], number
        length = max(0, length - len(text))


def _sentence(html: str, sentence: Sentence, number: int) -> str:
    if sentence.supported:
        return f'<span class="sentence" data-sentence="{number}">{html}</span>'
    return (
        f'<span class="sentence unsupported" data-sentence="{number}" title="{_UNSUPPORTED}">{html}'
        f'<span class="unseen"> ({_UNSUPPORTED})</span></span>'
    )


def _with_markers(text: str, titles: Mapping[int, str], number: int | None) -> str:
    pieces: list[str] = []
    position = 0
    for match in _MARKER.finditer(text):
        marker = int(match[1])
        if marker not in titles:
            continue
        pieces.append(_emphasised(text[position : match.start()]))
        place = "" if number is None else f' data-sentence="{number}"'
        # The mark that ends the sentence stays beside its marker: alone on the next line it looks lost.
        ending = _ENDING.match(text, match.end())
        pieces.append(
            f'<span class="kept"><button type="button" class="cite" data-source="{marker}"{place}'
            f' aria-label="Source {marker}: {attribute(titles[marker])}">{marker}</button>'
            f"{plain(ending[0]) if ending else ''}</span>"
        )
        position = ending.end() if ending else match.end()
    return "".join([*pieces, _emphasised(text[position:])])


def _emphasised(text: str) -> str:
    """Text in which only what models use of Markdown inside a line is drawn: bold, italics, code.

    >>> _emphasised("**BERT** runs `x < y`, unlike A* and B*")
    '<b>BERT</b> runs <code>x &lt; y</code>, unlike A* and B*'
    """
    pieces: list[str] = []
    position = 0
    for match in _EMPHASIS.finditer(text):
        kind = match.lastgroup or "b"
        if kind in TEX.groupindex:
            continue
        inner = escape(match[kind]) if kind == "code" else plain(match[kind])
        pieces += [plain(text[position : match.start()]), f"<{kind}>{inner}</{kind}>"]
        position = match.end()
    return "".join([*pieces, plain(text[position:])])
