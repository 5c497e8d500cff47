"""The parts of a library, opened where its settings and its manifest say they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from rag.chosen_encoder import writing_encoder
from rag.errors import LibraryLocked, UsageError
from rag.interfaces import DenseIndex, Encoder
from rag.settings import CatalogSettings, Settings

if TYPE_CHECKING:
    from rag.indexing import Indexes
    from rag.replica import Replica
    from rag.stores.catalog import Catalog
    from rag.stores.chroma_server import ServerIndex
    from rag.stores.dense import ChromaIndex
    from rag.stores.lexical import TantivyIndex
    from rag.stores.manifest import Manifest
    from rag.stores.places import Places
    from rag.stores.sparse import SparseIndex

_IN_FOLDER = CatalogSettings()


def holds_library(folder: Path, settings: CatalogSettings = _IN_FOLDER) -> bool:
    """Whether there is a library in the folder; a database always holds one, if an empty one."""
    from rag.stores.sqlite import CATALOG

    return settings.kind == "postgres" or (folder / CATALOG).is_file()


def open_catalog(folder: Path, settings: CatalogSettings = _IN_FOLDER) -> Catalog:
    """The catalog of an existing library; raises UsageError where there is none."""
    from rag.stores.catalog import Catalog
    from rag.stores.sqlite import CATALOG

    if settings.kind == "postgres":
        from rag.stores.postgres import PostgresDatabase

        return Catalog(PostgresDatabase(settings.url.get_secret_value(), patience=settings.patience))
    if not holds_library(folder):
        raise UsageError(f"no library at {folder}; make one with: citewise ingest PATH")
    return Catalog(folder / CATALOG)


def present_state(
    folder: Path, settings: Settings, catalog: Catalog, *, patient: bool = True
) -> tuple[int, Manifest | None]:
    """How far the indexes in the folder are, and what they were made with; a replica catches up first, unless it is not
    `patient` and another process of the folder does so just now."""
    from rag.stores import manifest as manifests
    from rag.stores import shared

    if settings.catalog.kind == "sqlite":
        generation = catalog.generation()  # before anything else: what is committed meanwhile is noticed next time
        return generation, manifests.read(folder)
    encoder = writing_encoder(folder, settings, manifest=shared.read(catalog.database))
    replica = open_replica(folder, settings, catalog, encoder)
    try:
        manifest = replica.catch_up() if patient else replica.catch_up(patience=0)
    except LibraryLocked:  # another process of this folder is at it: until it is done, answers come from what there is
        manifest = manifests.read(folder)
    return (manifest.generation, manifest) if manifest else (0, None)


def no_papers(folder: Path) -> UsageError:
    """The error where there is nothing to be read."""
    return UsageError(f"the library at {folder} has no papers yet; add some with: citewise ingest PATH")


def open_dense(folder: Path, manifest: Manifest, settings: Settings) -> ChromaIndex | ServerIndex:
    """The vectors of a library, where its manifest and settings say they are, to be read."""
    return places_of(folder, settings).reader(manifest)


def open_lexical(folder: Path, manifest: Manifest, dense: DenseIndex) -> TantivyIndex | SparseIndex:
    """The index of a library's words, where its manifest says it is: in the folder, or beside `dense` on a server."""
    from rag.stores.lexical import TantivyIndex
    from rag.stores.places import SEARCH

    if manifest.dense == SEARCH:
        from rag.stores.sparse import SparseIndex

        return SparseIndex(cast("ServerIndex", dense))
    return TantivyIndex(folder / manifest.folders["lexical"])


def beside(folder: Path, manifest: Manifest, dense: DenseIndex) -> Indexes:
    """Both indexes, given the dense one."""
    from rag.indexing import Indexes

    return Indexes(dense, open_lexical(folder, manifest, dense))


def places_of(folder: Path, settings: Settings) -> Places:
    """Where the settings keep the vectors of the library in the folder."""
    from rag.stores.places import Places

    return Places(folder, settings.dense, search_breadth=settings.retrieval.search_breadth)


def kept_by(settings: Settings, manifest: Manifest | None = None) -> str:
    """Where the vectors are, or are to be: see `places.kept`."""
    from rag.stores.places import kept

    return kept(settings.dense, manifest)


def open_replica(folder: Path, settings: Settings, catalog: Catalog, encoder: Encoder, *, dense: str = "") -> Replica:
    """The replica in the folder; `dense` is for the manifest of a library that is to be made."""
    from rag.replica import Replica

    places, on_server = places_of(folder, settings), settings.dense.kind == "chroma-server"
    return Replica(
        folder,
        catalog,
        encoder=encoder,
        chunking=settings.chunking,
        open_shared=lambda manifest: _shared(folder, manifest, places),
        open_own=lambda manifest: _own(folder, manifest, places),
        dense=dense or settings.dense.kind,
        sweep=places.sweep if on_server else lambda _: None,
    )


def _shared(folder: Path, manifest: Manifest, places: Places) -> Indexes:
    """The indexes that all replicas have in common."""
    from rag.indexing import Elsewhere, Indexes
    from rag.stores.places import SEARCH

    places.check(manifest)
    if manifest.dense == SEARCH:
        return beside(folder, manifest, places.joint(manifest))
    return Indexes(Elsewhere() if manifest.dense == "chroma" else places.joint(manifest), Elsewhere())


def _own(folder: Path, manifest: Manifest, places: Places) -> Indexes:
    """The indexes of the replica in this folder."""
    from rag.indexing import Elsewhere, Indexes
    from rag.stores.places import SEARCH

    places.check(manifest)
    dense = places.writer(manifest) if manifest.dense == "chroma" else Elsewhere()
    return Indexes(dense, Elsewhere() if manifest.dense == SEARCH else open_lexical(folder, manifest, dense))
