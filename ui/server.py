"""How the page is served: bound to this machine unless a password is set, with a policy that lets in no third party."""

from __future__ import annotations

import os
import re
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rag.errors import SettingsError, UsageError

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
_MISDIRECTED = "this page is for 127.0.0.1 or localhost; set CITEWISE_USER and CITEWISE_PASSWORD to serve other names"
_FROM_ELSEWHERE = "a page of another site asks; a proxy in between must pass on Host or X-Forwarded-Host"
_SHORTEST = 12
_PORT = re.compile(r":\d+$")


class SafeHeaders:
    """ASGI middleware that adds the policy to every response.

    With `local`, a request must name this machine: else a web page elsewhere could point a name of its own here and
    then ask as if from the page (DNS rebinding). A request that a page of another site sends is refused, whatever it
    asks for: Gradio would do it, with the cookie of whoever is signed in, and let that site read what comes of it.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], *, local: bool = False) -> None:
        self._app = app
        self._local = local

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and its response back with the headers added."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._local and not _names_this_machine(scope):
            await _refused(scope, receive, send, 421, _MISDIRECTED)
        elif _from_another_site(scope):
            await _refused(scope, receive, send, 403, _FROM_ELSEWHERE)
        else:

            async def tell(message: Any) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message.get("headers", []), *_HEADERS.items()]
                await send(message)

            await self._app(scope, receive, tell)


def _names_this_machine(scope: Any) -> bool:
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    return is_loopback(host.rpartition(":")[0].strip("[]") if _PORT.search(host) else host.strip("[]"))


def _from_another_site(scope: Any) -> bool:
    """Whether a browser says that a page under another name sends this; ports make no other site."""
    headers = dict(scope["headers"])
    origin = headers.get(b"origin")
    if origin is None or headers.get(b"sec-fetch-site") == b"same-origin":  # neither can be set by a page
        return False
    own = b",".join(headers.get(name, b"") for name in (b"host", b"x-forwarded-host"))
    names = {_name(f"//{host.strip()}") for host in own.decode("latin-1").split(",")} - {""}
    asking = _name(origin.decode("latin-1"))
    return asking not in names and not (is_loopback(asking) and any(map(is_loopback, names)))


def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


async def _refused(scope: Any, receive: Any, send: Any, status: int, told: str) -> None:
    from starlette.responses import PlainTextResponse

    await PlainTextResponse(told, status)(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_free(host: str, port: int) -> None:
    """Raises UsageError where something listens at an address already: sooner than Gradio, whose import takes
    seconds, would find out."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name == "posix":  # elsewhere it would allow two to listen
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise taken(host, port) from error


def taken(host: str, port: int) -> UsageError:
    """The error for an address at which nothing can listen."""
    told = f"nothing can listen on {host}:{port}, perhaps because something does already; choose another --port"
    return UsageError(told)


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
