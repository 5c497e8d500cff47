"""What is written to the catalog: records, the papers they make, and the work left for the indexes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from rag.papers import Paper, Passage, SourceRef
from rag.stores import rows
from rag.stores.catalog import load
from rag.stores.database import INDEXING, Connection, Database
from rag.stores.drafts import Doomed, Draft, IndexJob, Known, StoredRecord
from rag.stores.paper_writer import PaperWriter

_AT_ONCE = 500


class Journal:
    """The writing side of the catalog. Each method is one transaction; whoever writes holds `Database.writing`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def deciding(self) -> AbstractContextManager[Connection]:
        """One transaction around reading what there is, deciding, and writing: nobody else writes meanwhile."""
        return self.database.transaction()

    def source(self, path: str, resolved: str) -> tuple[int, str]:
        """The key of a source and the spelling of its path that was seen first."""
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT INTO sources (path, resolved) VALUES (?, ?) ON CONFLICT DO NOTHING", (path, resolved)
            )
            return connection.execute("SELECT pk, path FROM sources WHERE resolved = ?", (resolved,)).fetchone()

    def reading(self, source: int) -> AbstractContextManager[object]:
        """Held while a source is read: another writer that is given the same one waits, and then finds it known."""
        return self.database.lock(source)

    def known(self, source: int) -> Iterator[Known]:
        """The records that a source had when it was last read, in order."""
        found = self.database.read(
            "SELECT pk, paper, line, hash, title_key, external_key, reason,"
            " CASE WHEN reason IS NOT NULL THEN (SELECT id FROM papers WHERE papers.pk = paper) END"
            " FROM records WHERE source = ? ORDER BY pk",
            [source],
        )
        return map(Known._make, found)

    def candidates(self, keys: Iterable[int]) -> dict[int, list[int]]:
        """Papers by key, for those keys that any paper has."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for key, paper in self.database.read("SELECT key, paper FROM keys WHERE key = ANY(?)", [list(keys)]):
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
            "SELECT records.pk, paper FROM records JOIN papers ON papers.pk = paper WHERE id = ANY(?)",
            [list(paper_ids)],
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
        taken = self.database.read("SELECT id FROM papers WHERE id = ANY(?)", [list(set(ids))])
        return {row[0] for row in taken}

    def move_lines(self, lines: Sequence[tuple[int, int]]) -> None:
        """Note where unchanged records are now: (record pk, line)."""
        with self.database.transaction() as connection:
            connection.executemany("UPDATE records SET line = ? WHERE pk = ?", [(line, pk) for pk, line in lines])

    def write(self, drafts: Sequence[Draft]) -> IndexJob:
        """Store changed papers, and remove those without records; what the indexes have to do for it."""
        with self.database.transaction() as connection:
            writer = PaperWriter(connection, self._indexed(drafts))
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

    @contextmanager
    def turn(self, job: IndexJob) -> Generator[IndexJob]:
        """Held while a job is carried out on indexes that several writers share; what of it is still to be done.

        Between the writing of a job and its turn another writer may have changed its papers, or done it.
        """
        with self.database.lock(INDEXING):
            yield self._due(job)

    def _due(self, job: IndexJob) -> IndexJob:
        doomed = [[item.seq for item in job.doomed]]
        left = {row[0] for row in self.database.read("SELECT seq FROM doomed WHERE seq = ANY(?)", doomed)}
        pks = [[pk for pk, _ in job.revisions]]
        rows = self.database.read("SELECT pk, revision, id FROM papers WHERE pending = 1 AND pk = ANY(?)", pks)
        current = {(pk, revision): paper_id for pk, revision, paper_id in rows}
        revisions = tuple(revision for revision in job.revisions if revision in current)
        ids = {current[revision] for revision in revisions}
        return IndexJob(
            tuple(item for item in job.doomed if item.seq in left),
            tuple(passage for passage in job.passages if passage.paper_id in ids),
            revisions,
        )

    def removals(self, since: int) -> list[str] | None:
        """The passages that were forgotten after a generation; None where their log no longer reaches back so far. Only
        of a catalog that keeps one."""
        found = self.database.read("SELECT passage FROM removed WHERE generation > ?", [since])
        # Asked afterwards: so it tells of what was dropped before the log was read.
        [(dropped,)] = self.database.read("SELECT value FROM meta WHERE name = 'dropped'")
        return None if dropped > since else [passage for (passage,) in found]

    def drop_removals(self, keep: int) -> None:
        """Shorten that log to its newest entries, `keep` at most: whole generations, and which is noted."""
        with self.database.transaction() as connection:
            newest = "SELECT generation FROM removed ORDER BY generation DESC LIMIT 1 OFFSET ?"
            if last := connection.execute(newest, (keep,)).fetchone():
                connection.execute("DELETE FROM removed WHERE generation <= ?", last)
                connection.execute("UPDATE meta SET value = ? WHERE name = 'dropped'", last)

    def additions(self, since: int) -> Iterator[IndexJob]:
        """What was indexed after a generation, in batches. Only of a catalog that keeps a log of removals too."""
        last = 0
        while batch := self.database.read(
            "SELECT pk FROM papers WHERE generation > ? AND pk > ? ORDER BY pk LIMIT ?", [since, last, _AT_ONCE]
        ):
            loaded = load(self.database, "pk", [pk for (pk,) in batch])
            yield IndexJob((), tuple(passage for _, found in loaded for passage in found), ())
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
            yield from self.database.read(f"{query} = ANY(?)", [list(keys[start : start + _AT_ONCE])])


def _next_generation(connection: Connection) -> int:
    return connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'generation' RETURNING value").fetchone()[
        0
    ]
