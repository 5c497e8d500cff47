"""The composition root: the one place that turns settings into objects."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rag.errors import LibraryError, LibraryLocked, ModelError, UsageError
from rag.interfaces import DenseIndex, Encoder
from rag.settings import CatalogSettings, EmbeddingSettings, Settings

if TYPE_CHECKING:
    from rag.answerers.base import Draft, Request
    from rag.answerers.repair import Mended
    from rag.answers import Delta, Filters, Turn
    from rag.checkup import Check
    from rag.citations import DraftSentence
    from rag.connection import Stop
    from rag.conversation import Condensed
    from rag.embedding_cache import Estimate
    from rag.embeddings import StaticTextEncoder
    from rag.exporting import Exported
    from rag.indexing import Indexes
    from rag.ingest import Ingester, IngestReport, Progress
    from rag.ingest_inputs import Workers
    from rag.llm import ChatModel
    from rag.model_search import SearchModel
    from rag.pipeline import Pipeline
    from rag.replica import Replica
    from rag.retrieval import Retriever
    from rag.spending import Tally
    from rag.stores.archive import Description
    from rag.stores.catalog import Catalog
    from rag.stores.chroma_server import ServerIndex
    from rag.stores.dense import ChromaIndex
    from rag.stores.lexical import TantivyIndex
    from rag.stores.manifest import Manifest
    from rag.stores.places import Places
    from rag.stores.sparse import SparseIndex

    Tell = Callable[[Estimate], object]


@dataclass(frozen=True, slots=True)
class Readers:
    """All that answers questions, opened at one generation of a library."""

    generation: int
    manifest: Manifest
    dense: ChromaIndex | ServerIndex
    lexical: TantivyIndex | SparseIndex
    retriever: Retriever
    pipeline: Pipeline

    def close(self) -> None:
        """Release both indexes."""
        self.dense.close()
        self.lexical.close()


def build_encoder(settings: EmbeddingSettings) -> Encoder:
    """The encoder that the settings name; the built-in ones are loaded once a process."""
    from rag.embeddings import DEEP, load_encoder

    if settings.kind.startswith("builtin"):
        return _builtin(settings.dimensions, deep=settings.kind == DEEP)
    return load_encoder(settings)


def decided(settings: EmbeddingSettings, manifest: Manifest | Description | None) -> EmbeddingSettings:
    """The settings with `builtin` replaced by what it stands for: that of the two which the library was made with, the
    fast one for a new library."""
    from rag.embeddings import DEEP

    if settings.kind != "builtin":
        return settings
    deep = manifest is not None and manifest.encoder == DEEP
    return settings.model_copy(update={"kind": DEEP if deep else "builtin-fast"})


def reading_encoder(settings: EmbeddingSettings, manifest: Manifest) -> Encoder:
    """The encoder for the questions to a library; one on a server is not asked for the dimension that is known."""
    from rag.llama_encoder import LlamaEncoder

    encoder = build_encoder(decided(settings, manifest))
    if isinstance(encoder, LlamaEncoder):
        encoder.assume(manifest.encoder, manifest.dimension)
    return encoder


def writing_encoder(
    folder: Path, settings: Settings, *, manifest: Manifest | Description | None = None, tell: Tell | None = None
) -> Encoder:
    """The encoder for a library's passages; one on a server is asked for each passage once, within
    `embedding.max_cost`, and `tell` is given the estimate before. `manifest` is that of the library as it is, where
    its vectors are to stay, or of the file that they come from."""
    from rag.embedding_cache import FILE, RememberingEncoder, VectorCache
    from rag.llama_encoder import LlamaEncoder

    encoder = build_encoder(decided(settings.embedding, manifest))
    if not isinstance(encoder, LlamaEncoder):
        return encoder
    if manifest:
        encoder.assume(manifest.encoder, manifest.dimension)
    price, limit = settings.prices.get(encoder.model), settings.embedding.max_cost
    return RememberingEncoder(encoder, VectorCache(folder / FILE), price=price, max_cost=limit, tell=tell)


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


def open_readers(
    folder: Path, settings: Settings, catalog: Catalog, *, previous: Readers | None = None, session: Tally | None = None
) -> Readers:
    """Both indexes and the pipeline over them, as the library is now. What the model's calls cost goes to `session`.

    The indexes of `previous` are reopened in place where they are still the library's; a rebuild moves them, and those
    that it replaced are not closed: they are let go of by the last question that still reads them.
    Raises UsageError for a library without papers, LibraryMismatch when it was made with other settings.
    """
    generation, manifest = _state(folder, settings, catalog, previous)
    if manifest is None or catalog.empty():
        raise _no_papers(folder)
    encoder = reading_encoder(settings.embedding, manifest)
    manifest.check(encoder, settings.chunking)
    if previous and previous.manifest.folders == manifest.folders:
        previous.dense.reopen()
        previous.lexical.reopen()
        dense, lexical = previous.dense, previous.lexical
    else:
        dense = open_dense(folder, manifest, settings)
        lexical = open_lexical(folder, manifest, dense)
    model = None if settings.llm.kind == "none" else _LazyModel(settings, session)
    retriever = _retriever(settings, catalog, (dense, lexical), encoder, model)
    pipeline = _pipeline(settings, catalog, retriever, lexical, encoder, model=model)
    return Readers(generation, manifest, dense, lexical, retriever, pipeline)


def _state(folder: Path, settings: Settings, catalog: Catalog, previous: Readers | None) -> tuple[int, Manifest | None]:
    """How far the indexes in the folder are, and what they were made with; a replica catches up first."""
    from rag.stores import manifest as manifests
    from rag.stores import shared

    if settings.catalog.kind == "sqlite":
        generation = catalog.generation()  # before anything else: what is committed meanwhile is noticed next time
        return generation, manifests.read(folder)
    encoder = writing_encoder(folder, settings, manifest=shared.read(catalog.database))
    replica = _replica(folder, settings, catalog, encoder)
    try:
        manifest = replica.catch_up(patience=0) if previous else replica.catch_up()
    except LibraryLocked:  # another process of this folder is at it: until it is done, answers come from what there is
        manifest = manifests.read(folder)
    return (manifest.generation, manifest) if manifest else (0, None)


def open_dense(folder: Path, manifest: Manifest, settings: Settings) -> ChromaIndex | ServerIndex:
    """The vectors of a library, where its manifest and settings say they are, to be read."""
    return _places(folder, settings).reader(manifest)


def open_lexical(folder: Path, manifest: Manifest, dense: DenseIndex) -> TantivyIndex | SparseIndex:
    """The index of a library's words, where its manifest says it is: in the folder, or beside `dense` on a server."""
    from rag.stores.lexical import TantivyIndex
    from rag.stores.places import SEARCH

    if manifest.dense == SEARCH:
        from rag.stores.sparse import SparseIndex

        return SparseIndex(cast("ServerIndex", dense))
    return TantivyIndex(folder / manifest.folders["lexical"])


