"""What a model has said so far, as it may be shown: cleaned, markers understood, the prompt's own words left out."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from rag.answerers.cleaning import clean, safe_length
from rag.markers import bracketed, canonical, numbers_in, without_markers
from rag.orders import gives_orders
from rag.prompts import NOT_FOUND
from rag.text import collapse, sentences, shorten

UNSAID = "the abstracts found do not say this"
"""The reason of an abstention for which the model gives none that may be shown."""

_NOT_FOUND_SENTENCE = re.compile(rf"[*_\"“]*{re.escape(NOT_FOUND)}[*_\"”]*\s*[:.,;–—-]*\s*", re.IGNORECASE)
_REASON_CHARACTERS = 240
_WORD = re.compile(r"[^\W_]+")
_LEAK = 8  # words in a row that no answer shares with the instructions by chance
_LEAST = 4  # words of a whole sentence that no answer shares with them


class Written:
    """Turns raw text of a model into what may be shown of it. `passages` is how many sources there are; `secret` is
    what the model was told and must not tell."""

    def __init__(self, passages: int, addresses: Collection[str], secret: Sequence[str] = ()) -> None:
        self._passages = passages
        self._addresses = addresses
        told = [_words(item) for item in secret]
        self._runs = [
            {tuple(words[at : at + size]) for words in told for at in range(len(words) - size + 1)}
            for size in range(_LEAK + 1)
        ]

    def parts(self, raw: str) -> tuple[str, str]:
        """The answer, with canonical markers, and what the model said is missing, as a reason; either may be empty.

        A text that begins with the agreed phrase is all reason; one that ends with it is an answer that is incomplete.
        """
        text = canonical(clean(raw, self._addresses), self._passages)
        match = _NOT_FOUND_SENTENCE.search(text)
        if not match:
            return self._kept(text), ""
        answer = self._kept(text[: match.start()]).strip()
        if text[: match.start()].strip() and not answer:  # a telling of the instructions, in which the phrase stands
            return "", ""
        return answer, self._reason(text[match.end() :])

    def so_far(self, raw: str) -> str:
        """What can be shown while more is coming: nothing unfinished, and no word that may yet turn out to be one of
        the instructions' or of the agreed phrase."""
        cut = safe_length(raw)
        next_character = raw[cut : cut + 1]  # what follows a bracket decides whether it is a marker
        text = canonical(clean(raw[:cut] + next_character, self._addresses), self._passages)
        text = text.removesuffix(next_character)
        match = _NOT_FOUND_SENTENCE.search(text)
        shown = text[: match.start()] if match else _before_phrase(text)
        return bracketed(shown[: self._told_at(shown)].rstrip())

    def _kept(self, text: str) -> str:
        """The text without the sentences that repeat the instructions; where there are any, without uncited ones."""
        spans = sentences(text)
        leaking = {span for span in spans if self._leaks(span.text)}
        if leaking:
            leaking.update(span for span in spans if not numbers_in(span.text))
        for span in sorted(leaking, key=lambda span: -span.start):
            text = text[: span.start].rstrip(" ") + " " * bool(span.start) + text[span.end :].lstrip(" ")
        return text

    def _leaks(self, sentence: str) -> bool:
        words = _words(without_markers(sentence))
        if _LEAST <= len(words) < _LEAK and tuple(words) in self._runs[len(words)]:
            return True
        return any(tuple(words[at : at + _LEAK]) in self._runs[_LEAK] for at in range(len(words) - _LEAK + 1))

    def _told_at(self, text: str) -> int:
        """Where the instructions' words begin: a whole run of them anywhere, or the beginning of one at the end."""
        found = list(_WORD.finditer(text))
        words = [match.group().casefold() for match in found]
        for at in range(len(words)):
            run = tuple(words[at : at + _LEAK])
            if (len(run) == _LEAK or len(run) > 1) and run in self._runs[len(run)]:
                return found[at].start()
        return len(text)

    def _reason(self, said: str) -> str:
        """The first sentence of what the model says is missing: unchecked words, so no order, number or address of its
        own is passed on."""
        first = next((span.text for span in sentences(collapse(without_markers(said)))), "")
        reason = shorten(first, _REASON_CHARACTERS).rstrip(". ")
        if not reason or gives_orders(reason) or self._leaks(reason) or re.search(r"\d{3}|[/@\\<>\[\]|]", reason):
            return UNSAID
        return reason


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _before_phrase(text: str) -> str:
    """The text without an end that may become the agreed phrase."""
    plain = text.rstrip(' \t*_"“:').upper()
    for size in range(min(len(plain), len(NOT_FOUND)), 2, -1):
        if plain.endswith(NOT_FOUND[:size].rstrip()):
            return text[: len(plain) - size].rstrip(' *_"“')
    return text
