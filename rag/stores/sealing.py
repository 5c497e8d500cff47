"""A file that ends in the SHA-256 of all its bytes before that, written at once or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from rag.errors import LibraryError

_WORDS = b"Citewise library. SHA-256 of every byte before these 64 digits: "
_DIGITS = 64
_BLOCK = 2**20

UNSEALED = _WORDS + b"0" * _DIGITS
"""What a file has to end in before `seal`."""


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """A new file in place of the old one, once it is whole and on disk.

    Raises LibraryError where it cannot be written, or where a file without a seal would be lost.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        _spare_others(path)
        with beside.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise LibraryError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            beside.unlink()


def seal(file: BinaryIO) -> None:
    """Put the hash in its place."""
    digest = _hash(file)
    file.seek(-_DIGITS, os.SEEK_END)
    file.write(digest)


def check_seal(file: BinaryIO) -> None:
    """Raise ValueError unless the file is as it was sealed."""
    digest = _digits(file)
    if digest is None:
        raise ValueError("its end is missing")
    if _hash(file) != digest:
        raise ValueError("its bytes are not those that were written")


def _spare_others(path: Path) -> None:
    """A mistyped name must not cost a file that is something else."""
    if path.exists():
        with path.open("rb") as file:
            if _digits(file) is None:
                raise LibraryError(f"{path} exists and is no Citewise export: choose another name")


def _digits(file: BinaryIO) -> bytes | None:
    """The hash at the end of the file; None where it does not end as a sealed one does."""
    if file.seek(0, os.SEEK_END) < len(UNSEALED):
        return None
    file.seek(-len(UNSEALED), os.SEEK_END)
    end = file.read(len(UNSEALED))
    return end[-_DIGITS:] if end.startswith(_WORDS) else None


def _hash(file: BinaryIO) -> bytes:
    left = file.seek(0, os.SEEK_END) - _DIGITS
    file.seek(0)
    digest = hashlib.sha256()
    while left and (block := file.read(min(left, _BLOCK))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest().encode()