def _no_papers(folder: Path) -> UsageError:
    return UsageError(f"the library at {folder} has no papers yet; add some with: citewise ingest PATH")


@lru_cache(maxsize=4)
def _builtin(dimensions: int | None = None, *, deep: bool = False) -> StaticTextEncoder:
    from rag.embeddings import builtin_encoder

    return builtin_encoder(dimensions, deep=deep)


def _made_elsewhere(encoder: Encoder) -> bool:
    from rag.embeddings import StaticTextEncoder

    return not isinstance(encoder, StaticTextEncoder)


def _reader(encoder: Encoder) -> Encoder:
    """The encoder that compares sentences, many times a question: the token vectors alone, with which the gate was
    calibrated, also where a server makes the vectors that are searched."""
    from rag.embeddings import StaticTextEncoder

    return encoder.words if isinstance(encoder, StaticTextEncoder) else _builtin().words


def _retriever(
    settings: Settings,
    catalog: Catalog,
    indexes: tuple[ChromaIndex | ServerIndex, TantivyIndex | SparseIndex],
    encoder: Encoder,
    model: _LazyModel | None,
) -> Retriever:
    from rag.retrieval import Retriever
    from rag.stores.lexical import TantivyIndex

    dense, lexical = indexes
    return Retriever(
        catalog,
        dense,
        lexical,
        encoder,
        hybrid=None if isinstance(lexical, TantivyIndex) else lexical,
        settings=settings.retrieval,
        rerank=settings.rerank,
        reader=_reader(encoder),
        model=_search_model(settings, model),
        fall_back=settings.embedding.fall_back,
        multilingual=_made_elsewhere(encoder),
    )


