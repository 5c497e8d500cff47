"""What the catalog asks of its database, so that every statement is written once for SQLite and PostgreSQL.

Statements hold `?` where a value goes and `= ANY(?)` or `<> ALL(?)` where a list does; what else they use means the
same to both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

INDEXING = -2
"""The lock (`Database.lock`) of whoever writes to the indexes that all share."""

Rows = list[tuple[Any, ...]]


class Result(Protocol):
    """The rows that a statement returns."""

    def fetchone(self) -> Any:
        """The next one, None after the last."""
        ...

    def fetchall(self) -> Rows:
        """All that are left."""
        ...


class Connection(Protocol):
    """One writing transaction."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Result:
        """Run one statement."""
        ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row of values; none of them may be a list."""
        ...

    def insert_keys(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Rows (key, paper) of `keys`; those that exist are passed over. As one statement: a dozen rows a paper."""
        ...


class Database(Protocol):
    """A library's database, for any number of threads. Errors are LibraryErrors of one line."""

    @property
    def name(self) -> str:
        """What the user calls it: a path or an address, without any password."""
        ...

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """All rows of a query; within a transaction of this thread also what it has written so far."""
        ...

    def transaction(self) -> AbstractContextManager[Connection]:
        """A writing transaction, one at a time among all who write to the library: all of it is durable at the end, or
        none of it after an error. Within another one of this thread it is a part of that."""
        ...

    def writing(self, *, alone: bool = False) -> AbstractContextManager[object]:
        """Held by whoever writes to the library for as long as that takes. Raises LibraryLocked where another process
        writes and that is one too many: always in a folder, with `alone` in a cluster."""
        ...

    def lock(self, number: int) -> AbstractContextManager[object]:
        """Held by one of all the writers at a time, the others wait: `INDEXING`, or the key of a source, which is
        above 0. In a folder, where nobody else writes, nothing is to be waited for."""
        ...

    def writer(self) -> str | None:
        """Who writes to the library now, as the user knows it: a process, or several; None where nobody does."""
        ...

    def damage(self) -> str | None:
        """What is broken in the stored data, None when it is whole."""
        ...

    def close(self) -> None:
        """Close the connections of all threads."""
        ...
