"""Drafts of papers as rows of the catalog, within one transaction."""
# ruff: noqa: S608 - statements are made of constants; values are bound.

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rag.hashing import hashed, title_key
from rag.papers import Paper, Passage
from rag.stores import rows
from rag.stores.database import Connection
from rag.stores.drafts import Doomed, Draft, IndexJob, StoredRecord
from rag.stores.filtering import day_range


class PaperWriter:
    """Gathers the rows of many drafts and writes them together; keys in order, which their table takes faster."""

    def __init__(self, connection: Connection, indexed: dict[int, list[Passage]]) -> None:
        self._connection = connection
        self._indexed = indexed
        self._last = connection.execute("SELECT value FROM meta WHERE name = 'last paper'").fetchone()[0]
        self._papers: list[tuple[object, ...]] = []
        self._bodies: list[tuple[object, ...]] = []
        self._records: list[tuple[object, ...]] = []
        self._keys: list[tuple[int, int]] = []
        self._passages: list[Passage] = []
        self._revisions: list[tuple[int, int]] = []
        self._doomed: list[Doomed] = []

    def write(self, draft: Draft) -> None:
        """Take in one draft."""
        if draft.pk is None:
            self._add(draft)
        elif draft.paper is None:
            self._remove(draft, draft.pk)
        else:
            self._change(draft, draft.pk, draft.paper)

    def job(self) -> IndexJob:
        """Write what was gathered."""
        run = self._connection.executemany
        run(f"INSERT INTO papers VALUES ({_places(len(_PAPER_COLUMNS))})", self._papers)
        run(_REPLACE_BODY, self._bodies)
        run(f"INSERT INTO records ({_RECORD_COLUMNS}) VALUES ({_places(10)})", self._records)
        self._connection.insert_keys(sorted(self._keys))
        # Whoever writes first is not always whoever indexes first, so nothing may be doomed that is there again.
        ids = [passage.id for passage in self._passages]
        self._connection.execute("DELETE FROM doomed WHERE passage = ANY(?)", (ids,))
        self._connection.execute("UPDATE meta SET value = ? WHERE name = 'last paper'", (self._last,))
        return IndexJob(tuple(self._doomed), tuple(self._passages), tuple(self._revisions))

    def _add(self, draft: Draft) -> None:
        assert draft.paper is not None  # noqa: S101 - a new paper has records, so it was folded
        self._last += 1
        pk = self._last
        self._papers.append((pk, draft.id, 1, 1, *_narrow(draft.paper, draft.passages)))
        self._write_texts(draft, pk, draft.paper)
        self._passages += draft.passages
        self._revisions.append((pk, 1))

    def _change(self, draft: Draft, pk: int, paper: Paper) -> None:
        columns = ", ".join(f"{name} = ?" for name in _PAPER_COLUMNS[4:])
        before = self._indexed[pk]
        revision, pending = self._connection.execute(
            f"UPDATE papers SET {columns}, revision = revision + 1, pending = pending | ? WHERE pk = ?"
            " RETURNING revision, pending",
            (*_narrow(paper, draft.passages), int(before != draft.passages), pk),
        ).fetchone()
        self._forget_records(draft, pk)
        self._write_texts(draft, pk, paper)
        if before != draft.passages:
            self._doom({passage.id for passage in before} - {passage.id for passage in draft.passages})
        if pending:
            self._passages += draft.passages
            self._revisions.append((pk, revision))

    def _remove(self, draft: Draft, pk: int) -> None:
        self._doom(passage.id for passage in self._indexed[pk])
        self._forget_records(draft, pk)
        for table in ("papers", "bodies"):
            self._connection.execute(f"DELETE FROM {table} WHERE pk = ?", (pk,))

    def _forget_records(self, draft: Draft, pk: int) -> None:
        kept = {key for record in draft.records for key in record.keys}
        gone = {key for record in draft.dropped for key in record.keys} - kept
        run = self._connection.executemany
        run("DELETE FROM keys WHERE key = ? AND paper = ?", [(key, pk) for key in gone])
        run("DELETE FROM records WHERE pk = ?", [(record.pk,) for record in draft.dropped])

    def _write_texts(self, draft: Draft, pk: int, paper: Paper) -> None:
        passages = rows.passages_json(paper, draft.passages)
        self._bodies.append((pk, paper.title, paper.abstract, rows.paper_json(paper), passages))
        for stored in draft.records:
            own = None if stored.record.abstract == paper.abstract else stored.record.abstract
            if stored.pk is None:
                self._records.append(_record_row(stored, pk, own))
                self._keys += [(key, pk) for key in stored.keys]
            else:  # the paper's abstract may be another one now
                self._connection.execute(
                    "UPDATE records SET abstract = ?, reason = ? WHERE pk = ?",
                    (own, stored.reason, stored.pk),
                )

    def _doom(self, passage_ids: Iterable[str]) -> None:
        for passage_id in passage_ids:
            added = self._connection.execute("INSERT INTO doomed (passage) VALUES (?) RETURNING seq", (passage_id,))
            self._doomed.append(Doomed(added.fetchone()[0], passage_id))


_PAPER_COLUMNS = (
    *("pk", "id", "revision", "pending", "passages", "year", "first_day", "last_day", "has_code", "upvotes"),
    *("venue", "folded_venue", "folded_authors", "folded_title"),
)
_RECORD_COLUMNS = "paper, source, line, hash, title_key, external_key, reason, keys, data, abstract"
_REPLACE_BODY = (
    "INSERT INTO bodies VALUES (?, ?, ?, ?, ?) ON CONFLICT (pk) DO UPDATE SET title = excluded.title,"
    " abstract = excluded.abstract, data = excluded.data, passages = excluded.passages"
)


def _narrow(paper: Paper, passages: Sequence[Passage]) -> tuple[object, ...]:
    return (
        len(passages),
        paper.year,
        *day_range(paper.date, paper.year),
        int(bool(paper.code_urls)),
        paper.upvotes,
        paper.venue,
        rows.folded(paper.venue or ""),
        rows.folded(" \n".join(paper.authors)),
        rows.folded(paper.title),
    )


def _record_row(stored: StoredRecord, pk: int, abstract: str | None) -> tuple[object, ...]:
    record = stored.record
    return (
        pk,
        stored.source,
        record.source.line,
        stored.hash,
        title_key(record.title),
        hashed(f"id:{record.external_id}") if record.external_id else None,
        stored.reason,
        rows.packed(stored.keys),
        stored.data,
        abstract,
    )


def _places(number: int) -> str:
    return ", ".join("?" * number)
