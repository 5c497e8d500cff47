"""One of several replicas of a library: its own indexes, caught up with a catalog that others write to as well."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

from rag.embedding_cache import RememberingEncoder
from rag.errors import LibraryDamaged, LibraryLocked, UsageError
from rag.indexing import Indexer, Indexes, OpenIndexes, Progress
from rag.ingest import Ingester, Session
from rag.ingest_inputs import Workers
from rag.interfaces import Encoder
from rag.merging import Merger
from rag.refilling import Rechunking
from rag.settings import ChunkingSettings
from rag.stores import manifest as manifests
from rag.stores import shared
from rag.stores.catalog import Catalog
from rag.stores.drafts import Doomed, IndexJob
from rag.stores.journal import Journal
from rag.stores.lock import WriterLock
from rag.stores.manifest import Manifest
from rag.stores.places import SEARCH

_PATIENCE = 600.0  # seconds for another process to catch up in the same folder
_REMOVALS = 100_000
"""Entries that the log of removals keeps. A replica that is further behind compares its indexes with the catalog."""


@dataclass(frozen=True, slots=True)
class Replica:
    """The library in a folder whose catalog is in a database.

    What all replicas share, the database's manifest tells; what is in this folder, the folder's own, up to which
    generation of the catalog. `open_shared` opens the indexes that writers write for all, `open_own` those of the
    folder; what the one has, the other keeps `Elsewhere`. `dense` is where vectors of a new library are kept.
    """

    folder: Path
    catalog: Catalog
    encoder: Encoder
    chunking: ChunkingSettings
    open_shared: OpenIndexes
    open_own: OpenIndexes
    dense: str = "chroma"
    sweep: Callable[[Manifest], object] = lambda _: None
    """Deletes of the indexes that all share what is not this manifest's."""
    removals: int = _REMOVALS

    @property
    def journal(self) -> Journal:
        """The writing side of the catalog."""
        return Journal(self.catalog.database)

    def begin(self) -> Indexes:
        """Open what writers write for all; the first makes the library. Raises LibraryMismatch with other settings."""
        new = Manifest.new(self.encoder, self.chunking, self.dense)
        manifest = shared.write(self.catalog.database, new, replace=False)
        manifest.check(self.encoder, self.chunking)
        self.sweep(manifest)
        return self.open_shared(replace(manifest, generation=self.catalog.generation()))

    def catch_up(self, *, patience: float = _PATIENCE) -> Manifest | None:
        """Index what was added and forget what was removed since the last time; the folder's manifest now.

        None where the library is still to be made. What a killed process left half done is done again; indexes that
        are damaged or were made otherwise are made anew, beside the old ones. Raises LibraryLocked when another process
        does the same in this folder for longer than `patience`, LibraryMismatch when the settings are not those that
        the library was made with.
        """
        agreed = shared.read(self.catalog.database)
        if agreed is None:
            return None
        agreed.check(self.encoder, self.chunking)
        present = self._present(agreed)
        if present and present.generation == self.catalog.generation():
            return present
        with WriterLock(self.folder, patience=patience):
            if present := self._present(agreed):  # by now another process may have caught up
                with suppress(LibraryDamaged):
                    return self._filled(present)
                return self._filled(self._anew(agreed))
            # Questions may still read what a rebuild replaces: that is deleted the next time.
            return self._filled(self._anew(agreed), spared=self._own())

    def rebuild(self, progress: Callable[[Progress], None] | None = None) -> int:
        """Make the indexes anew with the present settings, those of all replicas too; how many papers they hold.

        The other replicas make theirs anew when they next catch up. Raises LibraryLocked while anybody writes.
        """
        with self.catalog.database.writing(alone=True):
            present = shared.read(self.catalog.database)
            if present is None:
                raise UsageError(f"no library in {self.catalog.database.name}; make one with: citewise ingest PATH")
            self.sweep(present)
            manifest = _next(present, Manifest.new(self.encoder, self.chunking, self.dense))
            work = Rechunking(self.catalog, self.chunking, progress)
            with (
                closing(self.open_shared(manifest)) as indexes,
                Indexer(_unmarked, self.encoder, indexes) as indexer,
            ):
                for job in work.jobs():
                    indexer.submit(job)
            self.journal.rechunk(work.changed)
            shared.write(self.catalog.database, manifest, replace=True)
            self.journal.mark_all_indexed()
            self.journal.drop_removals(0)  # every replica makes its indexes anew
        self.catch_up()
        return self.catalog.count()

    def _present(self, agreed: Manifest) -> Manifest | None:
        """The folder's manifest; None where its indexes are not of this library as it is now."""
        own = self._own()
        if own is None or own.generation > self.catalog.generation():  # the database is an older copy
            return None
        return own if replace(agreed, generation=own.generation, folders=own.folders) == own else None

    def _own(self) -> Manifest | None:
        try:
            return manifests.read(self.folder)
        except LibraryDamaged:
            return None

    def _anew(self, agreed: Manifest) -> Manifest:
        number = next(at for at in count(1) if not any((self.folder / f"{name}-{at}").exists() for name in _OWN))
        dense = f"chroma-{number}" if agreed.dense == "chroma" else agreed.folders["dense"]
        return replace(agreed, generation=0, folders={"dense": dense, "lexical": f"lexical-{number}"})

    def _filled(self, own: Manifest, *, spared: Manifest | None = None) -> Manifest:
        generation = self.catalog.generation()  # before its changes are read: what comes meanwhile is for the next time
        if own.dense != SEARCH:  # where all is on the server
            self._fill(own)
        present = replace(own, generation=generation)
        manifests.write(self.folder, present)
        manifests.sweep(self.folder, present, spared)
        return present

    def _fill(self, own: Manifest) -> None:
        begun = (self.folder / own.folders["lexical"]).is_dir()
        gone = self.journal.removals(own.generation) if begun else []
        additions = self.journal.additions(own.generation)
        first = next(additions, None)
        if begun and gone == [] and first is None:
            return
        with closing(self.open_own(own)) as indexes:
            gone = self._strangers(indexes) if gone is None else gone
            with Indexer(_unmarked, self.encoder, indexes) as indexer:
                indexer.submit(IndexJob(tuple(Doomed(0, passage) for passage in gone), (), ()))
                for job in chain([first] if first else [], additions):
                    indexer.submit(job)

    def _strangers(self, indexes: Indexes) -> Iterable[str]:
        """What the folder's indexes hold and the catalog does not."""
        return (indexes.dense.ids() | indexes.lexical.ids()).difference(self.catalog.all_passage_ids())


