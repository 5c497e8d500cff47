"""What an ingest is given to read: files, folders, addresses and pasted text, opened one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import InputError
from rag.papers import Reject

if TYPE_CHECKING:
    from rag.parsers import Parse


class Inputs:
    """What is to be read; what cannot be opened goes to `rejected`."""

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
        self._rejected = rejected
        found = list(expand(paths))
        rejected += [item for item in found if isinstance(item, Reject)]
        self._paths = [item for item in found if isinstance(item, str)]

    @property
    def size(self) -> int | None:
        """Bytes of all files together, None where one is not a file."""
        try:
            return sum(Path(path).expanduser().stat().st_size for path in self._paths) + len(self._text or "")
        except OSError:
            return None

    def opened(self) -> Iterator[Parse]:
        """Each input, opened when its turn comes."""
        from rag.parsers import parse, parse_text

        for path in self._paths:
            try:
                yield parse(path, format=self._format, columns=self._columns)
            except InputError as error:
                self._rejected.append(Reject(path, 0, str(error)))
        if self._text is not None:
            try:
                yield parse_text(self._text, format=self._format)
            except InputError as error:
                self._rejected.append(Reject("pasted text", 0, str(error)))


def reason_nothing_read(rejected: Sequence[Reject]) -> str:
    """Why no input could be opened, in one line."""
    if not rejected:
        return "nothing to read: the folder holds no file of a known kind"
    more = f" (and {len(rejected) - 1} more that could not be read)" if len(rejected) > 1 else ""
    reason = rejected[0].reason
    return f"{reason if rejected[0].path in reason else f'{rejected[0].path}: {reason}'}{more}"
