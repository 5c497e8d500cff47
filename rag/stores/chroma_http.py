"""The calls to a Chroma server that a library needs, by its HTTP API v2: https://docs.trychroma.com/reference

Chroma's own client waits without a limit, does not try again, and raises plain exceptions; importing it takes seconds.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote
from uuid import uuid4

from rag.errors import LibraryError, LibraryUnavailable
from rag.settings import DenseSettings

if TYPE_CHECKING:
    import httpx

KEY = "CHROMA_API_KEY"
SPARSE_KEY = "words"
_CONNECT_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0  # seconds, doubled with each try
_BUSY = {408, 429, 502, 503, 504}
_CANNOT = {400, 422, 501}  # 400 of `chroma run` 1.5.9: "Sparse vector indexing is not enabled in local"


def _index(name: str, *, enabled: bool, **config: Any) -> dict[str, Any]:
    return {name: {"enabled": enabled, "config": config}}


# As chromadb.Schema writes it; no text is indexed.
_SPARSE_SCHEMA = {
    "defaults": {
        "string": _index("fts_index", enabled=False) | _index("string_inverted_index", enabled=True),
        "float_list": _index("vector_index", enabled=False, space="cosine"),
        "sparse_vector": _index("sparse_vector_index", enabled=False),
        "int": _index("int_inverted_index", enabled=True),
        "float": _index("float_inverted_index", enabled=True),
        "bool": _index("bool_inverted_index", enabled=True),
    },
    "keys": {
        "#document": {"string": _index("fts_index", enabled=True) | _index("string_inverted_index", enabled=False)},
        "#embedding": {"float_list": _index("vector_index", enabled=True, space="cosine", source_key="#document")},
        SPARSE_KEY: {"sparse_vector": _index("sparse_vector_index", enabled=True, bm25=True)},
    },
}


class ChromaRefused(LibraryError):
    """The server answered, but did not do what it was asked; `status` is that of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Collection(NamedTuple):
    """A collection on the server; `dimension` is None before its first vector."""

    id: str
    name: str
    dimension: int | None
    metadata: dict[str, Any]


