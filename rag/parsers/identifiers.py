"""Finds and normalises DOIs, arXiv ids, URLs, code links, dates and years."""

from __future__ import annotations

import datetime
import re
from typing import Any

_DOI_TEXT = r"[^\s\"<>{}|\\^`]"
# Old DOIs are built from a serial item identifier (SICI), the one kind with "<" and ">" inside:
# 10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9
_DOI = re.compile(
    rf"10\.\d{{4,9}}/(?:{_DOI_TEXT}+<{_DOI_TEXT}+>\d\.\d\.[A-Z]{{2}};{_DOI_TEXT}+|{_DOI_TEXT}+)", re.IGNORECASE
)
_ESCAPED = (
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("%3C", "<"),
    ("%3c", "<"),
    ("%3E", ">"),
    ("%3e", ">"),
    ("$<$", "<"),
    ("$>$", ">"),
)
_NEW_ARXIV = r"\d{2}(?:0[1-9]|1[0-2])\.\d{4,5}"
_OLD_ARXIV = r"[a-z]+(?:-[a-z]+)*(?:\.[A-Za-z]{2})?/\d{2}(?:0[1-9]|1[0-2])\d{3}"
_ARXIV = re.compile(rf"(?P<id>{_NEW_ARXIV}|{_OLD_ARXIV})(?:v\d+)?(?:\.pdf)?")
_ARXIV_MARKED = re.compile(
    rf"(?:arxiv\.org/(?:abs|pdf|html|e-print)/|10\.48550/arxiv\.|\barxiv[:\s]\s*)(?P<id>{_NEW_ARXIV}|{_OLD_ARXIV})",
    re.IGNORECASE,
)
_URL = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_HOSTS = (
    r"(?:[\w-]+\.)*github\.com|gitlab\.[\w.-]+|bitbucket\.org|huggingface\.co|zenodo\.org|codeberg\.org"
    r"|sourceforge\.net|anonymous\.4open\.science|git\.io|code\.google\.com|git\.[\w.-]+"
)
_HOST_HINTS = (
    *("github.com", "gitlab.", "bitbucket.org", "huggingface.co", "zenodo.org", "codeberg.org", "sourceforge.net"),
    *("4open.science", "git.io", "code.google.com", "//git."),
)
_CODE = re.compile(rf"(?:https?:)?(?://)?(?<![\w@.-])(?:www\.)?(?:{_HOSTS})(?:/[^\s<>\"'`|\\]*)?", re.IGNORECASE)
_TRAILING = ".,;:!?'\"*”’}]>"
_MONTHS = {
    name: number
    for number, names in enumerate(
        [
            "jan january",
            "feb february",
            "mar march",
            "apr april",
            "may",
            "jun june",
            "jul july",
            "aug august",
            "sep september sept",
            "oct october",
            "nov november",
            "dec december",
        ],
        1,
    )
    for name in names.split()
}
_ISO = re.compile(r"(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2}))?)?(?:[T ].*)?")
_WORDS = re.compile(r"[A-Za-z]+|\d+")
_YEAR = re.compile(r"(?<!\d)(1[5-9]\d\d|20\d\d)(?!\d)")
_MILLISECONDS = 10**11


def find_doi(text: str) -> str | None:
    """The first DOI in a text as a bare lower-case "10.…", without trailing punctuation.

    >>> find_doi("https://doi.org/10.1002/(SICI)1097-4571(199009)41:6%3C391::AID-ASI1%3E3.0.CO;2-9.")
    '10.1002/(sici)1097-4571(199009)41:6<391::aid-asi1>3.0.co;2-9'
    """
    for written, meant in _ESCAPED:
        text = text.replace(written, meant)
    match = _DOI.search(text)
    return _balanced(match.group()).lower() if match else None


def find_arxiv_id(text: str) -> str | None:
    """The arXiv id marked as such in a text (a URL, "arXiv:…", a 10.48550 DOI), without its version."""
    match = _ARXIV_MARKED.search(text)
    return match["id"] if match else None


def as_arxiv_id(text: str) -> str | None:
    """A text that is an arXiv id as a whole, bare or marked, without its version."""
    match = _ARXIV.fullmatch(text.strip())
    return match["id"] if match else find_arxiv_id(text)


