"""The MCP SDK's server, made to speak as Citewise does: every error is one line that says what to do."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mcp.server.fastmcp import FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from pydantic import ValidationError

if TYPE_CHECKING:
    from mcp.types import ContentBlock, Tool

logger = logging.getLogger(__name__)


class ToolServer(FastMCP[None]):
    """FastMCP whose tools refuse what they do not take: an agent that misspells an argument is told so, where FastMCP
    would answer as if it were not there. `version` is told to clients; the SDK would tell its own."""

    def __init__(self, name: str, version: str, **options: Any) -> None:
        super().__init__(name, **options)
        self._mcp_server.version = version

    async def list_tools(self) -> list[Tool]:
        """The tools; their schemas say that they take nothing else."""
        closed = {"additionalProperties": False}
        tools = await super().list_tools()
        return [tool.model_copy(update={"inputSchema": {**tool.inputSchema, **closed}}) for tool in tools]

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Sequence[ContentBlock] | dict[str, Any]:
        """Call a tool. Raises ToolError with one line."""
        taken = {tool.name: tool.inputSchema["properties"] for tool in await self.list_tools()}
        if name not in taken:
            raise ToolError(f"there is no tool {name}; there are {' and '.join(taken)}")
        if unknown := [word for word in arguments if word not in taken[name]]:
            raise ToolError(f"{name} does not take {', '.join(unknown)}; it takes {', '.join(taken[name])}")
        try:
            return await super().call_tool(name, arguments)
        except ToolError as error:
            raise ToolError(_line(error)) from error


def _line(error: ToolError) -> str:
    """What an error says, without what the SDK lays around it."""
    cause = error.__cause__
    if isinstance(cause, ToolError):
        return str(cause)
    if isinstance(cause, ValidationError):
        return "; ".join(f"{item['loc'][0]}: {item['msg'][:1].lower()}{item['msg'][1:]}" for item in cause.errors())
    logger.error("a tool failed", exc_info=cause)
    return f"something went wrong in Citewise ({type(cause).__name__}: {cause}); its terminal shows more"
