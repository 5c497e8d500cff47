"""Conversations kept beside the library, in `conversations.sqlite`: reopen, rename, delete, search."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rag.text import collapse, shorten
from ui.exchange import Exchange, dumped, loaded

FILE = "conversations.sqlite"
_TABLES = """
CREATE TABLE IF NOT EXISTS conversations (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, title TEXT NOT NULL, updated REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS turns (
  conversation TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
  place INTEGER NOT NULL,
  question TEXT NOT NULL, answer TEXT NOT NULL, exchange TEXT NOT NULL,
  PRIMARY KEY (conversation, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS feedback (
  question TEXT NOT NULL,
  answer_record_json TEXT NOT NULL,     -- see `ui.record.recorded`; its one exchange is the rated one
  verdict TEXT NOT NULL CHECK (verdict IN ('up', 'down')),
  note TEXT NOT NULL,
  at REAL NOT NULL,                     -- seconds since 1970
  answer TEXT NOT NULL UNIQUE           -- which answer of which conversation, hashed: a second vote replaces the first
);
"""


class Kept(NamedTuple):
    """A kept conversation in a list: id, title, last change (seconds since 1970), number of questions."""

    id: str
    title: str
    updated: float
    questions: int


class History:
    """The conversations of one library. Each belongs to an `owner`, the signed-in user, "" where nobody signs in.

    Safe for many threads: each call has a connection of its own. Raises sqlite3.Error where the file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def save(self, exchanges: Sequence[Exchange], *, owner: str, conversation: str | None = None) -> str:
        """Keep a conversation, new or changed; its id."""
        kept = conversation or secrets.token_urlsafe(9)
        with self._open() as database:
            title = shorten(collapse(exchanges[0].question), 80) if exchanges else "New conversation"
            database.execute(
                "INSERT INTO conversations VALUES (?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET updated = excluded.updated",
                (kept, owner, title, time.time()),
            )
            if not _owned(database, kept, owner):
                raise sqlite3.IntegrityError("this conversation belongs to somebody else")
            database.execute("DELETE FROM turns WHERE conversation = ? AND place >= ?", (kept, len(exchanges)))
            database.executemany(
                "INSERT OR REPLACE INTO turns VALUES (?, ?, ?, ?, ?)",
                [
                    (kept, place, item.question, item.answer.text if item.answer else item.partial, dumped(item))
                    for place, item in enumerate(exchanges)
                ],
            )
        return kept

    def rate(self, conversation: str, place: int, rating: int, remark: str, *, owner: str) -> None:
        """Keep a rating and a remark with an exchange, where the owner has one there."""
        with self._open() as database:
            where = (conversation, place)
            sought = "SELECT exchange FROM turns WHERE conversation = ? AND place = ?"
            row = database.execute(sought, where).fetchone() if _owned(database, conversation, owner) else None
            if row is not None:
                rated = dumped(replace(loaded(row[0]), rating=rating, remark=remark))
                database.execute("UPDATE turns SET exchange = ? WHERE conversation = ? AND place = ?", (rated, *where))

    def load(self, conversation: str, *, owner: str) -> tuple[Exchange, ...] | None:
        """The exchanges of a conversation, None where the owner has none with that id."""
        if not self._path.exists():
            return None
        with self._open() as database:
            if not _owned(database, conversation, owner):
                return None
            rows = database.execute(
                "SELECT exchange FROM turns WHERE conversation = ? ORDER BY place", (conversation,)
            ).fetchall()
        return tuple(loaded(row[0]) for row in rows)

    def listed(self, words: str = "", *, owner: str, limit: int = 100) -> list[Kept]:
        """Conversations that hold every word in title, questions or answers; the last changed first."""
        if not self._path.exists():
            return []
        each = (
            " AND (instr(lower(title), ?) OR id IN"
            " (SELECT conversation FROM turns WHERE instr(lower(question || ' ' || answer), ?)))"
        )
        wanted = words.lower().split()
        with self._open() as database:
            rows = database.execute(
                "SELECT id, title, updated, (SELECT count(*) FROM turns WHERE conversation = id)"  # noqa: S608 - constants
                f" FROM conversations WHERE owner = ?{each * len(wanted)} ORDER BY updated DESC LIMIT ?",
                [owner, *[word for word in wanted for _ in range(2)], limit],
            ).fetchall()
        return [Kept(*row) for row in rows]

    def rename(self, conversation: str, title: str, *, owner: str) -> None:
        """Give a conversation another title; an empty one changes nothing."""
        if name := shorten(collapse(title), 120):
            with self._open() as database:
                database.execute(
                    "UPDATE conversations SET title = ? WHERE id = ? AND owner = ?", (name, conversation, owner)
                )

    def delete(self, conversation: str, *, owner: str) -> None:
        """Forget a conversation."""
        with self._open() as database:
            database.execute("DELETE FROM conversations WHERE id = ? AND owner = ?", (conversation, owner))

    def judge(self, exchange: Exchange, record: dict[str, Any], *, key: str) -> None:
        """Keep an exchange's rating and remark beside the record of its answer; a rating of 0 takes it back.

        `key` names the place in its conversation. Feedback outlives the conversation that it was given in.
        """
        text = exchange.answer.text if exchange.answer else ""
        answer = hashlib.sha256(f"{key}\n{exchange.question}\n{text}".encode()).hexdigest()
        with self._open() as database:
            database.execute("DELETE FROM feedback WHERE answer = ?", (answer,))
            if exchange.rating:
                verdict = "up" if exchange.rating > 0 else "down"
                kept = json.dumps(record, ensure_ascii=False)
                database.execute(
                    "INSERT INTO feedback VALUES (?, ?, ?, ?, ?, ?)",
                    (exchange.question, kept, verdict, exchange.remark, time.time(), answer),
                )

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=10)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.executescript(_TABLES)
            with connection:
                yield connection
        finally:
            connection.close()


def _owned(database: sqlite3.Connection, conversation: str, owner: str) -> bool:
    found = database.execute("SELECT 1 FROM conversations WHERE id = ? AND owner = ?", (conversation, owner))
    return found.fetchone() is not None