def _search_model(settings: Settings, model: _LazyModel | None) -> SearchModel | None:
    """The model's part in searches, where the settings give it one."""
    rewrite, rerank = settings.retrieval.rewrite, settings.rerank.kind == "llm"
    if rewrite == "none" and not rerank:
        return None
    if model is None:
        key = "rerank.kind: llm" if rerank else f"retrieval.rewrite: {rewrite}"
        raise UsageError(f"{key} needs a model, but none is set up; set llm.kind, or add --config openai")
    from rag.model_search import SearchModel

    return SearchModel(model.made, rewrite=rewrite, rerank=rerank)


def _pipeline(
    settings: Settings,
    catalog: Catalog,
    retriever: Retriever,
    lexical: TantivyIndex | SparseIndex,
    encoder: Encoder,
    *,
    model: _LazyModel | None,
) -> Pipeline:
    from rag.answerers.catalog import CatalogAnswerer
    from rag.answerers.extractive import ExtractiveAnswerer
    from rag.answerers.metadata import MetadataAnswerer
    from rag.conversation import by_rules
    from rag.embeddings import StaticTextEncoder
    from rag.gate import Gate
    from rag.pipeline import Answerers, Pipeline

    rewrites = settings.llm.condense and settings.answer.mode != "extractive"
    answerers = Answerers(
        extractive=ExtractiveAnswerer(max_sentences=settings.answer.max_sentences),
        metadata=MetadataAnswerer(),
        model=model,
        mender=model if settings.answer.repair else None,
        catalog=CatalogAnswerer(catalog),
    )
    reader = _reader(encoder)
    # The gate was calibrated with the fast encoder's vectors of passages.
    own = None if isinstance(encoder, StaticTextEncoder) and not encoder.deep else _builtin()
    return Pipeline(
        retriever,
        Gate(reader, lexical, settings=settings.gate, own=own) if settings.gate.enabled else None,
        answerers,
        encoder=reader,
        settings=settings.answer,
        papers=settings.retrieval.papers,
        condenser=model.condense if model and rewrites else by_rules,
        catalog=catalog,
    )


class _LazyModel:
    """The model as answerer, mender and condenser, made when first asked: a search must not wait for LlamaIndex, nor
    fail for a key."""

    def __init__(self, settings: Settings, session: Tally | None) -> None:
        self._settings = settings
        self._session = session
        self._made: ChatModel | None = None
        self._making = threading.Lock()

    def write(self, request: Request) -> Iterator[Delta | Draft]:
        from rag.answerers.model import ModelAnswerer

        return ModelAnswerer(self.made(), max_sentences=self._settings.answer.max_sentences).write(request)

    def mend(self, request: Request, sentences: Sequence[DraftSentence], wrong: Sequence[int]) -> Mended:
        from rag.answerers.repair import ModelMender

        return ModelMender(self.made()).mend(request, sentences, wrong)

    def condense(self, question: str, filters: Filters, history: Sequence[Turn], stop: Stop | None = None) -> Condensed:
        from rag.conversation import by_rules
        from rag.rewriting import by_model

        if not history:
            return by_rules(question, filters, history)
        try:
            return by_model(self.made())(question, filters, history, stop)
        except ModelError:  # no key: what it means for the answer is said when that is written
            return by_rules(question, filters, history)

    def made(self) -> ChatModel:
        """The model itself."""
        from rag.llm import ChatModel

        with self._making:
            if self._made is None:
                prices, session = self._settings.prices, self._session
                self._made = ChatModel.from_settings(self._settings.llm, prices=prices, session=session)
            return self._made


def open_ingester(folder: Path, settings: Settings, tell: Tell | None = None) -> Ingester:
    """A writer of a library, which is made when it is the first; the only one unless the catalog is in a database.

    `tell` as for `writing_encoder`. It reads and embeds where `settings.ingest` says.
    """
    catalog, manifest = _begun(folder, settings)
    encoder, dense = writing_encoder(folder, settings, manifest=manifest, tell=tell), _kept(settings, manifest)
    if settings.ingest.engine == "process":
        return _ingester(folder, settings, encoder, catalog, dense=dense)
    from rag.ray_ingest import distributed

    encoder, workers = distributed(settings.ingest, encoder)
    return _ingester(folder, settings, encoder, catalog, dense=dense, workers=workers)


