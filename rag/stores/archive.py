"""A library as one portable file: a zip archive of three parts, which `citewise export` writes.

- `papers.jsonl` (deflated): a JSON object a line, a paper, in the order of arrival. `id`; `records`, each
  `{"record": {title, abstract, source: {path, line}, ...}, "resolved": the source's full path, "reason": why it was
  merged}`, with the fields of `rag.papers.Record` that are known; `passages`, each `{"start", "end", "text"}`.
- `vectors.npy` (stored): float32, little endian, (passages, dimension), unit rows in the order of the passages. A row
  of NaN belongs to a passage that was not indexed yet.
- `manifest.json`: format, what the vectors were made with (encoder, dimension, fingerprint, chunking), the numbers of
  papers, records and passages, and for each part its bytes and SHA-256.

The comment of the archive ends in the SHA-256 of all bytes of the file before that, so that damage anywhere is known
before anything is read. Nothing is ever unpacked to disk: parts are read as streams, under their three names, and no
line may be longer than `MAX_LINE`. Paths of sources are as they were on the machine that made the file.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, TypeAdapter, ValidationError

from rag.errors import InputError, LibraryError
from rag.papers import Record
from rag.stores.sealing import UNSEALED, check_seal, replacing, seal

if TYPE_CHECKING:
    from rag.interfaces import Vectors

FORMAT = 1
MAX_LINE = 64 * 2**20
"""Bytes of one paper in an archive; a record is at most 8 MiB when it is read."""

_PAPERS, _VECTORS, _MANIFEST = "papers.jsonl", "vectors.npy", "manifest.json"
_MAX_MANIFEST = 2**20
_MAX_DIMENSION = 2**16
_MAX_EXPANSION, _ALWAYS_ALLOWED = 200, 64 * 2**20  # text packs to a tenth; what unpacks to far more is an attack
_AT_ONCE, _AT_ONCE_BYTES = 1024, 32 * 2**20
_BLOCK = 2**20
_INTEGERS = ("n_authors", "year", "upvotes", "comments")
_Count = Annotated[int, Field(ge=0, lt=2**40)]


@dataclass(frozen=True, slots=True)
class ArchivedRecord:
    """One record of a paper, the full path of its source, and why it was merged (None: the paper's first)."""

    record: Record
    resolved: str
    reason: str | None = None

    def __post_init__(self) -> None:
        numbers = [self.record.source.line, *(getattr(self.record, name) or 0 for name in _INTEGERS)]
        if max(map(abs, numbers)) >= 2**63:
            raise ValueError("a number is too large")


@dataclass(frozen=True, slots=True)
class ArchivedPassage:
    """A passage: `abstract[start:end]`, and the text that its vector stands for."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class ArchivedPaper:
    """One paper with all that was read of it."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/+=@-]+$", max_length=120)]
    records: Annotated[list[ArchivedRecord], Field(min_length=1)]
    passages: list[ArchivedPassage]


@dataclass(frozen=True, slots=True)
class Part:
    """Size and hash of a part, unpacked."""

    bytes: Annotated[int, Field(ge=0, lt=2**50)]
    sha256: str


@dataclass(frozen=True, slots=True)
class Description:
    """What an archive holds and what its vectors were made with: its `manifest.json`."""

    citewise: str
    encoder: str
    dimension: Annotated[int, Field(ge=1, le=_MAX_DIMENSION)]
    fingerprint: str
    chunking: Mapping[str, int]
    created: str
    papers: _Count
    records: _Count
    passages: _Count
    parts: Mapping[Literal["papers.jsonl", "vectors.npy"], Part] = field(default_factory=dict[Any, Part])
    format: int = FORMAT


class Batch(NamedTuple):
    """Some papers of an archive, and the vectors of their passages in order, float32 (passages, dimension)."""

    papers: list[ArchivedPaper]
    vectors: Vectors


def write(
    path: Path, description: Description, papers: Iterable[ArchivedPaper], vectors: Iterable[Vectors]
) -> Description:
    """Write an archive at once: a file that was there stays until this one is whole. What was written, in full.

    `vectors` are taken after `papers`. Raises LibraryError where the file cannot be written, or holds something else.
    """
    with replacing(path) as file:
        with zipfile.ZipFile(file, "w") as archive:
            written = {
                _PAPERS: _write_part(archive, _PAPERS, map(_line, papers)),
                _VECTORS: _write_part(archive, _VECTORS, _rows(description, vectors)),
            }
            whole = replace(description, parts=written)
            archive.writestr(_MANIFEST, _adapter(Description).dump_json(whole, indent=2) + b"\n")
            archive.comment = UNSEALED
        seal(file)
    return whole


