"""A page that is stopped takes nothing new, finishes what it has begun, and leaves its library whole."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from rag import open_library
from tests.scripted_server import ScriptedServer, says_when_told, stalls
from tests.test_ui_load import Page
from tests.waiting import eventually
from ui.closing import Doors
from ui.page import serve

ROOT = Path(__file__).parents[1]
ASK, ADD = ("question", "submit"), ("add", "click")
QUESTION = "How does dropout prevent overfitting?"
WORDS, MORE = "Dropout drops units at random in training [1]. ", "It keeps units from adapting together [1]."
SECONDS = 240.0  # many times what anything here takes
SOON = 90.0  # likewise, and less than what is not waited for

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.enable_socket,
    pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent SIGTERM there"),
]


class Running:
    """A page in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line
        self.url = found[0]
        self.page = Page(self.url)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ended(self) -> tuple[int, str]:
        """The exit status, and what was said on the way."""
        said, _ = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, said


@contextmanager
def running(folder: Path, settings: dict) -> Iterator[Running]:
    config = folder.parent / "mine.yaml"
    config.write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "ui", "--no-browser", "--port", "0", "--library", str(folder)]
    process = subprocess.Popen(
        [*command, "--config", str(config)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield Running(process)
    finally:
        process.kill()
        process.wait(SECONDS)


def asking(server: ScriptedServer, **chat: float) -> dict:
    model = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url}
    return {"llm": model, "gate": {"enabled": False}, "answer": {"repair": False}, "chat": chat}


def refused(url: str) -> bool:
    return httpx.get(f"{url}/ready", timeout=SECONDS).status_code == 503


def test_an_answer_under_way_is_finished_and_nothing_new_is_begun(starter_copy):
    go_on = threading.Event()
    with (
        ScriptedServer(says_when_told(WORDS, MORE, go_on)) as server,
        running(starter_copy, asking(server, shutdown_seconds=SECONDS)) as page,
        ThreadPoolExecutor(1) as person,
    ):
        answer = person.submit(page.page.send, ASK, [QUESTION, None, None], "person")
        assert eventually(lambda: bool(server.requests), seconds=SECONDS)
        assert httpx.get(f"{page.url}/ready", timeout=SECONDS).status_code == 200
        page.stop()
        assert eventually(lambda: refused(page.url), seconds=SECONDS)
        assert httpx.get(f"{page.url}/health", timeout=SECONDS).status_code == 200
        for way in (("GET", page.url), ("POST", f"{page.url}/gradio_api/queue/join")):
            response = httpx.request(*way, timeout=SECONDS)
            assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert not answer.done(), "all of this is while the answer is being written"
        go_on.set()
        shown = answer.result(SECONDS)[0][1]
        assert "from adapting together" in shown
        assert 'class="problem"' not in shown
        status, said = page.ended()
    assert (status, said) == (0, "Closing.\n")


def test_what_takes_longer_than_allowed_is_stopped_and_the_written_part_is_kept(starter_copy):
    with (
        ScriptedServer(stalls("Dropout drops units at random", seconds=SECONDS)) as server,
        running(starter_copy, asking(server, shutdown_seconds=0.5)) as page,
        ThreadPoolExecutor(1) as person,
    ):
        came: list[str] = []
        answer = person.submit(page.page.send, ASK, [QUESTION, None, None], "person", came)
        assert eventually(lambda: "Dropout drops units at" in "".join(came), seconds=SECONDS)
        began = time.monotonic()
        page.stop()
        assert "Dropout drops units at" in answer.result(SECONDS)[0][1]
        assert page.ended()[0] == 0
        assert time.monotonic() - began < SOON
        assert server.disconnected.wait(SOON), "the model's server is not left writing"


def test_a_second_ctrl_c_does_not_wait(starter_copy):
    with (
        ScriptedServer(stalls("Dropout", seconds=SECONDS)) as server,
        running(starter_copy, asking(server, shutdown_seconds=SECONDS)) as page,
        ThreadPoolExecutor(1) as person,
    ):
        person.submit(page.page.send, ASK, [QUESTION, None, None], "person")
        assert eventually(lambda: bool(server.requests), seconds=SECONDS)
        began = time.monotonic()
        page.stop(signal.SIGINT)
        assert eventually(lambda: refused(page.url), seconds=SECONDS)
        page.stop(signal.SIGINT)
        assert page.ended()[0] == 0
        assert time.monotonic() - began < SOON


def test_a_page_that_is_stopped_before_it_is_open_ends_in_good_order(starter_copy):
    doors = Doors()
    doors.close()
    with open_library(starter_copy) as library:
        page = serve(library, port=0, doors=doors)
        assert refused(page.local_url.rstrip("/"))
        assert page.finish(SECONDS)


class Slow(Doors):
    """Everybody who comes in takes a while."""

    def passed(self, change: int) -> None:
        time.sleep(3.5 if change > 0 else 0.0)
        super().passed(change)


def test_a_page_opens_on_a_machine_that_is_too_busy_to_answer_in_three_seconds(starter_copy):
    with open_library(starter_copy) as library:
        serve(library, port=0, doors=Slow()).close()


def test_an_ingest_stops_after_its_batch_and_leaves_the_library_free(starter_copy, tmp_path):
    source, count = tmp_path / "more.jsonl", 60_000
    with source.open("w", encoding="utf-8") as lines:
        for at in range(count):
            lines.write(json.dumps({"title": f"Lamp{at}: part {at}", "abstract": f"Lamp{at} counts to {at}."}) + "\n")
    with running(starter_copy, {"chat": {"shutdown_seconds": SECONDS}}) as page, ThreadPoolExecutor(1) as person:
        report = person.submit(page.page.send, ADD, [None, "", str(source), False], "person")
        assert eventually(lambda: more_than(starter_copy, 64), seconds=SECONDS)
        page.stop()
        assert "<dt>added</dt>" in report.result(SECONDS)[1]
        assert page.ended()[0] == 0
    with open_library(starter_copy) as library:
        assert 64 < library.count() < count
        assert library.search("Lamp7", 1)[0].paper.title == "Lamp7: part 7"
        assert library.remove([library.search("Lamp7", 1)[0].paper.id]) == 1, "nobody holds the library"


def more_than(folder: Path, count: int) -> bool:
    with open_library(folder) as library:
        return library.count() > count
