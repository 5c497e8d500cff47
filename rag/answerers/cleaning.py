"""Model text made safe: no images, foreign links, HTML, tool calls, chat templates or invisible characters."""

from __future__ import annotations

import html
import re
from collections.abc import Collection

from rag.orders import visible
from rag.servers import without_keys

_HIDDEN_BLOCK = re.compile(
    r"<(think(?:ing)?|script|style|iframe|svg|object|tool_calls?|function_calls?|tool_use|invoke)\b"
    r".*?(?:</\1\s*>|$)",
    re.IGNORECASE | re.DOTALL,
)
_IMAGE = re.compile(r"!\[([^\]\n]*)\](?:\([^)\n]*\)?|\[[^\]\n]*\])")
_NESTED_LINK = re.compile(r"\[(\[[^\]\n]+\])\]\([^)\n]*\)")
_LINK = re.compile(r"\[([^\]\n]+)\]\(\s*<?([^)\s>]*)>?[^)\n]*\)")
_DEFINITION = re.compile(r"^\s*\[[^\]\n]+\]:[ \t]*(?:<|\S*[/.@]\S|#)\S*.*$", re.MULTILINE)
_ADDRESS = re.compile(
    r"<?(?:\b(?:[a-z][a-z0-9+.\-]{1,20}:\s?//|www\.|(?:javascript|vbscript|mailto|tel|sms|file|blob|skype):(?=\S)"
    r"|data:(?=[\w.+\-]*[/;,]))|(?<![\w:/])//(?=[\w\-]+\.\w)|\\\\(?=[\w\-]+(?:\.[\w\-]+)*\\))[^\s<>\])]*>?"
    r"|(?<![\w.])(?:(?:[a-z0-9\-]+\.)+[a-z]{2,}|\d{1,3}(?:\.\d{1,3}){3})(?::\d{1,5})?/[^\s<>\])]*"
    r"|[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+",
    re.IGNORECASE,
)
_TAG = re.compile(r"<!--.*?(?:-->|$)|</?[A-Za-z][^<>\n]*>", re.DOTALL)
_TEMPLATE = re.compile(r"<\|[^<>|\n]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>", re.IGNORECASE)
_BLOB = re.compile(r"(?<![A-Za-z0-9+/=])(?=[A-Za-z+/=]*\d)[A-Za-z0-9+/]{40,}={0,2}")
_ESCAPED_MARKER = re.compile(r"\\\[\s*(\^?\d[\d\s,;–-]*)\\\]")
_RAISED_MARKER = re.compile(r"(?<=[A-Za-z.!?,;\])”\"%])\s*<sup>\s*\[?(\d{1,3})\]?\s*</sup>", re.IGNORECASE)
_RAISED_DIGITS = re.compile(r"(?<=[A-Za-z]{4})[⁰¹²³⁴-⁹]+|(?<=[.!?])[⁰¹²³⁴-⁹]+")
_GAP = re.compile(r"(?<=\S)[ \t]{2,}|[ \t]+(?=[.,;:!?])")
_EMPTY_BRACKETS = re.compile(r"[ \t]*(?<!\w)(?:\(\s*\)|\[\s*\]|<\s*>)")
# Full-width letters and the like, which look and work like ASCII. Chinese and Japanese punctuation stays.
_WIDE_CODES = [*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3C), 0xFF3D, *range(0xFF41, 0xFF5B)]
_WIDE = {code: chr(code - 0xFEE0) for code in _WIDE_CODES} | {
    ord("／"): "/", ord("＜"): "<", ord("＞"): ">", ord("〔"): "[", ord("〕"): "]", ord("⟦"): "[", ord("⟧"): "]"
}  # fmt: skip
_MOST_ROUNDS = 8


def clean(text: str, known_addresses: Collection[str]) -> str:
    """The text without anything live or hidden, and no address but `known_addresses`, which stay as plain text.

    Markers in other dress (raised, escaped, linked, in entities) come out as "[n]". What one removal puts together is
    looked at again, so that nothing can be smuggled in halves.
    """
    plain = text
    for _ in range(_MOST_ROUNDS):
        before, plain = plain, _cleaned(plain, known_addresses)
        if plain == before:
            break
    return plain


def _cleaned(text: str, known: Collection[str]) -> str:
    plain = without_keys(html.unescape(visible(text)).translate(_WIDE))
    plain = _HIDDEN_BLOCK.sub("", plain)
    plain = _RAISED_MARKER.sub(r" [\1]", _ESCAPED_MARKER.sub(r"[\1]", plain))
    plain = _RAISED_DIGITS.sub(lambda match: f" [{match.group().translate(_LOWERED)}]", plain)
    plain = _IMAGE.sub("", plain)
    plain = _DEFINITION.sub("", _NESTED_LINK.sub(r"\1", plain))
    plain = _LINK.sub(lambda match: _label(match, known), plain)
    bare = _ADDRESS.sub(lambda match: _address(match, known), plain)
    plain = bare if bare == plain else _GAP.sub(" ", _EMPTY_BRACKETS.sub("", bare))
    return _BLOB.sub("", _TAG.sub("", _TEMPLATE.sub("", plain)))


_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


def safe_length(text: str) -> int:
    """How much of a text ends before anything unfinished: the last word, an open bracket or tag, the stop of a sentence
    whose marker may yet come."""
    cut = _before_last_word(text, len(text))
    opened = [place for place in range(max(0, cut - _LONGEST_HELD), cut) if text[place] in _CLOSERS]
    for place in opened:
        if _is_open(text, place, cut):
            linked = text[place] == "(" and text[place - 1 : place] == "]"
            cut = max(0, text.rfind("[", 0, place)) if linked else place
            break
    if _SENTENCE_END.search(text[max(0, cut - 20) : cut]) and text[cut : cut + 1] in _MARKER_STARTS:
        cut = _before_last_word(text, cut)
    return cut


_CLOSERS = {"[": "]", "【": "】", "［": "］", "〔": "〕", "⟦": "⟧", "<": ">", "(": ")", "!": ")", "&": ";"}
_LONGEST_HELD = 400
_SENTENCE_END = re.compile(r"[.!?][\"'”’)]*\s*$")
_MARKER_STARTS = ("", *"[【［〔⟦(<\\&⁰¹²³⁴⁵⁶⁷⁸⁹")


def _before_last_word(text: str, end: int) -> int:
    return end - len(re.search(r"\S*\s*$", text[:end]).group())  # type: ignore[union-attr] # matches always


def _is_open(text: str, place: int, end: int) -> bool:
    character = text[place]
    if character == "!" and text[place + 1 : place + 2] != "[":
        return False
    if character == "<" and not re.match(r"</?[A-Za-z!|]", text[place : place + 3]):
        return False
    if character == "&" and not re.match(r"&#?\w{0,8}$", text[place:end]):
        return False
    return _CLOSERS[character] not in text[place:end]


def _label(match: re.Match[str], known: Collection[str]) -> str:
    label, address = match.groups()
    if re.fullmatch(r"[\d\s,;^–-]+", label):
        return f"[{label}]"
    return f"{label} ({address})" if is_known(address, known) else label


def _address(match: re.Match[str], known: Collection[str]) -> str:
    found = match.group().strip("<>").rstrip(".,;:")
    tail = match.group().rstrip(">")[len(match.group().rstrip(">").rstrip(".,;:")) :]
    return f"{found}{tail}" if is_known(found, known) else tail


def is_known(address: str, known: Collection[str]) -> bool:
    """Whether an address is among the known ones, but for a last slash."""
    return any(address.rstrip("/") == other.rstrip("/") for other in known)
