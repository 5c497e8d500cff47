"""A model server's connection as seen from other threads: stop it, watch it, hang up."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from rag.spending import Tally

if TYPE_CHECKING:
    import httpx

_TOTAL = 4  # a whole answer may take this many times the timeout
_ENDING = 5.0  # seconds that what comes after an answer may take
_LOOK = 0.5  # seconds; the time that is left may become less meanwhile


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
        self._response: Any = None
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

    def answered(self, response: Any) -> None:
        """Headers have come; `response` is httpx's."""
        self._response = response

    def close(self) -> None:
        """Let go of the response, from the thread that reads; one that was read to its end leaves the connection open.

        Clients of models leave one that broke off to the garbage collector. That may come by while a thread holds the
        lock of the pool of connections, which closing a response takes, too: the thread would wait for itself.
        """
        if self._response is not None:
            self._response.close()


class Connections:
    """Tells each request's `Connection` its socket. The request and its response headers come in one thread."""

    def __init__(self) -> None:
        self._local = threading.local()

    def client(self, timeout: Any) -> httpx.Client:
        """An HTTP client whose requests are noted as soon as they wait for the first byte, not only when headers have
        come: a server may send those so slowly that no read ever times out. It follows no redirect, as the key would
        go there, too."""
        import httpx

        client = httpx.Client(timeout=timeout, event_hooks={"response": [self.response]})
        for transport in (client._transport, *client._mounts.values()):  # pyright: ignore[reportPrivateUsage]
            pool = getattr(transport, "_pool", None)
            if pool is not None:  # httpx hands no backend on, httpcore takes one
                pool._network_backend = _Backend(pool._network_backend, self._note)
        return client

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
        self._note(response.extensions.get("network_stream"))
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.answered(response)

    def _note(self, stream: Any) -> None:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None and stream is not None:
            connection.opened(stream.get_extra_info("socket"))


class _Backend:
    """An httpcore network backend whose streams say so before they read."""

    def __init__(self, inner: Any, reading: Callable[[Any], None]) -> None:
        self._inner = inner
        self._reading = reading

    def connect_tcp(self, *args: Any, **kwargs: Any) -> _Stream:
        return _Stream(self._inner.connect_tcp(*args, **kwargs), self._reading)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Stream:
    """A network stream of httpcore, with or without TLS."""

    def __init__(self, inner: Any, reading: Callable[[Any], None]) -> None:
        self._inner = inner
        self._reading = reading

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        self._reading(self._inner)
        return self._inner.read(*args, **kwargs)

    def start_tls(self, *args: Any, **kwargs: Any) -> _Stream:
        return _Stream(self._inner.start_tls(*args, **kwargs), self._reading)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


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

    def ending(self) -> None:
        """All text came, and the server said so; only counts may follow."""
        self._deadline = min(self._deadline, time.monotonic() + _ENDING)

    def __enter__(self) -> Watchdog:
        threading.Thread(target=self._watch, name="citewise-model-watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _watch(self) -> None:
        while (left := self._deadline - time.monotonic()) > 0:
            if self._done.wait(min(left, _LOOK)):
                return
        self.expired = True
        self._connection.abort()


@contextlib.contextmanager
def bounded(connections: Connections, seconds: float) -> Generator[None]:
    """Within the block, a request that this thread makes is ended after so many seconds, with a TimeoutError: also one
    whose answer keeps coming, a byte at a time, so that no read ever times out."""
    connection = Connection()
    with connections.noting(connection), Watchdog(connection, seconds) as watchdog:
        try:
            yield
        except Exception as error:
            if watchdog.expired:
                raise TimeoutError(f"no whole answer in {seconds:g} s") from error
            raise
