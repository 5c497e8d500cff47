"""Where PostgreSQL is, and what goes wrong with it, in words for the user."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

from rag.errors import LibraryError, LibraryUnavailable, MissingExtra, SettingsError

# A writer whose machine is gone must not hold its locks for hours: the server notices within two minutes.
_SESSION = "-c tcp_keepalives_idle=60 -c tcp_keepalives_interval=15 -c tcp_keepalives_count=4"

_WRONG = (
    ("password authentication failed", "the user or password is wrong; set PGPASSWORD"),
    ("no password supplied", "it wants a password; set PGPASSWORD"),
    ("does not exist", "the database or user does not exist; make it with: createdb, createuser"),
    ("could not translate host name", "there is no host of that name"),
    ("failed to resolve host", "there is no host of that name"),
)
_AWAY = (
    ("too many", "it has no connection left; raise its max_connections"),
    ("remaining connection slots", "it has no connection left; raise its max_connections"),
    ("server running", "nothing answers there; is the server running?"),
    ("timeout", "it does not answer; is the server running, and reachable from here?"),
    ("couldn't get a connection", "it does not answer; is the server running?"),
    ("starting up", "it is starting up; try again in a moment"),
)


def psycopg_module() -> Any:
    """The library, imported when it is first needed. Raises MissingExtra."""
    try:
        import psycopg
        import psycopg_pool  # noqa: F401  # pyright: ignore[reportUnusedImport] - to be told of both at once
    except ImportError as error:
        raise MissingExtra("psycopg", "cluster") from error
    return psycopg


def address(url: str) -> tuple[str, str]:
    """Connection parameters, and a name for the user without any password."""
    conninfo = psycopg_module().conninfo
    try:
        given = conninfo.conninfo_to_dict(url)
    except psycopg_module().Error:  # whose text may quote the password
        raise SettingsError(
            "settings: catalog.url is not an address of PostgreSQL, such as postgresql://citewise@host:5432/citewise;"
            " write special characters in it as %XX"
        ) from None
    given.setdefault("application_name", _process())
    given.setdefault("connect_timeout", 10)
    given["options"] = f"{_SESSION} {given.get('options', '')}".rstrip()
    place = given.get("host") or os.environ.get("PGHOST") or "localhost"
    port = given.get("port") or os.environ.get("PGPORT") or 5432
    database = given.get("dbname") or os.environ.get("PGDATABASE") or given.get("user") or "its default database"
    return conninfo.make_conninfo(**given), f"PostgreSQL at {place}:{port}/{database}"


def _process() -> str:
    return f"{Path(sys.argv[0]).name or 'python'} {os.getpid()}@{platform.node()}"[:63]


def in_words(error: Exception, name: str) -> LibraryError:
    """One line that says what is wrong and what to do. What PostgreSQL says holds no password."""
    errors = psycopg_module().errors
    said = " ".join(str(error).split())
    if isinstance(error, errors.DiskFull):
        return LibraryError(f"{name} has no space left: make room there and run the command again")
    if isinstance(error, (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)):
        return LibraryError(f"{name} does not let this user write: {said}")
    if isinstance(error, psycopg_module().OperationalError):
        for kind, reasons in ((LibraryError, _WRONG), (LibraryUnavailable, _AWAY)):
            if reason := next((words for part, words in reasons if part in said), None):
                return kind(f"cannot reach {name}: {reason}")
        return LibraryUnavailable(f"the connection to {name} was lost: run the command again ({said[:200]})")
    return LibraryError(f"{name}: {said[:300]}")
