"""What is written to the catalog: records, the papers they make, and the work left for the indexes."""
# ruff: noqa: S608 - statements are made of constants; values are bound.

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rag.hashing import hashed, title_key
from rag.papers import Paper, Passage, Record, SourceRef
from rag.stores import rows
from rag.stores.catalog import load
from rag.stores.filtering import day_range
from rag.stores.schema import Database

_AT_ONCE = 500


class Known(NamedTuple):
    """A stored record of one source, without its content; `merged_into` is a paper id where `reason` is given."""

    pk: int
    paper: int
    line: int
    hash: int
    title_key: int | None
    external_key: int | None
    reason: str | None
    merged_into: str | None


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record, its stored form and hash, the keys that find it, and why it was merged (None: a paper's first)."""

    record: Record
    source: int
    keys: tuple[int, ...]
    reason: str | None
    data: str
    hash: int
    pk: int | None = None


@dataclass(slots=True)
class Draft:
    """A paper being changed: its records as they shall be, and what is made of them.

    `pk` is None for a new paper; `paper` is None for one that no record is left of.
    """

    id: str
    records: list[StoredRecord]
    pk: int | None = None
    dropped: list[StoredRecord] = field(default_factory=list[StoredRecord])
    paper: Paper | None = None
    passages: list[Passage] = field(default_factory=list[Passage])


class Doomed(NamedTuple):
    """A passage id that the indexes must forget before anything else is written under it."""

    seq: int
    passage: str


@dataclass(frozen=True, slots=True)
class IndexJob:
    """Work for both indexes: ids to forget, then passages to hold. `revisions` are (paper pk, revision)."""

    doomed: tuple[Doomed, ...]
    passages: tuple[Passage, ...]
    revisions: tuple[tuple[int, int], ...]

    def __bool__(self) -> bool:
        return bool(self.doomed or self.passages or self.revisions)


class Journal:
    """The writing side of the catalog. Each method is one transaction; whoever writes holds the writer lock."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def source(self, path: str, resolved: str) -> tuple[int, str]:
        """The key of a source and the spelling of its path that was seen first."""
        with self.database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO sources (path, resolved) VALUES (?, ?)", (path, resolved))
            return connection.execute("SELECT pk, path FROM sources WHERE resolved = ?", (resolved,)).fetchone()

    def known(self, source: int) -> Iterator[Known]:
        """The records that a source had when it was last read, in order."""
        found = self.database.read(
            "SELECT pk, paper, line, hash, title_key, external_key, reason,"
            " CASE WHEN reason NOT NULL THEN (SELECT id FROM papers WHERE papers.pk = paper) END"
            " FROM records WHERE source = ? ORDER BY pk",
            [source],
        )
        return map(Known._make, found)

    def candidates(self, keys: Iterable[int]) -> dict[int, list[int]]:
        """Papers by key, for those keys that any paper has."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for key, paper in self.database.read(
            "SELECT key, paper FROM keys WHERE key IN (SELECT value FROM json_each(?))",
            [json.dumps(list(keys))],
        ):
            found[key].append(paper)
        return found

    def drafts(self, papers: Sequence[int]) -> dict[int, Draft]:
        """Papers with all their records, ready to be changed."""
        found = {
            pk: Draft(paper_id, [], pk) for pk, paper_id in self._chosen("SELECT pk, id FROM papers WHERE pk", papers)
        }
        for row in self._chosen(
            "SELECT paper, records.pk, source, path, line, hash, reason, keys, records.data, records.abstract,"
            " bodies.abstract FROM records JOIN sources ON sources.pk = source JOIN bodies ON bodies.pk = paper"
            " WHERE paper",
            papers,
        ):
            paper, pk, source, path, line, digest, reason, keys, data, abstract, common = row
            record = rows.record_from(data, common if abstract is None else abstract, SourceRef(path, line))
            stored = StoredRecord(record, source, rows.unpacked(keys), reason, data, digest, pk)
            found[paper].records.append(stored)
        return found

    def records_of(self, paper_ids: Sequence[str]) -> set[tuple[int, int]]:
        """(record pk, paper pk) of all records of these papers; unknown ids are passed over."""
        found = self.database.read(
            "SELECT records.pk, paper FROM records JOIN papers ON papers.pk = paper"
            " WHERE id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(paper_ids))],
        )
        return {(record, paper) for record, paper in found}

    def records_from(self, resolved: str) -> set[tuple[int, int]]:
        """(record pk, paper pk) of all records read from a source, by its resolved path or the path as given."""
        found = self.database.read(
            "SELECT records.pk, paper FROM records JOIN sources ON sources.pk = source WHERE ? IN (resolved, path)",
            [resolved],
        )
        return {(record, paper) for record, paper in found}

    def taken_ids(self, ids: Iterable[str]) -> set[str]:
        """Those ids that papers have."""
        wanted = json.dumps(list(set(ids)))
        taken = self.database.read("SELECT id FROM papers WHERE id IN (SELECT value FROM json_each(?))", [wanted])
        return {row[0] for row in taken}

    def move_lines(self, lines: Sequence[tuple[int, int]]) -> None:
        """Note where unchanged records are now: (record pk, line)."""
        with self.database.transaction() as connection:
            connection.executemany("UPDATE records SET line = ?2 WHERE pk = ?1", lines)

    def write(self, drafts: Sequence[Draft]) -> IndexJob:
        """Store changed papers, and remove those without records; what the indexes have to do for it."""
        with self.database.transaction() as connection:
            writer = _Writer(connection, self._indexed(drafts))
            for draft in drafts:
                writer.write(draft)
            return writer.job()

    def pending(self) -> Iterator[IndexJob]:
        """Work that an interrupted run left, in batches. Ask again only after the last batch was marked done."""
        doomed = [Doomed(*row) for row in self.database.read("SELECT seq, passage FROM doomed ORDER BY seq")]
        if doomed:
            yield IndexJob(tuple(doomed), (), ())
        last = 0
        while batch := self.database.read(
            "SELECT pk, revision, id FROM papers WHERE pending = 1 AND pk > ? ORDER BY pk LIMIT ?",
            [last, _AT_ONCE],
        ):
            loaded = load(self.database, "pk", [pk for pk, _, _ in batch])
            passages = tuple(passage for _, found in loaded for passage in found)
            yield IndexJob((), passages, tuple((pk, revision) for pk, revision, _ in batch))
            last = batch[-1][0]

    def mark_indexed(self, jobs: Sequence[IndexJob]) -> int:
        """Note that both indexes hold these jobs for good; the new generation."""
        with self.database.transaction() as connection:
            connection.executemany(
                "UPDATE papers SET pending = 0 WHERE pk = ? AND revision = ?",
                [revision for job in jobs for revision in job.revisions],
            )
            connection.executemany(
                "DELETE FROM doomed WHERE seq = ?", [(item.seq,) for job in jobs for item in job.doomed]
            )
            return _next_generation(connection)

    def mark_all_indexed(self) -> int:
        """Note that new indexes hold exactly what the catalog has; the new generation."""
        with self.database.transaction() as connection:
            connection.execute("UPDATE papers SET pending = 0 WHERE pending = 1")
            connection.execute("DELETE FROM doomed")
            return _next_generation(connection)

    def rechunk(self, changed: Sequence[tuple[Paper, Sequence[Passage]]]) -> None:
        """Store other passages for papers, as work for the indexes."""
        with self.database.transaction() as connection:
            for paper, passages in changed:
                pk, before = connection.execute("SELECT pk, passages FROM papers WHERE id = ?", (paper.id,)).fetchone()
                connection.executemany(
                    "INSERT INTO doomed (passage) VALUES (?)", [(f"{paper.id}#{at}",) for at in range(before)]
                )
                connection.execute(
                    "UPDATE papers SET passages = ?, pending = 1, revision = revision + 1 WHERE pk = ?",
                    (len(passages), pk),
                )
                connection.execute(
                    "UPDATE bodies SET passages = ? WHERE pk = ?", (rows.passages_json(paper, passages), pk)
                )

    def _indexed(self, drafts: Sequence[Draft]) -> dict[int, list[Passage]]:
        """The passages that changed papers had before."""
        known = [draft.pk for draft in drafts if draft.pk is not None]
        loaded = list(load(self.database, "pk", known)) if known else []
        by_id = {paper.id: passages for paper, passages in loaded}
        return {draft.pk: by_id.get(draft.id, []) for draft in drafts if draft.pk is not None}

    def _chosen(self, query: str, keys: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(keys), _AT_ONCE):
            part = json.dumps(list(keys[start : start + _AT_ONCE]))
            yield from self.database.read(f"{query} IN (SELECT value FROM json_each(?))", [part])


