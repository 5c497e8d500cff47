"""The dense index: vectors by passage id in an embedded Chroma collection."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import LibraryDamaged, LibraryError, LibraryLocked, LibraryMismatch
from rag.stores.exact import ExactSearch

if TYPE_CHECKING:
    from rag.interfaces import Vectors

Scored = tuple[str, float]

COLLECTION = "passages"
# By measurement (eval/bench/indexes.py): a denser graph costs more at every insert than it saves in searches.
NEIGHBOURS = 16
CONSTRUCTION_BREADTH = 100
_FETCHED = 400  # so many vectors are read from Chroma in less time than it takes to search with a list of ids
_SMALL = 2_000  # up to so many vectors are searched exactly: as fast, and HNSW can lose outliers among near-duplicates
_LOADED_AT_ONCE = 500  # few enough that searches in other threads do not wait long


class ChromaIndex:
    """A `DenseIndex` in a folder of its own: ids and vectors only, cosine similarity, HNSW.

    Several threads may search while one writes. Another process's changes are seen after `reopen`. A search
    among many ids is slow in Chroma (some 60 ms in 87,000) and approximate; from the second one on, all
    vectors are read into memory in the background (4 bytes a number), after which such searches are exact and
    take milliseconds.

    A writer killed just while Chroma saves its graph leaves a folder that cannot be opened; every other kill only
    loses the batch under way.

    Raises LibraryMismatch when vectors have another dimension than the index, LibraryDamaged when the folder
    cannot be read, LibraryLocked when another process writes for too long, LibraryError when it cannot be
    written.
    """

    def __init__(self, folder: Path, *, dimension: int, search_breadth: int = 700) -> None:
        self._folder = folder
        self._dimension = dimension
        self._search_breadth = search_breadth
        self._lock = threading.Lock()
        self._writes = 0
        self._filtered = 0
        self._large = False
        self._exact: ExactSearch | None = None
        self._loader: threading.Thread | None = None
        self._session: _Session | None = self._open()

    def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add or replace vectors, float32 (len(ids), dimension); of an id given twice the last one counts."""
        self._check(vectors, len(ids))
        last = {passage_id: row for row, passage_id in enumerate(ids)}
        unique, rows = list(last), list(last.values())
        with self._used(writes=True) as session:
            for start in range(0, len(unique), session.batch):
                part = slice(start, start + session.batch)
                session.put(unique[part], vectors[rows[part]])

    def delete(self, ids: Sequence[str]) -> None:
        """Remove vectors; unknown ids are passed over."""
        unique = list(dict.fromkeys(ids))
        with self._used(writes=True) as session:
            for start in range(0, len(unique), session.batch):
                session.collection.delete(ids=unique[start : start + session.batch])

    def search(self, vector: Vectors, k: int, *, only: Sequence[str] | None = None) -> list[Scored]:
        """At most k (passage id, cosine), best first; `only` restricts to those ids, unknown ones ignored."""
        self._check(vector.reshape(1, -1), 1)
        if k < 1 or (only is not None and not only):
            return []
        exact = self._exact or self._load_small()
        if exact is not None:
            return exact.search(vector, k, only=only)
        if only is None:
            with self._used() as session:
                return session.query(vector, k)
        return self._search_only(vector, k, only)

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """The vectors, float32 (dimension,), of those ids that exist."""
        import numpy as np

        found: dict[str, Vectors] = {}
        unique = list(dict.fromkeys(ids))
        with self._used() as session:
            for start in range(0, len(unique), session.batch):
                wanted = unique[start : start + session.batch]
                part = session.collection.get(ids=wanted, include=["embeddings"])
                found.update(zip(part["ids"], np.asarray(part["embeddings"], dtype=np.float32), strict=True))
        return found

    def ids(self) -> set[str]:
        """All passage ids."""
        with self._used() as session:
            return set(session.collection.get(include=[])["ids"])

    def count(self) -> int:
        """The number of vectors."""
        with self._used() as session:
            return session.collection.count()

    def reopen(self) -> None:
        """See what other processes have written; searches under way finish on the old view."""
        self._replace(self._open())

    def close(self) -> None:
        """Let go of the folder; searches under way finish first. Closing twice does no harm."""
        self._replace(None)
        loader = self._loader
        if loader is not None:
            loader.join()

    def loading(self) -> bool:
        """Whether all vectors are being read into memory just now, for filtered searches."""
        return self._loader is not None and self._loader.is_alive()

    def _search_only(self, vector: Vectors, k: int, only: Sequence[str]) -> list[Scored]:
        if len(only) <= _FETCHED:
            vectors = self.vectors(only)
            return ExactSearch.of(vectors).search(vector, k, only=only) if vectors else []
        self._load_later()
        with self._used() as session:
            return session.query_only(vector, k, list(dict.fromkeys(only)))

    def _load_small(self) -> ExactSearch | None:
        if self._large:
            return None
        writes = self._writes
        large = self.count() > _SMALL
        exact = None if large else self._read_all(writes)
        with self._lock:
            if self._writes == writes:
                self._large, self._exact = large, exact
        return exact

    def _load_later(self) -> None:
        with self._lock:
            self._filtered += 1
            if self._filtered < 2 or self._session is None or self.loading():
                return
            # Not a daemon: a thread inside Chroma's native code must not be cut off when the process ends.
            self._loader = threading.Thread(target=self._load, args=(self._writes,), name="citewise-vectors")
            self._loader.start()

    def _load(self, writes: int) -> None:
        try:
            exact = self._read_all(writes)
        except LibraryError:  # closed or damaged meanwhile: the next search says so itself
            return
        with self._lock:
            if self._writes == writes:
                self._exact = exact

    def _read_all(self, writes: int) -> ExactSearch | None:
        import numpy as np

        size = self.count()
        ids: list[str] = []
        matrix = np.empty((size, self._dimension), dtype=np.float32)
        while len(ids) < size:
            if self._writes != writes or not threading.main_thread().is_alive():
                return None
            with self._used() as session:
                part = session.collection.get(limit=_LOADED_AT_ONCE, offset=len(ids), include=["embeddings"])
            if not part["ids"] or len(ids) + len(part["ids"]) > size:  # it was written to meanwhile
                return None
            matrix[len(ids) : len(ids) + len(part["ids"])] = part["embeddings"]
            ids.extend(part["ids"])
        return ExactSearch(ids, matrix)

    def _open(self) -> _Session:
        with _explained(self._folder):
            session = _Session(self._folder, self._search_breadth)
        if session.dimension not in (None, self._dimension):
            session.stop()
            raise LibraryMismatch(
                f"{self._folder} holds vectors of {session.dimension} dimensions, the embedding makes"
                f" {self._dimension}; run: citewise rebuild"
            )
        return session

    def _replace(self, session: _Session | None) -> None:
        with self._lock:
            old, self._session = self._session, session
            self._changed()
            if old is not None:
                old.retired = True
                if old.users:
                    old = None  # its last user stops it
        if old is not None:
            old.stop()

    @contextmanager
    def _used(self, *, writes: bool = False) -> Generator[_Session]:
        with self._lock:
            session = self._session
            if session is None:
                raise LibraryError(f"{self._folder} is closed")
            session.users += 1
            if writes:
                self._changed()
        try:
            with _explained(self._folder):
                yield session
        finally:
            with self._lock:
                session.users -= 1
                if writes:
                    self._changed()
                done = session.retired and not session.users
            if done:
                session.stop()

    def _changed(self) -> None:
        # Called before and after a write, so that a reading of all vectors that overlaps it is thrown away.
        self._writes += 1
        self._large = False
        self._exact = None

    def _check(self, vectors: Vectors, rows: int) -> None:
        import numpy as np

        if vectors.shape != (rows, self._dimension):
            raise LibraryMismatch(
                f"vectors of {vectors.shape[-1]} dimensions do not fit an index of {self._dimension};"
                " run: citewise rebuild"
            )
        if not np.isfinite(vectors).all():
            raise ValueError("a vector holds NaN or infinity")


