"""Names in a sentence, and whether a paper has them: models, data sets, people, acronyms and what they stand for."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache

from rag import text

MISSING = 0.4  # share of the support left by a name that the paper does not have

_NAME = re.compile(r"[^\W_]+(?:[-.+/#][^\W_]+)*[+#]*")
_ALNUM = re.compile(r"[\W_]+")


def read_names(sentence: str) -> Iterator[str]:
    """Words that look like names: capitals inside, digits among letters, a capital where no sentence starts."""
    for match in _NAME.finditer(sentence):
        word = match.group()
        if (word.islower() and word.isalpha()) or len(word) < 2 or not any(char.isalpha() for char in word):
            continue
        inner = any(char.isupper() or char.isdigit() for char in word[1:]) and not word[0].isdigit()
        if inner or (
            word[0].isupper() and not _starts(sentence, match.start()) and word.lower() not in text.STOP_WORDS
        ):
            yield word


def _starts(sentence: str, place: int) -> bool:
    """Whether a sentence begins at a place, or a part of it after a colon."""
    before = sentence[:place].rstrip()
    return not before.rstrip(" \"'“‘([") or before[-1:] in ".!?:"


def names_agree(names: Collection[str], whole: str) -> float:
    """A factor for names of a claim that its paper nowhere has."""
    if not names:
        return 1.0
    tokens, initials = _tokens(whole)
    missing = sum(not _named(name, tokens, initials) for name in names)
    return MISSING ** min(missing, 2)


def _named(name: str, tokens: str, initials: str) -> bool:
    key = _ALNUM.sub("", name).lower()
    if _spelling(key).search(tokens):
        return True
    if name.isupper() or (name[:-1].isupper() and name.endswith("s")):  # RL, LLMs: spelt out in the abstract?
        return 2 <= len(key.removesuffix("s")) <= 6 and key.removesuffix("s") in initials
    parts = [part for part in re.split(r"[-/.+#]", name) if part]
    return len(parts) > 1 and all(_named(part, tokens, initials) for part in parts)


@lru_cache(maxsize=4096)
def _spelling(key: str) -> re.Pattern[str]:
    """A name whatever its hyphens and its plural, as whole words of `_tokens`."""
    stem = key.removesuffix("s") if len(key) > 3 else key
    return re.compile(r"\|" + r"\|?".join(stem) + r"(?:e?s)?\|")


@lru_cache(maxsize=256)
def _tokens(whole: str) -> tuple[str, str]:
    """The words in lower case between bars, and the first letters of all words."""
    parts = [part for part in _ALNUM.split(whole.lower()) if part]
    capitals = "".join(word.lower() for word in re.findall(r"\b[A-Z]+\b", whole))
    return f"|{'|'.join(parts)}|", "".join(part[0] for part in parts) + " " + capitals
