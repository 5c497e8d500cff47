"""How the page is served: bound to this machine unless a password is set, with a policy that lets in no third party."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from rag.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Gradio's own page needs inline scripts and templates compiled in the browser; nothing may come from elsewhere.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:;"
    " object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}
_WEAK = {"admin", "password", "citewise", "letmein", "changeme", "123456789012", "passwordpassword"}
_SHORTEST = 12
_PORT = re.compile(r":\d+$")


class SafeHeaders:
    """ASGI middleware that adds the policy to every response.

    With `local`, a request must name this machine: else a web page elsewhere could point a name of its own here and
    then ask as if from the page (DNS rebinding).
    """

    def __init__(self, app: Callable[..., Awaitable[None]], *, local: bool = False) -> None:
        self._app = app
        self._local = local

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and its response back with the headers added."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._local and not _names_this_machine(scope):
            await _misdirected(scope, receive, send)
        else:

            async def tell(message: Any) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message.get("headers", []), *_HEADERS.items()]
                await send(message)

            await self._app(scope, receive, tell)


def _names_this_machine(scope: Any) -> bool:
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    return is_loopback(host.rpartition(":")[0].strip("[]") if _PORT.search(host) else host.strip("[]"))


async def _misdirected(scope: Any, receive: Any, send: Any) -> None:
    from starlette.responses import PlainTextResponse

    told = "this page is for 127.0.0.1 or localhost; set CITEWISE_USER and CITEWISE_PASSWORD to serve other names"
    await PlainTextResponse(told, 421)(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def credentials(host: str) -> tuple[str, str] | None:
    """User and password from CITEWISE_USER and CITEWISE_PASSWORD, None where neither is set.

    Raises SettingsError for one without the other, for a weak password, and where another machine could come in
    without one.
    """
    user, password = os.environ.get("CITEWISE_USER", ""), os.environ.get("CITEWISE_PASSWORD", "")
    if not user and not password:
        if not is_loopback(host):
            raise SettingsError(
                f"chat.host is {host}, which other machines can reach: set CITEWISE_USER and CITEWISE_PASSWORD first"
            )
        return None
    if not user or not password:
        raise SettingsError("set both CITEWISE_USER and CITEWISE_PASSWORD, or neither")
    weak = len(password) < _SHORTEST or password.lower() in _WEAK or user.lower() in password.lower()
    if weak or len(set(password)) < 5:
        raise SettingsError(
            f"CITEWISE_PASSWORD is too weak: take {_SHORTEST} characters or more,"
            " not the user's name, not a common word"
        )
    return user, password
