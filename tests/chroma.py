"""A real Chroma server on loopback for tests, as `chroma run` starts it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

_PATIENCE_SECONDS = 180
_RUNNING: dict[Path, subprocess.Popen[bytes]] = {}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(folder: Path, port: int | None = None) -> Iterator[str]:
    """The address of a server that keeps its data in the folder."""
    port = port or free_port()
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder)]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _RUNNING[folder] = process
    try:
        _wait(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        _RUNNING.pop(folder, None)
        process.terminate()
        process.wait(60)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{url}/api/v2/heartbeat", timeout=1).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"the Chroma server at {url} did not start")


def process(folder: Path) -> subprocess.Popen[bytes]:
    """The server that keeps its data in the folder."""
    return _RUNNING[folder]


def kill(folder: Path) -> None:
    """Kill the server that keeps its data in the folder, if one runs."""
    process = _RUNNING.pop(folder, None)
    if process:
        process.kill()
        process.wait(60)
