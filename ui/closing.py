"""How the page ends: no new requests, the answers under way are finished, then it is closed."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import gradio as gr

    from ui.handlers import Handlers
    from ui.metrics import MetricsServer

logger = logging.getLogger(__name__)

_TAB, _AGENT = "/gradio_api/heartbeat/", "/mcp"  # held for as long as a browser tab is open, an agent listens
_TICK, _LAST_WORDS = 0.05, 2.0  # seconds


class Doors:
    """Whether new requests are let in, and how many of those that were are still being answered."""

    def __init__(self) -> None:
        self.open = True
        self.hurried = False
        self._within = 0
        self._counting = threading.Lock()

    @property
    def within(self) -> int:
        """Requests that are being answered; those that only say that a tab is open, or an agent there, do not count."""
        return self._within

    def close(self) -> None:
        """Let nobody in from now on; whoever closes twice does not want to wait for those who are within either."""
        self.hurried = not self.open
        self.open = False

    def passed(self, change: int) -> None:
        """One came in (1) or has left (-1)."""
        with self._counting:
            self._within += change


class Doorkeeper:
    """ASGI middleware before closing doors: what would begin work is told to go elsewhere (503, which proxies take as a
    reason to try the next replica). What only reads goes on: an answer under way is read by a request of its own."""

    def __init__(self, app: Callable[..., Awaitable[None]], *, doors: Doors) -> None:
        self._app = app
        self._doors = doors

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or send it away."""
        if scope["type"] != "http" or _lasts(scope):
            await self._app(scope, receive, send)
        elif not self._doors.open and _begins(scope):
            await _sent_away(scope, receive, send)
        else:
            self._doors.passed(1)
            try:
                await self._app(scope, receive, send)
            finally:
                self._doors.passed(-1)


def _begins(scope: Any) -> bool:
    return scope["method"] not in {"GET", "HEAD"} or (scope["method"], scope["path"]) == ("GET", "/")


def _lasts(scope: Any) -> bool:
    return scope["method"] == "GET" and (scope["path"].startswith(_TAB) or scope["path"].rstrip("/") == _AGENT)


async def _sent_away(scope: Any, receive: Any, send: Any) -> None:
    from starlette.responses import JSONResponse

    told = {"detail": "Citewise is being stopped here and takes no new questions; try again in a moment"}
    await JSONResponse(told, 503, {"retry-after": "1", "connection": "close"})(scope, receive, send)


class Served:
    """A page that is being served at `local_url`, and its metrics, where there are any."""

    def __init__(self, page: gr.Blocks, handlers: Handlers, doors: Doors) -> None:
        self._page = page
        self._handlers = handlers
        self._doors = doors
        self.local_url: str = page.local_url
        self.metrics: MetricsServer | None = None

    def finish(self, seconds: float) -> bool:
        """Take nothing new, give what is under way so many seconds, and close; whether it was enough.

        Ingests stop after the present batch: what was read is kept, and the next ingest goes on from there.
        """
        if self._doors.open:
            self._doors.close()
        self._handlers.shelf.cancel_all()
        done = self._quiet(seconds, unless=lambda: self._doors.hurried)
        if not done:
            logger.warning("what was not finished is stopped")
            self._handlers.library.stop()
            self._quiet(_LAST_WORDS)
        self.close()
        return done

    def close(self) -> None:
        """Close at once."""
        self._page.close(verbose=False)
        if self.metrics:
            self.metrics.close()

    def _quiet(self, seconds: float, *, unless: Callable[[], bool] = lambda: False) -> bool:
        """Wait until nothing is under way, at most so long."""
        end = time.monotonic() + seconds
        while self._doors.within or self._handlers.busy:
            if time.monotonic() > end or unless():
                return False
            time.sleep(_TICK)
        return True
