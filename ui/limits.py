"""How large a request may be: what is sent beyond it is not read, whoever sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_MIB = 2**20
_MOST = 32 * _MIB  # pasted abstracts are part of an event; larger piles are files
_LEAST = 64 * 1024
_UPLOAD = "/upload"  # Gradio counts these itself, file by file, and asks who sends them first
_SMALL = ("/login", "/mcp")  # Gradio reads the first before it knows who sends it


class Bounded:
    """ASGI middleware that refuses a request whose body is larger than its path can use: 413 where the size is
    declared; else no more of it is read, and Gradio answers 400."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, as far as it is not too large."""
        if scope["type"] != "http" or scope["path"].endswith(_UPLOAD):
            await self._app(scope, receive, send)
            return
        most = _LEAST if scope["path"].rstrip("/") in _SMALL else _MOST
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > most:
            await _refused(most, scope, receive, send)
            return
        taken, begun = 0, False

        async def counted() -> Any:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise _TooLargeError
            return message

        async def tell(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, counted, tell)
        except _TooLargeError:
            if not begun:
                await _refused(most, scope, receive, send)


class _TooLargeError(Exception):
    """More of a body came than may be read."""


async def _refused(most: int, scope: Any, receive: Any, send: Any) -> None:
    from starlette.responses import PlainTextResponse

    told = f"a request may have {most // 1024:,} KiB here; add larger piles of papers as files"
    await PlainTextResponse(told, 413, {"connection": "close"})(scope, receive, send)
