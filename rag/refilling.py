"""Both indexes made anew from the catalog, beside the present ones, and swapped in at once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from rag.chunking import chunk
from rag.embedding_cache import RememberingEncoder
from rag.errors import LibraryError
from rag.indexing import Indexer, OpenIndexes, Progress
from rag.interfaces import Encoder
from rag.papers import Paper, Passage
from rag.settings import ChunkingSettings
from rag.stores import manifest as manifests
from rag.stores.catalog import Catalog
from rag.stores.drafts import IndexJob
from rag.stores.journal import Journal
from rag.stores.manifest import Manifest

_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Refill:
    """What new indexes are made with."""

    encoder: Encoder
    chunking: ChunkingSettings
    open_indexes: OpenIndexes
    progress: Callable[[Progress], None] | None = None
    dense: str = "chroma"
    chosen: bool = False
    """What the manifest is to say of the encoder (`encoder_chosen`)."""

    def run(self, folder: Path, catalog: Catalog) -> Manifest:
        """Make the indexes of the library in `folder`; its new manifest. Only for the holder of the writer lock.

        Readers go on with the old indexes until they notice the new generation; an interruption leaves those as
        they were. Raises CostLimit where a paid encoder could cost more than is allowed.
        """
        if isinstance(self.encoder, RememberingEncoder):
            self.encoder.afford(_texts(catalog, self.chunking))
        manifest = _beside(folder, Manifest.new(self.encoder, self.chunking, self.dense))
        work = Rechunking(catalog, self.chunking, self.progress)
        try:
            with (
                closing(self.open_indexes(manifest)) as indexes,
                Indexer(_unmarked, self.encoder, indexes) as indexer,
            ):
                for job in work.jobs():
                    indexer.submit(job)
        except BaseException:
            _drop(folder, manifest)
            raise
        journal = Journal(catalog.database)
        journal.rechunk(work.changed)
        # Readers read the manifest when the generation has grown, so the manifest must be there first.
        manifest = replace(manifest, generation=catalog.generation() + 1, encoder_chosen=self.chosen)
        manifests.write(folder, manifest)
        journal.mark_all_indexed()
        return manifest


@dataclass(slots=True)
class Rechunking:
    """The catalog's papers as jobs for new indexes; `changed` are those whose passages are others than stored."""

    catalog: Catalog
    chunking: ChunkingSettings
    progress: Callable[[Progress], None] | None
    changed: list[tuple[Paper, list[Passage]]] = field(default_factory=list[tuple[Paper, list[Passage]]])

    def jobs(self) -> Iterator[IndexJob]:
        """All papers, batch by batch; afterwards `changed` is complete."""
        start, done, total = time.perf_counter(), 0, self.catalog.count()
        papers = self.catalog.with_passages()
        while batch := list(islice(papers, _AT_ONCE)):
            yield IndexJob((), tuple(passage for paper in batch for passage in self._passages(*paper)), ())
            done += len(batch)
            if self.progress:
                rate = done / (time.perf_counter() - start)
                self.progress(Progress("indexing", done, done, total, rate))

    def _passages(self, paper: Paper, stored: list[Passage]) -> list[Passage]:
        passages = chunk(paper, self.chunking)
        if passages != stored:
            self.changed.append((paper, passages))
        return passages


def _texts(catalog: Catalog, chunking: ChunkingSettings) -> Iterator[list[str]]:
    """The text of every passage, in batches."""
    papers = catalog.with_passages()
    while batch := list(islice(papers, _AT_ONCE)):
        yield [passage.text for paper, _ in batch for passage in chunk(paper, chunking)]


def _unmarked(jobs: list[IndexJob]) -> None:
    """New indexes count only when they are whole, so no commit on the way marks anything."""


def _beside(folder: Path, manifest: Manifest) -> Manifest:
    """The manifest with index folders that are not in use yet."""
    try:
        old = manifests.read(folder)
    except LibraryError:  # damaged: that is what a rebuild is for
        old = None
    manifests.sweep(folder, old)
    number = 2
    used = set(old.folders.values()) if old else set[str]()  # which need not be here: a server may hold the vectors
    while any(f"{name}-{number}" in used or (folder / f"{name}-{number}").exists() for name in ("chroma", "lexical")):
        number += 1
    folders = {"dense": f"chroma-{number}", "lexical": f"lexical-{number}"}
    if old is None:
        return replace(manifest, folders=folders)
    return replace(manifest, folders=folders, created=old.created, id=old.id or manifest.id)


def _drop(folder: Path, manifest: Manifest) -> None:
    for name in manifest.folders.values():
        shutil.rmtree(folder / name, ignore_errors=True)
