"""Writes a portable library file."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import LibraryError
from rag.stores.archive import MANIFEST, MAX_LINE, PAPERS, VECTORS, ArchivedPaper, Description, Part, adapter, header
from rag.stores.sealing import UNSEALED, replacing, seal

if TYPE_CHECKING:
    from rag.interfaces import Vectors


def write(
    path: Path, description: Description, papers: Iterable[ArchivedPaper], vectors: Iterable[Vectors]
) -> Description:
    """Write an archive at once: a file that was there stays until this one is whole. What was written, in full.

    `vectors` are taken after `papers`. Raises LibraryError where the file cannot be written, or holds something else.
    """
    with replacing(path) as file:
        with zipfile.ZipFile(file, "w") as archive:
            written = {
                PAPERS: _write_part(archive, PAPERS, map(_line, papers)),
                VECTORS: _write_part(archive, VECTORS, _rows(description, vectors)),
            }
            whole = replace(description, parts=written)
            archive.writestr(MANIFEST, adapter(Description).dump_json(whole, indent=2) + b"\n")
            archive.comment = UNSEALED
        seal(file)
    return whole


def _line(paper: ArchivedPaper) -> bytes:
    line = adapter(ArchivedPaper).dump_json(paper, exclude_defaults=True) + b"\n"
    if len(line) > MAX_LINE:
        raise LibraryError(f"the paper {paper.id} is too large to be exported: remove it first")
    return line


def _rows(description: Description, vectors: Iterable[Vectors]) -> Iterator[bytes]:
    yield header(description)
    for batch in vectors:
        yield batch.astype("<f4", copy=False).tobytes()


def _write_part(archive: zipfile.ZipFile, name: str, content: Iterable[bytes]) -> Part:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_STORED if name == VECTORS else zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    digest, size = hashlib.sha256(), 0
    with archive.open(info, "w", force_zip64=True) as part:
        for piece in content:
            part.write(piece)
            digest.update(piece)
            size += len(piece)
    return Part(size, digest.hexdigest())
