"""Processes of a Ray cluster: started when first needed, replaced when they die, asked without waiting."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any, NamedTuple

from rag.errors import CitewiseError, MissingExtra, WorkersUnavailable
from rag.settings import IngestSettings

_PATIENCE = 120.0  # seconds for the workers to start
_RETRIES = 2  # of a request whose worker died: one that three workers died of will not do better with a fourth
_RESTARTS = 5  # of one worker: where that is not enough, something else is wrong, and the library can be gone on with
_CONNECT_SECONDS = 5.0
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a warning about GPUs
}
"""The environment of Ray where this process starts it."""


class Promise(NamedTuple):
    """What a worker was asked for."""

    worker: int
    reference: Any


class CitewiseWorker:
    """The actor of a process, by whose name one sees what it is.

    It makes the object that it holds at its first request, as does one that takes its place: each request says of what.
    """

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._held: object = None

    def version(self) -> str:
        """Of Citewise, where the process runs."""
        return version("citewise")

    def ask(self, method: str, argument: object, shared: list[Any]) -> object:
        """What a method of the object gives, which is made of what the one reference in the list stands for."""
        import ray

        if self._held is None:
            self._held = self._kind(ray.get(shared[0]))
        return getattr(self._held, method)(argument)


class Pool:
    """`settings.workers` processes that each hold an object of a class, made of one argument. Safe for many threads.

    A worker that dies is replaced, and its requests are made again: they must be pure functions. Nothing is started
    before the first request. Raises MissingExtra where Ray is not installed, and WorkersUnavailable from any method.
    """

    def __init__(self, settings: IngestSettings, kind: type, argument: object) -> None:
        try:
            import_module("ray")
        except ImportError as error:
            raise MissingExtra("Ray", "ray") from error
        self._settings = settings
        self._kind = kind
        self._argument = argument
        self._lock = threading.Lock()
        self._shared: Any = None
        self._workers: list[Any] = []
        self._under_way: list[int] = []

    def size(self) -> int:
        """How many workers there are."""
        with self._lock:
            return len(self._present())

    def ask(self, method: str, argument: object = None) -> Promise:
        """Ask the worker that has least to do for a method of the class."""
        with self._lock:
            workers = self._present()
            worker = self._under_way.index(min(self._under_way))
            with _translated():
                reference = workers[worker].ask.remote(method, argument, [self._shared])
            self._under_way[worker] += 1
            return Promise(worker, reference)

    def answer(self, promise: Promise) -> Any:
        """What was asked for; waits for it. Raises what the method raised."""
        import ray

        try:
            with _translated():
                return ray.get(promise.reference)
        finally:
            with self._lock:
                self._under_way[promise.worker] -= 1

    def close(self) -> None:
        """End the workers, and with the last pool of this process its connection."""
        with self._lock:
            if self._workers:
                _end(self._workers)
                self._workers, self._shared = [], None

    def _present(self) -> list[Any]:
        if not self._workers:
            self._workers = self._started()
            self._under_way = [0] * len(self._workers)
        return self._workers

    def _started(self) -> list[Any]:
        import ray

        _connection.join(self._settings)
        workers: list[Any] = []
        try:
            with _translated():
                wanted = self._settings.workers or int(ray.cluster_resources().get("CPU", 1))
                actor = ray.remote(num_cpus=1, max_restarts=_RESTARTS, max_task_retries=_RETRIES)(CitewiseWorker)
                self._shared = ray.put(self._argument)  # once a machine, in memory that its workers share
                workers += [actor.remote(self._kind) for _ in range(max(wanted, 1))]
                _wait(workers)
        except BaseException:
            _end(workers)
            raise
        return workers


def _wait(workers: list[Any]) -> None:
    """Until every worker has started, with the same Citewise: another one might read otherwise."""
    import ray
    from ray.exceptions import ActorDiedError, GetTimeoutError

    own = version("citewise")
    try:
        versions = set(ray.get([worker.version.remote() for worker in workers], timeout=_PATIENCE))
    except GetTimeoutError as error:
        free = int(ray.available_resources().get("CPU", 0))
        raise WorkersUnavailable(
            f"{len(workers)} workers did not start within {_PATIENCE:.0f} s: the Ray cluster has {free} processors"
            " free; wait for it, or set --workers (ingest.workers)"
        ) from error
    except ActorDiedError as error:
        reason = str(error).strip().rpartition("\n")[2].strip()
        raise WorkersUnavailable(_unlike(own, reason)) from error
    if other := versions - {own}:
        raise WorkersUnavailable(_unlike(own, f"there is {', '.join(sorted(other))}"))


def _unlike(own: str, reason: str) -> str:
    return f"the workers did not start: every machine of the Ray cluster needs Citewise {own} ({reason})"


def _end(workers: list[Any]) -> None:
    import ray
    from ray.exceptions import RayError

    for worker in workers:
        with suppress(RayError):  # the cluster may be gone, and the worker with it
            ray.kill(worker)
    _connection.leave()


class _Connection:
    """This process's connection to Ray, shared by all its pools. A program's own is used, and left as it is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._ours = False

    def join(self, settings: IngestSettings) -> None:
        import ray

        with self._lock:
            if not ray.is_initialized():
                _connect(settings)
                self._ours = True
            self._users += 1

    def leave(self) -> None:
        import ray

        with self._lock:
            self._users -= 1
            if self._ours and not self._users:
                ray.shutdown()
                self._ours = False


_connection = _Connection()


def _connect(settings: IngestSettings) -> None:
    """Join the cluster at the address, or start one on this machine: Ray lets into that only who has the token it keeps
    in the user's home (or RAY_AUTH_TOKEN), unless RAY_AUTH_MODE says otherwise."""
    os.environ.update(_QUIET)
    import ray

    init = partial(ray.init, log_to_driver=False, logging_level=logging.CRITICAL)
    try:
        if settings.address is None:
            init("local", num_cpus=settings.workers, include_dashboard=False)
        else:
            _knock(settings.address)
            init(settings.address)
    except Exception as error:  # Ray raises any, the bare class too
        ray.shutdown()
        raise WorkersUnavailable(_away(settings.address, _first_line(error))) from error


def _away(address: str | None, reason: str) -> str:
    if address is None:
        return f"Ray did not start on this machine: {reason}; try again, or ingest without --engine ray"
    return (
        f"no Ray cluster answers at {address} ({reason}); start one with `ray start --head`, or leave --address"
        " (ingest.address) out"
    )


def _knock(address: str) -> None:
    """Raise OSError where nothing listens: Ray itself would try for a minute."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()


@contextmanager
def _translated() -> Generator[None]:
    """Errors of Ray as ours; those of the methods as they were raised."""
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, CitewiseError):
            raise error.cause from error
        raise
    except RayError as error:
        raise WorkersUnavailable(
            f"the Ray cluster or a worker of it failed ({type(error).__name__}: {_first_line(error)}); what was read is"
            " kept: run the command again to go on"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(" .") or type(error).__name__
