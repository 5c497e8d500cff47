"""All HTML of the chat page; everything that comes from files, models or people is escaped here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import urlsplit

from rag import Answer, Citation, Hit, Paper, Sentence, Source

_MARKER = re.compile(r"\[(\d+)\]")
# Markdown that a text could use to draw links, images, emphasis or code; as entities it is only text.
_MARKDOWN = str.maketrans({character: f"&#{ord(character)};" for character in "\\`*_{}[]()#+!|~"})


def answer_html(answer: Answer, *, turn: int) -> str:
    """A whole answer for the conversation: sentences with clickable markers, and a line on how it was made."""
    if answer.abstained:
        body = f'<div class="abstained">{_plain(answer.text)}</div>'
    elif answer.sentences:
        body = " ".join(_sentence(sentence, turn) for sentence in answer.sentences)
    else:
        body = _with_markers(answer.text, turn)
    return f'<div class="answer">{body}</div>{_footer(answer)}'


def draft_html(text: str) -> str:
    """The text of an answer while it is being written: nothing in it is live yet."""
    return f'<div class="answer draft">{_plain(text)}</div>'


def question_html(question: str) -> str:
    """A question as it was asked."""
    return _plain(question)


def sources_html(answer: Answer, *, turn: int) -> str:
    """The sources of one answer: each abstract in full, with the supporting sentences marked."""
    heading = "Nearest papers" if answer.abstained else "Sources"
    rows = "".join(_source(source, answer.citations, turn) for source in answer.sources)
    return f'<section aria-label="{heading}"><h2>{heading}</h2>{rows}</section>' if rows else ""


def found_html(hits: Sequence[Hit]) -> str:
    """The papers found, shown while the answer is being written."""
    rows = "".join(f"<li>{_plain(hit.paper.title)}</li>" for hit in hits)
    return f'<section aria-label="Reading"><h2>Reading</h2><ol class="found">{rows}</ol></section>'


def library_html(papers: int, years: tuple[int, int] | None, folder: str) -> str:
    """One line on what the library holds."""
    span = f", {years[0]}–{years[1]}" if years else ""
    noun = "paper" if papers == 1 else "papers"
    return f'<p class="library" title="{escape(folder)}">{papers:,} {noun}{span}</p>'


def empty_html() -> str:
    """What an empty library says: how to fill it."""
    return (
        '<div class="empty"><h2>No papers yet</h2><p>Add files below, or in a terminal:</p>'
        "<pre>citewise ingest PATH…</pre></div>"
    )


def report_html(report: dict[str, object]) -> str:
    """What an ingest kept, merged and rejected, and why."""
    counts = " · ".join(f"<b>{report[name]}</b> {name}" for name in ("parsed", "added", "updated", "unchanged"))
    merged = [f"{item['title']} — {item['reason']}" for item in _rows(report["duplicates"])]
    refused = [f"{item['path']}:{item['line']} {item['reason']}" for item in _rows(report["rejected"])]
    return f'<div class="report"><p>{counts}</p>{_listed("merged", merged)}{_listed("rejected", refused)}</div>'


def error_html(message: str) -> str:
    """One line that says what went wrong."""
    return f'<div class="problem" role="alert">{_plain(message)}</div>'


def _sentence(sentence: Sentence, turn: int) -> str:
    text = _with_markers(sentence.text, turn)
    if sentence.supported:
        return f"<span>{text}</span>"
    return f'<span class="unsupported" title="The cited abstracts do not support this sentence.">{text}</span>'


def _with_markers(text: str, turn: int) -> str:
    pieces: list[str] = []
    position = 0
    for match in _MARKER.finditer(text):
        pieces.append(_plain(text[position : match.start()]))
        number = match[1]
        pieces.append(
            f'<a class="cite" href="#source-{turn}-{number}" title="Show source {number}"'
            f' aria-label="Source {number}">{number}</a>'
        )
        position = match.end()
    pieces.append(_plain(text[position:]))
    return "".join(pieces)


def _source(source: Source, citations: Iterable[Citation], turn: int) -> str:
    paper = source.paper
    own = [citation for citation in citations if citation.marker == source.marker]
    facts = " · ".join(_plain(fact) for fact in _facts(paper))
    marked = _marked(paper.abstract, [(item.start, item.end) for item in own if item.end > item.start])
    fields = "".join(f'<p class="field"><mark>{_plain(item.quote)}</mark></p>' for item in own if not item.end)
    link = f'<a href="{escape(paper.url)}" target="_blank" rel="noopener noreferrer">Open paper</a>' if _safe(paper.url) else ""
    return (
        f'<details class="source" id="source-{turn}-{source.marker}"{" open" if source.marker == 1 else ""}>'
        f'<summary><span class="number">{source.marker}</span><span><b>{_plain(paper.title)}</b>'
        f"<small>{facts}</small></span></summary>{fields}<p>{marked}</p>{link}</details>"
    )


def _facts(paper: Paper) -> list[str]:
    people = ", ".join(paper.authors[:3]) + (" et al." if len(paper.authors) > 3 else "")
    if not people and paper.n_authors:
        people = f"{paper.n_authors} author{'' if paper.n_authors == 1 else 's'}"
    return [fact for fact in (people, paper.venue, paper.date_text) if fact]


def _marked(abstract: str, spans: Iterable[tuple[int, int]]) -> str:
    pieces: list[str] = []
    position = 0
    for start, end in sorted(set(spans)):
        if start < position:  # two citations share a sentence
            continue
        pieces.append(f"{_plain(abstract[position:start])}<mark>{_plain(abstract[start:end])}</mark>")
        position = end
    pieces.append(_plain(abstract[position:]))
    return "".join(pieces)


def _footer(answer: Answer) -> str:
    wrote = f"written by {answer.model}" if answer.mode == "llm" else "extractive"
    parts = [wrote, f"{answer.timings.get('total', 0.0):.2f} s", *answer.notes]
    if answer.searched and answer.searched != answer.question:
        parts.append(f"searched: {answer.searched}")
    return f'<div class="made">{_plain(" · ".join(parts))}</div>'


def _listed(name: str, rows: Sequence[str]) -> str:
    if not rows:
        return ""
    items = "".join(f"<li>{_plain(row)}</li>" for row in rows[:200])
    more = f"<li>and {len(rows) - 200:,} more</li>" if len(rows) > 200 else ""
    return f"<details><summary>{len(rows):,} {name}</summary><ul>{items}{more}</ul></details>"


def _rows(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else []


def _safe(url: str | None) -> bool:
    return url is not None and urlsplit(url).scheme in {"http", "https"}


def _plain(text: str) -> str:
    """Text as text: neither HTML nor Markdown in it is live; mathematics between dollar signs still is."""
    return escape(text).translate(_MARKDOWN).replace("\n", "<br>") if "$" not in text else _with_mathematics(text)


def _with_mathematics(text: str) -> str:
    # KaTeX needs the source of a formula as it was written; only what HTML could misread is escaped in it.
    pieces = re.split(r"(\$[^$\n]{1,300}\$)", text)
    return "".join(
        escape(piece) if index % 2 else escape(piece).translate(_MARKDOWN).replace("\n", "<br>")
        for index, piece in enumerate(pieces)
    )
