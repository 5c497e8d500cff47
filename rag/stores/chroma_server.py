"""The dense index on a Chroma server: a collection for each library, which any number of processes share."""

from __future__ import annotations

import base64
import threading
from collections.abc import Container, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from rag.errors import LibraryError, LibraryMismatch
from rag.stores.chroma import CONSTRUCTION_BREADTH, NEIGHBOURS, Scored
from rag.stores.chroma_http import ChromaRefused, ChromaServer, Collection
from rag.stores.exact import ExactSearch
from rag.stores.vectors import check_vectors

if TYPE_CHECKING:
    from rag.interfaces import Vectors

Item = TypeVar("Item")

_FETCHED = 400  # so many vectors are read in less time than the server takes to search with a list of ids
_SMALL = 2_000  # up to so many vectors are searched here, exactly: HNSW can lose outliers among near-duplicates
_SENT_AT_ONCE = 8 * 2**20  # bytes of vectors a request: servers refuse more than some 40 MB of text


class ServerIndex:
    """A `DenseIndex` in a collection of a Chroma server: ids and vectors only, cosine similarity, HNSW.

    What one process writes, all others find from then on; only a small index is kept in memory, to be searched exactly,
    where another process's changes are seen after `reopen`. A search among some ids is exact for a few hundred, and the
    server's own for more.

    With `make`, a collection that does not exist is made, for this search breadth, which a running server keeps to; or
    with `words` one for a `SparseIndex` too, whose search breadth is up to the server. Otherwise raises LibraryMismatch
    where there is none, as for vectors of another dimension or fingerprint, and LibraryUnavailable when the server is
    away; with `lazy` at the first use.
    """

    def __init__(
        self,
        server: ChromaServer,
        name: str,
        *,
        dimension: int,
        fingerprint: str = "",
        search_breadth: int = 500,
        words: bool = False,
        make: bool = False,
        lazy: bool = False,
    ) -> None:
        self._server = server
        self._name = name
        self._dimension = dimension
        self._fingerprint = fingerprint
        self._breadth = search_breadth
        self.words = words
        self.batch = server.batch
        self._closed = False
        self._lock = threading.Lock()
        self._writes = 0
        self._exact: ExactSearch | None = None
        self._looked = False
        self._opened: Collection | None = self._made() if make else None
        if not lazy:
            self._collection()

    def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add or replace vectors, float32 (len(ids), dimension); of an id given twice the last one counts."""
        check_vectors(vectors, len(ids), self._dimension)
        last = {passage_id: row for row, passage_id in enumerate(ids)}
        size = max(1, min(self.batch, _SENT_AT_ONCE // (4 * self._dimension)))
        for part in _parts(list(last), size):
            rows = [base64.b64encode(vectors[last[passage_id]].astype("<f4").tobytes()).decode() for passage_id in part]
            self._write("upsert", {"ids": part, "embeddings": rows})

    def delete(self, ids: Sequence[str]) -> None:
        """Remove vectors; unknown ids are passed over."""
        for part in _parts(list(dict.fromkeys(ids)), self.batch):
            self._write("delete", {"ids": part})

    def search(self, vector: Vectors, k: int, *, only: Sequence[str] | None = None) -> list[Scored]:
        """At most k (passage id, cosine), best first; `only` restricts to those ids, unknown ones ignored."""
        check_vectors(vector.reshape(1, -1), 1, self._dimension)
        if k < 1 or (only is not None and not only):
            return []
        exact = self._all()
        if exact is not None:
            return exact.search(vector, k, only=only)
        if only is None:
            return self._query(vector, k)
        unique = list(dict.fromkeys(only))
        if len(unique) <= _FETCHED:
            vectors = self.vectors(unique)
            return ExactSearch.of(vectors).search(vector, k, only=unique) if vectors else []
        return self._query_among(vector, k, unique)

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """The vectors, float32 (dimension,) and of length 1, of those ids that exist."""
        exact = self._all()
        if exact is not None:
            return exact.vectors(ids)
        found: dict[str, Vectors] = {}
        for part in _parts(list(dict.fromkeys(ids)), self.batch):
            found.update(_vectors(self.ask("get", {"ids": part, "include": ["embeddings"]})))
        return ExactSearch.of(found).vectors(ids) if found else {}

    def ids(self) -> set[str]:
        """All passage ids."""
        return {passage_id for page in self.pages() for passage_id in page["ids"]}

    def count(self) -> int:
        """The number of vectors."""
        return self._server.count(self._collection())

    def reopen(self) -> None:
        """See what other processes have written."""
        with self._lock:
            self._opened = None
        self._changed()

    def close(self) -> None:
        """Close the connections. Closing twice does no harm."""
        self._closed = True
        self._server.close()

    def _all(self) -> ExactSearch | None:
        """All vectors of a small index; None for a large one."""
        if self._looked and not self._closed:
            return self._exact
        writes, exact = self._writes, None
        if self.count() <= _SMALL:
            found = {key: vector for page in self.pages("embeddings") for key, vector in _vectors(page).items()}
            exact = ExactSearch.of(found) if found else ExactSearch([], self._none())
        with self._lock:
            if self._writes == writes:
                self._exact, self._looked = exact, True
        return exact

    def pages(self, *include: str) -> Iterator[dict[str, Any]]:
        """All records with what is to be included of them, some at a time."""
        at = 0
        while (page := self.ask("get", {"include": include, "limit": self.batch, "offset": at}))["ids"]:
            yield page
            at += len(page["ids"])

    def _write(self, what: str, body: dict[str, Any]) -> None:
        self._changed()
        try:
            self.ask(what, body)
        finally:
            self._changed()

    def _changed(self) -> None:
        # Called before and after a write, so that a reading of all vectors that overlaps it is thrown away.
        with self._lock:
            self._writes += 1
            self._exact, self._looked = None, False

    def _none(self) -> Vectors:
        import numpy as np

        return np.zeros((0, self._dimension), dtype=np.float32)

    def _query(self, vector: Vectors, k: int, ids: list[str] | None = None) -> list[Scored]:
        body = {"query_embeddings": [vector.tolist()], "n_results": k, "ids": ids, "include": ["distances"]}
        found = self.ask("query", body)
        pairs = zip(found["ids"][0], found["distances"][0], strict=True)
        return [(passage_id, 1.0 - far) for passage_id, far in pairs]

    def _query_among(self, vector: Vectors, k: int, only: list[str]) -> list[Scored]:
        try:
            return self._query(vector, k, only)
        except ChromaRefused as error:
            if "finding id" not in str(error):
                raise
        # The server refuses a query that names an id which does not exist (yet).
        known: list[str] = []
        for part in _parts(only, self.batch):
            known += self.ask("get", {"ids": part, "include": []})["ids"]
        return self._query(vector, k, known) if known else []

    def ask(self, what: str, body: dict[str, Any]) -> Any:
        """Have something done with the collection; see `ChromaServer.ask`."""
        try:
            return self._server.ask(self._collection(), what, body)
        except ChromaRefused as error:
            if error.status != 404:
                raise
            raise self._missing() from error

    def _collection(self) -> Collection:
        if self._closed:
            raise LibraryError(f"{self._name} on {self._server.url} is closed")
        with self._lock:
            if self._opened is None:
                found = self._server.collection(self._name)
                if found is None:
                    raise self._missing()
                self._opened = self._checked(found)
            return self._opened

    def _made(self) -> Collection:
        metadata = {"dimension": self._dimension, "fingerprint": self._fingerprint}
        if self.words:
            return self._checked(self._made_sparse(metadata))
        hnsw = {
            "max_neighbors": NEIGHBOURS,
            "ef_construction": CONSTRUCTION_BREADTH,
            "ef_search": self._breadth,
        }
        return self._checked(self._server.make(self._name, hnsw, metadata))

    def _made_sparse(self, metadata: dict[str, Any]) -> Collection:
        try:
            return self._server.make_sparse(self._name, metadata)
        except ChromaRefused as error:
            raise ChromaRefused(f"{error}; a single Chroma node needs dense.words: local", error.status) from error

    def _checked(self, found: Collection) -> Collection:
        metadata = found.metadata
        dimension = found.dimension or metadata.get("dimension", self._dimension)
        if dimension != self._dimension:
            raise LibraryMismatch(
                f"{self._name} on {self._server.url} holds vectors of {dimension} dimensions, the embedding makes"
                f" {self._dimension}; run: citewise rebuild"
            )
        if metadata.get("fingerprint", self._fingerprint) != self._fingerprint:
            raise LibraryMismatch(
                f"{self._name} on {self._server.url} holds vectors of another encoder; run: citewise rebuild"
            )
        return found

    def _missing(self) -> LibraryMismatch:
        return LibraryMismatch(  # not LibraryDamaged, which an ingest mends unasked: it may be the wrong server
            f"the Chroma server at {self._server.url} has no collection {self._name}: correct dense.url, or run:"
            " citewise rebuild"
        )


def sweep(server: ChromaServer, library: str, keep: Container[str]) -> None:
    """Delete the other collections of a library (`library-N`): what a rebuild replaced or left half made."""
    for name in list(server.names()):
        if name.startswith(f"{library}-") and name not in keep:
            server.drop(name)


def _vectors(page: dict[str, Any]) -> dict[str, Vectors]:
    import numpy as np

    return dict(zip(page["ids"], np.asarray(page["embeddings"], dtype=np.float32), strict=True))


def _parts(items: list[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
