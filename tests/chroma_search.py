"""A small server on loopback that speaks what a single Chroma node refuses: sparse vectors, and Search.

It really ranks, as a distributed Chroma does (rust/worker/src/execution/operators of chroma-core/chroma: `idf.rs`,
`sparse_index_knn.rs`, `rank.rs`): vectors by cosine distance; sparse vectors by 1 - the dot product with a question's,
which is multiplied by how rare its words are; in 32 bits. What it does not know it refuses, so no field passes unseen.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import numpy as np

_ROOT = "/api/v2/tenants/default_tenant/databases/default_database"
_REFUSAL = "Failed to reconcile schema: Invalid schema input: Sparse vector indexing is not enabled in local"


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Collection:
    """Records: an embedding and metadata each, in the order they came."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.id, self.name = str(uuid4()), body["name"]
        self.metadata, self.schema = body.get("metadata"), body.get("schema") or {}
        self.embeddings: dict[str, np.ndarray] = {}
        self.metadatas: dict[str, dict[str, Any]] = {}

    def described(self) -> dict[str, Any]:
        dimension = len(next(iter(self.embeddings.values()))) if self.embeddings else None
        place = {"tenant": "default_tenant", "database": "default_database"}
        found = {"id": self.id, "name": self.name, "metadata": self.metadata, "dimension": dimension}
        return (
            found | place | {"configuration_json": {}, "schema": self.schema or None, "version": 0, "log_position": 0}
        )

    def upsert(self, body: dict[str, Any]) -> dict[str, Any]:
        for key, given in zip(body["ids"], body["embeddings"], strict=True):
            vector = np.frombuffer(base64.b64decode(given), "<f4") if isinstance(given, str) else np.float32(given)
            self.embeddings[key] = vector / (np.linalg.norm(vector) or 1)
            self.metadatas.setdefault(key, {})
        return self.update(body | {"embeddings": None})

    def update(self, body: dict[str, Any]) -> dict[str, Any]:
        for key, changes in zip(body["ids"], body.get("metadatas") or [None] * len(body["ids"]), strict=True):
            if key in self.embeddings:
                merged = self.metadatas[key] | {name: _checked(value) for name, value in (changes or {}).items()}
                self.metadatas[key] = {name: value for name, value in merged.items() if value is not None}
        return {}

    def delete(self, body: dict[str, Any]) -> dict[str, Any]:
        for key in body["ids"]:
            self.embeddings.pop(key, None)
            self.metadatas.pop(key, None)
        return {}

    def get(self, body: dict[str, Any]) -> dict[str, Any]:
        asked = body.get("ids")
        ids = list(self.embeddings) if asked is None else [key for key in asked if key in self.embeddings]
        start = body.get("offset") or 0
        ids = ids[start : start + (body.get("limit") or len(ids))]
        embeddings = [self.embeddings[key].tolist() for key in ids] if "embeddings" in body["include"] else None
        metadatas = [self.metadatas[key] for key in ids] if "metadatas" in body["include"] else None
        return {"ids": ids, "embeddings": embeddings, "metadatas": metadatas, "documents": None}

    def query(self, body: dict[str, Any]) -> dict[str, Any]:
        [vector], only = body["query_embeddings"], body.get("ids")
        if only and any(key not in self.embeddings for key in only):
            raise Refused(500, "Error finding id")
        rows = self._by_vector(np.float32(vector), body["n_results"], only)
        return {"ids": [[key for key, _ in rows]], "distances": [[float(far) for _, far in rows]]}

    def search(self, body: dict[str, Any]) -> dict[str, Any]:
        if body.keys() - {"searches", "read_level"} or body.get("read_level", "index_and_wal") != "index_and_wal":
            raise Refused(422, "unknown field")
        answer: dict[str, list[Any]] = {"ids": [], "scores": [], "metadatas": [], "select": []}
        for search in body["searches"]:
            rows = self._ranked(**search)
            fields = [name for name in search["select"]["keys"] if not name.startswith("#")]
            answer["ids"].append([key for key, _ in rows])
            answer["scores"].append([float(score) for _, score in rows])
            found = [
                {name: self.metadatas[key][name] for name in fields if name in self.metadatas[key]} for key, _ in rows
            ]
            answer["metadatas"].append(found if fields else None)
            answer["select"].append(search["select"]["keys"])
        none = [None] * len(body["searches"])
        return answer | {"documents": none, "embeddings": none}

    def _ranked(self, filter: Any, rank: Any, group_by: Any, limit: Any, select: Any) -> list[tuple[str, Any]]:  # noqa: A002
        if group_by or limit["offset"] or "#score" not in select["keys"] or rank.keys() != {"$knn"}:
            raise Refused(422, "not known here")
        knn, only = rank["$knn"], filter["#id"]["$in"] if filter else None
        if knn.keys() != {"query", "key", "limit"}:
            raise Refused(422, "not known here")
        if knn["key"] == "#embedding":
            rows = self._by_vector(np.float32(knn["query"]), knn["limit"], only)
        else:
            rows = self._by_words(knn["key"], _checked(knn["query"]), knn["limit"], only)
        return rows[: limit["limit"]]

    def _by_vector(self, vector: np.ndarray, k: int, only: list[str] | None) -> list[tuple[str, Any]]:
        ids = self._among(only)
        length = np.linalg.norm(vector) or 1
        far = [(key, np.float32(1) - self.embeddings[key] @ vector / length) for key in ids]
        return sorted(far, key=lambda item: item[1])[:k]

    def _by_words(self, name: str, query: dict[str, Any], k: int, only: list[str] | None) -> list[tuple[str, Any]]:
        index = self.schema.get("keys", {}).get(name, {}).get("sparse_vector", {}).get("sparse_vector_index", {})
        if not index.get("enabled"):
            raise Refused(400, f"sparse vector indexing is not enabled for key {name}")
        stored = {
            key: dict(zip(held["indices"], held["values"], strict=True)) for key, held in self._held(name).items()
        }
        asked = dict(zip(query["indices"], np.float32(query["values"]), strict=True))
        if index["config"].get("bm25"):
            holding = {word: sum(word in words for words in stored.values()) for word in asked}
            total = len(self.embeddings)
            rarity = {word: np.log1p(np.float32((total - n + 0.5) / (n + 0.5))) for word, n in holding.items()}
            asked = {word: weight * rarity[word] for word, weight in asked.items()}
        # Those that hold none of the words too, as far as they are still in the log.
        scores = [
            (
                key,
                np.float32(1) - sum((weight * np.float32(stored[key].get(word, 0)) for word, weight in asked.items())),
            )
            for key in self._among(only)
            if key in stored
        ]
        return sorted(scores, key=lambda item: item[1])[:k]

    def _held(self, name: str) -> dict[str, dict[str, Any]]:
        return {key: metadata[name] for key, metadata in self.metadatas.items() if name in metadata}

    def _among(self, only: list[str] | None) -> list[str]:
        allowed = None if only is None else set(only)
        return [key for key in self.embeddings if allowed is None or key in allowed]


