"""The catalog in PostgreSQL: pools of connections, and locks among all writers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from rag.errors import LibraryError, LibraryLocked
from rag.stores.database import Rows
from rag.stores.migrations import migrate
from rag.stores.postgres_edge import address, in_words, psycopg_module

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool

_WORKING = 10
"""Connections of one process that read and write: each is given back before another one is asked for."""
_LOCKING = 1_000
"""Connections that hold a lock or wait for one: more than any server allows."""

_LIBRARY = "'papers'::regclass::oid::integer"
"""First number of every advisory lock: other than that of a library in another schema of the same database."""
_TRANSACTION = 0
_WRITERS = -1
"""Second numbers; see `Database.lock` for the others."""


class _Pools(NamedTuple):
    """Two, since whoever holds a lock goes on to read and write: of a single one of limited size, several writers could
    together hold all connections, and each wait for one more."""

    working: ConnectionPool[psycopg.Connection[Any]]
    locking: ConnectionPool[psycopg.Connection[Any]]

    def close(self) -> None:
        self.working.close()
        self.locking.close()


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
        self._opened: _Pools | None = None
        self._closed = False
        self._local = threading.local()
        self._turn = threading.Lock()
        self._holding = threading.Lock()
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
        with self._pools().working.connection() as connection:
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
        # Of the threads here one alone waits for other processes, so that the others do not use up the connections.
        with self._clear_errors(), self._turn:
            self._check_held()
            with self._pools().working.connection() as connection, connection.transaction():
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

    def writer(self) -> str | None:
        """See `Database`."""
        found = self.read(
            "SELECT DISTINCT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted"
            " AND classid = 'papers'::regclass::oid AND objid = ?::integer::oid",
            [_WRITERS],
        )
        return ", ".join(name for (name,) in found) or None

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

    def _pools(self) -> _Pools:
        with self._guard:
            if self._closed:
                raise LibraryError(f"the library in {self.name} was closed")
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> _Pools:
        from psycopg import Connection

        # What a pool meets while it tries again is for a log, where there is one, not for the terminal.
        logging.getLogger("psycopg").addHandler(logging.NullHandler())
        migrate(lambda: Connection.connect(self._conninfo), self.name)
        return _Pools(self._pool(_WORKING), self._pool(_LOCKING))

    def _pool(self, most: int) -> ConnectionPool[psycopg.Connection[Any]]:
        from psycopg_pool import ConnectionPool

        return ConnectionPool(
            self._conninfo,
            min_size=0,
            max_size=most,
            timeout=self._patience,
            kwargs={"autocommit": True},
            check=ConnectionPool.check_connection,
            open=True,
        )

    @contextmanager
    def _locked(self, number: int, *, shared: bool, wait: bool) -> Generator[None]:
        suffix = "_shared" if shared else ""
        with self._clear_errors(), self._pools().locking.connection() as connection:
            if wait:
                connection.execute(_advisory(f"pg_advisory_lock{suffix}", number))
            elif connection.execute(_advisory(f"pg_try_advisory_lock{suffix}", number)).fetchone() == (False,):
                who = self.writer() or "another process"
                raise LibraryLocked(
                    f"{who} is writing to the library in {self.name}: wait until it is done, or stop it, and run this"
                    " again"
                )
            with self._holding:
                self._held.append(connection)
            try:
                yield
            finally:
                with self._holding:
                    self._held.remove(connection)
                with suppress(psycopg_module().Error):  # a lost connection has let go already
                    connection.execute(_advisory(f"pg_advisory_unlock{suffix}", number))

    def _check_held(self) -> None:
        """A lock is lost with its connection, and without its locks a writer must not write."""
        with self._holding:  # so that none is given back meanwhile, to wait for another lock
            for connection in self._held:
                connection.execute("")

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
