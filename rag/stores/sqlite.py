"""The catalog in a file: SQLite tables, a connection for each thread, its errors in words for the user."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from rag.errors import LibraryDamaged, LibraryError, LibraryLocked
from rag.stores.database import Rows
from rag.stores.lock import WriterLock, holder

CATALOG = "catalog.sqlite"
FORMAT = 1
"""Version of the tables below. A reader of an older format refuses a newer one."""

_BUSY_SECONDS = 30
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('generation', 0), ('last paper', 0);

CREATE TABLE sources (pk INTEGER PRIMARY KEY, path TEXT NOT NULL, resolved TEXT NOT NULL UNIQUE);

-- One narrow row a paper, so that filters scan little; its texts are in `bodies`.
CREATE TABLE papers (
  pk INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  revision INTEGER NOT NULL,           -- grows with every change of the paper
  pending INTEGER NOT NULL,            -- 1 until both indexes hold this revision's passages
  passages INTEGER NOT NULL,           -- how many
  year INTEGER,
  first_day TEXT, last_day TEXT,       -- what is known of the date, as a range of ISO days
  has_code INTEGER NOT NULL,
  upvotes INTEGER,
  venue TEXT,
  folded_venue TEXT NOT NULL, folded_authors TEXT NOT NULL, folded_title TEXT NOT NULL
);
CREATE INDEX papers_pending ON papers (pk) WHERE pending = 1;
CREATE TABLE bodies (
  pk INTEGER PRIMARY KEY,
  title TEXT NOT NULL, abstract TEXT NOT NULL, data TEXT NOT NULL, passages TEXT NOT NULL
);

-- Every record as read; a paper is the fold of its records.
CREATE TABLE records (
  pk INTEGER PRIMARY KEY,
  paper INTEGER NOT NULL,
  source INTEGER NOT NULL,
  line INTEGER NOT NULL,
  hash INTEGER NOT NULL,
  title_key INTEGER,
  external_key INTEGER,
  reason TEXT,                         -- why it was merged; NULL for the paper's first record
  keys BLOB NOT NULL,
  data TEXT NOT NULL,
  abstract TEXT                        -- NULL where it is the paper's own
);
CREATE INDEX records_by_paper ON records (paper, source, line);
CREATE INDEX records_by_source ON records (source, paper);

-- Hashed identity (DOI, arXiv id, title, abstract sketch): the papers that a record may be the same as.
CREATE TABLE keys (key INTEGER NOT NULL, paper INTEGER NOT NULL, PRIMARY KEY (key, paper)) WITHOUT ROWID;

-- Passage ids that the indexes still have to forget.
CREATE TABLE doomed (seq INTEGER PRIMARY KEY AUTOINCREMENT, passage TEXT NOT NULL);
"""


