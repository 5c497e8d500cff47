"""Pure functions on text: sentences with offsets, words, stems, normalised titles."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from rag.british import american

_ABBREVIATIONS = frozenset(
    "e.g i.e etc vs cf al fig figs eq eqs sec no nos approx resp dr mr mrs ms prof st ref refs viz ca"
    " a.k.a w.r.t s.t i.i.d dept univ inc ltd ch vol pp ed eds jr sr".split()
)
_BREAK = re.compile(r"[.!?]+[\"'”’)\]}]*(?=\s)|\n\s*\n")
_LAST_WORD = re.compile(r"[\w.\-]+$")
_OPENS_SENTENCE = re.compile(r"[\"'“‘(\[{]*(?:[A-Z0-9]|[^\W\d_a-z]|\$|\\|-\s|•|[a-z]+[A-Z0-9])")
_WORD = re.compile(r"[^\W_]+(?:[-'’./+#][^\W_]+)*[+#]*")
_NOT_WORD = re.compile(r"[\W_]+")

STOP_WORDS = frozenset(
    "a about above after again against all also am an and any are as at be because been before being below between"
    " both but by can could did do does doing down during each either else ever few for from further get gets had has"
    " have having he her here hers him his how however i if in into is it its itself just let like may me might more"
    " most much must my no nor not now of off on once one only or other our ours out over own per please same shall she"
    " should so some such tell than that the their theirs them then there these they this those through thus to too"
    " under until up upon us use used using very via was we were what when where whether which while who whom whose why"
    " will with within without would yet you your yours".split()
)


class Span(NamedTuple):
    """A sentence: `source[start:end] == text`, without surrounding white space."""

    text: str
    start: int
    end: int


def sentences(source: str) -> list[Span]:
    """The sentences of a text in order, with character offsets; no character but white space is left out.

    >>> [span.text for span in sentences("We beat BERT, e.g. on SQuAD 1.1. It is fast (cf. Fig. 2). Why? It is small.")]
    ['We beat BERT, e.g. on SQuAD 1.1.', 'It is fast (cf. Fig. 2).', 'Why?', 'It is small.']
    """
    return list(_spans(source))


def _spans(source: str) -> Iterator[Span]:
    start = 0
    for match in _BREAK.finditer(source):
        if _ends_sentence(source, match):
            yield from _stripped(source, start, match.end())
            start = match.end()
    yield from _stripped(source, start, len(source))


def _ends_sentence(source: str, match: re.Match[str]) -> bool:
    mark = match.group()
    if mark[0] == "\n":
        return True
    after = source[match.end() : match.end() + 40].lstrip()
    if not _OPENS_SENTENCE.match(after):
        return False
    if mark[0] != ".":
        return True
    if len(mark.rstrip("\"'”’)]}")) > 1:  # an ellipsis ends a sentence only before a capital, which was seen
        return True
    before = _LAST_WORD.search(source, max(0, match.start() - 30), match.start())
    word = before.group() if before else ""
    initial = len(word) == 1 and word.isupper() and word not in "AI"
    return word.lower().strip(".") not in _ABBREVIATIONS and not initial


def _stripped(source: str, start: int, end: int) -> Iterator[Span]:
    part = source[start:end]
    text = part.strip()
    if text:
        begin = start + len(part) - len(part.lstrip())
        yield Span(text, begin, begin + len(text))


def words(source: str) -> list[str]:
    """Words in order as written; hyphenated and dotted names stay whole ("GPT-4", "L2-norm", "C++")."""
    return _WORD.findall(source)


def content_words(source: str) -> list[str]:
    """Lower-case words without stop words."""
    return [lowered for word in words(source) if (lowered := word.lower()) not in STOP_WORDS]


def stems(source: str) -> list[str]:
    """Snowball stems of the content words, compounds split at their joints ("fine-tuned" gives fine, tune)."""
    parts = _NOT_WORD.sub(" ", " ".join(content_words(source))).split()
    return [stem(part) for part in parts if part not in STOP_WORDS]


@lru_cache(maxsize=8192)
def stem_set(source: str) -> frozenset[str]:
    """The stems of a text, each once."""
    return frozenset(stems(source))


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The Snowball (English) stem of one lower-case word, in its American spelling."""
    return _stemmer().stemWord(american(word))


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


def normalised_title(title: str) -> str:
    """A title as a key: Unicode-folded, lower-case, letters and digits only, single spaces.

    >>> normalised_title("Top2Vec:  Distributed Representations of Topics.")
    'top2vec distributed representations of topics'
    """
    if not title.isascii():
        folded = unicodedata.normalize("NFKD", title)
        title = "".join(character for character in folded if not unicodedata.combining(character))
    return _NOT_WORD.sub(" ", title.casefold()).strip()


def collapse(text: str) -> str:
    """The text with control characters dropped and runs of white space made one space."""
    return " ".join("".join(char if char.isprintable() or char.isspace() else " " for char in text).split())


def shorten(text: str, width: int) -> str:
    """At most `width` characters, cut at a word and ended with an ellipsis where something was cut."""
    if len(text) <= width:
        return text
    cut = text[: width - 1]
    head, _, _ = cut.rpartition(" ")
    return f"{(head or cut).rstrip(' ,;:.')}…"


def printable(path: str) -> str:
    """A path as text that can be kept and printed: bytes of a name that are no UTF-8 are spelt out.

    >>> print(printable("caf\\udce9.txt"))
    caf\\udce9.txt
    """
    return path.encode("utf-8", "backslashreplace").decode("utf-8")
