"""The seams of the engine: what an encoder, a dense index and a lexical index owe the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from rag.answers import Filters
from rag.papers import Paper, Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

Query = tuple[str, int]
"""A text and how many passages are wanted for it."""
Rankings = list[list[tuple[str, float]]]
"""For each search the (passage id, score) that it found, best first."""

Side = Literal["query", "passage"]


class Encoder(Protocol):
    """Turns text into unit vectors. `fingerprint` changes whenever the same text would get another vector."""

    @property
    def name(self) -> str: ...
    @property
    def dimension(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    def encode(self, texts: Sequence[str], *, side: Side = "passage") -> Vectors:
        """Float32 (len(texts), dimension), rows of length 1 (or 0 for a text without any known token)."""
        ...


class DenseIndex(Protocol):
    """Vectors by passage id. Adding an id again replaces its vector. Deleting an unknown id does nothing."""

    def upsert(self, ids: Sequence[str], vectors: Vectors) -> None: ...
    def delete(self, ids: Sequence[str]) -> None: ...
    def search(self, vector: Vectors, k: int, *, only: Sequence[str] | None = None) -> list[tuple[str, float]]:
        """At most k (passage id, cosine), best first; `only` restricts to those passage ids."""
        ...

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]: ...
    def ids(self) -> set[str]: ...
    def count(self) -> int: ...
    def close(self) -> None: ...


class LexicalIndex(Protocol):
    """BM25 over passage text (title and abstract in one field). Same rules for ids as `DenseIndex`."""

    def upsert(self, passages: Sequence[Passage]) -> None: ...
    def delete(self, ids: Sequence[str]) -> None: ...
    def commit(self) -> None:
        """Make what was written durable and visible to searches, here and in other processes."""
        ...

    def search(self, query: str, k: int, *, only: Sequence[str] | None = None) -> list[tuple[str, float]]:
        """At most k (passage id, BM25 score), best first. Any text is a valid query; none raises."""
        ...

    def ids(self) -> set[str]: ...
    def count(self) -> int: ...
    def close(self) -> None: ...


class WordStatistics(Protocol):
    """How common words are in the library; a `LexicalIndex` offers it too."""

    def document_frequency(self, words: Sequence[str]) -> dict[str, int]:
        """Passages that hold each word (after the index's own stemming); 0 for unknown words."""
        ...

    def count(self) -> int: ...


class HybridSearch(Protocol):
    """Both searches of a question at once, where one server keeps both indexes."""

    def search_both(
        self, vectors: Sequence[Vectors], queries: Sequence[Query], k: int, *, only: Sequence[str] | None = None
    ) -> tuple[Rankings, Rankings]:
        """What `DenseIndex.search` finds for each vector with `k`, and `LexicalIndex.search` for each query."""
        ...


class CatalogReader(Protocol):
    """What retrieval and answering read from the catalog. Passage ids are f"{paper_id}#{ordinal}"."""

    def generation(self) -> int:
        """Grows with every committed change, also by other processes."""
        ...

    def count(self) -> int: ...
    def papers(self, ids: Sequence[str]) -> dict[str, Paper]: ...
    def all_papers(self) -> Iterator[Paper]: ...
    def passages(self, ids: Sequence[str]) -> dict[str, Passage]: ...
    def select(self, filters: Filters) -> list[str]:
        """Ids of the papers that pass the filters."""
        ...

    def passage_ids(self, paper_ids: Sequence[str]) -> list[str]: ...
    def titled(self, titles: Sequence[str]) -> dict[str, list[str]]:
        """Paper ids by normalised title (`text.normalised_title`), for the titles that exist."""
        ...
