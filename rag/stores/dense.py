"""The dense index: vectors by passage id in an embedded Chroma collection."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import DiskFull, LibraryError, LibraryMismatch
from rag.stores.chroma import Scored, Session, access, explained, gone, patiently
from rag.stores.exact import ExactSearch
from rag.stores.vectors import VectorLog, check_vectors

if TYPE_CHECKING:
    from rag.interfaces import Vectors

_FETCHED = 400  # so many vectors are read from Chroma in less time than it takes to search with a list of ids
_SMALL = 2_000  # up to so many vectors are searched exactly: as fast, and HNSW can lose outliers among near-duplicates
_WRITTEN_AT_ONCE = 2_500  # so that other processes need not wait long to open the index
_PAUSE = 0.005  # seconds in which they get their turn


class ChromaIndex:
    """A `DenseIndex` in a folder of its own: ids and vectors only, cosine similarity, HNSW.

    Several threads may search while one writes. Another process's changes are seen after `reopen`. A search
    among some of the ids is slow in Chroma (some 30 ms in 87,000) and approximate; so the vectors are kept in files
    of our own too (`VectorLog`), where such a search is exact and takes 2 ms, as is every search of a small index.
    With `lazy`, Chroma is opened when it is first needed, which saves a process that asks one question of a small
    library most of its time.

    A writer killed just while Chroma saves its graph leaves a folder that cannot be opened; every other kill only
    loses the batch under way.

    Raises LibraryMismatch when vectors have another dimension than the index, LibraryDamaged when the folder
    cannot be read, LibraryLocked when another process writes for too long, LibraryError when it cannot be
    written.
    """

    def __init__(self, folder: Path, *, dimension: int, search_breadth: int = 500, lazy: bool = False) -> None:
        self._folder = folder
        self._dimension = dimension
        self._search_breadth = search_breadth
        self._lock = threading.Lock()
        self._writes = 0
        self._exact: ExactSearch | None = None
        self._looked = False
        self._log, self._log_mended = VectorLog(folder, dimension), False
        self._read_only = folder.is_dir() and not os.access(folder, os.W_OK)  # Chroma would refuse to open it
        self._opening = threading.Lock()
        self._closed = False
        self._session: Session | None = None
        self._lazy = lazy
        if not lazy:
            self._open()

    def _open(self) -> None:
        with self._opening:
            if self._session is None and not self._closed:
                if self._lazy and not self._folder.is_dir():  # a reader makes none
                    raise gone(self._folder)
                with self._alone():
                    self._session = self._new_session()

    def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add or replace vectors, float32 (len(ids), dimension); of an id given twice the last one counts."""
        check_vectors(vectors, len(ids), self._dimension)
        last = {passage_id: row for row, passage_id in enumerate(ids)}
        unique, rows = list(last), list(last.values())

        def put(session: Session, part: slice) -> None:
            self._log.append(unique[part], vectors[rows[part]])
            session.put(unique[part], vectors[rows[part]])

        self._write(len(unique), put)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove vectors; unknown ids are passed over."""
        unique = list(dict.fromkeys(ids))

        def remove(session: Session, part: slice) -> None:
            self._log.remove(unique[part])
            session.remove(unique[part])

        self._write(len(unique), remove)

    def search(self, vector: Vectors, k: int, *, only: Sequence[str] | None = None) -> list[Scored]:
        """At most k (passage id, cosine), best first; `only` restricts to those ids, unknown ones ignored."""
        check_vectors(vector.reshape(1, -1), 1, self._dimension)
        if k < 1 or (only is not None and not only):
            return []
        exact = self._all()
        if exact is not None and (only is not None or len(exact) <= _SMALL or self._read_only):
            return exact.search(vector, k, only=only)
        if only is not None and len(only) <= _FETCHED:
            vectors = self.vectors(only)
            return ExactSearch.of(vectors).search(vector, k, only=only) if vectors else []
        try:
            with self._used() as session:
                return session.query_only(vector, k, list(dict.fromkeys(only))) if only else session.query(vector, k)
        except DiskFull:  # Chroma writes when it is opened; to read needs no room
            if exact is None:
                raise
            return exact.search(vector, k, only=only)

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """The vectors, float32 (dimension,) and of length 1, of those ids that exist."""
        exact = self._all()
        if exact is not None:
            return exact.vectors(ids)
        found = self._from_chroma(ids)
        return ExactSearch.of(found).vectors(ids) if found else {}

    def ids(self) -> set[str]:
        """All passage ids."""
        with self._used() as session:
            return session.ids()

    def count(self) -> int:
        """The number of vectors."""
        with self._used() as session:
            return session.count()

    def reopen(self) -> None:
        """See what other processes have written; searches under way finish on the old view."""
        session = None
        if self._session is not None:
            with self._alone():
                session = self._new_session()
        self._replace(session)

    def close(self) -> None:
        """Let go of the folder; searches under way finish first. Closing twice does no harm."""
        self._closed = True
        self._replace(None)

    def _all(self) -> ExactSearch | None:
        """All vectors, mapped into memory; None where there is no log.

        The log is written before Chroma, and what did not reach Chroma is still to be done by the catalog: so the
        log is never behind.
        """
        if self._closed:
            raise self._is_closed()
        if not self._looked:
            writes = self._writes
            with explained(self._folder):
                stored = self._log.read()
            exact = ExactSearch(*stored) if stored else None
            with self._lock:
                if self._writes == writes:
                    self._exact, self._looked = exact, True
            return exact
        return self._exact

    def _from_chroma(self, ids: Sequence[str]) -> dict[str, Vectors]:
        found: dict[str, Vectors] = {}
        unique = list(dict.fromkeys(ids))
        with self._used() as session:
            for start in range(0, len(unique), session.batch):
                found.update(session.vectors(unique[start : start + session.batch]))
        return found

    def _write(self, size: int, work: Callable[[Session, slice], None]) -> None:
        self._open()
        for start in range(0, size, _WRITTEN_AT_ONCE):
            if start:
                time.sleep(_PAUSE)
            with self._alone():
                with self._used() as session:
                    stale = session.stale()
                if stale:
                    self._replace(self._new_session())
                with self._used(writes=True) as session:
                    self._mend_log()
                    work(session, slice(start, start + _WRITTEN_AT_ONCE))
                    session.stamp()

    def _mend_log(self) -> None:
        """Before a session's first write: the log as Chroma is, since a writer that was killed may leave them apart."""
        import numpy as np

        if self._log_mended:
            return
        if self._log.count() == self.count():
            self._log.tidy()
        else:
            found = self._from_chroma(list(self.ids()))
            self._log.replace(
                list(found), np.array(list(found.values()), dtype=np.float32).reshape(-1, self._dimension)
            )
        self._log_mended = True

    @contextmanager
    def _alone(self) -> Generator[None]:
        with explained(self._folder), access(self._folder):
            yield

    def _new_session(self) -> Session:
        session = patiently(lambda: Session(self._folder, self._search_breadth))
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
            self._log_mended = False
            if old is not None:
                old.retired = True
                if old.users:
                    old = None  # its last user stops it
        if old is not None:
            old.stop()

    @contextmanager
    def _used(self, *, writes: bool = False) -> Generator[Session]:
        if self._session is None:
            self._open()
        with self._lock:
            session = self._session
            if session is None:
                raise self._is_closed()
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

    def _is_closed(self) -> LibraryError:
        return LibraryError(f"{self._folder} is closed")

    def _changed(self) -> None:
        # Called before and after a write, so that a reading of all vectors that overlaps it is thrown away.
        self._writes += 1
        self._exact, self._looked = None, False
