"""How the page is served: bound to this machine unless a password is set, with a policy that lets in no third party."""

from __future__ import annotations

import os
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


class SafeHeaders:
    """ASGI middleware that adds the policy to every response."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and its response back with the headers added."""

        async def tell(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS.items()]
            await send(message)

        await self._app(scope, receive, tell if scope["type"] == "http" else send)


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
