"""The dense index: vectors by passage id in an embedded Chroma collection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import LibraryError, LibraryMismatch
from rag.stores.chroma import Scored, Session, access, explained
from rag.stores.exact import ExactSearch

if TYPE_CHECKING:
    from rag.interfaces import Vectors

_FETCHED = 400  # so many vectors are read from Chroma in less time than it takes to search with a list of ids
_SMALL = 2_000  # up to so many vectors are searched exactly: as fast, and HNSW can lose outliers among near-duplicates
_WRITTEN_AT_ONCE = 2_500  # so that other processes need not wait long to open the index
_PAUSE = 0.005  # seconds in which they get their turn
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

    def __init__(self, folder: Path, *, dimension: int, search_breadth: int = 500) -> None:
        self._folder = folder
        self._dimension = dimension
        self._search_breadth = search_breadth
        self._lock = threading.Lock()
        self._writes = 0
        self._filtered = 0
        self._large = False
        self._exact: ExactSearch | None = None
        self._loader: threading.Thread | None = None
        with self._alone():
            self._session: Session | None = self._open()

    def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add or replace vectors, float32 (len(ids), dimension); of an id given twice the last one counts."""
        self._check(vectors, len(ids))
        last = {passage_id: row for row, passage_id in enumerate(ids)}
        unique, rows = list(last), list(last.values())
        self._write(len(unique), lambda session, part: session.put(unique[part], vectors[rows[part]]))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove vectors; unknown ids are passed over."""
        unique = list(dict.fromkeys(ids))
        self._write(len(unique), lambda session, part: session.remove(unique[part]))

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
        with self._alone():
            session = self._open()
        self._replace(session)

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

    def _write(self, size: int, work: Callable[[Session, slice], None]) -> None:
        for start in range(0, size, _WRITTEN_AT_ONCE):
            if start:
                time.sleep(_PAUSE)
            with self._alone():
                with self._used() as session:
                    stale = session.stale()
                if stale:
                    self._replace(self._open())
                with self._used(writes=True) as session:
                    work(session, slice(start, start + _WRITTEN_AT_ONCE))
                    session.stamp()

    @contextmanager
    def _alone(self) -> Generator[None]:
        with explained(self._folder), access(self._folder):
            yield

    def _open(self) -> Session:
        session = Session(self._folder, self._search_breadth)
        if session.dimension not in (None, self._dimension):
            session.stop()
            raise LibraryMismatch(
                f"{self._folder} holds vectors of {session.dimension} dimensions, the embedding makes"
                f" {self._dimension}; run: citewise rebuild"
            )
        return session

    def _replace(self, session: Session | None) -> None:
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
    def _used(self, *, writes: bool = False) -> Generator[Session]:
        with self._lock:
            session = self._session
            if session is None:
                raise LibraryError(f"{self._folder} is closed")
            session.users += 1
            if writes:
                self._changed()
        try:
            with explained(self._folder):
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
