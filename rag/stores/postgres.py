"""The catalog in PostgreSQL: a pool of connections, and locks among all writers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rag.errors import LibraryError, LibraryLocked
from rag.stores.database import Rows
from rag.stores.migrations import migrate
from rag.stores.postgres_edge import address, in_words, psycopg_module

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool

_MOST = 10
"""Connections of one process."""

_LIBRARY = "'papers'::regclass::oid::integer"
"""First number of every advisory lock: other than that of a library in another schema of the same database."""
_TRANSACTION = 0
_WRITERS = -1
"""Second numbers; see `Database.lock` for the others."""


class PostgresDatabase:
    """A `Database` at an address (`postgresql://user@host:5432/name`); what it leaves out is taken from the standard
    environment variables (PGPASSWORD, PGHOST, …). Its tables are made, or brought to the present version, at first use.

    Writers take turns by advisory locks, which end with the connection that holds them, and so with the process.
    `patience` is how many seconds a lost server is waited for; a first connection that fails is told at once.
    """

    def __init__(self, url: str, *, patience: float = 10.0) -> None:
        self._conninfo, self.name = address(url)
        self._patience = patience
        self._guard = threading.Lock()
        self._opened: ConnectionPool[psycopg.Connection[Any]] | None = None
        self._closed = False
        self._local = threading.local()
        self._held: list[psycopg.Connection[Any]] = []

    def __repr__(self) -> str:
        return f"PostgresDatabase({self.name})"

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """All rows of a query."""
        with self._clear_errors():
            if (own := self._own()) is not None:
                return own.execute(_translated(sql), _bound(parameters)).fetchall()
            found = self._tried(sql, parameters)
            return self._tried(sql, parameters, again=True) if found is None else found

    def _tried(self, sql: str, parameters: Sequence[Any], *, again: bool = False) -> Any:
        """The rows; None where the connection was lost: a query that changes nothing is then tried once more."""
        with self._pool().connection() as connection:
            try:
                return connection.execute(_translated(sql), _bound(parameters)).fetchall()
            except psycopg_module().OperationalError:
                if again or not connection.closed:
                    raise
        return None

    @contextmanager
    def transaction(self) -> Generator[_Writing]:
        """A writing transaction; see `Database`."""
        if (own := self._own()) is not None:
            yield _Writing(own)
            return
        with self._clear_errors():
            self._check_held()
            with self._pool().connection() as connection, connection.transaction():
                connection.execute(_advisory("pg_advisory_xact_lock", _TRANSACTION))
                self._local.connection = connection
                try:
                    yield _Writing(connection)
                finally:
                    self._local.connection = None

    @contextmanager
    def writing(self, *, alone: bool = False) -> Generator[None]:
        """Any number of writers at once, or one `alone`."""
        with self._locked(_WRITERS, shared=not alone, wait=False):
            yield

    @contextmanager
    def lock(self, number: int) -> Generator[None]:
        """See `Database`."""
        with self._locked(number, shared=False, wait=True):
            yield

    def damage(self) -> None:
        """None: PostgreSQL watches over its files itself."""

    def close(self) -> None:
        """Close all connections."""
        with self._guard:
            self._closed = True
            if self._opened:
                self._opened.close()
                self._opened = None

    def _own(self) -> psycopg.Connection[Any] | None:
        return getattr(self._local, "connection", None)

    def _pool(self) -> ConnectionPool[psycopg.Connection[Any]]:
        with self._guard:
            if self._closed:
                raise LibraryError(f"the library in {self.name} was closed")
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> ConnectionPool[psycopg.Connection[Any]]:
        from psycopg import Connection
        from psycopg_pool import ConnectionPool

        # What the pool meets while it tries again is for a log, where there is one, not for the terminal.
        logging.getLogger("psycopg").addHandler(logging.NullHandler())
        migrate(lambda: Connection.connect(self._conninfo), self.name)
        return ConnectionPool(
            self._conninfo,
            min_size=0,
            max_size=_MOST,
            timeout=self._patience,
            kwargs={"autocommit": True},
            check=ConnectionPool.check_connection,
            open=True,
        )

    @contextmanager
    def _locked(self, number: int, *, shared: bool, wait: bool) -> Generator[None]:
        suffix = "_shared" if shared else ""
        with self._clear_errors(), self._pool().connection() as connection:
            if wait:
                connection.execute(_advisory(f"pg_advisory_lock{suffix}", number))
            elif connection.execute(_advisory(f"pg_try_advisory_lock{suffix}", number)).fetchone() == (False,):
                raise LibraryLocked(_who_writes(connection, self.name))
            self._held.append(connection)
            try:
                yield
            finally:
                self._held.remove(connection)
                with suppress(psycopg_module().Error):  # a lost connection has let go already
                    connection.execute(_advisory(f"pg_advisory_unlock{suffix}", number))

    def _check_held(self) -> None:
        """A lock is lost with its connection, and without its locks a writer must not write."""
        for connection in list(self._held):
            try:
                connection.execute("")
            except psycopg_module().Error:
                if connection in self._held:  # else another thread has just given it back
                    raise

    @contextmanager
    def _clear_errors(self) -> Generator[None]:
        try:
            yield
        except psycopg_module().Error as error:
            raise in_words(error, self.name) from error


class _Writing:
    """A `Connection`."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
        return self._connection.execute(_translated(sql), parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_translated(sql), rows)

    def insert_keys(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._connection.execute(
            "INSERT INTO keys SELECT * FROM unnest(%s::bigint[], %s::bigint[]) ON CONFLICT DO NOTHING",
            ([key for key, _ in pairs], [paper for _, paper in pairs]),
        )


@lru_cache(maxsize=512)
def _translated(sql: str) -> Any:
    return sql.replace("?", "%s")


def _bound(parameters: Sequence[Any]) -> list[Any]:
    """PostgreSQL has no NUL in its texts and refuses to look for one."""
    return [value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in parameters]


def _advisory(function: str, number: int) -> Any:
    return f"SELECT {function}({_LIBRARY}, {number})"


def _who_writes(connection: psycopg.Connection[Any], name: str) -> str:
    found = connection.execute(
        "SELECT DISTINCT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory'"
        " AND granted AND classid = 'papers'::regclass::oid AND objid = %s::integer::oid",
        [_WRITERS],
    ).fetchall()
    who = ", ".join(row[0] for row in found) or "another process"
    return f"{who} is writing to the library in {name}: wait until it is done, or stop it, and run this again"
