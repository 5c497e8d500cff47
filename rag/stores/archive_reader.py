"""Reads a portable library file, and trusts nothing in it."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, Self

from pydantic import ValidationError

from rag.errors import InputError
from rag.stores.archive import (
    FORMAT,
    MANIFEST,
    MAX_LINE,
    PAPERS,
    VECTORS,
    ArchivedPaper,
    Batch,
    Description,
    Part,
    adapter,
    header,
)
from rag.stores.sealing import check_seal

if TYPE_CHECKING:
    from rag.interfaces import Vectors

_MAX_MANIFEST = 2**20
_MAX_EXPANSION, _ALWAYS_ALLOWED = 200, 64 * 2**20  # text packs to a tenth; what unpacks to far more is an attack
_AT_ONCE, _AT_ONCE_BYTES = 1024, 32 * 2**20
_BLOCK = 2**20


class Archive:
    """An archive opened to be read. Raises InputError, in one line, for whatever is wrong with the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        with self._explained():
            self._file = path.open("rb")
        try:
            with self._explained():
                check_seal(self._file)
                self._zip = zipfile.ZipFile(self._file)
                self.description = self._described(self._zip)
        except BaseException:
            self.close()
            raise

    def check(self) -> None:
        """Read all of it once; after that `batches` meets nothing unexpected."""
        for _ in self.batches():
            pass

    def batches(self) -> Iterator[Batch]:
        """All papers with their vectors, in order, in batches of bounded size."""
        assert self._zip is not None  # noqa: S101 - opened in the constructor
        with self._explained(), self._part(PAPERS) as lines, self._part(VECTORS) as rows:
            start = header(self.description)
            _expect(rows.read(len(start)) == start, "its vectors have another shape")
            papers = _papers(lines)
            count = 0
            while batch := self._some(papers):
                count += len(batch)
                yield Batch(batch, self._vectors(rows, sum(len(paper.passages) for paper in batch)))
            _expect(count == self.description.papers, "it holds another number of papers")
            lines.finish()
            rows.finish()

    def close(self) -> None:
        """Close the file."""
        if self._zip:
            self._zip.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _described(self, archive: zipfile.ZipFile) -> Description:
        found = {info.filename: info for info in archive.infolist()}
        _expect(len(archive.infolist()) == 3 and set(found) == {PAPERS, VECTORS, MANIFEST}, "it has other parts")
        _expect(found[MANIFEST].file_size <= _MAX_MANIFEST, "its manifest is too long")
        with archive.open(MANIFEST) as file:
            content = file.read(_MAX_MANIFEST)
        known = adapter(_Versioned).validate_json(content, strict=True)
        if known.format > FORMAT:
            raise InputError(
                f"{self.path} was written by a newer Citewise (format {known.format}, this one knows {FORMAT}):"
                " update Citewise"
            )
        description = adapter(Description).validate_json(content, strict=True)
        _expect(len(description.parts) == 2, "its manifest names other parts")
        for name, part in description.parts.items():
            _expect(found[name].file_size == part.bytes, f"{name} has another size")
            packed = found[name].compress_size
            most = packed if name == VECTORS else _MAX_EXPANSION * packed + _ALWAYS_ALLOWED
            _expect(packed <= self.path.stat().st_size and part.bytes <= most, f"{name} is packed too tightly")
        return description

    def _some(self, papers: Iterator[tuple[ArchivedPaper, int]]) -> list[ArchivedPaper]:
        batch: list[ArchivedPaper] = []
        size = 0
        for paper, length in islice(papers, _AT_ONCE):
            batch.append(paper)
            size += length + 4 * self.description.dimension * len(paper.passages)
            if size >= _AT_ONCE_BYTES:
                break
        return batch

    def _vectors(self, rows: _PartReader, number: int) -> Vectors:
        import numpy as np

        size = number * self.description.dimension * 4
        content = rows.read(size)
        _expect(len(content) == size, "vectors are missing")
        vectors = np.frombuffer(content, dtype="<f4").reshape(number, -1).astype(np.float32, copy=False)
        whole, absent = np.isfinite(vectors).all(axis=1), np.isnan(vectors).all(axis=1)
        _expect(bool((whole | absent).all()), "a vector is not made of numbers")
        return vectors

    @contextmanager
    def _part(self, name: Literal["papers.jsonl", "vectors.npy"]) -> Generator[_PartReader]:
        assert self._zip is not None  # noqa: S101 - opened in the constructor
        with self._zip.open(name) as stream:
            yield _PartReader(name, stream, self.description.parts[name])

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise InputError(f"no file {self.path}") from error
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror or error}") from error
        except ValidationError as error:
            raise self._damaged(f"{error.title}: {error.errors()[0]['msg']}") from error
        # What zipfile says to bytes that are no archive of ours; RuntimeError for an encrypted or unknown one.
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError, RuntimeError) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, reason: str) -> InputError:
        detail = " ".join(reason.split())[:200]
        return InputError(f"{self.path} is no whole Citewise export ({detail}): copy it again, or export it again")


@dataclass(frozen=True, slots=True)
class _Versioned:
    format: int


class _PartReader:
    """A part as a stream, hashed as it is read."""

    def __init__(self, name: str, stream: IO[bytes], expected: Part) -> None:
        self._name = name
        self._stream = io.BufferedReader(stream, _BLOCK)  # pyright: ignore[reportArgumentType]
        self._expected = expected
        self._hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        return self._noted(self._stream.read(size))

    def line(self) -> bytes:
        """The next line with its end; nothing at the end of the part."""
        content = self._noted(self._stream.readline(MAX_LINE + 1))
        _expect(len(content) <= MAX_LINE, f"a line of {self._name} is too long")
        return content

    def finish(self) -> None:
        """Check that nothing is left, and the hash."""
        _expect(not self._stream.read(1), f"{self._name} is too long")
        _expect(self._hash.hexdigest() == self._expected.sha256, f"{self._name} has another hash")

    def _noted(self, content: bytes) -> bytes:
        self._hash.update(content)
        return content


def _papers(lines: _PartReader) -> Iterator[tuple[ArchivedPaper, int]]:
    validated = adapter(ArchivedPaper).validate_json
    while line := lines.line():
        yield validated(line, strict=True), len(line)


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
