"""What an ingest is given to read: files, folders, addresses and pasted text, opened one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rag.errors import InputError
from rag.merging import Reading
from rag.papers import Record, Reject
from rag.text import printable

if TYPE_CHECKING:
    from rag.parsers import Notice, Parse


_PACKED = 3  # bytes of text in one of a compressed file


class Input(Protocol):
    """One input as it is read: a `Parse`, or one that workers read, which gives records ready to be stored."""

    @property
    def path(self) -> str:
        """As given."""
        ...

    @property
    def format(self) -> str:
        """The name of its format."""
        ...

    @property
    def bytes_read(self) -> int:
        """How far it is."""
        ...

    @property
    def bytes_total(self) -> int | None:
        """Its size, None where unknown."""
        ...

    def __iter__(self) -> Iterator[Record | Reading | Reject | Notice]: ...


class Workers(Protocol):
    """Processes that read for an ingest. What they give is what reading here would give, in the same order."""

    def read(self, opened: Iterator[Parse | Reject]) -> Iterator[Input | Reject]:
        """Each input, read ahead as far as the workers allow; what could not be opened is passed on."""
        ...

    def close(self) -> None:
        """Let them go."""
        ...


class Inputs:
    """What is to be read; what is not found goes to `rejected`."""

    def __init__(
        self,
        paths: Sequence[str | Path],
        text: str | None,
        format: str | None,  # noqa: A002
        columns: Mapping[str, str | int] | None,
        rejected: list[Reject],
    ) -> None:
        from rag.parsers import expand

        self._text = text
        self._format = format
        self._columns = columns
        found = list(expand(paths))
        rejected += [item for item in found if isinstance(item, Reject)]
        self._paths = [item for item in found if isinstance(item, str)]

    @property
    def size(self) -> int | None:
        """Bytes of all files together, None where one is not a file."""
        return _size(self._paths, self._text, lambda path: 1)

    def opened(self) -> Iterator[Parse | Reject]:
        """Each input, opened when its turn comes, or why it cannot be opened."""
        from rag.parsers import parse, parse_text

        for path in self._paths:
            try:
                yield parse(path, format=self._format, columns=self._columns)
            except InputError as error:
                yield Reject(printable(path), 0, str(error))
        if self._text is not None:
            try:
                yield parse_text(self._text, format=self._format)
            except InputError as error:
                yield Reject("pasted text", 0, str(error))


def pile_size(paths: Sequence[str | Path], text: str | None) -> int | None:
    """About how many bytes of papers there are to read, before any is; None where one is not a file, so not known."""
    from rag.parsers import expand

    found = [item for item in expand(paths) if isinstance(item, str)]
    return _size(found, text, lambda path: _PACKED if path.lower().endswith(".gz") else 1)


def _size(paths: Sequence[str], text: str | None, times: Callable[[str], int]) -> int | None:
    try:
        return sum(Path(path).expanduser().stat().st_size * times(path) for path in paths) + len(text or "")
    except (OSError, ValueError):  # ValueError: no name of a file at all
        return None


def reason_nothing_read(rejected: Sequence[Reject]) -> str:
    """Why no input could be opened, in one line."""
    if not rejected:
        return "nothing to read: the folder holds no file of a known kind"
    more = f" (and {len(rejected) - 1} more that could not be read)" if len(rejected) > 1 else ""
    reason = rejected[0].reason
    return f"{reason if rejected[0].path in reason else f'{rejected[0].path}: {reason}'}{more}"