def _begun(folder: Path, settings: Settings) -> tuple[Catalog | None, Manifest | None]:
    """The catalog where it is in a database, and what the library is made with, where there is one."""
    from rag.stores import manifest as manifests
    from rag.stores import shared

    if settings.catalog.kind == "sqlite":
        return None, manifests.read(folder)
    catalog = open_catalog(folder, settings.catalog)
    return catalog, shared.read(catalog.database)


def _kept(settings: Settings, manifest: Manifest | None = None) -> str:
    from rag.stores.places import kept

    return kept(settings.dense, manifest)


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

        return ReplicaIngester(_replica(folder, settings, catalog, encoder, dense=dense), workers=workers)
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
            return _replica(folder, settings, catalog, encoder, dense=_kept(settings)).rebuild(progress)
    manifest: Manifest | None = None
    with suppress(LibraryError):  # a damaged one is what a rebuild is there to mend
        manifest = manifests.read(folder)
    return rebuild(
        folder,
        encoder=writing_encoder(folder, _kept_to(settings, manifest), tell=tell),
        chunking=settings.chunking,
        open_indexes=_opener(folder, settings),
        progress=progress,
        dense=_kept(settings),
    )


def _kept_to(settings: Settings, manifest: Manifest | None) -> Settings:
    """Settings whose `builtin` stands for that of the two which the library has."""
    return settings.model_copy(update={"embedding": decided(settings.embedding, manifest)})


def export_library(
    folder: Path, settings: Settings, path: Path, *, progress: Callable[[Progress], None] | None = None
) -> Exported:
    """Write a library to one portable file; see `exporting.Export`. Raises UsageError where it has no papers."""
    from rag.exporting import Export

    with closing(open_catalog(folder, settings.catalog)) as catalog:
        _, manifest = _state(folder, settings, catalog, None)
        if manifest is None or catalog.empty():
            raise _no_papers(folder)
        with closing(open_dense(folder, manifest, settings)) as dense:
            return Export(folder, catalog, dense, manifest, progress=progress).write(path)


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
        encoder = writing_encoder(folder, settings, manifest=manifest or archive.description, tell=tell)
        with _ingester(folder, settings, encoder, catalog, dense=_kept(settings, manifest)) as ingester:
            return Import(ingester, encoder, settings.chunking).read(archive, progress=progress)


def examine(folder: Path, settings: Settings) -> list[Check]:
    """Look at a library and its surroundings; see `checkup.doctor`."""
    from rag.checkup import doctor

    places = _places(folder, settings)
    return doctor(
        folder,
        settings,
        open_catalog=lambda: open_catalog(folder, settings.catalog),
        load_encoder=lambda manifest: reading_encoder(settings.embedding, manifest),
        open_indexes=lambda manifest: _beside(folder, manifest, places.reader(manifest)),
    )


def _beside(folder: Path, manifest: Manifest, dense: DenseIndex) -> Indexes:
    from rag.indexing import Indexes

    return Indexes(dense, open_lexical(folder, manifest, dense))


def _opener(folder: Path, settings: Settings) -> Callable[[Manifest], Indexes]:
    places = _places(folder, settings)
    return lambda manifest: _beside(folder, manifest, places.writer(manifest))


def _replica(folder: Path, settings: Settings, catalog: Catalog, encoder: Encoder, *, dense: str = "") -> Replica:
    """`dense` is for the manifest of a library that is to be made."""
    from rag.replica import Replica

    places, on_server = _places(folder, settings), settings.dense.kind == "chroma-server"
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
        return _beside(folder, manifest, places.joint(manifest))
    return Indexes(Elsewhere() if manifest.dense == "chroma" else places.joint(manifest), Elsewhere())


def _own(folder: Path, manifest: Manifest, places: Places) -> Indexes:
    """The indexes of the replica in this folder."""
    from rag.indexing import Elsewhere, Indexes
    from rag.stores.places import SEARCH

    places.check(manifest)
    dense = places.writer(manifest) if manifest.dense == "chroma" else Elsewhere()
    return Indexes(dense, Elsewhere() if manifest.dense == SEARCH else open_lexical(folder, manifest, dense))


def _places(folder: Path, settings: Settings) -> Places:
    from rag.stores.places import Places

    return Places(folder, settings.dense, search_breadth=settings.retrieval.search_breadth)