class ReplicaIngester(Ingester):
    """Writes to a library that any number of others write to as well; then catches up with all that was written."""

    def __init__(self, replica: Replica, *, workers: Workers | None = None) -> None:
        super().__init__(
            replica.folder,
            encoder=replica.encoder,
            chunking=replica.chunking,
            open_indexes=replica.open_own,
            dense=replica.dense,
            catalog=replica.catalog,
            workers=workers,
        )
        self._replica = replica

    @contextmanager
    def writing(self, encoder: Encoder | None = None, *, alone: bool = False) -> Generator[Session]:
        """See `Ingester`. What killed writers left to do for the shared indexes is done at the end."""
        with self._catalog.database.writing(alone=alone), closing(self._replica.begin()) as indexes:
            used = encoder or self._encoder
            paid = used if isinstance(used, RememberingEncoder) else None
            with self._indexer(indexes, used) as indexer:
                merger = Merger(self._journal, self._chunk)
                yield Session(self._catalog, self._journal, merger, indexer, None, paid)
            if paid is None:  # else `Session.settle` has taken all that waits, within the limit
                with self._indexer(indexes, used) as indexer:
                    for job in self._journal.pending():
                        indexer.submit(job)
            self._journal.drop_removals(self._replica.removals)
        with suppress(LibraryLocked):  # another process of this folder is catching up
            self._replica.catch_up(patience=0)

    def _indexer(self, indexes: Indexes, encoder: Encoder) -> Indexer:
        return Indexer(self._journal.mark_indexed, encoder, indexes, turn=self._journal.turn)


_OWN = ("chroma", "lexical")


def _next(old: Manifest, new: Manifest) -> Manifest:
    """The manifest after a rebuild: of the same library, but never equal to what it was."""
    created = datetime.now(UTC).isoformat(timespec="microseconds")
    number = int(old.folders["dense"].partition("-")[2] or 1) + 1
    return replace(new, id=old.id, created=created, folders={**new.folders, "dense": f"chroma-{number}"})


def _unmarked(jobs: list[IndexJob]) -> None:
    """The folder's manifest says how far its indexes are, not the catalog."""
