"""One opened Chroma collection: how it is opened, written and read safely beside other threads and processes."""

from __future__ import annotations

import shutil
import time
import warnings
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rag.errors import DiskFull, LibraryDamaged, LibraryError, LibraryLocked
from rag.stores.graph import check_graphs, clear_room

if TYPE_CHECKING:
    from rag.interfaces import Vectors

Scored = tuple[str, float]

T = TypeVar("T")

COLLECTION = "passages"
# By measurement (eval/bench/indexes.py, 87,246 papers): a breadth of 100 takes 1.5 times the processor time of 60 to
# build, and with 60 the first 50 of an ef_search of 500 still overlap with exact search by .989.
NEIGHBOURS = 16
CONSTRUCTION_BREADTH = 60
_DATABASE = "chroma.sqlite3"
_LOCKED = "database is locked"  # as SQLite says it
_FULL = 64 * 2**20  # bytes left on a disk where a failure is taken for want of room


class Session:
    """One opened Chroma collection. Sessions share nothing, not even on the same folder.

    `chromadb.PersistentClient` would share one system per folder and process, which never sees what other
    processes add; its cache can only be cleared for all folders at once. So the system is made here.

    Chroma saves its graph in place, so a session must be opened, and written to, while no other process writes
    (`access`); and one that is older than the last write must not be written to (`stale`), for it would save its
    own graph over the newer one. One opened while nothing was stored stays empty until it is written to: Chroma would
    make the files of a graph at its first reading, in the middle of another's writing.
    """

    def __init__(self, folder: Path, search_breadth: int) -> None:
        from chromadb.api import ServerAPI
        from chromadb.api.models.Collection import Collection
        from chromadb.config import Settings, System

        self.users = 0
        self.retired = False
        self._folder = folder
        check_graphs(folder)
        settings = Settings(is_persistent=True, persist_directory=str(folder), anonymized_telemetry=False)
        self._system = System(settings)
        server = self._system.instance(ServerAPI)
        self._system.start()
        # Also where nobody stops it: what a rebuild replaced is left to the last question that reads it.
        self._ended = weakref.finalize(self, self._system.stop)
        self._ended.atexit = False
        try:
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
            self._prepare(model.configuration_json["hnsw"]["ef_search"], search_breadth)
        except BaseException:
            self.stop()
            raise
        self.stamp()

    def _prepare(self, stored_breadth: int, search_breadth: int) -> None:
        if stored_breadth != search_breadth:
            with warnings.catch_warnings():  # Chroma's own words about its stored configuration
                warnings.simplefilter("ignore", DeprecationWarning)
                self.collection.modify(configuration={"hnsw": {"ef_search": search_breadth}})
        if self.dimension:
            # Chroma reads its graph when first asked; a damaged one is to be known now, not in the middle of work.
            self.collection.query(query_embeddings=[[0.0] * self.dimension], n_results=1, include=[])

    def stamp(self) -> None:
        """Note the state of the files as the one that this session knows."""
        self._stamp = self._state()

    def stale(self) -> bool:
        """Whether the files were written to by another session since the last `stamp`."""
        return self._stamp != self._state()

    def _state(self) -> tuple[int, int]:
        state = (self._folder / _DATABASE).stat()
        return state.st_mtime_ns, state.st_size

    def put(self, ids: list[str], vectors: Vectors) -> None:
        """Add vectors. Those that exist are deleted first: replacing in place takes twice as long."""
        existing = self.collection.get(ids=ids, include=[])["ids"]
        if existing:
            self.collection.delete(ids=existing)
        self.dimension = vectors.shape[1]
        self.collection.upsert(ids=ids, embeddings=vectors)

    def remove(self, ids: list[str]) -> None:
        """Delete vectors; unknown ids are passed over."""
        self.collection.delete(ids=ids)

    def count(self) -> int:
        """The number of vectors."""
        return self.collection.count() if self.dimension else 0

    def ids(self) -> set[str]:
        """All ids."""
        return set(self.collection.get(include=[])["ids"]) if self.dimension else set()

    def vectors(self, ids: list[str]) -> dict[str, Vectors]:
        """The vectors, float32 (dimension,), of those ids that exist; no more than `batch` at once."""
        import numpy as np

        if not self.dimension:
            return {}
        found = self.collection.get(ids=ids, include=["embeddings"])
        return dict(zip(found["ids"], np.asarray(found["embeddings"], dtype=np.float32), strict=True))

    def query(self, vector: Vectors, k: int, *, only: list[str] | None = None) -> list[Scored]:
        """At most k (id, cosine) by Chroma's graph; every id of `only` must exist."""
        if not self.dimension:
            return []
        found = self.collection.query(
            query_embeddings=vector.reshape(1, -1), n_results=k, ids=only, include=["distances"]
        )
        distances = (found["distances"] or [[]])[0]
        return [(passage_id, 1.0 - far) for passage_id, far in zip(found["ids"][0], distances, strict=True)]

    def query_only(self, vector: Vectors, k: int, only: list[str]) -> list[Scored]:
        """As `query`; ids of `only` that do not exist are ignored."""
        from chromadb.errors import InternalError

        try:
            return self.query(vector, k, only=only)
        except InternalError as error:
            if "finding id" not in str(error):
                raise
        # Chroma refuses a query that names an unknown id.
        existing = self.ids()
        known = [passage_id for passage_id in only if passage_id in existing]
        return self.query(vector, k, only=known) if known else []

    def stop(self) -> None:
        """Release the files. Stopping twice does no harm."""
        self._ended()


@contextmanager
def access(folder: Path) -> Generator[None]:
    """Keeps other processes and threads from opening or writing the folder meanwhile.

    Chroma saves its graph before the call that changed it returns, so what it saved can be cleared at the end.
    """
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "access.lock", poll_interval=0.002):
        try:
            yield
        finally:
            clear_room(folder)


def patiently(work: Callable[[], T], *, seconds: float = 10.0) -> T:
    """What `work` returns. While Chroma's database is locked it is done again, for so long: a session tidies it for a
    moment after its last write has returned, and another one that writes then fails at once."""
    end = time.monotonic() + seconds
    while True:
        try:
            return work()
        except Exception as error:
            if _LOCKED not in str(error).lower() or time.monotonic() > end:
                raise
            time.sleep(0.05)


@contextmanager
def explained(folder: Path) -> Generator[None]:
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


def gone(folder: Path) -> LibraryDamaged:
    """The error where a folder is missing."""
    return LibraryDamaged(
        f"{folder} is gone: ask again, as a rebuild may just have replaced it; if it stays away, run: citewise rebuild"
    )


def _mapped(folder: Path, said: str) -> LibraryError:
    lowered = said.lower()
    if not folder.is_dir():
        return gone(folder)
    if _LOCKED in lowered:
        return LibraryLocked(f"another process is writing to {folder}; try again when it is done")
    if "disk is full" in lowered or "no space left" in lowered or shutil.disk_usage(folder).free < _FULL:
        return DiskFull(f"no space left on the disk of {folder}; make room and repeat the command")
    if "readonly" in lowered or "permission denied" in lowered or "read-only" in lowered:
        return LibraryError(f"{folder} cannot be written; check its permissions")
    return LibraryDamaged(f"{folder} cannot be read ({' '.join(said.split())[:200]}); run: citewise rebuild")
