"""Structured logs: a JSON object a line for each request and each message, with the id of its request."""

from __future__ import annotations

import json
import logging
import re
import time
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO
from uuid import uuid4

from ui.health import HEALTH, READY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

_HEADER = b"x-request-id"
_FITTING = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestLog:
    """ASGI middleware that gives each request an id, keeps a fitting one that came with it, and logs how it ended.

    Only method, path, status and milliseconds are logged: no question, no address, no header.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and its response back with the id as a header."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(_HEADER, b"")
        request_id = given.decode() if _FITTING.fullmatch(given) else uuid4().hex
        token, started, status = _request_id.set(request_id), time.perf_counter(), 500

        async def tell(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (_HEADER, request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, tell)
        finally:
            if status >= 400 or scope["path"] not in {HEALTH, READY}:
                told = {"method": scope["method"], "path": scope["path"], "status": status}
                took = round((time.perf_counter() - started) * 1000, 1)
                logger.info("request", extra={"fields": {**told, "ms": took}})
            _request_id.reset(token)


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Time (UTC), level, logger, message, request id where there is one, fields, and the traceback of an error."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := _request_id.get():
            told["request_id"] = request_id
        told |= getattr(record, "fields", {})
        if record.exc_info:
            told["error"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(told, ensure_ascii=False)


def log_as_json(stream: TextIO) -> logging.Handler:
    """Write our messages, and the warnings of others, to a stream as JSON lines; the handler that does it."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(handler)
    for name in ("rag", "ui"):
        logging.getLogger(name).setLevel(logging.INFO)
    return handler
