"""What watches over the server learns whether it lives and can answer; its log is JSON with an id for each request."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from rag import open_library
from rag.errors import LibraryUnavailable
from tests import chroma
from ui.closing import Doors
from ui.health import Health
from ui.page import serve
from ui.request_log import RequestLog, log_as_json


class Asked:
    """A library whose readiness the test decides."""

    def __init__(self, *, fails: bool = False, holds: bool = False) -> None:
        self.fails, self.looks = fails, 0
        self.go = threading.Event()
        if not holds:
            self.go.set()

    def check_ready(self) -> None:
        self.looks += 1
        self.go.wait(60)
        if self.fails:
            raise LibraryUnavailable("the Chroma server at http://secret-host does not answer")


def app(library: Asked, *, logged: bool = False) -> Starlette:
    def other(request: Request) -> PlainTextResponse:
        logging.getLogger("ui.test").info("asked")
        if request.url.path == "/fails":
            raise RuntimeError("a bug")
        return PlainTextResponse("the page")

    layers = [*([Middleware(RequestLog)] if logged else []), Middleware(Health, library=library, doors=Doors())]
    return Starlette(routes=[Route("/{rest:path}", other, methods=["GET", "POST"])], middleware=layers)


def client(library: Asked, *, logged: bool = False) -> TestClient:
    return TestClient(app(library, logged=logged), raise_server_exceptions=False)


def test_health_asks_nobody_and_ready_asks_the_library():
    library = Asked(fails=True)
    with client(library) as page:
        assert page.get("/health").json() == {"status": "ok"}
        assert library.looks == 0
        refused = page.get("/ready")
        assert (refused.status_code, refused.json()) == (503, {"status": "unavailable"})
        library.fails = False
        assert page.get("/ready").status_code == 200
        assert page.head("/ready").status_code == 200
        assert page.get("/ready/more").text == page.post("/health").text == "the page"


def test_why_it_is_not_ready_is_in_the_log_only(caplog):
    with client(Asked(fails=True)) as page:
        assert "secret-host" not in page.get("/ready").text
    assert "secret-host" in caplog.text


def test_many_that_ask_at_once_share_one_look():
    library = Asked(holds=True)

    page, asked = app(library), []

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        if len(asked) == 8:
            library.go.set()
        await page(scope, receive, send)

    async def ask() -> set[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(counting), base_url="http://page") as visitor:
            return {found.status_code for found in await asyncio.gather(*[visitor.get("/ready") for _ in range(8)])}

    assert asyncio.run(ask()) == {200}
    assert library.looks == 1


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = log_as_json(stream)
    yield stream
    logging.getLogger().removeHandler(handler)


def lines(log: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in log.getvalue().splitlines() if '"logger": "ui.' in line]


def test_each_request_is_one_line_of_json_without_its_question(log):
    with client(Asked(), logged=True) as page:
        response = page.get("/ask?question=private", headers={"x-request-id": "abc-1", "authorization": "secret"})
    said, request = lines(log)
    assert response.headers["x-request-id"] == said["request_id"] == request["request_id"] == "abc-1"
    assert {name: request[name] for name in ("message", "method", "path", "status", "level")} == {
        "message": "request", "method": "GET", "path": "/ask", "status": 200, "level": "info"
    }  # fmt: skip
    assert request["ms"] >= 0
    assert "private" not in log.getvalue()
    assert "secret" not in log.getvalue()


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\x7f"])
def test_an_id_that_does_not_fit_is_replaced(log, given):
    with client(Asked(), logged=True) as page:
        first = page.get("/", headers={"x-request-id": given}).headers["x-request-id"]
        second = page.get("/").headers["x-request-id"]
    assert first != second
    assert len(first) == len(second) == 32


def test_a_failure_is_logged_as_one(log):
    with client(Asked(), logged=True) as page:
        assert page.get("/fails").status_code == 500
    assert lines(log)[-1]["status"] == 500


def test_probes_are_logged_only_when_the_answer_is_no(log):
    library = Asked()
    with client(library, logged=True) as page:
        page.get("/health")
        page.get("/ready")
        assert lines(log) == []
        library.fails = True
        page.get("/ready")
    warning, request = lines(log)
    assert (warning["level"], request["status"]) == ("warning", 503)
    assert warning["message"].startswith("not ready: the Chroma server")


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_the_page_answers_both_without_its_password(starter_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("CITEWISE_USER", "ann")
    monkeypatch.setenv("CITEWISE_PASSWORD", "correct horse battery")
    folder = Path(shutil.copytree(starter_folder, tmp_path / "library"))
    with open_library(folder, chat={"json_logs": True}) as library:
        page = serve(library, port=0)
        try:
            url = page.local_url.rstrip("/")
            for path in ("/health", "/ready"):
                found = httpx.get(f"{url}{path}", timeout=60)
                assert (found.status_code, found.json()) == (200, {"status": "ok"})
                assert found.headers["x-request-id"]
                assert found.headers["x-content-type-options"] == "nosniff"
            assert httpx.get(f"{url}/config", timeout=60).status_code == 401
        finally:
            page.close()


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_a_library_is_not_ready_while_its_vector_server_is_away(tmp_path):
    port = chroma.free_port()
    settings = {"kind": "chroma-server", "url": f"http://127.0.0.1:{port}", "retries": 0}
    with open_library(tmp_path / "library", dense=settings) as library:
        library.check_ready()  # there are no papers yet
        with chroma.running(tmp_path / "data", port):
            library.ingest(
                text="Title: Whales in deep water\n\nAbstract: Whales sing in deep water. They dive in it too."
            )
            library.check_ready()
        with pytest.raises(LibraryUnavailable):
            library.check_ready()
        with chroma.running(tmp_path / "data", port):
            library.check_ready()
