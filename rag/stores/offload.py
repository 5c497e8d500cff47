"""The dense index for a writer: after the first passages, Chroma works in a process of its own.

Chroma holds Python's interpreter lock while it writes, so a thread beside it cannot read, merge and encode meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import LibraryDamaged, LibraryError, LibraryLocked, LibraryMismatch

if TYPE_CHECKING:
    from rag.interfaces import Vectors
    from rag.stores.dense import ChromaIndex

OFFLOAD_AFTER = 3_000
"""Passages written here before a process is worth its start (some 2 s of importing Chroma again)."""

_LOCK = "offload.lock"
_PATIENCE_SECONDS = 60
_ERRORS = {kind.__name__: kind for kind in (LibraryError, LibraryDamaged, LibraryLocked, LibraryMismatch)}


class OffloadedIndex:
    """A `DenseIndex` for the one writer of a folder. Anything but writing brings the work back into this process.

    Raises what `ChromaIndex` raises, and LibraryError when the process dies.
    """

    def __init__(
        self, folder: Path, *, dimension: int, search_breadth: int = 500, offload_after: int = OFFLOAD_AFTER
    ) -> None:
        self._folder = folder
        self._options = {"dimension": dimension, "search_breadth": search_breadth}
        self._left = offload_after
        self._worker: _Worker | None = None
        self._local: ChromaIndex | None = _opened(folder, self._options)

    def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """As `ChromaIndex.upsert`."""
        if self._worker is None and self._left < len(ids):
            self._offload()
        self._left -= len(ids)
        if self._worker:
            self._worker.call({"do": "upsert", "ids": list(ids)}, vectors.astype("float32").tobytes())
        else:
            self._here().upsert(ids, vectors)

    def delete(self, ids: Sequence[str]) -> None:
        """As `ChromaIndex.delete`."""
        if self._worker:
            self._worker.call({"do": "delete", "ids": list(ids)})
        else:
            self._here().delete(ids)

    def search(self, vector: Vectors, k: int, *, only: Sequence[str] | None = None) -> list[tuple[str, float]]:
        """As `ChromaIndex.search`."""
        return self._here().search(vector, k, only=only)

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """As `ChromaIndex.vectors`."""
        return self._here().vectors(ids)

    def ids(self) -> set[str]:
        """All passage ids."""
        return self._here().ids()

    def count(self) -> int:
        """The number of vectors."""
        return self._here().count()

    def close(self) -> None:
        """Let go of the folder, and end the process."""
        if self._worker:
            self._worker.close()
            self._worker = None
        if self._local:
            self._local.close()
            self._local = None

    def _offload(self) -> None:
        self._here().close()
        self._local = None
        self._worker = _Worker(self._folder, self._options)

    def _here(self) -> ChromaIndex:
        if self._worker:
            self._worker.close()
            self._worker = None
        if self._local is None:
            self._local = _opened(self._folder, self._options)
        return self._local


def _opened(folder: Path, options: dict[str, int]) -> ChromaIndex:
    from filelock import FileLock, Timeout

    from rag.stores.dense import ChromaIndex

    folder.mkdir(parents=True, exist_ok=True)
    try:
        # The process of a writer that was killed ends by itself, but it finishes what it has begun.
        with FileLock(folder / _LOCK, timeout=_PATIENCE_SECONDS):
            pass
    except PermissionError as error:
        raise LibraryError(f"{folder} cannot be written; check its permissions") from error
    except Timeout as error:
        raise LibraryLocked(f"another process is writing to {folder}; try again when it is done") from error
    return ChromaIndex(folder, dimension=options["dimension"], search_breadth=options["search_breadth"])


class _Worker:
    """The process: a line of JSON and raw vectors go in, a line of JSON comes out."""

    def __init__(self, folder: Path, options: dict[str, int]) -> None:
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        # A session of its own: Ctrl-C is for the writer, which then closes this one in order.
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "rag.stores.offload", str(folder), json.dumps(options), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        self._folder = folder
        self._answer()

    def call(self, request: dict[str, Any], payload: bytes = b"") -> None:
        """Have something done; returns when it is."""
        header = json.dumps({**request, "bytes": len(payload)}).encode()
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        with suppress(BrokenPipeError):  # the answer says why
            self._process.stdin.write(header + b"\n" + payload)
            self._process.stdin.flush()
        self._answer()

    def close(self) -> None:
        """End the process in order, and wait for it."""
        with suppress(OSError):
            self._process.communicate()

    def _answer(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise LibraryError(f"the process that writes {self._folder} ended (status {code}): run the command again")
        answer: dict[str, str] = json.loads(line)
        if error := answer.get("error"):
            raise _ERRORS.get(error, LibraryError)(answer["message"])


def serve(folder: Path, options: dict[str, int], writer: int) -> None:
    """Do what standard input asks for until it ends; nothing where the process of the `writer` has ended before."""
    from filelock import FileLock

    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    with FileLock(folder / _LOCK):
        if os.getppid() != writer:
            return  # killed before the lock was ours: the next writer does not know of this process
        index: ChromaIndex | None = None
        answer: dict[str, str] = {}
        try:
            from rag.stores.dense import ChromaIndex

            index = ChromaIndex(folder, dimension=options["dimension"], search_breadth=options["search_breadth"])
        except LibraryError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        while True:
            answers.write(json.dumps(answer).encode() + b"\n")
            with suppress(BrokenPipeError):
                answers.flush()
            line = requests.readline()
            if not line or index is None:
                break
            answer = _done(index, json.loads(line), requests.read)
        if index:
            index.close()


def _done(index: ChromaIndex, request: dict[str, Any], read: Any) -> dict[str, str]:
    import numpy as np

    payload: bytes = read(request["bytes"])
    if len(payload) < request["bytes"]:  # the writer was killed while it sent this
        return {}
    try:
        if request["do"] == "upsert":
            vectors = np.frombuffer(payload, dtype=np.float32).reshape(len(request["ids"]), -1)
            index.upsert(request["ids"], vectors)
        else:
            index.delete(request["ids"])
    except (LibraryError, ValueError) as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {}


if __name__ == "__main__":
    serve(Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]))
