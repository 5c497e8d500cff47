"""Vectors by id in two files that only grow, to be mapped into memory: what exact and filtered searches read.

Chroma gives vectors back at some 50 microseconds each, which is seconds for all of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from rag.errors import LibraryDamaged, LibraryMismatch
from rag.stores.exact import scaled

if TYPE_CHECKING:
    from rag.interfaces import Vectors

_ROWS, _LINES = "vectors.f32", "vectors.jsonl"


def check_vectors(vectors: Vectors, rows: int, dimension: int) -> None:
    """Raise LibraryMismatch for another shape than (rows, dimension), ValueError for what is not a number."""
    import numpy as np

    if vectors.shape != (rows, dimension):
        raise LibraryMismatch(
            f"vectors of {vectors.shape[-1]} dimensions do not fit an index of {dimension}; run: citewise rebuild"
        )
    if not np.isfinite(vectors).all():
        raise ValueError("a vector holds NaN or infinity")


class Stored(NamedTuple):
    """The vectors of `ids`, float32 (len(ids), dimension) of unit rows; mapped, not read, where no row is dead."""

    ids: list[str]
    matrix: Vectors


class VectorLog:
    """The log in a folder: rows of numbers in one file, and in the other a JSON line for each write, which says to
    which ids its rows belong or which ids are gone. Of an id written twice the last row counts.

    One writer at a time. A writer killed in the middle leaves at most rows and half a line that nobody reads, and
    the next writer cuts them off.
    """

    def __init__(self, folder: Path, dimension: int) -> None:
        self._rows, self._lines = folder / _ROWS, folder / _LINES
        self._dimension = dimension
        self._known: list[int] | None = None

    def append(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Store vectors (len(ids), dimension), which are scaled to length 1."""
        self._mend()
        with self._rows.open("ab") as rows:
            rows.write(scaled(vectors).tobytes())
        self._note({"put": list(ids)})

    def remove(self, ids: Sequence[str]) -> None:
        """Forget ids; unknown ones are passed over."""
        self._mend()
        self._note({"cut": list(ids)})

    def read(self) -> Stored | None:
        """What is stored now; None where there is no log. Raises LibraryDamaged for files that do not fit together."""
        import numpy as np

        while (version := self._version()) is not None:
            places, written = self._places()
            if not places:
                return Stored([], np.zeros((0, self._dimension), dtype=np.float32))
            try:
                matrix = np.memmap(self._rows, dtype=np.float32, mode="r", shape=(written, self._dimension))
            except (ValueError, FileNotFoundError) as error:
                if self._version() != version:
                    continue
                raise _damaged(self._rows) from error
            if self._version() == version:  # else rows and lines may belong to different files
                live = list(places.values())
                return Stored(list(places), matrix if len(live) == written else matrix[live])
        return None

    def count(self) -> int:
        """The number of ids that have a vector."""
        return len(self._places()[0])

    def tidy(self) -> None:
        """Write the files anew where more than half of the rows are dead. For the writer; readers keep the old ones."""
        places, written = self._places()
        if written > 2 * len(places) and (stored := self.read()):
            self.replace(*stored)

    def replace(self, ids: Sequence[str], matrix: Vectors) -> None:
        """Store these vectors in place of all."""
        fresh = VectorLog(self._rows.parent, self._dimension)
        fresh._rows, fresh._lines = (path.with_suffix(f"{path.suffix}.new") for path in (self._rows, self._lines))
        fresh._rows.write_bytes(b"")
        fresh._lines.write_bytes(b"")
        if len(ids):
            fresh.append(ids, matrix)
        # Without its lines the log counts as absent, whichever of the rows are there.
        self._lines.unlink(missing_ok=True)
        os.replace(fresh._rows, self._rows)
        os.replace(fresh._lines, self._lines)

    def _note(self, entry: dict[str, list[str]]) -> None:
        with self._lines.open("ab") as lines:
            lines.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self._known = self._sizes()

    def _mend(self) -> None:
        """Cut off what a writer that was killed left; it may have been another process, since our last write."""
        if self._known == self._sizes():
            return
        _, written = self._places()
        if self._lines.is_file():
            content = self._lines.read_bytes()
            os.truncate(self._lines, content.rfind(b"\n") + 1)
        if self._rows.is_file():
            os.truncate(self._rows, written * self._dimension * 4)

    def _version(self) -> int | None:
        """Another number after each `replace`; None where there is no log."""
        try:
            return self._lines.stat().st_ino
        except FileNotFoundError:
            return None

    def _sizes(self) -> list[int]:
        return [path.stat().st_size if path.is_file() else 0 for path in (self._rows, self._lines)]

    def _places(self) -> tuple[dict[str, int], int]:
        """Row by live id in the order of rows, and the number of rows written."""
        content = self._lines.read_bytes() if self._lines.is_file() else b""
        places: dict[str, int] = {}
        written = 0
        for line in content[: content.rfind(b"\n") + 1].splitlines():
            entry = self._entry(line)
            for gone in entry.get("cut", ()):
                places.pop(gone, None)
            for passage_id in entry.get("put", ()):
                places.pop(passage_id, None)
                places[passage_id] = written
                written += 1
        return places, written

    def _entry(self, line: bytes) -> dict[str, list[str]]:
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise _damaged(self._lines) from error
        if not isinstance(entry, dict):
            raise _damaged(self._lines)
        return cast("dict[str, list[str]]", entry)


def _damaged(path: Path) -> LibraryDamaged:
    return LibraryDamaged(f"{path} is damaged; run: citewise rebuild")
