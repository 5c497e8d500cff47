"""Small real parts for tests that write libraries: an encoder, files of records, and a library as a plain value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rag.indexing import Indexes
from rag.ingest import CATALOG, Ingester
from rag.settings import ChunkingSettings, RetrievalSettings
from rag.stores import manifest as manifests
from rag.stores.catalog import Catalog
from rag.stores.lexical import TantivyIndex
from rag.stores.manifest import Manifest
from rag.stores.offload import OffloadedIndex

CHUNKING = ChunkingSettings(max_tokens=512, overlap_sentences=1)


class WordEncoder:
    """Sums a pseudo-random vector a word; remembers what it was given. `fail_after` texts it fails, as a server may."""

    name = "words"

    def __init__(self, dimension: int = 16, *, fail_after: int | None = None) -> None:
        self.dimension = dimension
        self.fingerprint = f"words-{dimension}"
        self.fail_after = fail_after
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str], *, side: str = "passage") -> np.ndarray:
        self.texts += texts
        if self.fail_after is not None and len(self.texts) > self.fail_after:
            raise ConnectionError("the embedding server went away")
        vectors = np.array([self._vector(text) for text in texts], dtype=np.float32).reshape(-1, self.dimension)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, lengths, out=vectors, where=lengths > 0)

    def _vector(self, text: str) -> np.ndarray:
        return np.sum([_word_vector(word, self.dimension) for word in text.lower().split()], axis=0)


@cache
def _word_vector(word: str, dimension: int) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)


def opener(folder: Path):
    def open_indexes(manifest: Manifest) -> Indexes:
        return Indexes(
            OffloadedIndex(
                folder / manifest.folders["dense"],
                dimension=manifest.dimension,
                search_breadth=RetrievalSettings().search_breadth,
                offload_after=1500,
            ),
            TantivyIndex(folder / manifest.folders["lexical"]),
        )

    return open_indexes


def ingester(folder: Path, encoder: Any = None, *, chunking: ChunkingSettings = CHUNKING) -> Ingester:
    return Ingester(folder, encoder=encoder or WordEncoder(), chunking=chunking, open_indexes=opener(folder))


def ingest(folder: Path, *paths: Path, encoder: Any = None, **options: Any):
    with ingester(folder, encoder) as writer:
        return writer.ingest(paths, **options)


def write(path: Path, records: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def papers(folder: Path) -> dict[str, Any]:
    with closing(Catalog(folder / CATALOG)) as catalog:
        return {paper.id: paper for paper in catalog.all_papers()}


def snapshot(folder: Path) -> dict[str, Any]:
    """All that a library holds: papers, passages, both indexes' ids, vectors, and what is left to do."""
    manifest = manifests.read(folder)
    assert manifest is not None
    with closing(Catalog(folder / CATALOG)) as catalog, closing(opener(folder)(manifest)) as indexes:
        passages = list(catalog.all_passages())
        ids = indexes.dense.ids()
        vectors = indexes.dense.vectors(sorted(ids))
        counts = catalog.counts()
        return {
            "papers": [paper.as_json() for paper in catalog.all_papers()],
            "passages": passages,
            "dense": ids,
            "lexical": indexes.lexical.ids(),
            "vectors": {key: np.round(value, 5).tolist() for key, value in vectors.items()},
            "left": (counts["pending"], counts["doomed"]),
        }


def whole(folder: Path) -> dict[str, Any]:
    """The snapshot of a library, after checking that its parts agree."""
    found = snapshot(folder)
    expected = {passage.id for passage in found["passages"]}
    assert found["dense"] == expected
    assert found["lexical"] == expected
    assert found["left"] == (0, 0)
    texts = {passage.id: passage.text for passage in found["passages"]}
    again = WordEncoder(len(next(iter(found["vectors"].values()), [0] * 16)))
    for passage_id, text in texts.items():
        assert np.allclose(again.encode([text])[0], found["vectors"][passage_id], atol=1e-3), passage_id
    return found


_SUBJECTS = "whales engines lattices markets proteins glaciers violins satellites enzymes compilers".split()
_VERBS = "sing drift collapse recover oscillate align diverge settle".split()


def abstract(number: int, sentences: int = 5) -> str:
    """A text of its own for each number: no two share long runs of words."""
    parts: list[str] = []
    for at in range(sentences):
        draw = int.from_bytes(hashlib.sha256(f"{number}/{at}".encode()).digest()[:8], "big")
        words = [f"{_SUBJECTS[draw % 10]}", f"{_VERBS[draw // 10 % 8]}", *(f"w{draw // 7**k % 9973}" for k in range(8))]
        parts.append(" ".join(words).capitalize() + ".")
    return " ".join(parts)


def record(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "title": f"On the matter of subject {hashlib.md5(str(number).encode()).hexdigest()[:8]}",
        "abstract": abstract(number),
    } | changes