class _Session:
    """One opened Chroma collection. Sessions share nothing, not even on the same folder.

    `chromadb.PersistentClient` would share one system per folder and process, which never sees what other
    processes add; its cache can only be cleared for all folders at once. So the system is made here.
    """

    def __init__(self, folder: Path, search_breadth: int) -> None:
        from chromadb.api import ServerAPI
        from chromadb.api.models.Collection import Collection
        from chromadb.config import Settings, System

        folder.mkdir(parents=True, exist_ok=True)
        settings = Settings(is_persistent=True, persist_directory=str(folder), anonymized_telemetry=False)
        self.users = 0
        self.retired = False
        self._system = System(settings)
        server = self._system.instance(ServerAPI)
        self._system.start()
        hnsw: Any = {
            "space": "cosine",
            "max_neighbors": NEIGHBOURS,
            "ef_construction": CONSTRUCTION_BREADTH,
            "ef_search": search_breadth,
        }
        model = server.get_or_create_collection(COLLECTION, configuration={"hnsw": hnsw})
        self.collection = Collection(client=server, model=model, embedding_function=None)
        self.batch = server.get_max_batch_size()
        self.dimension: int | None = model.dimension
        found: Any = model.configuration_json["hnsw"]
        if found["ef_search"] != search_breadth:
            with warnings.catch_warnings():  # Chroma's own words about its stored configuration
                warnings.simplefilter("ignore", DeprecationWarning)
                self.collection.modify(configuration={"hnsw": {"ef_search": search_breadth}})
        if self.dimension:
            # Chroma reads its graph when first asked; a damaged one is to be known now, not in the middle of work.
            self.collection.query(query_embeddings=[[0.0] * self.dimension], n_results=1, include=[])

    def put(self, ids: list[str], vectors: Vectors) -> None:
        """Add vectors. Those that exist are deleted first: replacing in place takes twice as long."""
        existing = self.collection.get(ids=ids, include=[])["ids"]
        if existing:
            self.collection.delete(ids=existing)
        self.collection.upsert(ids=ids, embeddings=vectors)

    def query(self, vector: Vectors, k: int, *, only: list[str] | None = None) -> list[Scored]:
        found = self.collection.query(
            query_embeddings=vector.reshape(1, -1), n_results=k, ids=only, include=["distances"]
        )
        distances = (found["distances"] or [[]])[0]
        return [(passage_id, 1.0 - far) for passage_id, far in zip(found["ids"][0], distances, strict=True)]

    def query_only(self, vector: Vectors, k: int, only: list[str]) -> list[Scored]:
        from chromadb.errors import InternalError

        try:
            return self.query(vector, k, only=only)
        except InternalError as error:
            if "finding id" not in str(error):
                raise
        # Chroma refuses a query that names an unknown id.
        existing = set(self.collection.get(include=[])["ids"])
        known = [passage_id for passage_id in only if passage_id in existing]
        return self.query(vector, k, only=known) if known else []

    def stop(self) -> None:
        self._system.stop()


@contextmanager
def _explained(folder: Path) -> Generator[None]:
    """Chroma's errors as ours: they carry no types that tell a full disk from a damaged file."""
    try:
        yield
    except LibraryError:
        raise
    except BaseException as error:
        said = f"{type(error).__module__}.{type(error).__name__}: {error}"
        if not said.startswith(("chromadb", "pyo3_runtime", "builtins.PermissionError", "builtins.OSError")):
            raise
        raise _mapped(folder, said) from error


def _mapped(folder: Path, said: str) -> LibraryError:
    lowered = said.lower()
    if "database is locked" in lowered:
        return LibraryLocked(f"another process is writing to {folder}; try again when it is done")
    if "disk is full" in lowered or "no space left" in lowered:
        return LibraryError(f"no space left on the disk of {folder}; make room and repeat the command")
    if "readonly" in lowered or "permission denied" in lowered or "read-only" in lowered:
        return LibraryError(f"{folder} cannot be written; check its permissions")
    return LibraryDamaged(f"{folder} cannot be read ({' '.join(said.split())[:200]}); run: citewise rebuild")
