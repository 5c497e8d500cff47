"""Whatever writes to a library, made from its settings: ingest, rebuild and import."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rag.chosen_encoder import FEW_PAPERS, decided, outgrown, writing_encoder
from rag.errors import LibraryError
from rag.interfaces import Encoder
from rag.library_parts import beside, kept_by, open_catalog, open_replica, places_of
from rag.settings import Settings

if TYPE_CHECKING:
    from rag.chosen_encoder import Tell
    from rag.indexing import Indexes
    from rag.ingest import Ingester, IngestReport, Progress
    from rag.ingest_inputs import Workers
    from rag.stores.catalog import Catalog
    from rag.stores.manifest import Manifest


def open_ingester(folder: Path, settings: Settings, *, pile: int | None = None, tell: Tell | None = None) -> Ingester:
    """A writer of a library, which is made when it is the first; the only one unless the catalog is in a database.

    `pile` and `tell` as for `writing_encoder`; a library that a big `pile` comes to may be rebuilt first.
    It reads and embeds where `settings.ingest` says.
    """
    from rag.embeddings import FAST

    catalog, manifest = _begun(folder, settings)
    alone = catalog is None  # those who begin a shared library at once must not differ
    if alone and manifest and outgrown(settings.embedding, manifest, pile) and _few(folder, settings):
        rebuild_indexes(folder, _with_encoder(settings, FAST))
        _, manifest = _begun(folder, settings)
    with _let_go_of(catalog):
        encoder = writing_encoder(folder, settings, manifest=manifest, pile=pile if alone else None, tell=tell)
        dense = kept_by(settings, manifest)
        if settings.ingest.engine == "process":
            return _ingester(folder, settings, encoder, catalog, dense=dense)
        from rag.ray_ingest import distributed

        encoder, workers = distributed(settings.ingest, encoder)
        return _ingester(folder, settings, encoder, catalog, dense=dense, workers=workers)


@contextmanager
def _let_go_of(catalog: Catalog | None) -> Generator[None]:
    """Closes it where the encoder or the workers cannot be had; else it is the ingester's, which closes it."""
    try:
        yield
    except BaseException:
        if catalog:
            catalog.close()
        raise


def _few(folder: Path, settings: Settings) -> bool:
    with closing(open_catalog(folder, settings.catalog)) as catalog:
        return catalog.count() <= FEW_PAPERS


def _begun(folder: Path, settings: Settings) -> tuple[Catalog | None, Manifest | None]:
    """The catalog where it is in a database, and what the library is made with, where there is one."""
    from rag.stores import manifest as manifests
    from rag.stores import shared

    if settings.catalog.kind == "sqlite":
        return None, manifests.read(folder)
    catalog = open_catalog(folder, settings.catalog)
    return catalog, shared.read(catalog.database)


def _ingester(
    folder: Path,
    settings: Settings,
    encoder: Encoder,
    catalog: Catalog | None,
    *,
    dense: str,
    workers: Workers | None = None,
) -> Ingester:
    from rag.ingest import Ingester

    if catalog:
        from rag.replica import ReplicaIngester

        return ReplicaIngester(open_replica(folder, settings, catalog, encoder, dense=dense), workers=workers)
    return Ingester(
        folder,
        encoder=encoder,
        chunking=settings.chunking,
        open_indexes=_opener(folder, settings),
        dense=dense,
        workers=workers,
    )


def rebuild_indexes(
    folder: Path,
    settings: Settings,
    *,
    progress: Callable[[Progress], None] | None = None,
    tell: Tell | None = None,
) -> int:
    """Make both indexes of a library anew; see `maintenance.rebuild`, and `writing_encoder` for `tell`."""
    from rag.maintenance import rebuild
    from rag.stores import manifest as manifests
    from rag.stores import shared

    if settings.catalog.kind == "postgres":
        with closing(open_catalog(folder, settings.catalog)) as catalog:
            encoder = writing_encoder(folder, _kept_to(settings, shared.read(catalog.database)), tell=tell)
            return open_replica(folder, settings, catalog, encoder, dense=kept_by(settings)).rebuild(progress)
    manifest: Manifest | None = None
    with suppress(LibraryError):  # a damaged one is what a rebuild is there to mend
        manifest = manifests.read(folder)
    return rebuild(
        folder,
        encoder=writing_encoder(folder, _kept_to(settings, manifest), tell=tell),
        chunking=settings.chunking,
        open_indexes=_opener(folder, settings),
        progress=progress,
        dense=kept_by(settings),
        chosen=settings.embedding.kind != "builtin" or bool(manifest and manifest.encoder_chosen),
    )


def _kept_to(settings: Settings, manifest: Manifest | None) -> Settings:
    """Settings whose `builtin` stands for that of the two which the library has."""
    return settings.model_copy(update={"embedding": decided(settings.embedding, manifest)})


def _with_encoder(settings: Settings, kind: str) -> Settings:
    return settings.model_copy(update={"embedding": settings.embedding.model_copy(update={"kind": kind})})


def import_library(
    folder: Path,
    settings: Settings,
    path: Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    tell: Tell | None = None,
) -> IngestReport:
    """Take a portable file into a library, which is made when it is the first; see `importing.Import`, and
    `writing_encoder` for `tell`."""
    from rag.importing import Import
    from rag.stores.archive_reader import Archive

    with Archive(path) as archive:
        catalog, manifest = _begun(folder, settings)
        with _let_go_of(catalog):
            encoder = writing_encoder(folder, settings, manifest=manifest or archive.description, tell=tell)
            ingester = _ingester(folder, settings, encoder, catalog, dense=kept_by(settings, manifest))
        with ingester:
            return Import(ingester, encoder, settings.chunking).read(archive, progress=progress)


def _opener(folder: Path, settings: Settings) -> Callable[[Manifest], Indexes]:
    places = places_of(folder, settings)
    return lambda manifest: beside(folder, manifest, places.writer(manifest))
