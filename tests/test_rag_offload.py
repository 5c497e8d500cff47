"""The writer's dense index, before and after its work moves to a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rag.errors import LibraryError, LibraryMismatch
from rag.stores.chroma import patiently
from rag.stores.dense import ChromaIndex
from rag.stores.offload import OffloadedIndex
from tests.ingesting import WordEncoder
from tests.waiting import eventually

ROOT = Path(__file__).parents[1]
TEXTS = {f"p{at}#0": f"text number {at} of whales" for at in range(60)}


def vectors(ids) -> np.ndarray:
    return WordEncoder().encode([TEXTS[passage_id] for passage_id in ids])


def processes(folder: Path) -> list[int]:
    """Processes that write this folder."""
    found = subprocess.run(
        ["ps", "-eww", "-o", "pid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [int(line.split()[0]) for line in found if "rag.stores.offload" in line and str(folder) in line]


@pytest.mark.parametrize("offload_after", [0, 25, 1000])
def test_it_holds_what_a_plain_index_holds(tmp_path, offload_after):
    ids = list(TEXTS)
    with (
        closing(OffloadedIndex(tmp_path / "a", dimension=16, offload_after=offload_after)) as offloaded,
        closing(ChromaIndex(tmp_path / "b", dimension=16)) as plain,
    ):
        for index in (offloaded, plain):
            for start in range(0, 60, 20):
                index.upsert(ids[start : start + 20], vectors(ids[start : start + 20]))
            index.upsert(ids[:5], vectors(ids[5:10]))
            index.delete([*ids[10:15], "nobody"])
        assert bool(processes(tmp_path / "a")) == (offload_after < 1000)
        assert offloaded.ids() == plain.ids()
        assert offloaded.count() == plain.count() == 55
        for passage_id, vector in plain.vectors(ids).items():
            assert np.allclose(offloaded.vectors([passage_id])[passage_id], vector)
        question = vectors(ids[30:31])[0]
        assert offloaded.search(question, 3)[0][0] == plain.search(question, 3)[0][0] == ids[30]
        offloaded.upsert(ids[:5], vectors(ids[:5]))
    with closing(ChromaIndex(tmp_path / "a", dimension=16)) as again:
        assert again.count() == 55
    assert processes(tmp_path / "a") == []


def test_an_error_comes_back_from_the_process_as_itself(tmp_path):
    ids = list(TEXTS)
    with closing(OffloadedIndex(tmp_path / "a", dimension=16, offload_after=0)) as index:
        index.upsert(ids, vectors(ids))
        with pytest.raises(LibraryMismatch, match="citewise rebuild"):
            index.upsert(ids, np.ones((60, 24), dtype=np.float32))
        index.upsert(ids[:2], vectors(ids[:2]))
        assert index.count() == 60


def test_a_process_that_dies_is_a_clear_error(tmp_path):
    ids = list(TEXTS)
    with closing(OffloadedIndex(tmp_path / "a", dimension=16, offload_after=0)) as index:
        index.upsert(ids[:9], vectors(ids[:9]))
        [process] = processes(tmp_path / "a")
        os.kill(process, signal.SIGKILL)
        with pytest.raises(LibraryError, match="ended"):
            index.upsert(ids, vectors(ids))


def test_the_process_ends_when_its_writer_is_killed(tmp_path):
    code = """if True:
        import os, signal, sys
        from pathlib import Path
        import numpy as np
        from rag.stores.offload import OffloadedIndex
        index = OffloadedIndex(Path(sys.argv[1]), dimension=16, offload_after=0)
        index.upsert(["a", "b"], np.eye(2, 16, dtype=np.float32))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    folder = tmp_path / "a"
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=False, timeout=60)
    assert eventually(lambda: not processes(folder))
    with closing(OffloadedIndex(folder, dimension=16)) as index:
        assert index.count() == 2


def test_a_process_whose_writer_was_killed_before_it_began_touches_nothing(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    options = '{"dimension": 64, "search_breadth": 100}'
    done = subprocess.run(
        [sys.executable, "-m", "rag.stores.offload", str(tmp_path), options, str(gone.pid)],
        cwd=ROOT,
        input=b"",
        capture_output=True,
        check=True,
    )
    assert done.stdout == b""
    assert [path.name for path in tmp_path.iterdir() if path.name != "offload.lock"] == []


def test_an_index_that_chroma_still_tidies_is_waited_for():
    tries = []

    def opening() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("error returned from database: (code: 5) database is locked")
        return "open"

    assert patiently(opening) == "open"
    tries.clear()
    with pytest.raises(RuntimeError, match="database is locked"):
        patiently(opening, seconds=0.0)
