"""Model text made safe and citable while it streams: no images, foreign links or HTML, no half a marker shown."""

from __future__ import annotations

import re
from collections.abc import Collection

from rag.markers import bracketed, canonical

_IMAGE = re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)?")
_LINK = re.compile(r"\[([^\]\n]+)\]\(\s*<?([^)\s>]*)>?[^)\n]*\)")
_DEFINITION = re.compile(r"^\s*\[[^\]\n]+\]:\s*\S+.*$", re.MULTILINE)
_ADDRESS = re.compile(r"<?\b(?:[a-z][a-z0-9+.\-]{1,20}://|www\.|data:|javascript:|mailto:)[^\s<>\])]*>?", re.IGNORECASE)
_TAG = re.compile(r"<!--.*?(?:-->|$)|</?[A-Za-z][^<>\n]*>", re.DOTALL)
_SCRIPT = re.compile(r"<(script|style|iframe|svg|object)\b.*?(?:</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|$)", re.IGNORECASE | re.DOTALL)
_CLOSERS = {"[": "]", "【": "】", "<": ">", "(": ")", "!": ")"}
_LONGEST_HELD = 400


def clean(text: str, known_addresses: Collection[str]) -> str:
    """The text without reasoning blocks, HTML, images, and links to anywhere but `known_addresses`."""
    plain = _THINKING.sub("", text)
    plain = _SCRIPT.sub("", plain)
    plain = _IMAGE.sub("", plain)
    plain = _DEFINITION.sub("", plain)
    plain = _LINK.sub(lambda match: _link(match, known_addresses), plain)
    plain = _ADDRESS.sub(lambda match: _address(match, known_addresses), plain)
    return _TAG.sub("", plain)


class StreamCleaner:
    """Cleans a stream piece by piece; what may yet become a marker, link or tag is held back until it is known."""

    def __init__(self, known: int, addresses: Collection[str]) -> None:
        self._known = known
        self._addresses = addresses
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be shown now."""
        self._held += piece
        cut = _safe_length(self._held)
        ready, self._held = self._held[:cut], self._held[cut:]
        return self._shown(ready)

    def rest(self) -> str:
        """What was still held when the stream ended."""
        ready, self._held = self._held, ""
        return self._shown(ready)

    def _shown(self, ready: str) -> str:
        return bracketed(canonical(clean(ready, self._addresses), self._known)) if ready else ""


def _safe_length(text: str) -> int:
    """How much of a text ends before anything unfinished: an open bracket or tag, the last word, a thought."""
    lowered = text.lower()
    thought = max(lowered.rfind("<think"), lowered.rfind("<script"), lowered.rfind("<style"), lowered.rfind("<iframe"))
    if thought >= 0 and "</" not in lowered[thought:]:
        return thought
    cut = len(text) - len(re.search(r"\S*\s*$", text).group())  # type: ignore[union-attr] # matches always
    for place in range(max(0, len(text) - _LONGEST_HELD), cut):
        if text[place] in _CLOSERS and _open(text, place, cut):
            linked = text[place] == "(" and text[place - 1 : place] == "]"
            return max(0, text.rfind("[", 0, place)) if linked else place
    return cut


def _open(text: str, place: int, end: int) -> bool:
    character = text[place]
    if character == "!" and text[place + 1 : place + 2] != "[":
        return False
    if character == "<" and not re.match(r"</?[A-Za-z!]", text[place : place + 3]):
        return False
    return _CLOSERS[character] not in text[place:end]


def _link(match: re.Match[str], known: Collection[str]) -> str:
    label, address = match.groups()
    return match.group() if _is_known(address, known) else label


def _address(match: re.Match[str], known: Collection[str]) -> str:
    found = match.group().strip("<>").rstrip(".,;:")
    tail = match.group().rstrip(">")[len(match.group().rstrip(">").rstrip(".,;:")) :]
    return f"{found}{tail}" if _is_known(found, known) else tail


def _is_known(address: str, known: Collection[str]) -> bool:
    return any(address.rstrip("/") == other.rstrip("/") for other in known)
