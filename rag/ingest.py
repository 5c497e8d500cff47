"""Ingest: files to papers in the catalog and passages in both indexes, and a report of what became of each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from rag.chunking import chunk
from rag.embedding_cache import Estimate, RememberingEncoder
from rag.errors import CostLimit, LibraryDamaged, NothingRead
from rag.indexing import Indexer, Indexes, OpenIndexes, Progress
from rag.ingest_inputs import Input, Inputs, Workers, reason_nothing_read
from rag.ingest_report import IngestReport, Meter
from rag.interfaces import Encoder
from rag.merging import Merger, Outcome, Reading, SourceState
from rag.papers import Paper, Passage, Record, Reject, with_source
from rag.refilling import Refill
from rag.settings import ChunkingSettings
from rag.stores import manifest as manifests
from rag.stores.catalog import Catalog
from rag.stores.drafts import IndexJob
from rag.stores.journal import Journal
from rag.stores.manifest import Manifest
from rag.stores.sqlite import CATALOG
from rag.text import printable

if TYPE_CHECKING:
    from rag.parsers import Notice

_AT_ONCE = 1024
_MENDED = "an index was damaged, as by a killed process: both were made anew from the catalog"


class Ingester:
    """Writes to the library in a folder, which is made at the first ingest. One call at a time.

    `open_indexes` opens both indexes where the manifest says they are; `dense` says where it keeps the vectors of a new
    library (the `kind` of `DenseSettings`). The catalog is in the folder too, unless another is given. `workers` read
    the inputs; without, they are read here.
    """

    def __init__(
        self,
        folder: Path,
        *,
        encoder: Encoder,
        chunking: ChunkingSettings,
        open_indexes: OpenIndexes,
        dense: str = "chroma",
        catalog: Catalog | None = None,
        workers: Workers | None = None,
    ) -> None:
        self._folder = folder
        self._encoder = encoder
        self._chunking = chunking
        self._open_indexes = open_indexes
        self._dense = dense
        self._catalog = catalog or Catalog(folder / CATALOG)
        self._journal = Journal(self._catalog.database)
        self._workers = workers

    def ingest(
        self,
        paths: Sequence[str | Path] = (),
        *,
        text: str | None = None,
        format: str | None = None,  # noqa: A002 - the name that users know from the command line
        columns: Mapping[str, str | int] | None = None,
        sync: bool = False,
        progress: Callable[[Progress], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> IngestReport:
        """Read files, folders, addresses or pasted text; index what is new or changed.

        A path that cannot be read is one of the rejects (line 0). With `sync`, records that a source held before and
        no longer holds are removed. `should_stop` is asked after each batch; what was read until then is kept.

        Raises NothingRead when no path could be read, LibraryLocked while another process writes, LibraryMismatch when
        the library was made with other settings, LibraryError when it cannot be written, CostLimit when embedding what
        was read could cost more than is allowed (it waits in the catalog then, to be indexed by the next ingest).
        """
        report = IngestReport(encoder=self._encoder.name)
        meter = Meter(progress, should_stop)
        inputs = Inputs(paths, text, format, columns, report.rejected)
        readable = self._readable(inputs, report.rejected)
        first = next(readable, None)
        if first is None:
            raise NothingRead(reason_nothing_read(report.rejected))
        meter.total = inputs.size
        with self.writing() as session:
            if session.mended:
                report.notices.append(_told(self._folder, _MENDED))
            for given in chain([first], readable):
                with _source(session, given.path) as source:
                    _Reading(session, given, source, report, meter).run(sync=sync)
                if meter.stopped:
                    report.stopped = True
                    break
            else:
                if estimate := session.settle(meter):
                    report.notices.append(_told(self._folder, str(estimate)))
                report.stopped = meter.stopped
            meter.show("indexing", force=True)
        report.seconds = meter.seconds
        return report

    def remove(self, paper_ids: Sequence[str] = (), *, source: str | None = None) -> int:
        """Remove papers by id, and what one source brought; how many papers are gone."""
        with self.writing() as session:
            records = self._journal.records_of(paper_ids)
            if source is not None:
                records |= self._journal.records_from(_resolved(source))
            removed = session.forget(records)
            with suppress(CostLimit):  # what still waits to be paid for must not keep anybody from removing papers
                session.settle(Meter(None, None))
            return removed

    def close(self) -> None:
        """Close the catalog, and let the workers go."""
        if self._workers:
            self._workers.close()
        self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def writing(self, encoder: Encoder | None = None, *, alone: bool = False) -> Generator[Session]:
        """The library locked, its indexes open, and what an interrupted run left under way to them.

        `encoder` stands in for the library's own, whose vectors it must give. `alone` where several may write, but
        this work suffers nobody else's (see `Database.writing`).
        """
        with self._catalog.database.writing(alone=alone):
            manifest = self._manifest()
            indexes, mended = self._opened(manifest)
            with (
                closing(indexes),
                Indexer(self._journal.mark_indexed, encoder or self._encoder, indexes) as indexer,
            ):
                used = encoder or self._encoder
                paid = used if isinstance(used, RememberingEncoder) else None
                merger = Merger(self._journal, self._chunk)
                session = Session(self._catalog, self._journal, merger, indexer, mended, paid)
                if paid is None:
                    session.catch_up()
                yield session
            present = mended or manifest
            manifests.write(self._folder, replace(present, generation=self._catalog.generation()))

    def _readable(self, inputs: Inputs, rejected: list[Reject]) -> Iterator[Input]:
        opened = inputs.opened()
        for given in self._workers.read(opened) if self._workers else opened:
            if isinstance(given, Reject):
                rejected.append(given)
            else:
                yield given

    def _opened(self, manifest: Manifest) -> tuple[Indexes, Manifest | None]:
        """The indexes. A writer that was killed may leave Chroma's files half written: then they are made anew,
        and their manifest is the second value."""
        try:
            return self._open_indexes(manifest), None
        except LibraryDamaged:
            mended = Refill(
                self._encoder,
                self._chunking,
                self._open_indexes,
                dense=self._dense,
                chosen=manifest.encoder_chosen,
            ).run(self._folder, self._catalog)
            return self._open_indexes(mended), mended

    def _manifest(self) -> Manifest:
        manifest = manifests.read(self._folder)
        if manifest is None:
            if self._catalog.count():
                raise LibraryDamaged(f"{self._folder / manifests.NAME} is missing: run `citewise rebuild`")
            manifest = Manifest.new(self._encoder, self._chunking, self._dense)
            manifests.write(self._folder, manifest)
        manifest.check(self._encoder, self._chunking)
        manifests.sweep(self._folder, manifest)
        return manifest

    def _chunk(self, paper: Paper) -> list[Passage]:
        return chunk(paper, self._chunking)


class Session(NamedTuple):
    """A library while it is written to."""

    catalog: Catalog
    journal: Journal
    merger: Merger
    indexer: Indexer
    mended: Manifest | None
    """The manifest of the indexes that had to be made anew because they were damaged; None when they were whole."""
    paid: RememberingEncoder | None
    """The encoder, where it may ask for money: then nothing is indexed before `settle` has said what that takes."""

    def submit(self, job: IndexJob) -> None:
        """Take a job, now or when all is known."""
        if self.paid is None:
            self.indexer.submit(job)

    def catch_up(self) -> None:
        """Index what the catalog holds and the indexes do not."""
        for job in self.journal.pending():
            self.indexer.submit(job)

    def settle(self, meter: Meter) -> Estimate | None:
        """With a paid encoder: say what is to be embedded and what that costs, and index it; None where nothing is.

        Raises CostLimit, before anything is sent, where that is too much; all waits in the catalog then.
        """
        if self.paid is None:
            return None
        jobs = ([passage.text for passage in job.passages] for job in self.journal.pending())
        estimate = self.paid.afford(jobs)
        done = 0
        for job in self.journal.pending():
            if meter.ask():
                break
            meter.step("embedding", done, estimate.passages)
            self.indexer.submit(job)
            done += len(job.passages)
        return estimate if estimate.passages else None

    def forget(self, records: Iterable[tuple[int, int]]) -> int:
        """Remove records, as (record pk, paper pk); how many papers are gone."""
        gone = 0
        for removed, job in self.merger.forget(records):
            gone += removed
            self.submit(job)
        return gone


class _Source(NamedTuple):
    key: int
    path: str
    """As it was first spelt."""


@contextmanager
def _source(session: Session, path: str) -> Generator[_Source]:
    """The source that an input is; no other writer reads it meanwhile."""
    source = _Source(*session.journal.source(path, _resolved(path)))
    with session.journal.reading(source.key):
        yield source


class _Reading:
    """One input on its way into the library."""

    def __init__(self, session: Session, given: Input, source: _Source, report: IngestReport, meter: Meter) -> None:
        self._session = session
        self._input = given
        self._report = report
        self._meter = meter
        self._path = source.path
        self._state = SourceState(source.key, session.journal.known(source.key))
        self._new: list[Reading] = []
        self._moved: list[tuple[int, int]] = []
        self._whole = True

    def run(self, *, sync: bool) -> None:
        """Read to the end, or until asked to stop."""
        self._report.formats[self._input.path] = self._input.format
        for item in self._input:
            self._take(item)
            if len(self._new) >= _AT_ONCE or len(self._moved) >= _AT_ONCE:
                self._flush()
                if self._meter.ask():
                    return
        self._flush()
        for outcomes, job in self._session.merger.finish(self._state):
            self._report.count(outcomes)
            self._session.submit(job)
        if sync:
            self._sync()
        self._meter.finished += self._input.bytes_total or 0

    def _take(self, item: Record | Reading | Reject | Notice) -> None:
        if isinstance(item, Record | Reading):
            self._meter.done += 1
            self._report.parsed += 1
            self._read(self._placed(item if isinstance(item, Reading) else Reading.of(item)))
        elif isinstance(item, Reject):
            self._whole = False
            self._report.rejected.append(item)
        else:
            self._report.notices.append(item)
        self._meter.show("reading", self._input.bytes_read)

    def _placed(self, reading: Reading) -> Reading:
        """Said to come from the source as it was first spelt."""
        where = reading.record.source
        if where.path == self._path:
            return reading
        return reading._replace(record=with_source(reading.record, self._path, where.line))

    def _read(self, reading: Reading) -> None:
        known = self._state.take(reading.hash)
        if known is None:
            self._new.append(reading)
            return
        if known.line != reading.record.source.line:
            self._moved.append((known.pk, reading.record.source.line))
        kind = "duplicate" if known.reason else "unchanged"
        self._report.count([Outcome(kind, reading.record, known.merged_into, known.reason)])

    def _flush(self) -> None:
        if self._moved:
            self._session.journal.move_lines(self._moved)
            self._moved = []
        if self._new:
            outcomes, job = self._session.merger.merge(self._new, self._state)
            self._new = []
            self._report.count(outcomes)
            self._session.submit(job)

    def _sync(self) -> None:
        unseen = self._state.unseen()
        if not unseen:
            return
        if not self._whole:
            from rag.parsers import Notice

            records = "1 earlier record was" if len(unseen) == 1 else f"{len(unseen):,} earlier records were"
            kept = f"{records} kept: some of the file could not be read"
            self._report.notices.append(Notice(self._input.path, 0, kept))
            return
        self._report.removed += self._session.forget((known.pk, known.paper) for known in unseen)


def _told(folder: Path, message: str) -> Notice:
    """A notice on the library itself."""
    from rag.parsers import Notice

    return Notice(str(folder), 0, message)


def _resolved(path: str) -> str:
    """One spelling for a file however it is named; addresses and pasted text as they are."""
    location = Path(path).expanduser()
    return printable(str(location.resolve()) if "://" not in path and location.exists() else path)
