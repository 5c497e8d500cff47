"""Token counts by tiktoken, from a vocabulary that LlamaIndex ships: no download, no import of LlamaIndex."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import CitewiseError

if TYPE_CHECKING:
    from tiktoken import Encoding

# tiktoken names a cached vocabulary by the SHA-1 of the address it came from.
_ADDRESS = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"
# How cl100k_base cuts text into pieces before it merges bytes; part of its definition (see tiktoken_ext).
_PIECES = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
LONGEST_TOKEN = 128
"""Bytes of the longest token: no text of n tokens is longer than 128 n bytes."""
_KNOWN_WORDS = 500_000  # remembered at most; the 87,000 abstracts it was measured on have 360,000
_UNKNOWN = 1 << 40


def count_tokens(text: str) -> int:
    """The number of cl100k_base tokens of a text; text that spells a special token counts as plain text."""
    return len(_encoding().encode_ordinary(text)) if text else 0


def fits(text: str, limit: int) -> bool:
    """Whether a text has at most `limit` tokens, without tokenising it where a bound already decides.

    Every token is 1 to 128 bytes long, and `token_bound` is at least the number of tokens.
    """
    if len(text) * 4 <= limit:  # a character is at most four bytes
        return True
    if len(text) > limit * LONGEST_TOKEN:
        return False
    return _rough_bound(text) <= limit or token_bound(text) <= limit or count_tokens(text) <= limit


def first_tokens(text: str, limit: int) -> str:
    """The text, or what its first `limit` tokens spell where it has more."""
    if fits(text, limit):
        return text
    encoding = _encoding()
    return encoding.decode(encoding.encode_ordinary(text)[:limit], errors="ignore")


def token_bound(text: str) -> int:
    """A number of tokens that the text does not exceed, quickly; very large where no bound is known.

    cl100k starts a new piece at every space that has no other white space beside it, so a text's tokens are
    those of its words, each with the space before it. Those are remembered. The first word has no space
    before it and is bounded by its bytes.
    """
    _spaced.learn(text.split(" "))
    return _rough_bound(text)


def _rough_bound(text: str) -> int:
    """As `token_bound`, with a word that is not remembered bounded by its bytes: counting the tokens of every rare word
    takes longer than it is worth in most texts."""
    words = text.split(" ")
    return sum(map(_spaced.__getitem__, words), 4 * len(words[0]))


class _SpacedWords(dict[str, int]):
    """Tokens of a word (without spaces, perhaps with other white space inside) and a space before it."""

    def __missing__(self, word: str) -> int:
        return len(word.encode("utf-8", "surrogatepass")) + 1 if word and word == word.strip() else _UNKNOWN

    def learn(self, words: Sequence[str]) -> None:
        """Remember how many tokens each word has."""
        for word in words:
            if word and word not in self and len(word) <= 40 and word == word.strip():
                if len(self) >= _KNOWN_WORDS:
                    self.clear()
                self[word] = count_tokens(" " + word)


_spaced = _SpacedWords()
_loading = threading.Lock()


def _encoding() -> Encoding:
    with _loading:  # two threads at once would both read the vocabulary
        return _load()


@lru_cache(maxsize=1)
def _load() -> Encoding:
    from tiktoken import Encoding

    lines = _vocabulary().read_bytes().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}
    return Encoding("cl100k_base", pat_str=_PIECES, mergeable_ranks=ranks, special_tokens={})


def _vocabulary() -> Path:
    spec = importlib.util.find_spec("llama_index.core")
    name = hashlib.sha1(_ADDRESS.encode(), usedforsecurity=False).hexdigest()
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / "_static" / "tiktoken_cache" / name
        if path.is_file():
            return path
    raise CitewiseError(
        "llama-index-core has lost its token vocabulary; run: pip install --force-reinstall llama-index-core"
    )
