"""Agents and scripts over loopback: the MCP tools with a real MCP client, with and without a password."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rag import open_library
from rag.errors import UsageError
from ui.endpoints import Endpoints
from ui.page import serve
from ui.server import check_free

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

USER, PASSWORD = "ann", "correct horse battery"
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
WEB = httpx.Client(timeout=60, trust_env=False)
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def served(folder: Path, *, mcp: bool) -> Iterator[str]:
    with open_library(folder, chat={"port": 0}) as library:
        page = serve(library, port=0, mcp=mcp)
        yield page.local_url.rstrip("/")
        page.close()


@pytest.fixture(scope="module")
def url(starter_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(Path(shutil.copytree(starter_folder, tmp_path_factory.mktemp("agents") / "library")), mcp=True)


@pytest.fixture
def locked_url(starter_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("CITEWISE_USER", USER)
    monkeypatch.setenv("CITEWISE_PASSWORD", PASSWORD)
    yield from served(starter_folder, mcp=True)


def called(
    url: str, *calls: tuple[str, dict[str, Any]], headers: dict[str, str] | None = None
) -> tuple[Any, list[Any]]:
    """The tools that a server offers, and what it answers to the calls."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def run() -> tuple[Any, list[Any]]:
        async with (
            httpx.AsyncClient(headers=headers, timeout=60) as client,
            streamable_http_client(f"{url}/mcp", http_client=client) as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            return tools, [await session.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(run())


def test_the_tools_are_search_papers_and_ask_papers_and_say_what_they_take(url: str):
    tools, _ = called(url)
    assert [tool.name for tool in tools] == ["search_papers", "ask_papers"]
    assert all(tool.description and "\n" not in tool.description and "  " not in tool.description for tool in tools)
    assert all(tool.annotations.readOnlyHint for tool in tools)
    for tool in tools:
        told = [item.get("description") for item in tool.inputSchema["properties"].values()]
        assert all(told), tool.name
        assert len(set(told)) == len(told), "no two arguments are described alike"
    assert tools[0].inputSchema["required"] == ["query"]
    assert tools[1].inputSchema["required"] == ["question"]


def test_an_agent_searches_and_asks(url: str):
    _, [found, narrowed, answered, abstained] = called(
        url,
        ("search_papers", {"query": "retrieval-augmented generation", "limit": 3}),
        ("search_papers", {"query": "language models", "year_from": 2020, "year_to": 2021}),
        ("ask_papers", {"question": "What is BERT?"}),
        ("ask_papers", {"question": "What is the boiling point of lead?"}),
    )
    hits = found.structuredContent["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert all(hit["abstract"] and hit["quote"] for hit in hits)
    assert {hit["year"] for hit in narrowed.structuredContent["hits"]} <= {2020, 2021}
    answer = answered.structuredContent
    assert "[1]" in answer["text"]
    assert answer["citations"][0]["supported"]
    assert abstained.structuredContent["abstained"]


def test_what_cannot_be_answered_is_an_error_for_the_agent_in_one_line(url: str):
    wrong = {
        "the question is empty": ("ask_papers", {"question": " "}),
        "limit: input should be greater than or equal to 1": ("search_papers", {"query": "x", "limit": 0}),
        "question: field required": ("ask_papers", {}),
        "does not take k; it takes query, limit,": ("search_papers", {"query": "x", "k": 3}),
        "year_from is 2021, after year_to, 2019": ("ask_papers", {"question": "x", "year_from": 2021, "year_to": 2019}),
        "there is no tool ask; there are search_papers and ask_papers": ("ask", {}),
    }
    _, replies = called(url, *wrong.values())
    for told, reply in zip(wrong, replies, strict=True):
        assert reply.isError
        assert told in reply.content[0].text
        assert "\n" not in reply.content[0].text


@pytest.mark.parametrize("names", [{"host": "evil.example"}, {"origin": "http://evil.example"}])
def test_a_web_page_under_another_name_cannot_reach_the_tools(url: str, names: dict[str, str]):
    assert WEB.post(f"{url}/mcp", json=LIST, headers=HEADERS | names).status_code in {403, 421}
    assert WEB.post(f"{url}/mcp", json=LIST, headers=HEADERS).status_code == 200


@pytest.mark.parametrize(("host", "status"), [("evil.example", 421), ("localhost:80", 200), ("[::1]:7860", 200)])
def test_the_page_answers_to_the_names_of_this_machine_only(url: str, host: str, status: int):
    assert WEB.get(f"{url}/config", headers={"host": host}).status_code == status


def test_with_a_password_the_page_may_have_any_name(locked_url: str):
    assert WEB.get(f"{locked_url}/login_check", headers={"host": "papers.example"}).status_code != 421


def test_a_page_of_another_site_can_do_nothing_with_the_cookie_of_whoever_is_signed_in(locked_url: str):
    with httpx.Client(timeout=60, trust_env=False) as browser:
        assert browser.post(f"{locked_url}/login", data={"username": USER, "password": PASSWORD}).status_code == 200
        assert browser.get(f"{locked_url}/config", headers={"origin": locked_url}).status_code == 200
        for path in ("/config", "/gradio_api/info"):
            stolen = browser.get(f"{locked_url}{path}", headers={"origin": "https://evil.example"})
            assert stolen.status_code == 403
            assert "access-control-allow-origin" not in stolen.headers
        upload = {"files": {"files": ("papers.txt", b"Planted papers")}, "headers": {"origin": "https://evil.example"}}
        assert browser.post(f"{locked_url}/gradio_api/upload", **upload).status_code == 403


def test_more_than_the_page_can_use_is_refused_before_anybody_signs_in(locked_url: str):
    assert WEB.post(f"{locked_url}/login", content=b"username=" + b"a" * 100_000).status_code == 413


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("ask", {"question": None}),
        ("ask", {"question": {"a": 1}}),
        ("ask", {"question": "What is BERT?", "year_from": 10**30}),
        ("ask", {"question": "What is BERT?", "year_to": "2019; DROP"}),
        ("ask", {"question": "What is BERT?", "venue": ["ICLR"]}),
        ("search", {"question": "bert", "k": "many"}),
        ("search", {"question": "bert", "k": True}),
        ("search", {"question": "bert", "k": 2.5}),
        ("search", {"question": "bert", "year_from": float("nan")}),
        ("search", {"question": "bert " * 1000}),
    ],
)
def test_what_is_no_question_or_number_is_an_error_of_one_line(starter_folder: Path, name: str, given: dict[str, Any]):
    with open_library(starter_folder) as library, pytest.raises(UsageError, match=r"must be|at most 4,000"):
        getattr(Endpoints(library), name)(**given)


def test_a_password_guards_the_tools_as_it_guards_the_page(locked_url: str):
    from base64 import b64encode

    assert WEB.post(f"{locked_url}/mcp", json=LIST, headers=HEADERS).status_code == 401
    wrong = WEB.post(f"{locked_url}/mcp", json=LIST, headers=HEADERS, auth=(USER, "wrong"))
    assert wrong.status_code == 401
    known = {"authorization": "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
    tools, _ = called(locked_url, headers=known)
    assert len(tools) == 2


def test_without_the_option_there_are_no_tools(starter_folder: Path):
    for url in served(starter_folder, mcp=False):
        assert WEB.post(f"{url}/mcp", json=LIST, headers=HEADERS).status_code in {404, 405}


def test_a_port_that_is_taken_is_one_line_that_says_what_to_do(url: str, starter_folder: Path):
    taken = int(url.rpartition(":")[2])
    with open_library(starter_folder) as library, pytest.raises(UsageError, match="choose another --port"):
        serve(library, port=taken)
    with pytest.raises(UsageError, match="choose another --port"):
        check_free("127.0.0.1", taken)
    check_free("127.0.0.1", 0)


def heeds_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_the_command_says_where_the_page_is_and_nothing_of_public_links_and_ends_with_ctrl_c(starter_copy: Path):
    command = [sys.executable, "-m", "ui", "--no-browser", "--port", "0", "--mcp", "--library", str(starter_copy)]
    # What runs in the background of a script ignores Ctrl-C, and so would all that it starts.
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "preexec_fn": heeds_ctrl_c}
    with subprocess.Popen(command, **options) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(2)]
        page = re.search(r"http://127\.0\.0\.1:\d+", lines[0])
        assert page, lines
        assert WEB.get(page[0]).status_code == 200
        assert lines[1].endswith("/mcp\n")
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
        assert running.wait(30) == 0
    assert "link" not in "".join(lines) + rest
    assert "Traceback" not in rest
