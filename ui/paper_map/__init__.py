"""A library as a map: near papers lie near, groups carry the terms that set them apart."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag import Filters, Paper
from ui.paper_map.clusters import Cluster, clustered
from ui.paper_map.layout import laid_out, nearest

if TYPE_CHECKING:
    from rag.library import Library
    from ui.paper_map.layout import Floats

MOST = 5_000
_PLACED_BY = 5


@dataclass(frozen=True, slots=True)
class PaperMap:
    """Papers of one generation of a library in the plane: `positions` and `vectors` have a row for each of `papers`.

    `total` is how many papers the library has; where it is greater than the papers shown, those are a sample.
    """

    generation: int
    papers: tuple[Paper, ...]
    positions: Floats
    vectors: Floats
    clusters: tuple[Cluster, ...]
    total: int

    def placed(self, paper_ids: Sequence[str], library: Library) -> dict[str, tuple[float, float]]:
        """Where papers lie. Those outside the sample lie amid their nearest papers in it; unknown ids are left out."""
        rows = {paper.id: row for row, paper in enumerate(self.papers)}
        found = {key: self._at(rows[key]) for key in paper_ids if key in rows}
        missing = [key for key in paper_ids if key not in rows]
        if missing and len(self.papers):
            for key, vector in library.vectors(missing).items():
                near, _ = nearest(_unit(vector[None]), self.vectors, min(_PLACED_BY, len(self.papers)))
                x, y = self.positions[near[0]].mean(axis=0)
                found[key] = (float(x), float(y))
        return {key: found[key] for key in paper_ids if key in found}

    def _at(self, row: int) -> tuple[float, float]:
        x, y = self.positions[row]
        return float(x), float(y)


class Cartographer:
    """Makes the map of a library, once for each of its generations."""

    def __init__(self, library: Library, *, most: int = MOST) -> None:
        self._library = library
        self._most = most
        self._made: PaperMap | None = None
        self._drawing = threading.Lock()

    def map(self) -> PaperMap:
        """The map of the library as it is now; where others ask meanwhile, they wait for the same map."""
        with self._drawing:
            generation = self._library.generation()
            if self._made is None or self._made.generation != generation:
                self._made = drawn(self._library, generation, most=self._most)
            return self._made


def drawn(library: Library, generation: int, *, most: int = MOST) -> PaperMap:
    """The map of a library: of all papers, or of `most` of them, always the same ones for the same library."""
    import numpy as np

    ids = library.ids() if library.count() else []
    chosen = sorted(random.Random(0).sample(range(len(ids)), most)) if len(ids) > most else range(len(ids))  # noqa: S311
    vectors = library.vectors([ids[place] for place in chosen]) if ids else {}
    known = list(library.papers(filters=Filters(only=tuple(vectors)))) if vectors else []
    if not known:
        empty = np.zeros((0, 2), dtype=np.float32)
        return PaperMap(generation, (), empty, empty, (), len(ids))
    matrix = _unit(np.stack([vectors[paper.id] for paper in known]))
    return PaperMap(generation, tuple(known), laid_out(matrix), matrix, tuple(clustered(matrix, known)), len(ids))


def _unit(vectors: Floats) -> Floats:
    import numpy as np

    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
