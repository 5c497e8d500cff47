"""The composition root: the one place where settings become what answers questions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag.chosen_encoder import builtin, reading_encoder
from rag.errors import UsageError
from rag.interfaces import Encoder
from rag.library_parts import beside, no_papers, open_catalog, open_dense, open_lexical, places_of, present_state
from rag.settings import Settings

if TYPE_CHECKING:
    from rag.checkup import Check
    from rag.exporting import Exported
    from rag.indexing import Progress
    from rag.lazy_model import LazyModel
    from rag.model_search import SearchModel
    from rag.pipeline import Pipeline
    from rag.retrieval import Retriever
    from rag.spending import Tally
    from rag.stores.catalog import Catalog
    from rag.stores.chroma_server import ServerIndex
    from rag.stores.dense import ChromaIndex
    from rag.stores.lexical import TantivyIndex
    from rag.stores.manifest import Manifest
    from rag.stores.sparse import SparseIndex


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


def open_readers(
    folder: Path, settings: Settings, catalog: Catalog, *, previous: Readers | None = None, session: Tally | None = None
) -> Readers:
    """Both indexes and the pipeline over them, as the library is now. What the model's calls cost goes to `session`.

    The indexes of `previous` are reopened in place where they are still the library's; a rebuild moves them, and those
    that it replaced are not closed: they are let go of by the last question that still reads them.
    Raises UsageError for a library without papers, LibraryMismatch when it was made with other settings.
    """
    generation, manifest = present_state(folder, settings, catalog, patient=previous is None)
    if manifest is None or catalog.empty():
        raise no_papers(folder)
    encoder = reading_encoder(settings.embedding, manifest)
    manifest.check(encoder, settings.chunking)
    if previous and previous.manifest.folders == manifest.folders:
        previous.dense.reopen()
        previous.lexical.reopen()
        dense, lexical = previous.dense, previous.lexical
    else:
        dense = open_dense(folder, manifest, settings)
        lexical = open_lexical(folder, manifest, dense)
    model = _model(settings, session)
    retriever = _retriever(settings, catalog, (dense, lexical), encoder, model)
    pipeline = _pipeline(settings, catalog, retriever, lexical, encoder, model=model)
    return Readers(generation, manifest, dense, lexical, retriever, pipeline)


def _model(settings: Settings, session: Tally | None) -> LazyModel | None:
    from rag.lazy_model import LazyModel

    return None if settings.llm.kind == "none" else LazyModel(settings, session)


def _made_elsewhere(encoder: Encoder) -> bool:
    from rag.embeddings import StaticTextEncoder

    return not isinstance(encoder, StaticTextEncoder)


def _reader(encoder: Encoder) -> Encoder:
    """The encoder that compares sentences, many times a question: the token vectors alone, with which the gate was
    calibrated, also where a server makes the vectors that are searched."""
    from rag.embeddings import StaticTextEncoder

    return encoder.words if isinstance(encoder, StaticTextEncoder) else builtin().words


def _retriever(
    settings: Settings,
    catalog: Catalog,
    indexes: tuple[ChromaIndex | ServerIndex, TantivyIndex | SparseIndex],
    encoder: Encoder,
    model: LazyModel | None,
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


def _search_model(settings: Settings, model: LazyModel | None) -> SearchModel | None:
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
    model: LazyModel | None,
) -> Pipeline:
    from rag.answerers.catalog import CatalogAnswerer
    from rag.answerers.extractive import ExtractiveAnswerer
    from rag.answerers.metadata import MetadataAnswerer
    from rag.conversation import by_rules
    from rag.embeddings import StaticTextEncoder, matched_tokens
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
    own = None if isinstance(encoder, StaticTextEncoder) and not encoder.deep else builtin()
    gate = Gate(reader, lexical, settings=settings.gate, own=own, matched=matched_tokens)
    return Pipeline(
        retriever,
        gate if settings.gate.enabled else None,
        answerers,
        encoder=reader,
        settings=settings.answer,
        papers=settings.retrieval.papers,
        condenser=model.condense if model and rewrites else by_rules,
        catalog=catalog,
    )


def export_library(
    folder: Path, settings: Settings, path: Path, *, progress: Callable[[Progress], None] | None = None
) -> Exported:
    """Write a library to one portable file; see `exporting.Export`. Raises UsageError where it has no papers."""
    from rag.exporting import Export

    with closing(open_catalog(folder, settings.catalog)) as catalog:
        _, manifest = present_state(folder, settings, catalog)
        if manifest is None or catalog.empty():
            raise no_papers(folder)
        with closing(open_dense(folder, manifest, settings)) as dense:
            return Export(folder, catalog, dense, manifest, progress=progress).write(path)


def examine(folder: Path, settings: Settings) -> list[Check]:
    """Look at a library and its surroundings; see `checkup.doctor`."""
    from rag.checkup import doctor

    places = places_of(folder, settings)
    return doctor(
        folder,
        settings,
        open_catalog=lambda: open_catalog(folder, settings.catalog),
        load_encoder=lambda manifest: reading_encoder(settings.embedding, manifest),
        open_indexes=lambda manifest: beside(folder, manifest, places.reader(manifest)),
    )
