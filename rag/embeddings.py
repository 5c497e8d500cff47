"""The choice of encoder: built-in, a trained folder, an OpenAI-compatible server, any of LlamaIndex's."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import threading
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.connection import Connections, bounded
from rag.errors import MissingExtra, ModelRejected, SettingsError
from rag.llama_encoder import REQUEST_TEXTS, LlamaEncoder, as_llama_embedding
from rag.servers import redacted
from rag.settings import EmbeddingSettings

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding

    from rag.encoder import StaticEncoder
    from rag.encoder.context import ContextEncoder
    from rag.encoder.principal import Shortening
    from rag.interfaces import Encoder, Side, Vectors

__all__ = [
    "DEEP",
    "FAST",
    "LlamaEncoder",
    "StaticTextEncoder",
    "as_llama_embedding",
    "builtin_encoder",
    "load_encoder",
    "matched_tokens",
]

DEEP = "builtin-deep"
"""The built-in encoder that reads passages with its transformer too."""

FAST = "builtin-fast"
"""The built-in encoder that reads passages with its token vectors alone."""

OPENAI_URL = "https://api.openai.com/v1"
PASSAGE_TOKENS = 64
"""Tokens of a passage that the deep encoder's transformer reads: its title and what the abstract is about. More of them
cost more and find less (rag/encoder/MODEL_CARD.md)."""
RARE_WEIGHT = 10.0
"""What the deep encoder's transformer gains over the tokens with the share of rare tokens in a text, on both sides: its
unit vector weighs 1 + RARE_WEIGHT * share. Token vectors know the words of the papers that they were trained on best;
for others the transformer is the better guide. In a question to the fast encoder, whose passages have none, it weighs
1."""
_SILENCE, _WHOLE = 60.0, 4  # seconds until a server is given up; passages may take so many times as long
_LONGEST_TEXT = 8191  # tokens that OpenAI's embedding models take
_OPENAI_DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}


def load_encoder(settings: EmbeddingSettings) -> Encoder:
    """The encoder that the settings name. Nothing is called over a network before a vector is asked for.

    Raises SettingsError when a folder, a class or its arguments are wrong. Encoders of servers raise, when
    used, ModelRejected (key, model name, input) or ModelUnavailable (refused, timed out, overloaded).
    """
    match settings.kind:
        case "builtin" | "builtin-fast" | "builtin-deep":
            return builtin_encoder(settings.dimensions, deep=settings.kind == DEEP)
        case "path":
            return _from_folder(settings)
        case "openai" | "openai-like":
            return _from_server(settings)
        case "llamaindex":
            return _from_class(settings)


class StaticTextEncoder:
    """The built-in kind of encoder as an `Encoder`; `words` are its token vectors alone, an `Encoder` too.

    Where its folder has a transformer, that one's vector is added to a question's. A passage has it too where the
    encoder is `deep`, from its beginning alone (`PASSAGE_TOKENS`); else passages stay as they are, and so does the
    fingerprint, which says what stored vectors depend on. With `dimensions`, vectors are shortened to so many numbers,
    with what was fitted in the folder; those of `words` are not. Safe for many threads.

    Raises FileNotFoundError or ValueError where the folder cannot give so many dimensions, or has no transformer and is
    to be `deep`.
    """

    def __init__(
        self,
        encoder: StaticEncoder,
        name: str,
        folder: Path | None = None,
        *,
        dimensions: int | None = None,
        deep: bool = False,
    ) -> None:
        self.words: StaticTextEncoder = StaticTextEncoder(encoder, name) if folder else self
        self._static = encoder
        self.name = name
        self._dimensions = dimensions
        self.deep = deep
        self._shortening = _shortening(folder, dimensions) if folder and dimensions else None
        self.dimension = dimensions if self._shortening and dimensions else encoder.dimension
        self.fingerprint = _combined(
            encoder.fingerprint,
            *([_transformer_fingerprint(folder)] if deep else []),
            *([self._shortening.fingerprint] if self._shortening else []),
        )
        self._folder = folder
        self._loading = threading.Lock()
        self._loaded: tuple[ContextEncoder | None] | None = None

    def __reduce__(self) -> tuple[object, ...]:
        made = partial(StaticTextEncoder, dimensions=self._dimensions, deep=self.deep)
        return made, (self._static, self.name, self._folder)

    def encode(self, texts: Sequence[str], *, side: Side = "passage") -> Vectors:
        """Unit vectors, float32 (len(texts), dimension); zero for a text without known words."""
        vectors = self._static.encode(texts, side=side)
        context = self._context() if side == "query" or self.deep else None
        if context is not None:
            longest = None if side == "query" else PASSAGE_TOKENS
            more = _questions(context, tuple(texts)) if side == "query" else context.encode(texts, longest=longest)
            if self.deep:
                more = _weighed(more, context.rare_share(texts, longest=longest))
            vectors = _added(vectors, more)
        return vectors if self._shortening is None else self._shortening.shortened(vectors)

    def _context(self) -> ContextEncoder | None:
        """Read when first needed: an ingest of the fast kind has no questions."""
        with self._loading:
            if self._loaded is None:
                self._loaded = (_transformer(self._folder) if self._folder else None,)
            return self._loaded[0]


def _transformer(folder: Path) -> ContextEncoder | None:
    from rag.encoder.context import ContextEncoder
    from rag.encoder.static import SHIPPED_WEIGHTS

    return _shipped_transformer() if folder == SHIPPED_WEIGHTS else ContextEncoder.load(folder)


@lru_cache(maxsize=1)
def _shipped_transformer() -> ContextEncoder | None:
    """Read once, as `_shipped`."""
    from rag.encoder.context import ContextEncoder
    from rag.encoder.static import SHIPPED_WEIGHTS

    return ContextEncoder.load(SHIPPED_WEIGHTS)


def matched_tokens(question: str, texts: Sequence[str]) -> Vectors:
    """`ContextEncoder.matched` by the transformer that ships: (tokens of the question,)."""
    context = _shipped_transformer()
    if context is None:
        raise FileNotFoundError("the built-in encoder has no transformer; install Citewise again")
    return context.matched(question, texts)


@lru_cache(maxsize=2)
def _questions(context: ContextEncoder, texts: tuple[str, ...]) -> Vectors:
    """What the transformer makes of a question: the gate of a deep library wants it again of the fast encoder."""
    return context.encode(texts)


def _combined(*parts: str) -> str:
    """One fingerprint of several; of one alone itself."""
    return hashlib.sha256(" ".join(parts).encode()).hexdigest() if parts[1:] else parts[0]


def _transformer_fingerprint(folder: Path | None) -> str:
    from rag.encoder.context import MODEL_FILE, TOKENIZER_FILE
    from rag.encoder.static import fingerprint

    if folder is None:
        raise ValueError("an encoder without a folder has no transformer")
    return f"{fingerprint(folder, (MODEL_FILE, TOKENIZER_FILE))} {PASSAGE_TOKENS} {RARE_WEIGHT}"


def _weighed(vectors: Vectors, rare: Vectors) -> Vectors:
    """Vectors (N, D) as long as the shares of rare tokens (N,) make them."""
    import numpy as np

    return vectors * np.float32(RARE_WEIGHT) * rare[:, None] + vectors


def _added(vectors: Vectors, more: Vectors) -> Vectors:
    """The unit vectors of the sums; a text that the first encoder does not know has no vector."""
    import numpy as np

    sums = np.where(vectors.any(axis=1, keepdims=True), vectors + more, 0.0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def _shortening(folder: Path, dimensions: int) -> Shortening:
    from rag.encoder.principal import Shortening

    return Shortening.load(folder, dimensions)


def builtin_encoder(dimensions: int | None = None, *, deep: bool = False) -> StaticTextEncoder:
    """The fast or the deep encoder that ships; SettingsError where its vectors have not so many `dimensions`."""
    from rag.encoder.static import SHIPPED_WEIGHTS

    try:
        name = DEEP if deep else FAST
        return StaticTextEncoder(_shipped(), name, SHIPPED_WEIGHTS, dimensions=dimensions, deep=deep)
    except ValueError as error:
        raise SettingsError(f"embedding.dimensions: {' '.join(str(error).split())}") from error


@lru_cache(maxsize=1)
def _shipped() -> StaticEncoder:
    """Read once: the gate of a deep library uses the fast encoder beside its own, and both have these vectors."""
    from rag.encoder import StaticEncoder

    return StaticEncoder.load()


def _from_folder(settings: EmbeddingSettings) -> StaticTextEncoder:
    from rag.encoder import StaticEncoder

    if settings.path is None:
        raise SettingsError("embedding.kind is path: set embedding.path to the folder of a trained encoder")
    folder = settings.path.expanduser()
    try:
        static = StaticEncoder.load(folder)
        return StaticTextEncoder(static, f"path:{folder.name}", folder, dimensions=settings.dimensions)
    except (OSError, ValueError, LookupError) as error:
        raise SettingsError(f"embedding.path: {' '.join(str(error).split())}") from error


def _from_server(settings: EmbeddingSettings) -> LlamaEncoder:
    url = (settings.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")
    if settings.kind == "openai-like" and url == OPENAI_URL:
        raise SettingsError("embedding.kind is openai-like: set embedding.base_url to the server's address")
    known = _OPENAI_DIMENSIONS.get(settings.model) if url == OPENAI_URL else None
    options = {name: value for name, value in settings.options.items() if name != "dimensions"}
    dimensions = settings.dimensions or settings.options.get("dimensions")
    patience = _patience(options)
    connections = Connections()

    def build() -> BaseEmbedding:
        key = os.environ.get("OPENAI_API_KEY", "")
        if not key and url == OPENAI_URL:
            raise ModelRejected("OPENAI_API_KEY is not set; export it, or use the built-in embedding")
        try:
            from llama_index.embeddings.openai import OpenAIEmbedding
        except ImportError as error:
            raise MissingExtra("llama-index-embeddings-openai", "openai") from error
        arguments: dict[str, Any] = {"max_retries": 0, "embed_batch_size": REQUEST_TEXTS, **options}
        arguments["dimensions"] = dimensions
        arguments.setdefault("http_client", connections.client(patience))
        # `model_name` takes any name; `model` only OpenAI's own.
        return OpenAIEmbedding(model_name=settings.model, api_key=key or "none", api_base=url, **arguments)

    return LlamaEncoder(
        build,
        name=settings.model,
        identity={"kind": settings.kind, "model": settings.model, "base_url": url},
        batch_size=settings.batch_size,
        dimension=dimensions or known,
        longest=_LONGEST_TEXT,
        retries=settings.retries,
        watched=lambda side: bounded(connections, patience if side == "query" else _WHOLE * patience),
    )


def _patience(options: dict[str, Any]) -> float:
    told = options.get("timeout", _SILENCE)
    try:
        return float(told)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"embedding.options.timeout is {told!r}: give a number of seconds") from error


def _from_class(settings: EmbeddingSettings) -> LlamaEncoder:
    target = settings.target or ""
    module, _, name = target.rpartition(".")
    if not module:
        raise SettingsError("embedding.kind is llamaindex: set embedding.target to package.module.Class")
    if settings.dimensions:
        raise SettingsError(
            "embedding.kind is llamaindex: give its dimensions as the class wants them, in embedding.options"
        )

    def build() -> BaseEmbedding:
        from llama_index.core.base.embeddings.base import BaseEmbedding

        try:
            made: object = getattr(importlib.import_module(module), name)(**settings.options)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            detail = redacted(f"{type(error).__name__}: {error}")
            raise SettingsError(f"embedding.target {target}: {detail}") from error
        if not isinstance(made, BaseEmbedding):
            raise SettingsError(f"embedding.target {target} is not a LlamaIndex embedding class")
        return made

    return LlamaEncoder(
        build,
        name=target,
        identity={"kind": settings.kind, "target": target, "options": _telling(settings.options)},
        batch_size=settings.batch_size,
        model=settings.options.get("model_name") or settings.options.get("model"),
        retries=settings.retries,
    )


def _telling(options: dict[str, Any]) -> dict[str, Any]:
    """The options that decide the vectors: a new key does not make another encoder."""
    return {name: value for name, value in options.items() if not re.search(r"key$|token$|secret|password", name)}
