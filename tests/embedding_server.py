"""An embedding server on loopback that speaks OpenAI's protocol, and an embedding class with two sides."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from llama_index.core.base.embeddings.base import BaseEmbedding


class EmbeddingServer:
    """Speaks /v1/embeddings on loopback: vectors count letters; requests are kept.

    `fail_with` makes it refuse all, `failures` one request each, None letting one through; after `answers` requests it
    hangs up, and sets `silence`. While `speaking` is cleared it takes requests and answers none; with `dripping` it
    answers with blanks, one by one, for some seconds.
    """

    def __init__(self) -> None:
        self.requests: list[dict] = []
        self.keys: list[str | None] = []
        self.fail_with: tuple[int, str] | None = None
        self.failures: list[tuple[int, str] | None] = []
        self.headers: dict[str, str] = {}
        self.answers: int | None = None
        self.silence = threading.Event()
        self.speaking = threading.Event()
        self.speaking.set()
        self.dripping = False
        self.dimension = 26
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append({"path": self.path, **body})
                outer.keys.append(self.headers.get("Authorization"))
                if outer.answers is not None and len(outer.requests) > outer.answers:
                    outer.silence.set()
                    return
                outer.speaking.wait()
                status, answer = outer.answer(body)
                payload = json.dumps(answer).encode()
                with suppress(ConnectionError):  # whoever asked may have given up
                    if outer.dripping:
                        self.drip()
                    self.tell(status, payload)

            def drip(self):
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
                for _ in range(100):
                    self.wfile.write(b" ")
                    time.sleep(0.05)

            def tell(self, status, payload):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def texts(self):
        return [text for request in self.requests for text in request["input"]]

    def answer(self, body):
        failure = self.fail_with or (self.failures.pop(0) if self.failures else None)
        if failure:
            status, message = failure
            return status, {"error": {"message": message, "type": "x", "code": None}}
        rows = [{"object": "embedding", "index": at, "embedding": self.vector(t)} for at, t in enumerate(body["input"])]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return 200, {"object": "list", "data": rows, "model": body["model"], "usage": usage}

    def vector(self, text):
        counts = [float(text.lower().count(chr(97 + place))) for place in range(26)]
        return (counts * 200)[: self.dimension]

    def close(self):
        self.speaking.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class SidedEmbedding(BaseEmbedding):
    """Counts letters; a question's vector is that of a passage with its last letter once more."""

    api_key: str = ""

    def _get_text_embedding(self, text):
        return [float(text.lower().count(chr(97 + place))) for place in range(26)]

    def _get_query_embedding(self, query):
        return self._get_text_embedding(query + query[-1])

    async def _aget_query_embedding(self, query):
        return self._get_query_embedding(query)
