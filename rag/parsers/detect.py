"""Decides from the first 64 KiB, with the suffix as a hint, which format an input has."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from rag.errors import InputError
from rag.parsers import furniture
from rag.parsers.arxiv_pages import HEAD
from rag.parsers.furniture import Kind
from rag.parsers.listings import TAIL
from rag.parsers.reading import SAMPLE, Source
from rag.parsers.tables import looks_like_table

_BIBTEX = re.compile(r"^\s*@[A-Za-z]+\s*[{(]", re.MULTILINE)
_RIS = re.compile(r"^\s*TY  ?-", re.MULTILINE)
_MEDLINE = re.compile(r"^PMID ?- ?\d", re.MULTILINE)
_WOS = re.compile(r"\A\s*FN .*\s+VR \d[\s\S]*?^PT \w", re.MULTILINE)
_ENDNOTE = re.compile(r"^%0 [A-Z]", re.MULTILINE)
_SCHOLAR = re.compile(r"^.{0,40}\bCited by \d[\d,]*\b.*\bRelated articles\b", re.MULTILINE)
_XML = re.compile(r"\s*<(?:\?xml|feed\b|!--)")
_HTML = re.compile(r"\s*<(?:!doctype html|html\b|head\b|body\b)", re.IGNORECASE)
_JSON = re.compile(r"\s*(?:\[\s*(?:[\[{\"\]]|$)|\{\s*(?:\"|\}|$))")
_LONG = 250
_FEW = 4
_NEAR = 4_096
_BY_SUFFIX = {
    ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".bib": "bibtex", ".bibtex": "bibtex", ".ris": "ris",
    ".nbib": "medline", ".enw": "endnote", ".csv": "csv", ".tsv": "tsv", ".atom": "atom",
}  # fmt: skip


def detect(source: Source) -> str:
    """The name of the input's format. Raises InputError for what is known to be none of ours."""
    sample = source.sample()
    if _HTML.match(sample):
        raise InputError(
            f"{source.name} is a web page (HTML): select its text, paste it into a .txt file and ingest that"
        )
    if sample.lstrip()[:1] in ("{", "[") and (found := _json(sample)):
        return found
    if _XML.match(sample):
        return _xml(source, sample)
    if _SCHOLAR.search(sample):
        raise InputError(
            f"{source.name} is a copied Google Scholar page, which holds snippets, not abstracts: export the papers"
            f" from"
            " their publishers or with Zotero (BibTeX, RIS, CSV) and ingest that"
        )
    for pattern, name in (
        (_BIBTEX, "bibtex"), (_RIS, "ris"), (_MEDLINE, "medline"), (_WOS, "wos"), (_ENDNOTE, "endnote"),
        (HEAD, "arxiv-page"),
    ):  # fmt: skip
        match = pattern.search(sample)
        if match and match.start() < _NEAR:
            return name
    if found := _BY_SUFFIX.get(_suffix(source)):
        return found
    if looks_like_table(sample):
        return "tsv" if "\t" in sample.partition("\n")[0] else "csv"
    return _text(sample)


def _suffix(source: Source) -> str:
    name = source.name.lower().removesuffix(".gz")
    return "." + name.rpartition(".")[2] if "." in name else ""


def _json(sample: str) -> str | None:
    """JSON Lines when one of the first lines is an object as a whole, JSON for other openings that JSON can have."""
    lines = [line for line in sample.split("\n", 40)[:40] if line.strip()]
    if lines[0].lstrip().startswith("{"):
        whole = [value for line in lines if isinstance(value := _loaded(line), dict)]
        if len(lines) == 1 and whole and _holds_list(whole[0]):
            return "json"
        if whole:
            return _dialect(cast("dict[str, Any]", whole[0]))
    return "json" if _JSON.match(sample) else None


def _loaded(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _holds_list(value: dict[str, Any]) -> bool:
    return any(isinstance(item, list | dict) and item for item in value.values()) and not (
        {"title", "abstract"} & {key.lower() for key in value}
    )


def _dialect(value: dict[str, Any]) -> str:
    return "arxiv" if {"id", "title", "abstract", "categories"} <= set(value) else "jsonl"


def _xml(source: Source, sample: str) -> str:
    if re.search(r"<(?:\w+:)?feed\b", sample) or "http://www.w3.org/2005/Atom" in sample:
        return "atom"
    raise InputError(
        f"{source.name} is XML but not an Atom feed, and of XML Citewise reads only the feed of the arXiv API:"
        " export RIS or BibTeX instead (PubMed: its own form, .nbib)"
    )


def _text(sample: str) -> str:
    lines = sample.split("\n")
    if len(sample) >= SAMPLE - 4 and len(lines) > 1:
        lines.pop()
    filled = [line.strip() for line in lines if line.strip()]
    papers = sum(1 for line in filled if (tail := TAIL.search(line)) and tail.start() > 20)
    if papers and papers * 3 >= sum(furniture.kind(line) is not Kind.FURNITURE for line in filled):
        return "listing-lines"
    long = [line for line in filled if len(line) >= _LONG]
    if len(filled) < _FEW or not long or any(line.startswith("# ") for line in filled):
        return "text"
    if sum(not line.strip() for line in lines) * 3 >= len(filled):
        return "listing-blocks"
    titles = sum(furniture.kind(line) is Kind.TITLE for line in filled)
    return "listing-pairs" if titles * 4 >= len(long) else "abstract-lines"
