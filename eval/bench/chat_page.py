"""How soon `citewise chat` answers after its start, how soon many at once get words, how long the map takes."""

from __future__ import annotations

import json
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

_PEOPLE, _EACH = 20, 5
_PAUSE = 2.0  # seconds; a person reads for half as long on average before the next question


def measure(library: Path, questions: Sequence[str]) -> dict[str, Any]:
    """Seconds from the command to the page and to its first answer, then milliseconds to the first words and for all
    of an answer with 20 people asking at once, and seconds for the map."""
    from rag import open_library
    from ui.paper_map import drawn

    started = time.perf_counter()
    with _page(library) as url:
        httpx.get(url).raise_for_status()
        to_page = time.perf_counter() - started
        asked = _asks(url)
        _ask(url, asked, questions[0])
        to_answer = time.perf_counter() - started
        with ThreadPoolExecutor(_PEOPLE) as people:
            times = [
                pair
                for own in people.map(lambda number: _person(url, asked, questions, number), range(_PEOPLE))
                for pair in own
            ]
    started = time.perf_counter()
    with open_library(library) as opened:
        shown = drawn(opened, 0)
    return {
        "s to the page": to_page,
        "s to the first answer": to_answer,
        "first words ms": _percentiles([first for first, _ in times]),
        "whole answer ms": _percentiles([whole for _, whole in times]),
        f"map of {len(shown.papers):,} s": time.perf_counter() - started,
    }


@contextmanager
def _page(library: Path) -> Generator[str]:
    command = [sys.executable, "-m", "ui", "--no-browser", "--port", "0", "--library", str(library)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            found = re.search(r"http://[\d.]+:\d+", running.stdout.readline())
            if found is None:
                raise RuntimeError("the chat page did not start")
            yield found[0]
        finally:
            running.terminate()


def _asks(url: str) -> int:
    """The number of the event that sends what is in the box."""
    events = httpx.get(f"{url}/config").json()["dependencies"]
    return next(event["id"] for event in events if any(target[1] == "submit" for target in event["targets"]))


def _person(url: str, asked: int, questions: Sequence[str], number: int) -> list[tuple[float, float]]:
    own = random.Random(number)
    times: list[tuple[float, float]] = []
    for question in own.sample(list(questions), min(_EACH, len(questions))):
        time.sleep(own.random() * _PAUSE)
        times.append(_ask(url, asked, question))
    return times


def _ask(url: str, asked: int, question: str) -> tuple[float, float]:
    """Milliseconds to the first words and to the end of one answer, as the browser gets them."""
    session = f"{random.getrandbits(48):012x}"
    started = time.perf_counter()
    job = {"data": [question, None, None], "fn_index": asked, "session_hash": session}
    httpx.post(f"{url}/gradio_api/queue/join", json=job).raise_for_status()
    first: float | None = None
    with httpx.stream("GET", f"{url}/gradio_api/queue/data?session_hash={session}", timeout=120) as lines:
        for line in lines.iter_lines():
            event = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {"msg": ""}
            if first is None and ('class=\\"answer' in line or 'class=\\"abstained' in line):
                first = time.perf_counter() - started
            if event["msg"] == "process_completed":
                if not event["success"]:
                    raise RuntimeError(f"a question failed: {line[:300]}")
                break
    whole = time.perf_counter() - started
    return 1000 * (first or whole), 1000 * whole


def _percentiles(times: list[float]) -> dict[str, float]:
    return {"p50": statistics.median(times), "p95": statistics.quantiles(times, n=20)[-1]}
