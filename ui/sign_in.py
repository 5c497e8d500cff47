"""The page that asks for user and password, in place of Gradio's: it looks like the rest; password managers know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ui import render
from ui.looks import style

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_ASKED = b'"auth_required"'  # stands in Gradio's page where it shows its own sign-in instead of ours


class SignIn:
    """ASGI middleware that shows our sign-in page to whoever Gradio would ask to sign in."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on; of a visit to the page, look at what comes back."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("GET", "/"):
            await self._app(scope, receive, send)
            return
        messages: list[Any] = []

        async def keep(message: Any) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        if any(_ASKED in message.get("body", b"") for message in messages):
            from starlette.responses import HTMLResponse

            await HTMLResponse(render.sign_in_html(style()))(scope, receive, send)
            return
        for message in messages:
            await send(message)
