"""Shared parts of the tests: the outside files where there are any, and a library made once."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rag import Library, open_library
from rag.starter import path as starter_path
from tests import chroma
from tests.browsing import browser, empty_url, hostile_url, locked_url, own_url, starter_url, visit
from tests.chroma_search import searching

# uvloop keeps the class of sockets that it finds when it is imported: let that be before a test's sockets are blocked.
with suppress(ImportError):
    import uvloop  # noqa: F401  # pyright: ignore[reportUnusedImport, reportMissingImports]

# Processes that test side by side look for the ports of their pages each in a range of their own; read by Gradio.
if _worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["GRADIO_SERVER_PORT"] = str(8000 + 100 * int(_worker.removeprefix("gw")))

# Fixtures of the page's tests.
__all__ = ["browser", "empty_url", "hostile_url", "locked_url", "own_url", "starter_url", "visit"]


def pytest_configure() -> None:
    """Whoever ends a run that takes too long ends the servers that its tests started, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = Path(os.environ.get("CITEWISE_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "seeds").is_dir():
        pytest.skip("the outside files (seeds, corpora, bench) are not here; set CITEWISE_SHARED to their folder")
    return folder


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "CITEWISE_LIBRARY", "CHROMA_API_KEY")
    for name in (*names, "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server that the tests may do anything with."""
    from tests.postgres import Server, plain_user, programs

    folder, user = programs(), plain_user()
    if folder is None or user is None:
        pytest.skip("PostgreSQL's server is not installed, or would have to run as root")
    server = Server(folder, user)
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def starter_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of the starter papers: read only; take `starter_copy` to change one."""
    folder = tmp_path_factory.mktemp("starter") / "library"
    with open_library(folder) as library:
        library.ingest([starter_path()])
    return folder


@pytest.fixture(scope="session")
def starter(starter_folder: Path) -> Iterator[Library]:
    with open_library(starter_folder) as library:
        yield library


@pytest.fixture
def starter_copy(starter_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(starter_folder, tmp_path / "library"))


@pytest.fixture(scope="session")
def _chroma_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chroma.running(tmp_path_factory.mktemp("chroma-server")) as url:
        yield url


@pytest.fixture
def chroma_url(socket_enabled: None, request: pytest.FixtureRequest) -> str:
    """The address of a Chroma server on loopback; one for the whole run, started when first needed."""
    return request.getfixturevalue("_chroma_run")


@pytest.fixture
def search_url(socket_enabled: None) -> Iterator[str]:
    """The address of a server that has Chroma's Search API with sparse vectors, as a single node has not."""
    with searching() as (url, _):
        yield url
