"""Hashed keys of records: records of one paper share at least one, so that few others need a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from rag.dedupe import Identity, abstract_words
from rag.hashing import hashed, title_key
from rag.papers import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BANDS = 12
ROWS = 2
"""MinHash bands, and minima a band: records share a band with probability 1 - (1 - J**ROWS)**BANDS at Jaccard
similarity J of their word trigrams. Chosen by eval/bench/dedupe.py."""

CROWDED = 64
"""A key that more papers than this share says nothing (a stock phrase, a stock title) and is not followed."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Hashed identity of one record. Records of one paper share at least one, with few exceptions."""

    title: int | None
    named: tuple[int, ...]
    sketch: tuple[int, ...]

    def all(self) -> tuple[int, ...]:
        """Every key."""
        return (*self.named, *self.sketch) if self.title is None else (self.title, *self.named, *self.sketch)


_GOLDEN = 0x9E3779B97F4A7C15
_FACTORS = tuple(hashed(f"permutation {at}") & 0xFFFFFFFFFFFFFFFF | 1 for at in range(64))


class _WordHashes(dict[str, int]):
    """Hash by word, remembered: a corpus repeats its words."""

    _MOST = 400_000

    def __missing__(self, word: str) -> int:
        if len(self) >= self._MOST:
            self.clear()
        value = hashed(word)
        self[word] = value
        return value


class Keymaker:
    """Makes the keys of records, many at a time so that numpy's cost per call is shared. For one thread."""

    def __init__(self, *, bands: int = BANDS, rows: int = ROWS) -> None:
        self._bands = bands
        self._rows = rows
        self._words = _WordHashes()

    def keys(self, records: Sequence[Record]) -> list[Keys]:
        """The keys of each record, in order."""
        sketches = self.sketches([record.abstract for record in records])
        return [
            Keys(title_key(record.title), _named_keys(record), sketch)
            for record, sketch in zip(records, sketches, strict=True)
        ]

    def sketches(self, abstracts: Sequence[str]) -> list[tuple[int, ...]]:
        """MinHash bands of each abstract's word trigrams (Broder 1997); none for fewer than three words."""
        import numpy as np

        lists = [abstract_words(abstract) for abstract in abstracts]
        counts = np.array([max(len(words) - 2, 0) for words in lists], dtype=np.int64)
        filled = np.flatnonzero(counts)
        if not len(filled):
            return [()] * len(lists)
        trigrams = self._trigrams([lists[at] for at in filled.tolist()])
        starts = np.concatenate(([0], np.cumsum(counts[filled])[:-1]))
        bands = self._banded(trigrams, starts).tolist()
        found = dict(zip(filled.tolist(), bands, strict=True))
        return [tuple(found.get(at, ())) for at in range(len(lists))]

    def _trigrams(self, lists: list[list[str]]) -> NDArray[np.uint64]:
        """Hashes of all trigrams of all lists in order; those that span two lists are left out."""
        import numpy as np

        words = np.fromiter(map(self._words.__getitem__, chain.from_iterable(lists)), dtype=np.int64)
        mixed = _mixed(words.view(np.uint64))
        within = np.ones(len(mixed), dtype=np.bool_)
        ends = np.cumsum([len(words) for words in lists])[:-1]
        within[ends - 1] = False
        within[ends - 2] = False
        return mixed[within]

    def _banded(self, trigrams: NDArray[np.uint64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """(texts, bands): each band hashes the minima of `rows` permutations."""
        import numpy as np

        keys = np.zeros((len(starts), self._bands), dtype=np.uint64)
        for at, factor in enumerate(_FACTORS[: self._bands * self._rows]):
            permuted = trigrams * np.uint64(factor)
            permuted ^= permuted >> np.uint64(32)
            band = at // self._rows
            keys[:, band] = (keys[:, band] ^ np.minimum.reduceat(permuted, starts)) * np.uint64(_GOLDEN)
            keys[:, band] ^= np.uint64(band) + (keys[:, band] >> np.uint64(29))
        return keys.view(np.int64)


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash of each run of three words. Multiply-and-shift as in splitmix64."""
    import numpy as np

    if len(words) < 3:
        return words[:0]
    mixed = words[:-2] * np.uint64(_GOLDEN)
    mixed += words[1:-1] * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed += words[2:] * np.uint64(0x165667B19E3779F9)
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(32)
    return mixed


def _named_keys(record: Record) -> tuple[int, ...]:
    identity = Identity(record)
    named = (("doi", identity.doi), ("arxiv", identity.arxiv_id))
    return tuple(hashed(f"{kind}:{value}") for kind, value in named if value)
