"""An answer as a file: Markdown with references, BibTeX, RIS, and a JSON record that can be replayed."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rag import Paper
from rag.spending import dollars
from ui.exchange import Exchange, spent
from ui.latex import as_latex
from ui.record import recorded

if TYPE_CHECKING:
    from rag import Answer
    from rag.settings import Settings

KINDS = {
    "md": "text/markdown",
    "bib": "application/x-bibtex",
    "ris": "application/x-research-info-systems",
    "json": "application/json",
}
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|])")
_UNSUPPORTED = " (not supported by the cited abstracts)"
# A bracket that is neither a marker's nor opens mathematics; a "[1]" before "(" or ":" would be a link, too.
_LIVE = re.compile(r"(?<!\\)!(?=\[)|(?<!\\)\[(?!\d+\](?![(:\[]))|^(?=\s*(?:#|>|=|~~~|```|\|))", re.MULTILINE)
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://|www\.|mailto:|[\w.+-]+@[\w-]+\.)[^\s<>`]*[^\s<>`.,;:!?)\]]", re.I)
_JOURNAL = re.compile(
    r"\b(?:journal|transactions|letters|annals|reviews?|nature|science|JMLR|TMLR|TACL|T?PAMI)\b", re.I
)
_RISKY = re.compile(r"[{}\s]")


def exported(exchanges: Sequence[Exchange], kind: str, settings: Settings, *, first: int = 0) -> str:
    """The exchanges from `first` on in one of KINDS; a record also holds those before, which a follow-up needs."""
    if kind == "json":
        return json.dumps(recorded(exchanges, settings, first=first), ensure_ascii=False, indent=2)
    exchanges = exchanges[first:]
    papers = list(
        {source.paper.id: source.paper for item in exchanges if item.answer for source in item.answer.sources}.values()
    )
    if kind == "md":
        return "\n".join([*map(_markdown, exchanges), *_costs(exchanges)])
    if kind == "bib":
        return "\n".join(_bibtex(paper) for paper in papers)
    return "\n".join(_ris(paper) for paper in papers)


def file_name(exchanges: Sequence[Exchange], kind: str) -> str:
    """A name for the file, from the first question.

    >>> file_name([Exchange("What is BERT, and why?")], "md")
    'citewise-what-is-bert-and-why.md'
    """
    words = re.findall(r"[a-z0-9]+", exchanges[0].question.lower()) if exchanges else []
    return f"{'-'.join(['citewise', *words])[:60].rstrip('-')}.{kind}"


def _markdown(item: Exchange) -> str:
    answer = item.answer
    text = _checked(answer) if answer else _prose(item.problem or item.partial)
    lines = [f"## {_quoted(item.question)}", "", text, ""]
    for source in answer.sources if answer else ():
        quotes = [c.quote for c in answer.citations if c.marker == source.marker] if answer else []
        lines.append(f"- [{source.marker}] {_reference(source.paper)}")
        lines += ["  >" if quote is None else f"  > {_quoted(quote)}" for quote in _spaced(dict.fromkeys(quotes))]
    return "\n".join([*lines, ""])


def _costs(exchanges: Sequence[Exchange]) -> list[str]:
    """A line on what the exchanges took of models."""
    total = spent(exchanges)
    if total is None:
        return []
    cost = dollars(total.cost) if total.cost or not total.unpriced else "cost unknown"
    partly = f" and {total.unpriced} of unknown cost" if total.unpriced and total.cost else ""
    return [f"*{total.tokens:,} tokens, {cost}{partly}*", ""]


def _checked(answer: Answer) -> str:
    """An answer's text with a remark behind each sentence that the abstracts do not support."""
    text = answer.text
    position = 0
    for sentence in answer.sentences:
        start = text.find(sentence.text, position)
        position = start + len(sentence.text) if start >= 0 else position
        if not sentence.supported and start >= 0:
            text = f"{text[:position]}{_UNSUPPORTED}{text[position:]}"
            position += len(_UNSUPPORTED)
    return _prose(text)


def _prose(text: str) -> str:
    """An answer's text in which nothing is live: no tag, image or link. Markers and mathematics stay as they are; an
    address becomes code, which no reader of Markdown turns into a link."""
    plain = _LIVE.sub(lambda match: f"\\{match.group()}", text)
    return _ADDRESS.sub(_code, plain.replace("&", "&amp;").replace("<", "\\<"))


def _code(match: re.Match[str]) -> str:
    return f"`{html.unescape(match.group()).replace('`', '')}`"


def _reference(paper: Paper) -> str:
    parts = (", ".join(paper.authors), paper.title, paper.venue, paper.date_text)
    known = ". ".join(_quoted(part) for part in parts if part)
    address = _web(paper)
    return f"{known}. <{address}>" if address else f"{known}."


def _web(paper: Paper) -> str:
    """The paper's address where it is one of the web, else nothing."""
    address = _RISKY.sub("", paper.url or "").replace("<", "%3C").replace(">", "%3E").replace("\\", "%5C")
    return address if re.match(r"https?://", address, re.IGNORECASE) else ""


def _spaced(quotes: Iterable[str]) -> list[str | None]:
    """Quotes with a gap between two, so that they stay apart."""
    return [part for quote in quotes for part in (None, quote)][1:]


def _quoted(text: str) -> str:
    """Words of a paper or a question, in which nothing is live either."""
    line = " ".join(text.split())
    pieces: list[str] = []
    position = 0
    for match in _ADDRESS.finditer(line):
        pieces += [_escaped(line[position : match.start()]), _code(match)]
        position = match.end()
    return "".join([*pieces, _escaped(line[position:])])


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text.replace("&", "&amp;"))


def _bibtex(paper: Paper) -> str:
    surname = re.sub(r"\W", "", paper.authors[0].split()[-1]) if paper.authors and paper.authors[0].split() else "paper"
    key = f"{surname}{paper.year or ''}-{hashlib.sha256(paper.id.encode()).hexdigest()[:6]}"
    rows = {
        "title": paper.title,
        "author": " and ".join(paper.authors),
        "year": str(paper.year or ""),
        "journal" if _is_journal(paper) else "booktitle": paper.venue or "",
        "doi": paper.doi or "",
        "eprint": paper.arxiv_id or "",
        "archiveprefix": "arXiv" if paper.arxiv_id else "",
        "url": _web(paper),
    }
    raw = {"url", "doi", "eprint"}
    body = ",\n".join(
        f"  {name} = {{{_RISKY.sub('', value) if name in raw else as_latex(value)}}}"
        for name, value in rows.items()
        if value
    )
    kind = "article" if _is_journal(paper) else "inproceedings" if paper.venue else "misc"
    return f"@{kind}{{{key},\n{body}\n}}\n"


def _is_journal(paper: Paper) -> bool:
    return bool(_JOURNAL.search(paper.venue or ""))


def _ris(paper: Paper) -> str:
    rows = [
        ("TY", "JOUR" if _is_journal(paper) else "CONF" if paper.venue else "GEN"),
        ("TI", paper.title),
        *(("AU", name) for name in paper.authors),
    ]
    rows += [
        ("PY", str(paper.year or "")),
        ("T2", paper.venue or ""),
        ("DO", paper.doi or ""),
        ("UR", _web(paper)),
        ("AB", paper.abstract),
    ]
    return "\n".join(f"{tag}  - {' '.join(value.split())}" for tag, value in rows if value) + "\nER  - \n"
