"""An answer as a file: Markdown with references, BibTeX, RIS, and a JSON record that can be replayed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rag import Paper
from rag.spending import dollars
from ui.exchange import Exchange, spent
from ui.record import recorded

if TYPE_CHECKING:
    from rag.settings import Settings

KINDS = {
    "md": "text/markdown",
    "bib": "application/x-bibtex",
    "ris": "application/x-research-info-systems",
    "json": "application/json",
}
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|])")
_JOURNAL = re.compile(
    r"\b(?:journal|transactions|letters|annals|reviews?|nature|science|JMLR|TMLR|TACL|T?PAMI)\b", re.I
)
_RISKY = re.compile(r"[{}\s]")
_BIBTEX = str.maketrans(
    {**{c: f"\\{c}" for c in "&%#_"}, "{": "\\{", "}": "\\}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
)


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
    # Only "<" is escaped in the answer: markers stay as they are, and so does mathematics.
    text = answer.text if answer else item.problem or item.partial
    lines = [f"## {_quoted(item.question)}", "", text.replace("<", "\\<"), ""]
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


def _reference(paper: Paper) -> str:
    parts = (", ".join(paper.authors), paper.title, paper.venue, paper.date_text)
    known = ". ".join(_quoted(part) for part in parts if part)
    address = _RISKY.sub("", paper.url or "")
    return f"{known}. <{address}>" if address.startswith(("http://", "https://")) else f"{known}."


def _spaced(quotes: Iterable[str]) -> list[str | None]:
    """Quotes with a gap between two, so that they stay apart."""
    return [part for quote in quotes for part in (None, quote)][1:]


def _quoted(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


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
        "url": paper.url or "",
    }
    raw = {"url", "doi", "eprint"}
    body = ",\n".join(
        f"  {name} = {{{_RISKY.sub('', value) if name in raw else value.translate(_BIBTEX)}}}"
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
        ("UR", paper.url or ""),
        ("AB", paper.abstract),
    ]
    return "\n".join(f"{tag}  - {' '.join(value.split())}" for tag, value in rows if value) + "\nER  - \n"
