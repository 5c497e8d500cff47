"""An ingest killed at any moment and run again makes the library of an undisturbed one; so does one beside another."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from rag.stores.lock import holder
from tests.ingesting import abstract, ingest, papers, record, whole, write

ROOT = Path(__file__).parents[1]
_RECORDS = 3000
_WORKER = textwrap.dedent("""
    import resource
    import sys
    from pathlib import Path
    from rag.errors import CitewiseError
    from tests.ingesting import ingest, ingester
    import chromadb, tantivy, rag.parsers
    # A file that a kill left half written must not make Chroma fill the disk of whoever runs this test.
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000_000, 500_000_000))
    folder, *files = map(Path, sys.argv[1:])
    print("started", flush=True)
    try:
        report = ingest(folder, *files, sync=True)
        print(report.added, report.updated, report.removed, len(report.duplicates), flush=True)
    except CitewiseError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
""")


class Pile:
    """A library made from older files, and newer ones with additions, edits, removals and duplicates in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start = folder / "start"
        self.files = [folder / "a.jsonl", folder / "b.jsonl"]
        write(self.files[0], [record(at, id=f"p{at}") for at in range(300)] + [{"abstract": abstract(5000, 60)}])
        ingest(self.start, self.files[0])
        edited = [record(at, id=f"p{at}", abstract=abstract(at + 9000)) for at in range(100)]
        kept = [record(at, id=f"p{at}") for at in range(100, 250)]
        new = [record(at) for at in range(300, _RECORDS)]
        write(self.files[0], [*edited, *kept, *new, {"abstract": abstract(5000, 60).upper()}])
        write(self.files[1], [record(at, venue="ICML") for at in range(200, 900)] + [{"abstract": abstract(7000)}])

    def library(self, name: str) -> Path:
        return Path(shutil.copytree(self.start, self.folder / name))

    def run(self, library: Path, *, kill_after: float | None = None) -> str:
        """The worker's output; its process is killed so many seconds after the ingest began."""
        command = [sys.executable, "-c", _WORKER, str(library), *map(str, self.files)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            if kill_after is not None:
                time.sleep(kill_after)
                process.kill()
            return process.stdout.read()


@pytest.fixture(scope="module")
def pile(tmp_path_factory) -> Pile:
    return Pile(tmp_path_factory.mktemp("pile"))


@pytest.fixture(scope="module")
def undisturbed(pile):
    """The library as it should be, and how long its ingest took."""
    library = pile.library("undisturbed")
    begin = time.monotonic()
    output = pile.run(library)
    seconds = time.monotonic() - begin
    # The first file has 2,700 new records, 101 edits, and lacks 50 that it had. The second brings those 50 back, one
    # more, and 650 that are there already.
    assert output.split() == ["2751", "101", "50", "650"]
    return whole(library), seconds


def _killed_and_run_again(pile: Pile, undisturbed, seed: int) -> None:
    expected, seconds = undisturbed
    draw = random.Random(seed)
    library = pile.library(f"round-{seed}")
    for _ in range(draw.choice((1, 1, 2, 3))):
        pile.run(library, kill_after=draw.uniform(0, seconds))
    pile.run(library)
    found = whole(library)
    shutil.rmtree(library)
    assert found == expected


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_ingest_run_again_makes_the_undisturbed_library(pile, undisturbed, seed):
    _killed_and_run_again(pile, undisturbed, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 130))
def test_an_ingest_killed_at_thirty_moments_makes_the_undisturbed_library(pile, undisturbed, seed):
    _killed_and_run_again(pile, undisturbed, seed)


def test_of_two_ingests_at_once_the_second_is_told_and_the_first_finishes(pile, undisturbed):
    library = pile.library("two")
    command = [sys.executable, "-c", _WORKER, str(library), *map(str, pile.files)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as first:
        while holder(library) is None:
            assert first.poll() is None
        first.send_signal(signal.SIGSTOP)  # so that it is still at it, however slow the second one starts
        try:
            told = pile.run(library)
        finally:
            first.send_signal(signal.SIGCONT)
        output, _ = first.communicate(timeout=240)
    assert told.startswith(f"LibraryLocked: process {first.pid} ")
    assert str(library) in told
    assert output.split()[1:] == ["2751", "101", "50", "650"]
    assert whole(library) == undisturbed[0]
    assert len(papers(library)) == len(undisturbed[0]["papers"])
