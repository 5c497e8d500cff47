"""The encoder that the settings name, for questions to a library and for its passages."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rag.interfaces import Encoder
from rag.settings import EmbeddingSettings, Settings

if TYPE_CHECKING:
    from rag.embedding_cache import Estimate
    from rag.embeddings import StaticTextEncoder
    from rag.stores.archive import Description
    from rag.stores.manifest import Manifest

    Tell = Callable[[Estimate], object]

SMALL_PILE = 4_000_000
"""Bytes up to which a new library's papers are encoded by `builtin-deep`: some 2,500 papers, 20 seconds."""
BIG_PILE = 4 * SMALL_PILE
"""Bytes from which on a library of few papers that had `builtin-deep` gets `builtin-fast`: minutes are saved."""
FEW_PAPERS = 5000


def build_encoder(settings: EmbeddingSettings) -> Encoder:
    """The encoder that the settings name; the built-in ones are loaded once a process."""
    from rag.embeddings import DEEP, load_encoder

    if settings.kind.startswith("builtin"):
        return builtin(settings.dimensions, deep=settings.kind == DEEP)
    return load_encoder(settings)


def decided(
    settings: EmbeddingSettings, manifest: Manifest | Description | None, pile: int | None = None
) -> EmbeddingSettings:
    """The settings with `builtin` replaced by what it stands for: that of the two which the library was made with. For
    a new library the deep one where a small `pile` is to be read (bytes, None where not known), else the fast one."""
    from rag.embeddings import DEEP, FAST

    if settings.kind != "builtin":
        return settings
    deep = manifest.encoder == DEEP if manifest else pile is not None and pile <= SMALL_PILE
    return settings.model_copy(update={"kind": DEEP if deep else FAST})


def outgrown(settings: EmbeddingSettings, manifest: Manifest, pile: int | None) -> bool:
    """Whether a library that has the deep encoder, as it began small, would better have the fast one for this pile."""
    from rag.embeddings import DEEP

    ours = settings.kind == "builtin" and manifest.encoder == DEEP and not manifest.encoder_chosen
    return ours and pile is not None and pile > BIG_PILE


def reading_encoder(settings: EmbeddingSettings, manifest: Manifest) -> Encoder:
    """The encoder for the questions to a library; one on a server is not asked for the dimension that is known."""
    from rag.llama_encoder import LlamaEncoder

    encoder = build_encoder(decided(settings, manifest))
    if isinstance(encoder, LlamaEncoder):
        encoder.assume(manifest.encoder, manifest.dimension)
    return encoder


def writing_encoder(
    folder: Path,
    settings: Settings,
    *,
    manifest: Manifest | Description | None = None,
    pile: int | None = None,
    tell: Tell | None = None,
) -> Encoder:
    """The encoder for a library's passages; one on a server is asked for each passage once, within
    `embedding.max_cost`, and `tell` is given the estimate before. `manifest` is that of the library as it is, where
    its vectors are to stay, or of the file that they come from; `pile` as for `decided`."""
    from rag.embedding_cache import FILE, RememberingEncoder, VectorCache
    from rag.llama_encoder import LlamaEncoder

    encoder = build_encoder(decided(settings.embedding, manifest, pile))
    if not isinstance(encoder, LlamaEncoder):
        return encoder
    if manifest:
        encoder.assume(manifest.encoder, manifest.dimension)
    price, limit = settings.prices.get(encoder.model), settings.embedding.max_cost
    return RememberingEncoder(encoder, VectorCache(folder / FILE), price=price, max_cost=limit, tell=tell)


@lru_cache(maxsize=4)
def builtin(dimensions: int | None = None, *, deep: bool = False) -> StaticTextEncoder:
    """The fast or the deep built-in encoder, loaded once a process."""
    from rag.embeddings import builtin_encoder

    return builtin_encoder(dimensions, deep=deep)
