"""A portable file taken into a library: restored as it was into an empty one, else merged as an ingest would."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from rag.chunking import chunk
from rag.embedding_cache import RememberingEncoder
from rag.errors import InputError
from rag.folding import fold
from rag.indexing import Progress
from rag.ingest import Ingester, Session
from rag.ingest_report import IngestReport, Meter
from rag.interfaces import Encoder, Side
from rag.merging import Outcome, Reading, SourceState
from rag.settings import ChunkingSettings
from rag.sketches import Keymaker
from rag.stores.archive import ArchivedPaper, Batch, Description
from rag.stores.archive_reader import Archive
from rag.stores.drafts import Draft, IndexJob, StoredRecord
from rag.stores.journal import Journal

if TYPE_CHECKING:
    from rag.interfaces import Vectors
    from rag.parsers import Notice

Taken = Iterator[tuple[list[Outcome], IndexJob]]


class Import:
    """Takes portable files into the library of an `Ingester`, which was made with this encoder and chunking."""

    def __init__(self, ingester: Ingester, encoder: Encoder, chunking: ChunkingSettings) -> None:
        self._ingester = ingester
        self._encoder = encoder
        self._chunking = chunking

    def read(self, archive: Archive, *, progress: Callable[[Progress], None] | None = None) -> IngestReport:
        """Take in one file, which is checked whole before anything is changed; what became of each record.

        Vectors are taken over where the same encoder made them, else every passage is encoded again. An import that
        was interrupted is finished by running it again. Raises InputError for a file that is damaged or none of ours,
        LibraryLocked while another process writes, LibraryMismatch, LibraryError and CostLimit as an ingest does.
        """
        report, meter = IngestReport(encoder=self._encoder.name), Meter(progress, None)
        meter.total = archive.description.papers
        meter.show("checking", force=True)
        archive.check()
        encoder = KnownVectors(self._encoder, archive.description)
        # A paid encoder keeps the vectors itself, and is asked for the others when all are known.
        with self._ingester.writing(None if encoder.paid else encoder, alone=True) as session:
            intake = self._intake(session)
            for batch in archive.batches():
                for outcomes, job in intake.take(batch.papers):
                    _count(report, outcomes)
                    encoder.remember(job, batch)
                    session.submit(job)
                meter.done += len(batch.papers)
                meter.show("importing", meter.done)
            for outcomes, job in intake.finish():
                _count(report, outcomes)
                session.submit(job)
            estimate = session.settle(meter)
            meter.show("indexing", meter.done, force=True)
        encoded = estimate.texts if estimate else encoder.encoded
        if encoded:
            report.notices.append(_encoded(archive, encoder, encoded))
        report.seconds = meter.seconds
        return report

    def _intake(self, session: Session) -> _Intake:
        if session.catalog.count():
            return _Merged(session)
        return _Restored(session.journal, self._chunking)


class KnownVectors:
    """An encoder that does not encode again what an archive has a vector for, when it is the one that made it."""

    def __init__(self, encoder: Encoder, made_with: Description) -> None:
        self.name, self.dimension, self.fingerprint = encoder.name, encoder.dimension, encoder.fingerprint
        self.fits = (made_with.fingerprint, made_with.dimension) == (self.fingerprint, self.dimension)
        self.paid = encoder if isinstance(encoder, RememberingEncoder) else None
        self.encoded = 0
        """Texts that had to be encoded."""
        self._encoder = encoder
        self._known: dict[str, Vectors] = {}

    def remember(self, job: IndexJob, batch: Batch) -> None:
        """Keep, until they are asked for, those vectors of the batch that the job's passages need."""
        if not self.fits:
            return
        passages = (passage for paper in batch.papers for passage in paper.passages)
        vectors = {passage.text: vector for passage, vector in zip(passages, batch.vectors, strict=True)}
        known: dict[str, Vectors] = {}
        for passage in job.passages:
            vector = vectors.get(passage.text)
            if vector is not None and vector[0] == vector[0]:  # not NaN, which stands for none
                known[passage.text] = vector
        if self.paid:
            self.paid.keep(known)
        else:
            self._known.update(known)

    def encode(self, texts: Sequence[str], *, side: Side = "passage") -> Vectors:
        """As the encoder does; float32 (len(texts), dimension)."""
        import numpy as np

        rows = [self._known.pop(text, None) for text in texts]
        missing = [text for text, row in zip(texts, rows, strict=True) if row is None]
        self.encoded += len(missing)
        made = iter(self._encoder.encode(missing, side=side) if missing else ())
        return np.array([next(made) if row is None else row for row in rows], dtype=np.float32)


