"""Citewise for agents: an MCP server at /mcp beside the page, with the tools `search_papers` and `ask_papers`.

Not Gradio's own MCP server: that one answers without the page's password, checks no Host header, and turns results
into Python's notation instead of JSON.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from rag import CitewiseError
from rag.errors import MissingExtra
from rag.text import collapse
from ui.endpoints import MOST, Endpoints
from ui.record import citewise_version
from ui.server import is_loopback

if TYPE_CHECKING:
    from rag.library import Library

PATH = "/mcp"
_INSTRUCTIONS = (
    "Citewise answers from one library of research-paper abstracts. ask_papers gives an answer whose sentences are each"
    " cited to the abstract sentence that supports it, or says that the abstracts do not answer; search_papers gives"
    " the nearest papers with their abstracts."
)

First = Annotated[int | None, Field(description="only papers of this year or later", ge=1, le=9999)]
Last = Annotated[int | None, Field(description="only papers of this year or earlier", ge=1, le=9999)]
Venue = Annotated[str | None, Field(description="only papers whose venue holds these words, such as NeurIPS")]


def tools_server(library: Library, *, host: str) -> Any:
    """The MCP server over a library; raises MissingExtra where the MCP SDK is not installed.

    On this machine only, requests must name it as their host, so that no web page can reach the tools by a name of
    its own (DNS rebinding).
    """
    try:
        from mcp.server.transport_security import TransportSecuritySettings
        from mcp.types import ToolAnnotations

        from ui.tool_server import ToolServer
    except ImportError as error:
        raise MissingExtra("mcp", "mcp") from error
    local = ("127.0.0.1", "localhost", "[::1]")
    server = ToolServer(
        "citewise",
        citewise_version(),
        instructions=_INSTRUCTIONS,
        streamable_http_path=PATH,
        stateless_http=True,
        json_response=True,
        log_level="WARNING",
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=is_loopback(host),
            allowed_hosts=[f"{name}:*" for name in local],
            allowed_origins=[f"http://{name}:*" for name in local],
        ),
    )
    looks_only = ToolAnnotations(readOnlyHint=True, openWorldHint=False)
    for tool in _tools(Endpoints(library)):
        title = tool.__name__.replace("_", " ").capitalize()
        server.add_tool(tool, title=title, description=collapse(tool.__doc__ or ""), annotations=looks_only)
    return server


def _tools(calls: Endpoints) -> list[Callable[..., Any]]:
    async def search_papers(
        query: Annotated[str, Field(description="a topic or a question in plain words")],
        limit: Annotated[int, Field(description="how many papers", ge=1, le=MOST)] = 10,
        year_from: First = None,
        year_to: Last = None,
        venue: Venue = None,
    ) -> dict[str, Any]:
        """Find the papers nearest to a query, best first, each with its abstract and its nearest sentence."""
        return await _elsewhere(lambda: calls.search(query, limit, year_from, year_to, venue))

    async def ask_papers(
        question: Annotated[str, Field(description="a question that abstracts may answer")],
        year_from: First = None,
        year_to: Last = None,
        venue: Venue = None,
    ) -> dict[str, Any]:
        """Answer a question from the abstracts.

        Each [n] in `text` is in `citations`, with the quoted sentence and whether it supports the claim; `abstained`
        is null, or why the abstracts do not answer.
        """
        return await _elsewhere(lambda: calls.ask(question, year_from, year_to, venue))

    return [search_papers, ask_papers]


async def _elsewhere(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Work in a thread, so that the page goes on meanwhile; an error for the user becomes the tool's error."""
    from anyio.to_thread import run_sync
    from mcp.server.fastmcp.exceptions import ToolError

    try:
        return await run_sync(work)
    except CitewiseError as error:
        raise ToolError(str(error)) from error


class Tools:
    """ASGI middleware that serves the MCP server at PATH and passes everything else on.

    With `auth`, a request must carry that user and password (HTTP Basic). `lifespan` must run around the application.
    """

    def __init__(self, app: Callable[..., Any], server: Any, auth: tuple[str, str] | None) -> None:
        self._app = app
        self._tools = server.streamable_http_app()
        self._wanted = b"Basic " + base64.b64encode(":".join(auth).encode()) if auth else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request to PATH; pass any other on."""
        if scope["type"] != "http" or scope["path"].rstrip("/") != PATH:
            await self._app(scope, receive, send)
        elif self._wanted and not hmac.compare_digest(dict(scope["headers"]).get(b"authorization", b""), self._wanted):
            await _refused(scope, receive, send)
        else:
            await self._tools({**scope, "path": PATH, "raw_path": PATH.encode()}, receive, send)


async def _refused(scope: Any, receive: Any, send: Any) -> None:
    from starlette.responses import PlainTextResponse

    told = "user and password are needed (HTTP Basic)"
    await PlainTextResponse(told, 401, {"www-authenticate": "Basic"})(scope, receive, send)


def lifespan(server: Any) -> Callable[[Any], Any]:
    """The application's lifespan, during which the server takes requests."""

    @asynccontextmanager
    async def running(_: Any) -> AsyncGenerator[None]:
        server.streamable_http_app()  # makes the session manager where nobody has yet
        async with server.session_manager.run():
            yield

    return running
