"""Text made safe for the page: escaped by construction, with mathematics and http(s) links as the only live parts."""

from __future__ import annotations

import re
from html import escape
from urllib.parse import quote, urlsplit

from rag import Paper
from rag.text import collapse

# Pandoc's rule for single dollars (no space inside, no digit after), so that "$5 and $10" stays money.
TEX = re.compile(
    r"\$\$(?P<block>[^$]{1,2000})\$\$"
    r"|\\\[(?P<display>.{1,2000}?)\\\]"
    r"|\\\((?P<paren>.{1,1000}?)\\\)"
    r"|(?<![\\$\w])\$(?P<inline>(?=\S)[^$\n]{1,500}?(?<=[^\s\\]))\$(?!\d)",
    re.DOTALL,
)


def plain(text: str) -> str:
    """Text as text: nothing in it is live but mathematics, which the page draws with KaTeX.

    >>> plain('<b>[x](y)</b> costs $5, $x^2$')
    '&lt;b&gt;[x](y)&lt;/b&gt; costs $5, <x-tex tex="x^2">$x^2$</x-tex>'
    """
    pieces: list[str] = []
    position = 0
    for match in TEX.finditer(text):
        pieces.append(_escaped(text[position : match.start()]))
        pieces.append(_mathematics(match))
        position = match.end()
    pieces.append(_escaped(text[position:]))
    return "".join(pieces)


def _escaped(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _mathematics(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    display = " display" if kind in {"block", "display"} else ""
    return f'<x-tex tex="{escape(match[kind])}"{display}>{escape(match[0])}</x-tex>'


def attribute(text: str) -> str:
    """Text for a double-quoted attribute, on one line."""
    return escape(collapse(text))


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "paper"), counted(1200, "paper")
    ('1 paper', '1,200 papers')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def link(url: str, text: str) -> str:
    """A link that opens in a tab of its own; nothing for anything but http and https."""
    if not _is_web(url):
        return ""
    return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer nofollow">{escape(text)}</a>'


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def links(paper: Paper) -> str:
    """Links to a paper's pages: arXiv, DOI, code, and its own address where that is another one."""
    found: dict[str, str] = {}
    if paper.arxiv_id:
        found.setdefault(f"https://arxiv.org/abs/{quote(paper.arxiv_id)}", "arXiv")
    if paper.doi:
        found.setdefault(f"https://doi.org/{quote(paper.doi)}", "DOI")
    if paper.url and not any(known in paper.url for known in ("arxiv.org/abs", "doi.org")):
        found.setdefault(paper.url, "Page")
    elif paper.url:
        found.setdefault(paper.url, "arXiv" if "arxiv.org" in paper.url else "DOI")
    for number, url in enumerate(paper.code_urls[:3]):
        found.setdefault(url, "Code" if number == 0 else f"Code {number + 1}")
    names: dict[str, str] = {}
    for url, name in found.items():
        names.setdefault(name, url)
    return " ".join(drawn for name, url in names.items() if (drawn := link(url, name)))


def people(paper: Paper, most: int = 3) -> str:
    """Authors in short, or how many there are, as plain text; "" where neither is known."""
    if paper.authors:
        more = len(paper.authors) - most
        return ", ".join(paper.authors[:most]) + (f" and {more} more" if more > 0 else "")
    return counted(paper.n_authors, "author") if paper.n_authors else ""


def facts(paper: Paper) -> str:
    """Authors, venue and date in one line of HTML."""
    date = (paper.date_text or "").replace(" ", "\u00a0")
    known = [fact for fact in (people(paper), paper.venue, date) if fact]
    return "\u00a0· ".join(f"<span>{plain(fact)}</span>" for fact in known)  # no line begins with the dot