class SqliteDatabase:
    """A `Database` in the file `catalog.sqlite`: as many connections as threads ever asked at once.

    Nothing is made on disk before the first transaction; until then an absent file reads as an empty library.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._idle: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._writing = threading.RLock()
        self._closed = False
        self._created = False
        self._uri = f"{path.absolute().as_uri()}?mode=rw"

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """All rows of a query."""
        with self._clear_errors(), self._lent() as connection:
            return connection.execute(_translated(sql), _bound(parameters)).fetchall()

    @contextmanager
    def transaction(self) -> Generator[_Writing]:
        """A writing transaction; see `Database`."""
        if (own := self._own()) is not None:
            yield _Writing(own)
            return
        with self._writing, self._clear_errors():
            self._create()
            with self._lent() as connection:
                connection.execute("BEGIN IMMEDIATE")
                self._local.connection = connection
                try:
                    yield _Writing(connection)
                    connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise
                finally:
                    self._local.connection = None

    def writing(self, *, alone: bool = False) -> WriterLock:
        """The folder's writer lock: here every writer is alone."""
        return WriterLock(self.path.parent)

    def lock(self, number: int) -> AbstractContextManager[None]:
        """Nothing: nobody else writes."""
        return nullcontext()

    def writer(self) -> str | None:
        """The process that holds the folder's writer lock."""
        found = holder(self.path.parent)
        return str(found) if found else None

    def damage(self) -> str | None:
        """What SQLite finds wrong with the file, None when it is whole."""
        found = self.read("PRAGMA quick_check(1)")[0][0]
        return None if found == "ok" else " ".join(str(found).split())

    def close(self) -> None:
        """Close all connections; one that is in use when it is given back, as SQLite crashes otherwise."""
        with self._guard:
            self._closed = True
            while self._idle:
                _close(self._idle.pop())

    def _own(self) -> sqlite3.Connection | None:
        return getattr(self._local, "connection", None)

    @contextmanager
    def _lent(self) -> Generator[sqlite3.Connection]:
        """A connection that no other thread uses meanwhile: within a transaction of this thread, that one's."""
        if (own := self._own()) is not None:
            yield own
        elif (connection := self._taken()) is None:
            with closing(_empty()) as nothing:
                yield nothing
        else:
            try:
                yield connection
            finally:
                self._give_back(connection)

    def _taken(self) -> sqlite3.Connection | None:
        """A connection, None while there is nothing to connect to."""
        with self._guard:
            if self._closed:
                raise LibraryError(f"the library in {self.path.parent} was closed")
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._guard:
            if self._closed:
                _close(connection)
            else:
                self._idle.append(connection)

    def _create(self) -> None:
        """Make the file and its tables where they do not exist yet."""
        if self._created:
            if not self.path.exists():  # what is written now would be lost with it
                raise LibraryError(f"{self.path} was deleted while it was open; close the library, and ingest again")
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LibraryError(f"cannot make a library in {self.path.parent}: {error.strerror}") from error
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            if not _version(connection):
                connection.execute("PRAGMA journal_mode = WAL")
                _make_tables(connection)
        finally:
            connection.close()
        self._created = True

    def _connect(self) -> sqlite3.Connection | None:
        if not self.path.exists():
            return None
        connection = self._opened()
        version = _version(connection)
        if version > FORMAT:
            connection.close()
            raise LibraryError(
                f"{self.path} was written by a newer Citewise (format {version}, this one knows {FORMAT}):"
                " update Citewise"
            )
        if version == 0:  # made this moment by another process, which has not committed its tables yet
            connection.close()
            return None
        # A commit survives a power cut: what the indexes hold must never be newer than the catalog.
        for pragma in ("synchronous = FULL", "cache_size = -32000", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _opened(self) -> sqlite3.Connection:
        connection = self._try(self._uri)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            # WAL writes beside the file even for reading; a read-only folder allows no more than this.
            connection.close()
            connection = self._try(self._uri.replace("mode=rw", "immutable=1"))
        return connection

    def _try(self, uri: str) -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)

    @contextmanager
    def _clear_errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _in_words(error, self.path) from error


class _Writing:
    """A `Connection`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._connection.execute(_translated(sql), _bound(parameters))

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(sql, rows)

    def insert_keys(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._connection.execute(
            "INSERT OR IGNORE INTO keys SELECT value ->> 0, value ->> 1 FROM json_each(?)", (json.dumps(pairs),)
        )


@lru_cache(maxsize=512)
def _translated(sql: str) -> str:
    return sql.replace("= ANY(?)", "IN (SELECT value FROM json_each(?))").replace(
        "<> ALL(?)", "NOT IN (SELECT value FROM json_each(?))"
    )


def _bound(parameters: Sequence[Any]) -> list[Any]:
    return [json.dumps(value) if isinstance(value, list) else value for value in parameters]


def _in_words(error: sqlite3.Error, path: Path) -> LibraryError:
    text = str(error)
    if "full" in text or "disk I/O" in text:
        return LibraryError(f"cannot write {path}: {text}; free some space and run the command again")
    if "readonly" in text or "unable to open" in text:
        return LibraryError(f"cannot write {path}: check that the folder exists and that you may write in it")
    if "locked" in text or "busy" in text:
        return LibraryLocked(f"{path} is being written by another process: try again when it is done")
    if isinstance(error, sqlite3.DatabaseError) and ("malformed" in text or "not a database" in text):
        return LibraryDamaged(f"{path} is damaged ({text}): restore it, or remove the library and ingest again")
    return LibraryError(f"{path}: {text}")


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if not _version(connection):  # unless another process was faster
        for statement in _statements(_TABLES):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("COMMIT")


def _close(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        connection.close()


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _make_tables(connection)
    return connection


def _statements(script: str) -> Iterator[str]:
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
