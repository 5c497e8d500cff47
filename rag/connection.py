"""A model server's connection as seen from other threads: stop it, watch it, hang up."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from rag.spending import Tally

_TOTAL = 4  # a whole answer may take this many times the timeout


class Stop:
    """A switch that any thread may throw: whoever waits on a model is woken. Each answer has one of its own, and
    `tally` counts what the calls made under it cost.
    """

    def __init__(self) -> None:
        self.tally = Tally()
        self._event = threading.Event()
        self._callbacks: list[Callable[[], None]] = []

    def set(self) -> None:
        """Stop now and for good."""
        self._event.set()
        for callback in tuple(self._callbacks):
            callback()

    @property
    def is_set(self) -> bool:
        """Whether the switch was thrown."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until the switch is thrown; whether it was."""
        return self._event.wait(seconds)

    @contextlib.contextmanager
    def calling(self, callback: Callable[[], None]) -> Generator[None]:
        """Within the block, throwing the switch also calls `callback`; at once where it was thrown before."""
        self._callbacks.append(callback)
        try:
            if self.is_set:
                callback()
            yield
        finally:
            self._callbacks.remove(callback)


class Connection:
    """The socket of one request, once it is known, so that another thread can end a read that waits on it."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._aborted = False

    def opened(self, found: socket.socket | None) -> None:
        """The response has begun on this socket."""
        self._socket = found
        if self._aborted:
            self.abort()

    def abort(self) -> None:
        """Shut the socket down; a thread that reads from it is woken."""
        self._aborted = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class Connections:
    """Tells each request's `Connection` its socket. The request and its response headers come in one thread."""

    def __init__(self) -> None:
        self._local = threading.local()

    @contextlib.contextmanager
    def noting(self, connection: Connection) -> Generator[None]:
        """Within the block, a response that begins in this thread belongs to `connection`."""
        self._local.connection = connection
        try:
            yield
        finally:
            self._local.connection = None

    def response(self, response: Any) -> None:
        """The httpx event hook: headers have arrived."""
        connection: Connection | None = getattr(self._local, "connection", None)
        stream = response.extensions.get("network_stream")
        if connection is not None and stream is not None:
            connection.opened(stream.get_extra_info("socket"))


class Watchdog:
    """Aborts a connection when no text came for `timeout` seconds, or the whole took four times as long.

    A read timeout alone would not do: a server can keep a stream open with comments that hold no text.
    """

    def __init__(self, connection: Connection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._done = threading.Event()
        self._end = time.monotonic() + _TOTAL * timeout
        self._deadline = min(self._end, time.monotonic() + timeout)
        self.expired = False

    def fed(self) -> None:
        """Text came."""
        self._deadline = min(self._end, time.monotonic() + self._timeout)

    def __enter__(self) -> Watchdog:
        threading.Thread(target=self._watch, name="citewise-model-watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _watch(self) -> None:
        while (left := self._deadline - time.monotonic()) > 0:
            if self._done.wait(left):
                return
        self.expired = True
        self._connection.abort()
