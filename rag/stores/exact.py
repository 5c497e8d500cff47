"""Exact nearest neighbours among chosen vectors, in memory: for filtered searches, which HNSW is slow at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag.interfaces import Vectors


class ExactSearch:
    """All vectors of an index as one float32 (n, dimension) matrix of unit rows, with their ids."""

    def __init__(self, ids: Sequence[str], matrix: Vectors) -> None:
        import numpy as np

        self._ids = list(ids)
        self._row = {passage_id: row for row, passage_id in enumerate(self._ids)}
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
        self._matrix = np.divide(matrix, lengths, out=matrix, where=lengths > 0)

    @classmethod
    def of(cls, vectors: Mapping[str, Vectors]) -> ExactSearch:
        """From vectors by id; at least one."""
        import numpy as np

        return cls(list(vectors), np.array(list(vectors.values()), dtype=np.float32))

    def search(self, vector: Vectors, k: int, *, only: Sequence[str] | None = None) -> list[tuple[str, float]]:
        """At most k (id, cosine), best first, among all ids or the known ones of `only`."""
        import numpy as np

        unit = vector / max(float(np.linalg.norm(vector)), 1e-12)
        if only is None:
            scores = self._matrix @ unit
            return [(self._ids[row], float(scores[row])) for row in _top(scores, k)]
        known = {row for passage_id in only if (row := self._row.get(passage_id)) is not None}
        rows = np.array(sorted(known), dtype=np.int64)
        # Gathering rows copies them; past a tenth, multiplying the whole matrix is cheaper.
        few = len(rows) * 10 < len(self._ids)
        scores = self._matrix[rows] @ unit if few else (self._matrix @ unit)[rows]
        return [(self._ids[rows[at]], float(scores[at])) for at in _top(scores, k)]


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
