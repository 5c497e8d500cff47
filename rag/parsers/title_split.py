"""Finds where a title ends and its abstract begins, when both stand on one line with nothing between.

A log-linear model over candidate boundaries (see title_features), trained and measured by eval/bench/title_split.py.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rag.parsers.title_features import MAX_TITLE, boundaries

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Weights = NDArray[np.float32]

WEIGHTS = Path(__file__).with_name("title_split.npz")
_SENTENCE_END = re.compile(r"[.!?][\"'”’)\]]*(?:\s|$)")


class TitleSplitter:
    """Splits "title abstract" lines. `weights` has shape (2**n,): feature hashes are folded to n bits."""

    def __init__(self, weights: Weights) -> None:
        import numpy as np

        self._weights = np.asarray(weights, dtype=np.float32)
        self._mask = len(weights) - 1

    @classmethod
    @lru_cache(maxsize=1)
    def load(cls) -> TitleSplitter:
        """The splitter that ships with the package."""
        return cls(load_weights(WEIGHTS))

    def split(self, text: str) -> tuple[str, str]:
        """Title and abstract of one paper. The abstract is empty when the text is only as long as a title
        and holds no full sentence."""
        text = text.strip()
        if len(text) <= MAX_TITLE and not _SENTENCE_END.search(text):
            return text, ""
        found = boundaries(text)
        if found is None:
            return "", text
        running = self._weights[found.inside & self._mask].sum(axis=1).cumsum()
        scores = self._weights[found.places & self._mask].sum(axis=1) + running[found.words - 1]
        offset = found.offsets[int(scores.argmax())]
        return text[:offset].rstrip(), text[offset:]


def save_weights(weights: Weights, path: Path) -> None:
    """Stores weights as 8-bit integers with one scale (numpy archive, no pickle)."""
    import numpy as np

    scale = float(np.abs(weights).max()) / 127 or 1.0
    np.savez_compressed(path, weights=np.round(weights / scale).astype(np.int8), scale=np.float32(scale))


def load_weights(path: Path) -> Weights:
    """Weights as float32, shape (2**n,)."""
    import numpy as np

    with np.load(path, allow_pickle=False) as stored:
        return stored["weights"].astype(np.float32) * stored["scale"]