class Archive:
    """An archive opened to be read. Raises InputError, in one line, for whatever is wrong with the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
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
        with self._explained(), self._part(_PAPERS) as lines, self._part(_VECTORS) as rows:
            header = _header(self.description)
            _expect(rows.read(len(header)) == header, "its vectors have another shape")
            papers = _papers(lines)
            count = 0
            while batch := _some(papers):
                count += len(batch)
                yield Batch(batch, self._vectors(rows, sum(len(paper.passages) for paper in batch)))
            _expect(count == self.description.papers, "it holds another number of papers")
            lines.finish()
            rows.finish()

    @property
    def size(self) -> int:
        """Bytes of papers and vectors when unpacked."""
        return sum(part.bytes for part in self.description.parts.values())

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
        _expect(len(archive.infolist()) == 3 and set(found) == {_PAPERS, _VECTORS, _MANIFEST}, "it has other parts")
        _expect(found[_MANIFEST].file_size <= _MAX_MANIFEST, "its manifest is too long")
        with archive.open(_MANIFEST) as file:
            content = file.read(_MAX_MANIFEST)
        known = _adapter(_Versioned).validate_json(content, strict=True)
        if known.format > FORMAT:
            raise InputError(
                f"{self._path} was written by a newer Citewise (format {known.format}, this one knows {FORMAT}):"
                " update Citewise"
            )
        description = _adapter(Description).validate_json(content, strict=True)
        _expect(len(description.parts) == 2, "its manifest names other parts")
        for name, part in description.parts.items():
            _expect(found[name].file_size == part.bytes, f"{name} has another size")
            most = _MAX_EXPANSION * found[name].compress_size + _ALWAYS_ALLOWED
            _expect(part.bytes <= most, f"{name} is packed too tightly")
        return description

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
            raise InputError(f"no file {self._path}") from error
        except OSError as error:
            raise InputError(f"cannot read {self._path}: {error.strerror or error}") from error
        except ValidationError as error:
            raise self._damaged(f"{error.title}: {error.errors()[0]['msg']}") from error
        # What zipfile says to bytes that are no archive of ours; RuntimeError for an encrypted or unknown one.
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError, RuntimeError) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, reason: str) -> InputError:
        detail = " ".join(reason.split())[:200]
        return InputError(f"{self._path} is no whole Citewise export ({detail}): copy it again, or export it again")


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
    validated = _adapter(ArchivedPaper).validate_json
    while line := lines.line():
        yield validated(line, strict=True), len(line)


def _some(papers: Iterator[tuple[ArchivedPaper, int]]) -> list[ArchivedPaper]:
    batch: list[ArchivedPaper] = []
    size = 0
    for paper, length in islice(papers, _AT_ONCE):
        batch.append(paper)
        size += length
        if size >= _AT_ONCE_BYTES:
            break
    return batch


def _line(paper: ArchivedPaper) -> bytes:
    line = _adapter(ArchivedPaper).dump_json(paper, exclude_defaults=True) + b"\n"
    if len(line) > MAX_LINE:
        raise LibraryError(f"the paper {paper.id} is too large to be exported: remove it first")
    return line


def _rows(description: Description, vectors: Iterable[Vectors]) -> Iterator[bytes]:
    yield _header(description)
    for batch in vectors:
        yield batch.astype("<f4", copy=False).tobytes()


def _header(description: Description) -> bytes:
    """The start of an .npy file, version 1.0: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"""
    shape = (description.passages, description.dimension)
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text = text.ljust(128 - 10 - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _write_part(archive: zipfile.ZipFile, name: str, content: Iterable[bytes]) -> Part:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_STORED if name == _VECTORS else zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    digest, size = hashlib.sha256(), 0
    with archive.open(info, "w", force_zip64=True) as part:
        for piece in content:
            part.write(piece)
            digest.update(piece)
            size += len(piece)
    return Part(size, digest.hexdigest())


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
