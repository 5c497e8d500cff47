"""A model server on loopback that speaks /v1/chat/completions with server-sent events, and misbehaves on request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Step = Callable[["Handler"], None]


class ScriptedServer:
    """Answers each request with the next step of its script; the last step is repeated.

    `requests` are the JSON bodies as received, `headers` their headers; `disconnected` is set when a client has gone
    while a step was still writing. A GET, as of the list of models, is answered by `listing`.
    """

    def __init__(self, *steps: Step, listing: Step | None = None) -> None:
        self.steps = list(steps)
        self.listing = listing or lists("scripted")
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.disconnected = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.script = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next_step(self) -> Step:
        return self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        script: ScriptedServer = self.server.script  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked: dict[str, Any] = json.loads(body)
        script.requests.append(self.asked)
        script.headers.append(dict(self.headers))
        try:
            script.next_step()(self)
        except (BrokenPipeError, ConnectionResetError):
            script.disconnected.set()
            self.close_connection = True

    def do_GET(self) -> None:
        script: ScriptedServer = self.server.script  # type: ignore[attr-defined]
        script.headers.append(dict(self.headers))
        script.listing(self)

    def log_message(self, *_: object) -> None:
        pass

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send_chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def send_event(self, event: Any) -> None:
        self.send_chunk(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode())

    def end_answer(self, *, finish: str | None = "stop", usage: bool = True) -> None:
        self.send_event(_delta(finish=finish))
        if usage:
            counts = {"prompt_tokens": 321, "completion_tokens": 12, "total_tokens": 333}
            self.send_event({**_delta(), "choices": [], "usage": counts})
        self.send_event("[DONE]")
        self.end_stream()

    def end_stream(self) -> None:
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()


def _delta(content: str | None = None, finish: str | None = None) -> dict[str, Any]:
    delta = {} if content is None else {"role": "assistant", "content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "scripted",
        "choices": [choice],
    }


def says(text: str, *, size: int = 7, pause: float = 0.0, finish: str | None = "stop", usage: bool = True) -> Step:
    """Streams a text in pieces of `size` characters."""

    def step(handler: Handler) -> None:
        handler.begin_stream()
        for start in range(0, len(text), size):
            handler.send_event(_delta(text[start : start + size]))
            time.sleep(pause)
        handler.end_answer(finish=finish, usage=usage)

    return step


def says_when_told(first: str, rest: str, go: threading.Event) -> Step:
    """Streams a text, then nothing until `go` is set, then the rest."""

    def step(handler: Handler) -> None:
        handler.begin_stream()
        handler.send_event(_delta(first))
        go.wait(600)
        handler.send_event(_delta(rest))
        handler.end_answer()

    return step


def telling(asked: threading.Event, step: Step) -> Step:
    """Sets `asked` when the request has come, then does the step."""

    def told(handler: Handler) -> None:
        asked.set()
        step(handler)

    return told


def repeats(*, pause: float) -> Step:
    """Says the question back, slowly, as a cited sentence: shows whose answer an answer is."""

    def step(handler: Handler) -> None:
        question = handler.asked["messages"][-1]["content"].rstrip().rpartition("\n")[2]
        says(f"You asked about {question.rstrip('?').split()[-1]} [1].", pause=pause)(handler)

    return step


def calls_a_tool(name: str, arguments: str) -> Step:
    """Asks for a tool, though none was offered, and says nothing."""

    def step(handler: Handler) -> None:
        handler.begin_stream()
        event = _delta(None)
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
        event["choices"][0]["delta"] = {"role": "assistant", "content": None, "tool_calls": [call]}
        handler.send_event(event)
        handler.send_event(_delta(finish="tool_calls"))
        handler.send_event("[DONE]")
        handler.end_stream()

    return step


def fails(status: int, message: str = "no", headers: dict[str, str] | None = None) -> Step:
    """Answers with an HTTP error."""

    def step(handler: Handler) -> None:
        body = json.dumps({"error": {"message": message, "type": "scripted", "code": str(status)}}).encode()
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return step


def lists(*models: str) -> Step:
    """Answers with a list of models."""

    def step(handler: Handler) -> None:
        body = json.dumps({"object": "list", "data": [{"id": name, "object": "model"} for name in models]}).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return step


def sends_when_told(text: str, go: threading.Event) -> Step:
    """Answers with blanks, so that no read ever times out, and with a file once `go` is set."""

    def step(handler: Handler) -> None:
        handler.begin_stream()
        while not go.wait(0.1):
            handler.send_chunk(b" ")
        handler.send_chunk(text.encode())
        handler.end_stream()

    return step


def moves(address: str) -> Step:
    """Sends the client elsewhere."""

    def step(handler: Handler) -> None:
        handler.send_response(307)
        handler.send_header("Location", address)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return step


def cuts(text: str) -> Step:
    """Streams a text and then drops the connection in the middle of a chunk."""

    def step(handler: Handler) -> None:
        handler.begin_stream()
        handler.send_event(_delta(text))
        handler.wfile.write(b"ff\r\ndata: {")
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.shutdown(2)

    return step


def stalls(text: str = "", *, seconds: float = 5.0) -> Step:
    """Streams a text, then only comments that hold no text, so that no read ever times out."""

    def step(handler: Handler) -> None:
        handler.begin_stream()
        if text:
            handler.send_event(_delta(text))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            handler.send_chunk(b": still here\n\n")
            time.sleep(0.05)
        handler.end_stream()

    return step


def lingers(text: str, *, cut: bool = False) -> Step:
    """Streams a whole answer with its finish reason, and then nothing more until the client has gone; with `cut` it
    drops the connection instead."""

    def step(handler: Handler) -> None:
        handler.begin_stream()
        handler.send_event(_delta(text))
        handler.send_event(_delta(finish="stop"))
        if cut:
            handler.wfile.write(b"ff\r\ndata: {")
            handler.close_connection = True
            return
        while True:
            handler.send_chunk(b": still here\n\n")
            time.sleep(0.02)

    return step


def silent(seconds: float = 5.0) -> Step:
    """Reads the request and never answers."""

    def step(handler: Handler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return step


def dawdles(seconds: float = 5.0) -> Step:
    """Sends the headers of its answer so slowly that no read ever times out, and then hangs up."""

    def step(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            handler.wfile.write(b"X-Still: here\r\n")
            handler.wfile.flush()
            time.sleep(0.05)
        handler.close_connection = True

    return step


def never_ends(text: str) -> Step:
    """Streams a text over and over, whatever limit was set, until the client has gone."""

    def step(handler: Handler) -> None:
        handler.begin_stream()
        while True:
            handler.send_event(_delta(text))

    return step


def counts(usage: Any, text: str = "Because it is so.") -> Step:
    """Streams a text and tells this as the tokens used."""

    def step(handler: Handler) -> None:
        handler.begin_stream()
        handler.send_event(_delta(text))
        handler.send_event({**_delta(finish="stop"), "usage": usage})
        handler.send_event("[DONE]")
        handler.end_stream()

    return step


def babbles() -> Step:
    """Streams events that are no JSON."""

    def step(handler: Handler) -> None:
        handler.begin_stream()
        handler.send_event("{not json")
        handler.end_stream()

    return step


def streams_nonsense(*, on: bool = False) -> Step:
    """Streams JSON of another shape; with `on`, comments after it until the client has gone."""

    def step(handler: Handler) -> None:
        handler.begin_stream()
        handler.send_event({"choices": "many"})
        while on:
            handler.send_chunk(b": still here\n\n")
            time.sleep(0.02)
        handler.end_stream()

    return step


def page() -> Step:
    """Answers with a web page, as a wrong address does."""

    def step(handler: Handler) -> None:
        body = b"<html><body>It works</body></html>"
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return step


@contextmanager
def serving(*steps: Step, listing: Step | None = None) -> Iterator[ScriptedServer]:
    with ScriptedServer(*steps, listing=listing) as server:
        yield server
