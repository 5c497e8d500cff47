"""An answer as a file: Markdown with references, BibTeX, RIS, and a JSON record that can be replayed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from rag import Paper
from ui.exchange import Exchange, plain

KINDS = {
    "md": "text/markdown",
    "bib": "application/x-bibtex",
    "ris": "application/x-research-info-systems",
    "json": "application/json",
}
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|])")
_RISKY = re.compile(r"[{}\s]")
_BIBTEX = str.maketrans(
    {**{c: f"\\{c}" for c in "&%#_"}, "{": "\\{", "}": "\\}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
)


def exported(exchanges: Sequence[Exchange], kind: str, settings: dict[str, Any]) -> str:
    """The exchanges in one of KINDS."""
    papers = list(
        {source.paper.id: source.paper for item in exchanges if item.answer for source in item.answer.sources}.values()
    )
    if kind == "md":
        return "\n".join(_markdown(item) for item in exchanges)
    if kind == "bib":
        return "\n".join(_bibtex(paper) for paper in papers)
    if kind == "ris":
        return "\n".join(_ris(paper) for paper in papers)
    return json.dumps(_record(exchanges, papers, settings), ensure_ascii=False, indent=2)


def _markdown(item: Exchange) -> str:
    answer = item.answer
    lines = [f"## {_quoted(item.question)}", "", answer.text if answer else item.problem or item.partial, ""]
    for source in answer.sources if answer else ():
        paper = source.paper
        known = ". ".join(
            _quoted(part) for part in (", ".join(paper.authors), paper.title, paper.venue, paper.date_text) if part
        )
        lines.append(f"[{source.marker}] {known}.{f' <{paper.url}>' if paper.url else ''}")
        lines += [f"    > {_quoted(c.quote)}" for c in answer.citations if c.marker == source.marker] if answer else []
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _bibtex(paper: Paper) -> str:
    surname = re.sub(r"\W", "", paper.authors[0].split()[-1]) if paper.authors and paper.authors[0].split() else "paper"
    key = f"{surname}{paper.year or ''}-{hashlib.sha256(paper.id.encode()).hexdigest()[:6]}"
    rows = {
        "title": paper.title, "author": " and ".join(paper.authors), "year": str(paper.year or ""),
        "booktitle": paper.venue or "", "doi": paper.doi or "", "eprint": paper.arxiv_id or "", "url": paper.url or "",
    }  # fmt: skip
    raw = {"url", "doi", "eprint"}
    body = ",\n".join(
        f"  {name} = {{{_RISKY.sub('', value) if name in raw else value.translate(_BIBTEX)}}}"
        for name, value in rows.items()
        if value
    )
    return f"@{'inproceedings' if paper.venue else 'misc'}{{{key},\n{body}\n}}\n"


def _ris(paper: Paper) -> str:
    rows = [("TY", "CONF" if paper.venue else "GEN"), ("TI", paper.title), *(("AU", name) for name in paper.authors)]
    rows += [
        ("PY", str(paper.year or "")),
        ("T2", paper.venue or ""),
        ("DO", paper.doi or ""),
        ("UR", paper.url or ""),
        ("AB", paper.abstract),
    ]
    return "\n".join(f"{tag}  - {' '.join(value.split())}" for tag, value in rows if value) + "\nER  - \n"


def _record(exchanges: Sequence[Exchange], papers: Sequence[Paper], settings: dict[str, Any]) -> dict[str, Any]:
    hashes = {paper.id: hashlib.sha256(f"{paper.title}\n{paper.abstract}".encode()).hexdigest() for paper in papers}
    return {"format": 1, "settings": settings, "sha256": hashes, "exchanges": [plain(item) for item in exchanges]}