class ChromaServer:
    """One database of a Chroma server. Safe for many threads; nothing is sent before the first call.

    Every call may be repeated without harm, and is, when the server is away or busy. Raises LibraryUnavailable when it
    stays so, ChromaRefused when it says no.
    """

    def __init__(self, settings: DenseSettings) -> None:
        import httpx

        self.url = settings.url.rstrip("/")
        self.batch = settings.batch_size
        self._retries = settings.retries
        self._lock = threading.Lock()
        self._calls = 0
        self._closed = False
        self._database = f"tenants/{quote(settings.tenant, safe='')}/databases/{quote(settings.database, safe='')}"
        self._client = httpx.Client(
            base_url=f"{self.url}/api/v2/",
            headers=_headers(settings),
            timeout=httpx.Timeout(settings.timeout, connect=min(_CONNECT_SECONDS, settings.timeout)),
        )

    def version(self) -> str:
        """The server's version of its API."""
        return str(self._call("GET", "version"))

    def collection(self, name: str) -> Collection | None:
        """The collection of that name; None where there is none."""
        try:
            return _collection(self._call("GET", f"{self._database}/collections/{quote(name, safe='')}"))
        except ChromaRefused as error:
            if error.status == 404 and self.version():  # which it has, so it was not another kind of server
                return None
            raise

    def make(self, name: str, hnsw: dict[str, Any], metadata: dict[str, Any]) -> Collection:
        """The collection of that name, made where there is none; cosine similarity."""
        return self._make(name, metadata, {"configuration": {"hnsw": {"space": "cosine", **hnsw}}})

    def make_sparse(self, name: str, metadata: dict[str, Any]) -> Collection:
        """As `make`, with an index of the sparse vectors that records have as `SPARSE_KEY` in their metadata: of BM25,
        so that the server weighs a question's words by how rare they are. What else the index of the vectors is like is
        up to the server."""
        return self._make(name, metadata, {"schema": _SPARSE_SCHEMA})

    def _make(self, name: str, metadata: dict[str, Any], how: dict[str, Any]) -> Collection:
        body = {"name": name, "metadata": metadata, "get_or_create": True, **how}
        return _collection(self._call("POST", f"{self._database}/collections", body))

    def drop(self, name: str) -> None:
        """Delete a collection, if there is one of that name."""
        try:
            self._call("DELETE", f"{self._database}/collections/{quote(name, safe='')}")
        except ChromaRefused as error:
            if error.status != 404:
                raise

    def names(self) -> Iterator[str]:
        """The names of all collections of the database."""
        at = 0
        while page := self._call("GET", f"{self._database}/collections?limit={self.batch}&offset={at}"):
            yield from (str(item["name"]) for item in page)
            at += len(page)

    def ask(self, collection: Collection, what: str, body: dict[str, Any]) -> Any:
        """Have one of "upsert", "delete", "get" and "query" done with a collection."""
        return self._call("POST", f"{self._database}/collections/{collection.id}/{what}", body)

    def count(self, collection: Collection) -> int:
        """How many records a collection holds."""
        return int(self._call("GET", f"{self._database}/collections/{collection.id}/count"))

    def ranks_words(self) -> bool:
        """Whether collections here can be searched by sparse vectors. A single node refuses to make one that can, and
        then nothing has been made; elsewhere it is dropped again."""
        name = f"citewise-probe-{uuid4().hex}"
        try:
            collection = self.make_sparse(name, {"probe": True})  # none at all is refused
        except ChromaRefused as error:
            if error.status not in _CANNOT:
                raise
            return False
        try:
            return self.offers_search(collection)
        finally:
            self.drop(name)

    def offers_search(self, collection: Collection) -> bool:
        """Whether there is the Search API, which can rank by words too; a single node has none."""
        try:
            self.ask(collection, "search", {"searches": []})
        except ChromaRefused:
            return False
        return True

    def close(self) -> None:
        """Close the connections once the calls under way are done."""
        with self._lock:
            self._closed = True
            idle = not self._calls
        if idle:
            self._client.close()

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        with self._lock:
            if self._closed:
                raise LibraryError(f"the connection to {self.url} is closed")
            self._calls += 1
        try:
            return self._tried(method, path, body)
        finally:
            with self._lock:
                self._calls -= 1
                last = self._closed and not self._calls
            if last:
                self._client.close()

    def _tried(self, method: str, path: str, body: Any) -> Any:
        import httpx
        import orjson

        content = None if body is None else orjson.dumps(body)
        failure = ""
        for attempt in range(self._retries + 1):
            try:
                response = self._client.request(method, path, content=content)
            except (httpx.TransportError, httpx.TooManyRedirects) as error:
                failure, pause = _reason(error), 0.0
            else:
                if response.status_code not in _BUSY:
                    return self._read(response)
                failure, pause = _said(response), _seconds(response.headers.get("Retry-After"))
            if attempt < self._retries:
                doubled = _FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - so that not all come at once
                time.sleep(min(max(doubled, pause), _LONGEST_PAUSE))
        raise LibraryUnavailable(
            f"the Chroma server at {self.url} does not answer ({failure}): start it, or correct dense.url"
        )

    def _read(self, response: httpx.Response) -> Any:
        import orjson

        if response.is_success:
            try:
                return orjson.loads(response.content) if response.content else None
            except ValueError as error:
                raise ChromaRefused(f"{self.url} answers, but is no Chroma server", response.status_code) from error
        raise ChromaRefused(self._refusal(response), response.status_code)

    def _refusal(self, response: httpx.Response) -> str:
        status = response.status_code
        if status in (401, 403):
            state = "does not accept" if os.environ.get(KEY) else "asks for a key: set"
            return f"the Chroma server at {self.url} {state} {KEY} (status {status})"
        if status in (404, 410) and "NotFound" not in response.text:
            return f"{self.url} answers, but is no Chroma server of version 1 (status {status}): correct dense.url"
        if status == 413:
            return f"the Chroma server at {self.url} takes no request of this size: lower dense.batch_size"
        return f"the Chroma server at {self.url} refused: {_said(response)}"


def _headers(settings: DenseSettings) -> dict[str, str]:
    key = os.environ.get(KEY)
    if not key:
        return {"Content-Type": "application/json"}
    token = key if settings.auth_header == "x-chroma-token" else f"Bearer {key}"
    return {"Content-Type": "application/json", settings.auth_header: token}


def _collection(found: dict[str, Any]) -> Collection:
    return Collection(found["id"], found["name"], found.get("dimension"), found.get("metadata") or {})


def _said(response: httpx.Response) -> str:
    """What the server says in one line: its own message where there is one."""
    try:
        text = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        text = response.text or response.reason_phrase
    return f"status {response.status_code}, {' '.join(text.split())[:200]}"


def _reason(error: Exception) -> str:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _seconds(header: str | None) -> float:
    return float(header) if header and header.isdecimal() else 0.0