def find_url(text: str) -> str | None:
    """The first http(s) URL of a field; nothing else is ever kept as a link."""
    match = _URL.search(text)
    return _balanced(match.group()) if match else None


def doi_url(doi: str) -> str:
    """The address of a bare DOI, with what an address must not hold escaped."""
    return f"https://doi.org/{doi.replace('<', '%3C').replace('>', '%3E')}"


def links(text: str) -> tuple[str, ...]:
    """Every link in a field for links: those with http(s), and those to code hosts that lost it."""
    found = [_balanced(match.group()) for match in _URL.finditer(text)]
    schemeless = [link for link in code_links(text) if not any(link.partition("//")[2] in other for other in found)]
    return tuple(dict.fromkeys(found + schemeless))


def code_links(abstract: str) -> tuple[str, ...]:
    """Links to code and model hosts in an abstract, with https where the scheme was lost.

    >>> code_links("Code: //github.com/a/b. Weights (https://huggingface.co/a/b).")
    ('https://github.com/a/b', 'https://huggingface.co/a/b')
    """
    lowered = abstract.lower()
    if not any(hint in lowered for hint in _HOST_HINTS):
        return ()
    links = (_schemed(match.group()) for match in _CODE.finditer(abstract))
    return tuple(dict.fromkeys(link for link in links if link))


def _schemed(link: str) -> str | None:
    link = _balanced(link)
    if "/" not in link.rpartition("//")[2].rstrip("/"):
        return None  # a host alone is no place with code
    return link if link.lower().startswith("http") else f"https://{link.lstrip('/')}"


def _balanced(link: str) -> str:
    """Without trailing punctuation, and without closing brackets that were never opened."""
    while link and (link[-1] in _TRAILING or (link[-1] == ")" and link.count("(") < link.count(")"))):
        link = link[:-1]
    return link


def read_date(value: Any) -> str | None:
    """A date cut to what is known (see `Record.date`), None when the value is no date.

    >>> [read_date(text) for text in ("Nov 27, 2024", "Mar 11", "2024-11", "Mon, 2 Apr 2007 19:18:42 GMT", "soon")]
    ['2024-11-27', '--03-11', '2024-11', '2007-04-02', None]
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _from_number(value)
    text = str(value).strip()[:64]
    if text.isdigit() and len(text) > 8:
        return _from_number(int(text))
    match = _ISO.fullmatch(text)
    if match:
        year, month, day = (int(part) if part else None for part in match.groups())
        return _cut(year, month, day)
    return _from_words(text)


def read_year(value: Any) -> int | None:
    """The year in a value, None when there is none between 1500 and 2099."""
    if isinstance(value, bool) or value is None:
        return None
    match = _YEAR.search(str(value)[:64])
    return int(match.group()) if match else None


def _from_number(value: float) -> str | None:
    if 1500 <= value < 2100 and value == int(value):
        return str(int(value))
    if not _MILLISECONDS < value < 10**14:
        return None
    moment = datetime.datetime.fromtimestamp(value / 1000, tz=datetime.UTC)
    return moment.date().isoformat()


def _from_words(text: str) -> str | None:
    words = [word.lower() for word in _WORDS.findall(text)]
    month = next((_MONTHS[word] for word in words if word in _MONTHS), None)
    year = read_year(text)
    if month is None:
        return str(year) if year else None
    day = next((int(word) for word in words if word.isdigit() and len(word) <= 2 and 1 <= int(word) <= 31), None)
    if year is None and not re.fullmatch(r"\W*(?:[A-Za-z]+\W+\d{1,2}|\d{1,2}\W+[A-Za-z]+)\W*", text):
        return None
    return _cut(year, month, day)


def _cut(year: int | None, month: int | None, day: int | None) -> str | None:
    if year is not None and not 1500 <= year < 2100:
        return None
    if month is None or not 1 <= month <= 12:
        return str(year) if year else None
    if day is None or not _exists(year or 2000, month, day):
        return f"{year:04d}-{month:02d}" if year else None
    return f"{year:04d}-{month:02d}-{day:02d}" if year else f"--{month:02d}-{day:02d}"


def _exists(year: int, month: int, day: int) -> bool:
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return True
