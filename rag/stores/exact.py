"""Exact nearest neighbours among chosen vectors, in memory: for filtered searches, which HNSW is slow at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag.interfaces import Vectors


class ExactSearch:
    """All vectors of an index as one float32 (n, dimension) matrix of unit rows, with their ids."""

    def __init__(self, ids: Sequence[str], matrix: Vectors) -> None:
        self._ids = list(ids)
        self._row = {passage_id: row for row, passage_id in enumerate(self._ids)}
        self._matrix = matrix

    def __len__(self) -> int:
        return len(self._ids)

    @classmethod
    def of(cls, vectors: Mapping[str, Vectors]) -> ExactSearch:
        """From vectors of any length by id; at least one."""
        import numpy as np

        return cls(list(vectors), scaled(np.array(list(vectors.values()), dtype=np.float32)))

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """The vectors of those ids that exist."""
        return {passage_id: self._matrix[self._row[passage_id]] for passage_id in ids if passage_id in self._row}

    def search(self, vector: Vectors, k: int, *, only: Sequence[str] | None = None) -> list[tuple[str, float]]:
        """At most k (id, cosine), best first, among all ids or the known ones of `only`."""
        import numpy as np

        unit = vector / max(float(np.linalg.norm(vector)), 1e-12)
        if only is None:
            scores = _products(self._matrix, unit)
            return [(self._ids[row], float(scores[row])) for row in _top(scores, k)]
        if len(only) * 10 > len(self._ids):
            return self._sift(_products(self._matrix, unit), k, set(only))
        rows = np.array(sorted({row for row in map(self._row.get, only) if row is not None}), dtype=np.int64)
        scores = _products(self._matrix[rows], unit)
        return [(self._ids[rows[at]], float(scores[at])) for at in _top(scores, k)]

    def _sift(self, scores: Vectors, k: int, only: set[str]) -> list[tuple[str, float]]:
        """The best of `only` by walking down the best of all: first twice as far as chance asks for, then on."""
        best: list[tuple[str, float]] = []
        for reach in (2 * k * len(scores) // len(only) + 100, len(scores)):
            found = ((passage_id, row) for row in _top(scores, reach) if (passage_id := self._ids[row]) in only)
            best = [(passage_id, float(scores[row])) for passage_id, row in islice(found, k)]
            if len(best) == k:
                break
        return best


def scaled(vectors: Vectors) -> Vectors:
    """Rows scaled to length 1, float32; rows of zeros stay, and those of length 1 stay to the bit."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[(lengths == 0) | (abs(lengths - 1) < 1e-6)] = 1
    return (vectors / lengths).astype(np.float32)


def _products(matrix: Vectors, vector: Vectors) -> Vectors:
    import numpy as np

    # Not `@`: BLAS starts threads for it, and waiting for them on a busy machine takes longer than the work.
    return np.einsum("ij,j->i", matrix, vector)


def _top(scores: Vectors, k: int) -> list[int]:
    import numpy as np

    if k < 1:
        return []
    if k < len(scores):
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        candidates = np.flatnonzero(scores >= threshold)
    else:
        candidates = np.arange(len(scores))
    order = np.argsort(-scores[candidates], kind="stable")[:k]
    return [int(at) for at in candidates[order]]
