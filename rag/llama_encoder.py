"""LlamaIndex embedding models as encoders, and encoders as LlamaIndex embedding models."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from rag.errors import CitewiseError, LibraryMismatch, ModelError, ModelRejected, ModelUnavailable
from rag.servers import asked_seconds, pause, redacted
from rag.tokens import count_tokens, first_tokens, token_bound

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding

    from rag.interfaces import Encoder, Side, Vectors

REQUEST_TEXTS = 2048
"""Texts in one request at most: a limit of both OpenAI and LlamaIndex."""
_REQUEST_TOKENS = 200_000  # OpenAI takes 300,000; other models' tokens are not quite the counted ones
_QUESTION_RETRIES = 2  # somebody waits for the answer
_LONGEST_WAIT = 60.0  # seconds that a Retry-After is obeyed; a longer one is an error at once


class LlamaEncoder:
    """A LlamaIndex embedding model as an `Encoder`: unit rows, zero rows for blank texts, our errors.

    The model is built when first used, because importing LlamaIndex takes seconds. `identity` is what decides
    the vectors, apart from their dimension; `model` is the name that has a price. Texts are cut after `longest`
    tokens. Raises ModelRejected (key, model name, input), ModelUnavailable (refused, timed out, overloaded) after
    `retries` tries more, at most two for a question and none where the server was silent for the client's whole
    timeout, or LibraryMismatch for vectors of another dimension. Requests are made within `watched`, which bounds their
    time.
    """

    def __init__(
        self,
        build: Callable[[], BaseEmbedding],
        *,
        name: str,
        identity: dict[str, Any],
        batch_size: int,
        model: str | None = None,
        dimension: int | None = None,
        longest: int | None = None,
        retries: int = 0,
        watched: Callable[[Side], AbstractContextManager[None]] = lambda side: nullcontext(),
    ) -> None:
        self._build = build
        self._identity = identity
        self._dimension = dimension
        self._longest = longest
        self._retries = retries
        self._watched = watched
        self.batch_size = min(batch_size, REQUEST_TEXTS)
        self.model = model or name
        self.name = name

    @property
    def dimension(self) -> int:
        """Numbers a vector; found by encoding one word when neither settings nor the model's name tell."""
        if self._dimension is None:
            self._dimension = int(self._embed(["dimension"], "passage").shape[-1])
        return self._dimension

    def assume(self, name: str, dimension: int) -> None:
        """Take the dimension of vectors that an encoder of this name made, where that is this one and nothing else
        tells, so that it need not be asked for one word. Other vectors are then an error."""
        if self._dimension is None and name == self.name:
            self._dimension = dimension

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over what decides the vectors: kind, model, server or options, dimension."""
        told = json.dumps({**self._identity, "dimension": self.dimension}, sort_keys=True, default=str)
        return hashlib.sha256(told.encode()).hexdigest()

    def encode(self, texts: Sequence[str], *, side: Side = "passage") -> Vectors:
        """Unit vectors, float32 (len(texts), dimension); blank texts are not sent and get zeros."""
        import numpy as np

        if self._longest is not None:
            texts = [first_tokens(text, self._longest) for text in texts]

        spoken = [row for row, text in enumerate(texts) if text.strip()]
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for rows in batches(texts, spoken, self.batch_size):
            vectors[rows] = self._checked(self._embed([texts[row] for row in rows], side), len(rows))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, lengths, out=vectors, where=lengths > 0)

    def tokens(self, text: str) -> int:
        """The tokens that a text is paid for as, by cl100k: exact or a little more."""
        found = _tokens(text)
        return found if self._longest is None else min(found, self._longest)

    def _checked(self, found: Vectors, texts: int) -> Vectors:
        import numpy as np

        if found.shape != (texts, self.dimension):
            kind = ModelRejected if len(found) != texts else LibraryMismatch
            raise kind(
                f"embedding model {self.name} made {found.shape[0]} vectors of {found.shape[-1]} numbers for {texts}"
                f" texts, and {self.dimension} numbers were expected; if the model is another one now, run"
                " `citewise rebuild`"
            )
        if not np.isfinite(found).all():
            raise ModelRejected(f"embedding model {self.name} made vectors that hold no numbers")
        return found

    def _embed(self, texts: list[str], side: Side) -> Vectors:
        for attempt in range(self._retries if side == "passage" else min(self._retries, _QUESTION_RETRIES)):
            try:
                return self._embed_once(texts, side)
            except ModelUnavailable as error:
                wait = pause(error, attempt)
                if wait > _LONGEST_WAIT or (side == "query" and _is_timeout(error.__cause__)):
                    raise
                time.sleep(wait)
        return self._embed_once(texts, side)

    def _embed_once(self, texts: list[str], side: Side) -> Vectors:
        import numpy as np

        with _explained(self.name), self._watched(side):
            if side == "query":
                found = [self._model.get_query_embedding(text) for text in texts]
            else:
                found = self._model.get_text_embedding_batch(texts)
            return np.asarray(found, dtype=np.float32)

    @cached_property
    def _model(self) -> BaseEmbedding:
        return self._build()


def as_llama_embedding(encoder: Encoder) -> BaseEmbedding:
    """The encoder as a LlamaIndex embedding model, for indexes and query engines built with LlamaIndex."""
    return _bridge()(encoder)


@lru_cache(maxsize=1)
def _bridge() -> Callable[[Encoder], BaseEmbedding]:
    """The class, made late: it can only be defined once LlamaIndex is imported."""
    import asyncio

    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr

    class EncoderEmbedding(BaseEmbedding):
        """A Citewise encoder with its own sides for questions and passages."""

        _encoder: Any = PrivateAttr()

        def __init__(self, encoder: Encoder) -> None:
            super().__init__(model_name=encoder.name, embed_batch_size=512)
            self._encoder = encoder

        @classmethod
        def class_name(cls) -> str:
            return "CitewiseEmbedding"

        def _get_query_embedding(self, query: str) -> list[float]:
            return self._encoder.encode([query], side="query")[0].tolist()

        def _get_text_embedding(self, text: str) -> list[float]:
            return self._encoder.encode([text])[0].tolist()

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return self._encoder.encode(texts).tolist()

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return await asyncio.to_thread(self._get_query_embedding, query)

        async def _aget_text_embedding(self, text: str) -> list[float]:
            return await asyncio.to_thread(self._get_text_embedding, text)

    return EncoderEmbedding


def batches(texts: Sequence[str], rows: Sequence[int], size: int) -> Iterator[list[int]]:
    """The rows in order, in groups of at most `size` texts and some 200,000 tokens, one text at least."""
    batch: list[int] = []
    tokens = 0
    for row in rows:
        found = _tokens(texts[row])
        if batch and (len(batch) == size or tokens + found > _REQUEST_TOKENS):
            yield batch
            batch, tokens = [], 0
        batch.append(row)
        tokens += found
    if batch:
        yield batch


def _tokens(text: str) -> int:
    """The tokens of a text, or a few more: counting them all takes too long for a library."""
    first = text.split(" ", 1)[0]
    bound = token_bound(text) - 4 * len(first) + count_tokens(first)  # the bound knows only bytes of the first word
    return bound if bound <= 4 * len(text) else count_tokens(text)


@contextmanager
def _explained(model: str) -> Generator[None]:
    """Errors of clients and servers as ours, in one line and without the key."""
    try:
        yield
    except CitewiseError:
        raise
    except (*_client_errors(), OSError, ValueError, RuntimeError, LookupError, TypeError) as error:
        raise _mapped(model, error) from error


def _client_errors() -> tuple[type[Exception], ...]:
    # Asked for only when something was raised, when both are imported anyway.
    import httpx
    import openai

    return openai.OpenAIError, httpx.HTTPError


def _mapped(model: str, error: Exception) -> ModelError:
    status = getattr(error, "status_code", None)
    body = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    detail = redacted(str(said or error) or type(error).__name__)
    if status in (401, 403):  # the server's own words repeat parts of the key
        return ModelRejected(f"the server of embedding model {model} refused the key; check OPENAI_API_KEY")
    if status == 404:
        return ModelRejected(f"no embedding model {model} on its server; check embedding.model and base_url")
    if status == 429 and "quota" in detail.lower():
        return ModelRejected(f"the account of embedding model {model} has no quota left: {detail}")
    if status is not None and status < 500 and status not in (408, 409, 429):
        return ModelRejected(f"embedding model {model} refused the request: {detail}")
    if status is None and not _is_connection(error):
        return ModelRejected(f"embedding model {model} failed: {detail}")
    headers = getattr(getattr(error, "response", None), "headers", {})
    asked = asked_seconds(headers.get("retry-after"))
    return ModelUnavailable(f"embedding model {model} is out of reach or overloaded, try again: {detail}", asked)


def _is_connection(error: Exception) -> bool:
    import httpx
    import openai

    return isinstance(error, openai.APIConnectionError | httpx.TransportError | OSError)


def _is_timeout(error: BaseException | None) -> bool:
    import httpx
    import openai

    return isinstance(error, openai.APITimeoutError | httpx.TimeoutException | TimeoutError)
