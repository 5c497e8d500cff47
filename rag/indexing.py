"""Carries work from the catalog into both indexes: encoding and writing each in a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from queue import Empty, Full, Queue
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

from rag.interfaces import DenseIndex, Encoder, LexicalIndex
from rag.stores.drafts import IndexJob
from rag.stores.manifest import Manifest

if TYPE_CHECKING:
    from rag.interfaces import Vectors

T = TypeVar("T")

_QUEUED = 3
_COMMIT_PASSAGES = 16_384
"""Passages between two commits: each costs the lexical index a segment; a crash repeats at most so many."""


class Elsewhere:
    """In place of an index that is written by somebody else: a `DenseIndex` and `LexicalIndex` that keeps nothing."""

    def upsert(self, *_: object, **__: object) -> None:
        """Nothing."""

    def delete(self, *_: object, **__: object) -> None:
        """Nothing."""

    def commit(self) -> None:
        """Nothing."""

    def search(self, *_: object, **__: object) -> list[tuple[str, float]]:
        """Nothing is found."""
        return []

    def vectors(self, *_: object, **__: object) -> dict[str, Vectors]:
        """None are known."""
        return {}

    def ids(self) -> set[str]:
        """None."""
        return set()

    def count(self) -> int:
        """0."""
        return 0

    def close(self) -> None:
        """Nothing."""


class Indexes(NamedTuple):
    """The two indexes of a library, or one of them and `Elsewhere`."""

    dense: DenseIndex
    lexical: LexicalIndex

    def close(self) -> None:
        """Close both."""
        self.dense.close()
        self.lexical.close()


OpenIndexes = Callable[[Manifest], Indexes]
"""Opens both indexes where a manifest says they are."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest or rebuild is: what it does, records done, bytes read of `total`, records a second."""

    stage: str
    done: int
    completed: int
    total: int | None
    rate: float


class _Encoded(NamedTuple):
    job: IndexJob
    vectors: Vectors | None


class Indexer:
    """Takes jobs in order (`submit`); at the end of `with`, both indexes hold them.

    `mark` is called with the jobs that both indexes hold for good. What was under way when an error ended the block
    was not marked, and so stays pending in the catalog for the next run.

    With `turn`, which gives what of a job is still to be done, every job is carried out and marked by itself: others
    write to the same indexes. Otherwise many are marked at once.
    """

    def __init__(
        self,
        mark: Callable[[list[IndexJob]], object],
        encoder: Encoder,
        indexes: Indexes,
        *,
        turn: Callable[[IndexJob], AbstractContextManager[IndexJob]] | None = None,
    ) -> None:
        self._mark = mark
        self._encoder = encoder
        self._indexes = indexes
        self._turn = turn or nullcontext
        self._commit_passages = 0 if turn else _COMMIT_PASSAGES
        self._jobs: Queue[IndexJob | None] = Queue(_QUEUED)
        self._encoded: Queue[_Encoded | None] = Queue(_QUEUED)
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=f"citewise-{name}")
            for name, work in (("encode", self._encode), ("index", self._index))
        ]
        self.passages = 0
        """Passages that both indexes hold since the start."""

    def submit(self, job: IndexJob) -> None:
        """Queue a job; waits while both threads are busy. Raises what a thread failed with."""
        if job:
            self._put(self._jobs, job)
        if self._error:
            raise self._error

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stopped.set()
        self._put(self._jobs, None)
        for thread in self._threads:
            thread.join()
        if error is None and self._error:
            raise self._error

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again by `submit` or at the end of the block
            self._error = self._error or error
            self._stopped.set()

    def _encode(self) -> None:
        for job in self._taken(self._jobs):
            texts = [passage.text for passage in job.passages]
            wanted = texts and not isinstance(self._indexes.dense, Elsewhere)
            vectors = self._encoder.encode(texts, side="passage") if wanted else None
            self._put(self._encoded, _Encoded(job, vectors))
        self._put(self._encoded, None)

    def _index(self) -> None:
        written: list[IndexJob] = []
        for job, vectors in self._taken(self._encoded):
            with self._turn(job) as due:
                self._write(due, vectors if due is job or vectors is None else vectors[_rows(job, due)])
                written.append(due)
                if sum(len(job.passages) for job in written) >= self._commit_passages:
                    self._commit(written)
                    written = []
        if written and not self._stopped.is_set():
            self._commit(written)

    def _write(self, job: IndexJob, vectors: Vectors | None) -> None:
        dense, lexical = self._indexes
        if job.doomed:
            ids = [item.passage for item in job.doomed]
            dense.delete(ids)
            lexical.delete(ids)
        if job.passages:
            if vectors is not None:
                dense.upsert([passage.id for passage in job.passages], vectors)
            lexical.upsert(job.passages)

    def _commit(self, jobs: list[IndexJob]) -> None:
        self._indexes.lexical.commit()
        self._mark(jobs)
        self.passages += sum(len(job.passages) for job in jobs)

    def _put(self, queue: Queue[T], item: T) -> None:
        while not self._stopped.is_set():
            with suppress(Full):
                queue.put(item, timeout=0.1)
                return

    def _taken(self, queue: Queue[T | None]) -> Iterable[T]:
        while not self._stopped.is_set():
            try:
                item = queue.get(timeout=0.1)
            except Empty:
                continue
            if item is None:
                return
            yield item


def _rows(job: IndexJob, due: IndexJob) -> list[int]:
    """Where the passages of `due` are among those of `job`."""
    left = {passage.id for passage in due.passages}
    return [at for at, passage in enumerate(job.passages) if passage.id in left]
