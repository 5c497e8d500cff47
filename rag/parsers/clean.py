"""Makes one line of plain text from what files hold: white space, control characters, tags and entities."""

from __future__ import annotations

import html
import re

# Windows-1252 read as Latin-1 leaves dashes and quotes as C1 control characters: these are what was meant.
_WINDOWS = {
    code: bytes([code]).decode("cp1252", "replace").replace("\ufffd", "") for code in range(0x80, 0xA0) if code != 0x85
}
_UNWANTED = re.compile(r"[\x00-\x08\x0e-\x1b\x7f\u00ad\u200b\u200e\u200f\u2060\ufeff\ud800-\udfff\ufffe\uffff]+")
_TAGS = (
    "p|i|b|u|a|em|strong|sub|sup|br|span|div|title|sec|italic|bold|sc|tt|code|list|list-item|label|ul|ol|li|h[1-6]"
    "|inline-formula|disp-formula|ext-link|xref|named-content|monospace|underline|abstract"
)
_JATS_TITLE = re.compile(r"<(?P<tag>jats:title)>\s*(?P<text>[^<>]{1,80}?)\s*</(?P=tag)>", re.IGNORECASE)
_BREAKING_TAG = re.compile(r"</?(?:jats:)?(?:p|br|div|sec|title|li|list-item|h[1-6]|abstract)\s*/?>", re.IGNORECASE)
_TAG = re.compile(rf"</?(?:jats:)?(?:{_TAGS})(?:\s+[\w:-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'))*\s*/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_HEADING = re.compile(r"^(?:abstract|summary)\s*(?:[:.]\s+|[-—–]+\s*)", re.IGNORECASE)
_CAPITAL_HEADING = re.compile(r"^ABSTRACT\s+(?=[A-Z])")
_NOTHING = re.compile(
    r"\W*(?:(?:no|without)\s+(?:abstract|summary)(?:\s+(?:is\s+)?(?:available|provided))?"
    r"|(?:the\s+)?(?:abstract|summary)\s+(?:is\s+)?(?:not|un)\s*(?:available|provided)"
    r"|not\s+available|n\s*/\s*a|n\.a\.?|none|null|nan|undefined|tbd|tba|abstract|summary)?\W*",
    re.IGNORECASE,
)


def tidy(text: str) -> str:
    """One line: control characters dropped, every run of white space one space."""
    if text.isprintable():  # then its only white space is the plain space
        if "  " not in text:
            return text.strip(" ")
    else:
        text = _UNWANTED.sub("", text).translate(_WINDOWS)
    return " ".join(text.split())


def untagged(text: str) -> str:
    """Known HTML and JATS tags removed and character entities decoded; other angle brackets are left alone."""
    if "<" in text:
        text = _JATS_TITLE.sub(_headed, text)
        text = _TAG.sub("", _BREAKING_TAG.sub(" ", text))
    return unescaped(text)


def _headed(match: re.Match[str]) -> str:
    """Crossref writes a section's heading as an element: "Results: …" as PubMed has it, none for "Abstract"."""
    text = match["text"]
    return " " if text.casefold() in ("abstract", "summary") else f" {text}{'' if text[-1] in '.:?!' else ':'} "


def unescaped(text: str) -> str:
    """Character entities decoded where they end in a semicolon."""
    return _ENTITY.sub(lambda match: html.unescape(match.group()), text) if "&" in text else text


def without_heading(abstract: str) -> str:
    """An abstract without a leading "Abstract:" or "ABSTRACT"."""
    if abstract[:1] in "aAsS":
        abstract = _CAPITAL_HEADING.sub("", _HEADING.sub("", abstract, count=1), count=1)
    return abstract


def is_placeholder(text: str) -> bool:
    """Whether a tidy text only says that there is none ("N/A", "Abstract not available", "-")."""
    return len(text) < 60 and _NOTHING.fullmatch(text) is not None