class _Intake(Protocol):
    """How papers of an archive come into the library: what became of their records, and the indexes' work."""

    def take(self, papers: Sequence[ArchivedPaper]) -> Taken: ...
    def finish(self) -> Taken: ...


class _Restored:
    """Every paper as it was, under its id."""

    def __init__(self, journal: Journal, chunking: ChunkingSettings) -> None:
        self._journal = journal
        self._chunking = chunking
        self._sources = _Sources(journal)
        self._keymaker = Keymaker()

    def take(self, papers: Sequence[ArchivedPaper]) -> Taken:
        self._refuse_repeated([paper.id for paper in papers])
        keys = iter(self._keymaker.keys([item.record for paper in papers for item in paper.records]))
        drafts: list[Draft] = []
        outcomes: list[Outcome] = []
        for paper in papers:
            draft = Draft(paper.id, [])
            for item in paper.records:
                reading = Reading.of(item.record)
                source = self._sources.key(item.record.source.path, item.resolved)
                draft.records.append(
                    StoredRecord(item.record, source, next(keys).all(), item.reason, reading.data, reading.hash)
                )
                kind = "duplicate" if outcomes and outcomes[-1].paper_id == paper.id else "added"
                outcomes.append(Outcome(kind, item.record, paper.id, item.reason))
            draft.paper = fold(paper.id, [item.record for item in paper.records])
            draft.passages = chunk(draft.paper, self._chunking)
            drafts.append(draft)
        yield outcomes, self._journal.write(drafts)

    def finish(self) -> Taken:
        yield from ()

    def _refuse_repeated(self, ids: Sequence[str]) -> None:
        if len(set(ids)) < len(ids) or self._journal.taken_ids(ids):
            raise InputError("the file holds a paper id twice, so it was not written by `citewise export`")


class _Merged:
    """Every record as if its source were read again: known ones stay, edits replace, others join or are added."""

    def __init__(self, session: Session) -> None:
        self._merger = session.merger
        self._journal = session.journal
        self._sources = _Sources(session.journal)
        self._states: dict[int, SourceState] = {}

    def take(self, papers: Sequence[ArchivedPaper]) -> Taken:
        new: defaultdict[int, list[Reading]] = defaultdict(list)
        outcomes: list[Outcome] = []
        for item in (item for paper in papers for item in paper.records):
            source = self._sources.key(item.record.source.path, item.resolved)
            reading = Reading.of(item.record)
            known = self._state(source).take(reading.hash)
            if known is None:
                new[source].append(reading)
            else:
                kind = "duplicate" if known.reason else "unchanged"
                outcomes.append(Outcome(kind, item.record, known.merged_into, known.reason))
        yield outcomes, IndexJob((), (), ())
        for source, readings in new.items():
            yield self._merger.merge(readings, self._state(source))

    def finish(self) -> Taken:
        for state in self._states.values():
            yield from self._merger.finish(state)

    def _state(self, source: int) -> SourceState:
        if source not in self._states:
            self._states[source] = SourceState(source, self._journal.known(source))
        return self._states[source]


class _Sources:
    """Keys of sources by their full path."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._keys: dict[str, int] = {}

    def key(self, path: str, resolved: str) -> int:
        if resolved not in self._keys:
            self._keys[resolved], _ = self._journal.source(path, resolved)
        return self._keys[resolved]


def _count(report: IngestReport, outcomes: Sequence[Outcome]) -> None:
    report.parsed += len(outcomes)
    report.count(outcomes)


def _encoded(archive: Archive, encoder: KnownVectors, passages: int) -> Notice:
    from rag.parsers import Notice

    made_with = archive.description
    reason = (
        "they had no vector that fits"
        if encoder.fits
        else f"the file's vectors were made with {made_with.encoder} ({made_with.fingerprint[:12]})"
    )
    return Notice(str(archive.path), 0, f"{passages:,} passages were encoded with {encoder.name}: {reason}")