class _Writer:
    """Gathers the rows of many drafts and writes them together; keys in order, which their table takes faster."""

    def __init__(self, connection: sqlite3.Connection, indexed: dict[int, list[Passage]]) -> None:
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
        run("INSERT OR REPLACE INTO bodies VALUES (?, ?, ?, ?, ?)", self._bodies)
        run(f"INSERT INTO records VALUES ({_places(11)})", self._records)
        run("INSERT OR IGNORE INTO keys VALUES (?, ?)", sorted(self._keys))
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
            f"UPDATE papers SET {columns}, revision = revision + 1, pending = max(pending, ?) WHERE pk = ?"
            " RETURNING revision, pending",
            (*_narrow(paper, draft.passages), int(before != draft.passages), pk),
        ).fetchone()
        self._forget_records(draft, pk)
        self._write_texts(draft, pk, paper)
        if before != draft.passages:
            self._doom(passage.id for passage in before)
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
            cursor = self._connection.execute("INSERT INTO doomed (passage) VALUES (?)", (passage_id,))
            self._doomed.append(Doomed(cursor.lastrowid or 0, passage_id))


_PAPER_COLUMNS = (
    *("pk", "id", "revision", "pending", "passages", "year", "first_day", "last_day", "has_code", "upvotes"),
    *("venue", "folded_venue", "folded_authors", "folded_title"),
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
        None,
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


def _next_generation(connection: sqlite3.Connection) -> int:
    return connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'generation' RETURNING value").fetchone()[
        0
    ]
