"""What every parser yields and where it puts what it has to say beside its records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.papers import Record, Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rag.parsers.reading import LineSource, Source

    LineReader = Callable[[LineSource, Mapping[str, str | int]], Iterator[Record | Reject]]

MAX_RECORD = 8 * 1024 * 1024
"""Characters of one line or record; what is longer is rejected without being held."""

MAX_TITLE = 2_000
MAX_ABSTRACT = 200_000


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know about an input that cost no record, e.g. which format was detected."""

    path: str
    line: int
    message: str


Item = Record | Reject | Notice


@dataclass(frozen=True, slots=True)
class Format:
    """A readable format: its name for `--format`, what it is, and the function that reads it."""

    name: str
    description: str
    read: Callable[[Source, Mapping[str, str | int]], Iterator[Record | Reject]]
    check: Callable[[Source, Mapping[str, str | int]], None] | None = None
    """Raises InputError before anything is read, for what the whole input lacks (such as a title column)."""
    read_lines: LineReader | None = None
    """The same as `read`, for any lines of an input; only of formats in which each line says all by itself."""
