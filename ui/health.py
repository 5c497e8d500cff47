"""Whether the server lives (`/health`) and can answer questions (`/ready`), for what watches over it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from rag import CitewiseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rag.library import Library
    from ui.closing import Doors

logger = logging.getLogger(__name__)

HEALTH, READY = "/health", "/ready"
_PATIENCE_SECONDS = 5.0


class Health:
    """ASGI middleware that answers both paths without a password, and tells nothing but whether; the log says why not.

    `/health` asks nobody. `/ready` is 200 when the catalog and, where there is one, the vector server answer, else 503;
    also 503 from the moment on that the page is being closed.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], *, library: Library, doors: Doors) -> None:
        self._app = app
        self._library = library
        self._doors = doors
        self._looking: asyncio.Task[bool] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request for one of the two, pass any other on."""
        path = scope["path"] if scope["type"] == "http" and scope["method"] in {"GET", "HEAD"} else None
        if path not in {HEALTH, READY}:
            await self._app(scope, receive, send)
            return
        from starlette.responses import JSONResponse

        ready = path == HEALTH or (self._doors.open and await self._ready())
        told = JSONResponse({"status": "ok" if ready else "unavailable"}, 200 if ready else 503)
        await told(scope, receive, send)

    async def _ready(self) -> bool:
        """One look at a time, however many ask; one that takes too long goes on, and the answer is no."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(asyncio.to_thread(self._look))
        try:
            return await asyncio.wait_for(asyncio.shield(self._looking), _PATIENCE_SECONDS)
        except TimeoutError:
            logger.warning("not ready: no answer in %s seconds", _PATIENCE_SECONDS)
            return False

    def _look(self) -> bool:
        try:
            self._library.check_ready()
        except CitewiseError as error:
            logger.warning("not ready: %s", error)
            return False
        return True
