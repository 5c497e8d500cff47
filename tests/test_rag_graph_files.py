"""The files of Chroma's graph hold the graph: nothing of what the process that wrote them had in its memory."""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rag import open_library
from rag.cli import run as citewise
from rag.stores.dense import ChromaIndex
from rag.stores.graph import clear_room
from rag.stores.offload import OffloadedIndex

ROOT = Path(__file__).parents[1]
MARKER = b"sk-proj-MARKER88"
FILES = {"data_level0.bin": 64, "length.bin": 4}  # bytes an element, in the graphs that `write_graph` makes
DIMENSION = 16
STORED = {f"p{at}#0": at for at in range(20)}


def vectors(count: int) -> np.ndarray:
    drawn = np.random.default_rng(7).standard_normal((count, DIMENSION)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def elements(header: Path) -> tuple[int, int]:
    """How many elements a graph has, and the bytes of one."""
    return struct.unpack_from("<iQQQQ", header.read_bytes())[3:]


def poison(folder: Path) -> dict[str, bytes]:
    """Write the marker all over the room of the folder's one graph; the bytes of the files as they should be then."""
    [header] = folder.rglob("header.bin")
    count, size = elements(header)
    expected = {}
    for name, each in {"data_level0.bin": size, "length.bin": 4}.items():
        file = header.with_name(name)
        content, used = file.read_bytes(), count * each
        room = len(content) - used
        assert room >= len(MARKER)
        file.write_bytes(content[:used] + (MARKER * (room // len(MARKER) + 1))[:room])
        expected[name] = content[:used] + bytes(room)
    return expected


def graph(folder: Path) -> dict[str, bytes]:
    return {name: file.read_bytes() for name in FILES for file in folder.rglob(name)}


def marked(folder: Path) -> list[str]:
    """The files in which the marker stands."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and MARKER in path.read_bytes()]


SAVE = """
import sys
import chromadb
from rag.stores.chroma import COLLECTION
from tests.test_rag_graph_files import STORED, vectors

hnsw = {"space": "cosine", "sync_threshold": 10, "batch_size": 5}
client = chromadb.PersistentClient(sys.argv[1], chromadb.Settings(anonymized_telemetry=False))
client.create_collection(COLLECTION, configuration={"hnsw": hnsw}).upsert(list(STORED), vectors(20))
"""


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory) -> Path:
    """Made by a process of its own: Chroma goes on with its database for a moment after it was written to."""
    folder = tmp_path_factory.mktemp("graph") / "saved"
    subprocess.run([sys.executable, "-c", SAVE, str(folder)], cwd=ROOT, check=True)
    [header] = folder.glob("*/header.bin")
    assert elements(header)[0] == 20
    assert header.with_name("index_metadata.pickle").is_file()
    return folder


@pytest.fixture
def saved(saved_once, tmp_path) -> Path:
    """An index whose graph was saved with 20 elements, and so has room for 80 more."""
    return Path(shutil.copytree(saved_once, tmp_path / "saved"))


def opened(folder: Path) -> ChromaIndex:
    return ChromaIndex(folder, dimension=DIMENSION)


def offloaded(folder: Path) -> OffloadedIndex:
    return OffloadedIndex(folder, dimension=DIMENSION, offload_after=0)


@pytest.mark.parametrize("open_index", [opened, offloaded])
def test_opening_for_writing_clears_what_an_earlier_writer_left(saved, open_index):
    expected = poison(saved)
    with closing(open_index(saved)) as index:
        assert graph(saved) == expected
        assert [index.search(vector, 1)[0][0] for vector in vectors(20)] == list(STORED)
    assert graph(saved) == expected


@pytest.mark.parametrize("open_index", [opened, offloaded])
@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda index: index.upsert(["p3#0", "new#0"], vectors(2)), id="upsert"),
        pytest.param(lambda index: index.delete(["p3#0", "nobody"]), id="delete"),
    ],
)
def test_a_write_clears_what_is_left_meanwhile(saved, open_index, write: Callable[..., None]):
    with closing(open_index(saved)) as index:
        poison(saved)
        sizes = {name: len(content) for name, content in graph(saved).items()}
        write(index)
        assert marked(saved) == []
        assert {name: len(content) for name, content in graph(saved).items()} == sizes
    with closing(opened(saved)) as again:
        assert again.ids() >= set(STORED) - {"p3#0"}
        assert again.search(vectors(20)[9], 1)[0][0] == "p9#0"


def test_a_library_answers_as_before_and_doctor_is_content(starter_copy, capsys):
    question = "How long did it take to train the big Transformer?"
    with open_library(starter_copy) as library:
        before = library.ask(question)
    poison(starter_copy)
    assert len(marked(starter_copy)) == 2
    assert citewise(["doctor", "--library", str(starter_copy)]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == {"ok"}
    assert marked(starter_copy) == []
    with open_library(starter_copy) as library:
        assert library.ask(question).text == before.text


def test_a_reader_that_found_nothing_makes_no_graph_of_its_own(tmp_path):
    reader, writer = opened(tmp_path), opened(tmp_path)
    writer.upsert(list(STORED), vectors(20))
    [header] = tmp_path.glob("*/header.bin")
    made = header.stat().st_mtime_ns
    assert (reader.count(), reader.ids()) == (0, set())
    assert header.stat().st_mtime_ns == made
    reader.reopen()
    assert (reader.count(), reader.ids()) == (20, set(STORED))
    reader.close()
    writer.close()


# --- all memory, with a C library that fills what it hands out ---

FILLED = """
import ctypes, sys
from rag.cli import run

c = ctypes.CDLL(None)
c.malloc.restype = ctypes.c_void_p
assert ctypes.string_at(c.malloc(100_000), 100_000) == b"\\x5a" * 100_000
folder = sys.argv[1]
for command in (["ingest", "--starter"], ["doctor"], ["ask", "What is dropout?"], ["export", folder + "/x.citewise"]):
    assert run([*command, "--library", folder + "/library"]) == 0
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs a C library that can fill memory")
def test_no_file_holds_memory_that_was_never_set(tmp_path):
    filling = {"GLIBC_TUNABLES": "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"}
    command = [sys.executable, "-c", FILLED, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | filling, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x.citewise").is_file()
    for path in tmp_path.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert b"\x5a" * 16 not in content, f"{path.name} holds memory as it was handed out"
        assert b"\xa5" * 16 not in content, f"{path.name} holds memory that was given back"


# --- the files themselves ---


def write_graph(folder: Path, *, count: int, version: int = 1) -> Path:
    """A graph of that many elements with room for 10, all of it the marker."""
    place = folder / "0b5f"
    place.mkdir()
    place.joinpath("header.bin").write_bytes(struct.pack("<iQQQQ", version, 0, 10, count, 64).ljust(100, b"\0"))
    place.joinpath("link_lists.bin").write_bytes(bytes(4 * count))
    for name, each in FILES.items():
        place.joinpath(name).write_bytes((MARKER * 40)[: 10 * each])
    return place


@pytest.mark.parametrize("count", [0, 7, 10])
def test_what_elements_fill_stays(tmp_path, count):
    write_graph(tmp_path, count=count)
    clear_room(tmp_path)
    for name, each in FILES.items():
        used = count * each
        assert graph(tmp_path)[name] == (MARKER * 40)[:used] + bytes(10 * each - used)


def test_a_layout_that_is_not_known_stays(tmp_path):
    write_graph(tmp_path, count=0, version=2)
    clear_room(tmp_path)
    assert len(marked(tmp_path)) == 2


def test_a_damaged_graph_is_no_error_here(tmp_path):
    place = write_graph(tmp_path, count=0)
    place.joinpath("data_level0.bin").unlink()
    clear_room(tmp_path)
    place.joinpath("header.bin").write_bytes(b"\1\0")
    clear_room(tmp_path)


def test_files_that_cannot_be_written_stay(tmp_path):
    plain = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []  # root may write anything
    if plain and not shutil.which(plain[0]):
        pytest.skip("root can only be kept from writing with setpriv")
    for path in write_graph(tmp_path, count=0).iterdir():
        path.chmod(0o444)
    body = "import pathlib, sys; from rag.stores.graph import clear_room; clear_room(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [*plain, sys.executable, "-c", body, str(tmp_path)], cwd=ROOT, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(marked(tmp_path)) == 2
