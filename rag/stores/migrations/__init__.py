"""The tables of a catalog in PostgreSQL, brought to the present version by Alembic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import LibraryError, MissingExtra

if TYPE_CHECKING:
    import psycopg

HEAD = "0002"
"""The version that this Citewise works with: the newest file in `versions`."""


def migrate(connect: Callable[[], psycopg.Connection[Any]], name: str) -> None:
    """Bring the database to `HEAD`; safe when several processes start at once.

    `name` is what errors call the database. Raises LibraryError when a newer Citewise made its tables.
    """
    with connect() as connection:
        version = _version(connection)
    if version == HEAD:  # so Alembic and SQLAlchemy need not be imported
        return
    if version is not None and version > HEAD:
        raise LibraryError(
            f"{name} was written by a newer Citewise (format {version}, this one knows {HEAD}): update Citewise"
        )
    _upgrade(connect)


def _version(connection: psycopg.Connection[Any]) -> str | None:
    if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        return None
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return found[0] if found else None


def _upgrade(connect: Callable[[], psycopg.Connection[Any]]) -> None:
    try:
        from alembic import command
        from alembic.config import Config
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool
    except ImportError as error:
        raise MissingExtra("alembic", "cluster") from error
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
