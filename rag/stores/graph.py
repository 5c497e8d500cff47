"""The files of a Chroma graph, in hnswlib's layout: whether they are whole, and rid of what was never part of it.

`header.bin` has the version, then as 64-bit numbers offset, capacity, elements and bytes an element. `data_level0.bin`
and `length.bin` have a place for each element, then room; `link_lists.bin` has for each element the number of bytes
that follow, in 32 bits, and those bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rag.errors import LibraryDamaged

_HEADER = "header.bin"
_HEADER_BYTES = 100
_LENGTH_BYTES = 4
_VERSION = 1


class _Graph(NamedTuple):
    folder: Path
    elements: int
    element_bytes: int

    def used(self) -> dict[Path, int]:
        """The bytes of the files that have room, as far as elements fill them."""
        return {
            self.folder / "data_level0.bin": self.elements * self.element_bytes,
            self.folder / "length.bin": self.elements * _LENGTH_BYTES,
        }


def check_graphs(folder: Path) -> None:
    """Raise LibraryDamaged when the files of a graph in the folder are shorter than they say they are.

    A writer killed while it saved them leaves such files, and Chroma's native code crashes on them.
    """
    for graph in _graphs(folder):
        for file, least in graph.used().items():
            if not file.is_file() or file.stat().st_size < least:
                raise _cut_short(file)
        _check_links(graph.folder / "link_lists.bin", graph.elements)


def clear_room(folder: Path) -> None:
    """Overwrite with zeros the room behind the elements of every graph in the folder; the files keep their lengths.

    hnswlib saves a new graph with room for 100 elements in memory that it never set: the files then hold whatever the
    process kept there before, which may be an API key. Call it where nobody else opens or writes the folder. Sessions
    that have it open are not disturbed: hnswlib makes no use of that room but to write elements into it. Files that
    cannot be written stay as they are, and so do those of a damaged graph.
    """
    with suppress(LibraryDamaged, OSError):
        for graph in _graphs(folder):
            for file, used in graph.used().items():
                _clear(file, used)


def _graphs(folder: Path) -> Iterator[_Graph]:
    for header in folder.glob(f"*/{_HEADER}"):
        content = header.read_bytes()
        if len(content) < _HEADER_BYTES:
            raise _cut_short(header)
        version, _, _, elements, element_bytes = struct.unpack_from("<iQQQQ", content)
        if version == _VERSION:
            yield _Graph(header.parent, elements, element_bytes)


def _check_links(file: Path, elements: int) -> None:
    content = file.read_bytes() if file.is_file() else b""
    at = 0
    for _ in range(elements):
        if at + 4 > len(content):
            raise _cut_short(file)
        at += 4 + int.from_bytes(content[at : at + 4], "little")
    if at > len(content):
        raise _cut_short(file)


def _clear(file: Path, used: int) -> None:
    if file.stat().st_size <= used:
        return
    with file.open("r+b") as stream:
        stream.seek(used)
        room = stream.read()
        if room.count(0) < len(room):
            stream.seek(used)
            stream.write(bytes(len(room)))


def _cut_short(file: Path) -> LibraryDamaged:
    return LibraryDamaged(f"{file} is cut short; run: citewise rebuild")