def _checked(value: Any) -> Any:
    """The value, refused where it is meant to be a sparse vector and is none as chromadb.SparseVector has to be."""
    if isinstance(value, dict):
        indices, values = value["indices"], value["values"]
        rising = indices == sorted(set(indices)) and all(0 <= index < 2**32 - 1 for index in indices)
        whole = value.keys() == {"#type", "indices", "values"} and value["#type"] == "sparse_vector"
        if not rising or not whole or not indices or len(indices) != len(values):
            raise Refused(400, "no sparse vector")
    return value


class SearchServer:
    """The server; `requests` are (method, what it was about, body). As a `single_node` it refuses sparse vectors."""

    def __init__(self, *, single_node: bool = False) -> None:
        self.single_node = single_node
        self.collections: dict[str, Collection] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.lock = threading.Lock()

    def answer(self, method: str, path: str, body: Any) -> Any:
        """The JSON value for a request; raises Refused."""
        path, _, query = path.partition("?")
        what = path.removeprefix(_ROOT)
        with self.lock:
            self.requests.append((method, what.rpartition("/")[2], body))
            if not what.startswith("/collections"):
                return self._server(path)
            name, _, verb = what.removeprefix("/collections").removeprefix("/").partition("/")
            if not name:
                return self._make(body) if method == "POST" else self._listed(query)
            found = self._find(name)
            if verb:
                return len(found.embeddings) if verb == "count" else getattr(found, verb)(body)
            if method == "DELETE":
                del self.collections[found.name]
            return found.described()

    def asked(self, what: str) -> list[Any]:
        """The bodies of the requests for one thing, in order."""
        return [body for _, name, body in self.requests if name == what]

    def _server(self, path: str) -> Any:
        answers = {
            "version": "1.0.0",
            "heartbeat": {"nanosecond heartbeat": 1},
            "pre-flight-checks": {"max_batch_size": 1000, "supports_base64_encoding": True},
            "identity": {"user_id": "", "tenant": "default_tenant", "databases": ["default_database"]},
            "default_tenant": {"name": "default_tenant"},
            "default_database": {"id": str(uuid4()), "name": "default_database", "tenant": "default_tenant"},
        }
        return answers[path.rpartition("/")[2]]

    def _make(self, body: dict[str, Any]) -> Any:
        if body.get("metadata") == {}:
            raise Refused(400, "Validation error: metadata: Metadata cannot be empty")
        keys = (body.get("schema") or {}).get("keys", {})
        if self.single_node and any("sparse_vector" in values for values in keys.values()):
            raise Refused(400, _REFUSAL)
        return self.collections.setdefault(body["name"], Collection(body)).described()

    def _listed(self, query: str) -> list[Any]:
        asked = dict(part.split("=") for part in query.split("&")) if query else {}
        start = int(asked.get("offset", 0))
        found = list(self.collections.values())[start : start + int(asked.get("limit", 1000))]
        return [collection.described() for collection in found]

    def _find(self, name: str) -> Collection:
        for collection in self.collections.values():
            if name in (collection.name, collection.id):
                return collection
        raise Refused(404, f"NotFound: collection {name}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        try:
            status, value = 200, self.server.search.answer(self.command, self.path, body)
        except Refused as error:
            status, value = error.status, {"error": "InvalidArgumentError", "message": str(error)}
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def searching(*, single_node: bool = False) -> Iterator[tuple[str, SearchServer]]:
    """The address of such a server, and itself."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.search = SearchServer(single_node=single_node)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server.search  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
