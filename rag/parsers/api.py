"""The parsers' one entrance: opens, detects, reads, and reports what was found on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rag.errors import InputError, UsageError
from rag.papers import Reject
from rag.parsers.base import Format, Item, Notice
from rag.parsers.detect import detect
from rag.parsers.fields import FIELDS
from rag.parsers.formats import TABLE
from rag.parsers.pieces import Piece, Read, cut, told
from rag.parsers.reading import Source
from rag.text import printable

FORMATS: dict[str, str] = {name: entry.description for name, entry in TABLE.items()}
"""Names for `format=` and what each of them is."""

SUFFIXES = frozenset(".txt .md .json .jsonl .ndjson .csv .tsv .bib .bibtex .ris .nbib .enw .xml .atom".split())
"""What `expand` takes from a folder, each also with .gz behind it."""

_MAX_DEPTH = 64


class Parse:
    """One input being read. Iterating gives Records, Rejects and Notices, and may be done again from the start."""

    def __init__(self, source: Source, chosen: Format, columns: Mapping[str, str | int], *, detected: bool) -> None:
        self._source = source
        self._chosen = chosen
        self._columns = columns
        self._detected = detected

    def __iter__(self) -> Iterator[Item]:
        yield from self._notices()
        yield from told(self._source, self._chosen.read(self._source, self._columns))

    def pieces(self) -> Iterator[Piece]:
        """The input in pieces that any process can read, and that together give what iterating gives; one at least."""
        yield Read(self._notices())
        yield from cut(self._source, self._chosen, self._columns)

    def _notices(self) -> tuple[Notice, ...]:
        return (Notice(self.path, 1, f"format detected: {self.format}"),) if self._detected else ()

    @property
    def path(self) -> str:
        """The path, URL or name as given."""
        return self._source.name

    @property
    def format(self) -> str:
        """The declared or detected format, one of FORMATS."""
        return self._chosen.name

    @property
    def bytes_read(self) -> int:
        """How much of the input was read so far, in bytes of the file itself."""
        return self._source.bytes_read

    @property
    def bytes_total(self) -> int | None:
        """The size of the file in bytes, None where unknown."""
        return self._source.bytes_total


def parse(path: str | Path, *, format: str | None = None, columns: Mapping[str, str | int] | None = None) -> Parse:  # noqa: A002
    """Opens a file (plain or .gz) or an http(s) address. `columns`: our field to the input's column name or number.

    Raises InputError, before anything is read, for what cannot be read at all.
    """
    name = printable(str(path))
    if name.lower().startswith(("http://", "https://")):
        from rag.parsers.fetch import fetch

        return _opened(fetch(name), format, columns)
    location = Path(path).expanduser()
    if location.is_dir():
        raise InputError(f"{name} is a folder: give it to expand() first")
    if not location.exists():
        raise InputError(f"{name} does not exist")
    if not location.is_file():
        raise InputError(f"{name} is not a regular file")
    return _opened(Source.from_path(location, name), format, columns)


def parse_text(text: str, name: str = "pasted text", *, format: str | None = None) -> Parse:  # noqa: A002
    """Reads text that was pasted: any format, a title line with its abstract, or an abstract alone."""
    return _opened(Source.from_text(text, name), format, None)


def expand(paths: Iterable[str | Path]) -> Iterator[str | Reject]:
    """The files to read, folders replaced by what is in them: sorted, hidden files and links out of the walk left out,
    files of unknown kind as Rejects. Paths that are no folder are given back as they are, even missing ones."""
    for path in paths:
        location = Path(path).expanduser()
        if str(path).lower().startswith(("http://", "https://")) or not location.is_dir():
            yield str(path)
        else:
            yield from _walk(location, 0)


def _walk(folder: Path, depth: int) -> Iterator[str | Reject]:
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        yield Reject(printable(str(folder)), 0, f"cannot read the folder: {(error.strerror or str(error)).lower()}")
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if not entry.is_symlink() and depth < _MAX_DEPTH:
                yield from _walk(entry, depth + 1)
        elif _known(entry):
            yield str(entry)
        else:
            yield Reject(
                printable(str(entry)), 0, "a kind of file that Citewise does not read; name it yourself to try it"
            )


def _known(entry: Path) -> bool:
    name = entry.name.lower().removesuffix(".gz")
    return entry.is_file() and Path(name).suffix in SUFFIXES


def _opened(source: Source, name: str | None, columns: Mapping[str, str | int] | None) -> Parse:
    if name is not None and name not in TABLE:
        raise UsageError(f"no format is called {name!r}; known formats: {', '.join(TABLE)}")
    chosen, wanted = TABLE[name or detect(source)], columns or {}
    unknown = [field for field in wanted if field not in FIELDS]
    if unknown:
        raise UsageError(f"no field is called {unknown[0]!r}; fields: {', '.join(sorted(FIELDS))}")
    if chosen.check:
        chosen.check(source, wanted)
    return Parse(source, chosen, wanted, detected=name is None)
