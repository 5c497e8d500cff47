"""A library written to one portable file; its form is described in `rag.stores.archive`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rag.errors import LibraryError
from rag.indexing import Progress
from rag.interfaces import DenseIndex
from rag.papers import Paper, Passage
from rag.stores import archive_writer
from rag.stores.archive import ArchivedPaper, ArchivedPassage, ArchivedRecord, Description
from rag.stores.catalog import Catalog
from rag.stores.journal import Journal
from rag.stores.manifest import Manifest

if TYPE_CHECKING:
    from rag.interfaces import Vectors

_AT_ONCE = 1024


class Exported(NamedTuple):
    """What was written: the file, its bytes, and the papers and passages in it."""

    path: Path
    bytes: int
    papers: int
    passages: int


class Export:
    """Writes one library. Nobody may write to it meanwhile: raises LibraryLocked while another process does."""

    def __init__(
        self,
        folder: Path,
        catalog: Catalog,
        dense: DenseIndex,
        manifest: Manifest,
        *,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._journal = Journal(catalog.database)
        self._dense = dense
        self._manifest = manifest
        self._progress = progress

    def write(self, path: Path) -> Exported:
        """Write the library to a file, whole or not at all. Raises LibraryError where that fails."""
        with self._unchanging():
            generation = self._catalog.generation()
            written = archive_writer.write(path, self._description(), self._papers(), self._vectors())
            if self._catalog.generation() != generation:
                raise LibraryError(f"the library in {self._folder} was changed meanwhile: run this again")
        return Exported(path, path.stat().st_size, written.papers, written.passages)

    def _unchanging(self) -> AbstractContextManager[object]:
        # A folder that may only be read cannot be locked; its generation still tells whether somebody wrote.
        writable = os.access(self._folder, os.W_OK)
        return self._catalog.database.writing(alone=True) if writable else nullcontext()

    def _description(self) -> Description:
        counts = self._catalog.counts()
        return Description(
            citewise=version("citewise"),
            encoder=self._manifest.encoder,
            dimension=self._manifest.dimension,
            fingerprint=self._manifest.fingerprint,
            chunking=dict(self._manifest.chunking),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            papers=counts["papers"],
            records=counts["records"],
            passages=counts["passages"],
        )

    def _batches(self, stage: str) -> Iterator[list[tuple[Paper, list[Passage]]]]:
        start, done, total = time.perf_counter(), 0, self._catalog.count()
        papers = self._catalog.with_passages()
        while batch := list(islice(papers, _AT_ONCE)):
            yield batch
            done += len(batch)
            if self._progress:
                self._progress(Progress(stage, done, done, total, done / (time.perf_counter() - start)))

    def _papers(self) -> Iterator[ArchivedPaper]:
        resolved = dict(self._catalog.database.read("SELECT pk, resolved FROM sources"))
        for batch in self._batches("papers"):
            rows = {pk for _, pk in self._journal.records_of([paper.id for paper, _ in batch])}
            drafts = {draft.id: draft for draft in self._journal.drafts(sorted(rows)).values()}
            for paper, passages in batch:
                records = sorted(drafts[paper.id].records, key=lambda item: item.pk or 0)
                yield ArchivedPaper(
                    paper.id,
                    [ArchivedRecord(item.record, resolved[item.source], item.reason) for item in records],
                    [ArchivedPassage(item.start, item.end, item.text) for item in passages],
                )

    def _vectors(self) -> Iterator[Vectors]:
        import numpy as np

        # What an interrupted ingest left: under these ids the index may hold vectors of older texts.
        stale = {passage.id for job in self._journal.pending() for passage in job.passages}
        absent = np.full(self._manifest.dimension, np.nan, dtype=np.float32)
        for batch in self._batches("vectors"):
            ids = [passage.id for _, passages in batch for passage in passages]
            found = self._dense.vectors([passage_id for passage_id in ids if passage_id not in stale])
            rows = [found.get(passage_id, absent) for passage_id in ids]
            yield np.array(rows, dtype=np.float32).reshape(len(ids), -1)
