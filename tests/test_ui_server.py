"""Which requests the outer layers let through: they name this machine, no other site sends them, none is huge."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ui.limits import Bounded
from ui.server import SafeHeaders


def status(headers: dict[str, str], *, local: bool) -> int:
    """What a request with these headers is answered with, where everything that is let through is a 200."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    named = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": named}
    asyncio.run(SafeHeaders(app, local=local)(scope, None, send))
    return sent[0]["status"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1.evil.example",
        "http://evil.example#127.0.0.1",
        "http://papers.example@evil.example",
        "https://notpapers.example",
        "null",
        "http://[",
        "",
    ],
)
@pytest.mark.parametrize(("host", "local"), [("127.0.0.1:7860", True), ("papers.example", False)])
def test_a_page_of_another_site_is_refused_whatever_it_asks_for(origin, host, local):
    assert status({"Host": host, "Origin": origin}, local=local) == 403
    assert status({"Host": host, "Origin": origin, "Sec-Fetch-Site": "cross-site"}, local=local) == 403


@pytest.mark.parametrize(
    ("headers", "local"),
    [
        ({"Host": "127.0.0.1:7860"}, True),  # a script, which names no origin
        ({"Host": "127.0.0.1:7860", "Origin": "http://127.0.0.1:7860"}, True),
        ({"Host": "127.0.0.1:7860", "Origin": "http://localhost:6274"}, True),
        ({"Host": "[::1]:7860", "Origin": "http://[::1]:7860"}, True),
        ({"Host": "papers.example", "Origin": "https://papers.example"}, False),
        ({"Host": "papers.example:8443", "Origin": "https://papers.example:8443"}, False),
        ({"Host": "app:7860", "X-Forwarded-Host": "papers.example", "Origin": "https://papers.example"}, False),
        ({"Host": "app:7860", "Origin": "https://papers.example", "Sec-Fetch-Site": "same-origin"}, False),
    ],
)
def test_the_page_itself_and_scripts_are_let_through(headers, local):
    assert status(headers, local=local) == 200


def test_a_name_that_is_not_this_machines_is_refused_where_nobody_signs_in():
    assert status({"Host": "evil.example", "Origin": "http://evil.example"}, local=True) == 421
    assert status({}, local=True) == 421


def read_by_app(path: str, *chunks: bytes, declared: int | None = None) -> tuple[int, int]:
    """The status that a request with this body gets, and how many bytes of it were read by what is behind."""
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})
    read = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal read
        while (message := await receive())["more_body"]:
            read += len(message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [] if declared is None else [(b"content-length", str(declared).encode())]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    asyncio.run(Bounded(app)(scope, receive, send))
    return sent[0]["status"], read


MIB = b"a" * 2**20


def test_more_than_a_path_can_use_is_not_read_declared_or_not():
    assert read_by_app("/login", MIB, declared=2**20) == (413, 0)
    assert read_by_app("/login", b"a" * 60_000, b"a" * 60_000) == (413, 60_000)
    assert read_by_app("/gradio_api/queue/join", MIB, declared=2**40) == (413, 0)
    assert read_by_app("/gradio_api/queue/join", *[MIB] * 40) == (413, 32 * 2**20)


def test_what_the_page_sends_is_read_and_files_are_left_to_their_own_limit():
    assert read_by_app("/login", b"username=ann&password=correct", declared=29) == (200, 29)
    assert read_by_app("/gradio_api/queue/join", *[MIB] * 20) == (200, 20 * 2**20)
    assert read_by_app("/gradio_api/upload", *[MIB] * 40, declared=40 * 2**20) == (200, 40 * 2**20)
