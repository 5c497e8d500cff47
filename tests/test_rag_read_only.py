"""A library that may only be read still answers; what would write to it says so in one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Root may write anything, unless that capability is taken from it.
PLAIN = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []


def citewise(*arguments: str, library: Path) -> subprocess.CompletedProcess[str]:
    command = [*PLAIN, sys.executable, "-m", "rag.cli", *arguments, "--library", str(library)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Iterator[Path]:
    if PLAIN and not shutil.which(PLAIN[0]):
        pytest.skip("root can only be kept from writing with setpriv")
    folder = tmp_path_factory.mktemp("read-only") / "library"
    made = subprocess.run(
        [sys.executable, "-m", "rag.cli", "ingest", "--starter", "--json", "--library", str(folder)],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    everything = [folder, *folder.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in everything:
        path.chmod(0o755)


def test_it_still_answers_searches_and_lists(library):
    answer = json.loads(citewise("ask", "What is dropout?", "--json", library=library).stdout)
    assert answer["abstained"] is None
    assert answer["citations"]
    hits = json.loads(citewise("search", "contrastive learning", "--json", library=library).stdout)["hits"]
    assert hits
    assert len(citewise("papers", "--json", library=library).stdout.splitlines()) == 64


def test_it_can_be_exported(library, tmp_path):
    done = citewise("export", str(tmp_path / "x.citewise"), library=library)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("exported 64 papers")


@pytest.mark.parametrize("command", [["ingest", "--starter"], ["remove", "bert"], ["rebuild"]])
def test_writing_to_it_is_one_clear_line(library, command):
    done = citewise(*command, library=library)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "cannot write" in done.stderr


def test_the_doctor_names_the_folder_that_cannot_be_written(library):
    done = citewise("doctor", library=library)
    assert "Traceback" not in done.stderr
    assert "not a folder that you may write in" in done.stdout
