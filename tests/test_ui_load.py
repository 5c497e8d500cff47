"""Many people at once: 20 in conversations of their own while one adds papers; speed is measured by `make bench`."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from rag import open_library
from tests.browsing import served

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

PEOPLE, PAPERS = 20, 4_000
BOUND = 120.0  # seconds for all of it, many times what it takes


class Said(NamedTuple):
    """What one person got: the subject asked about, each answer's HTML, and when the first of them was there."""

    subject: str
    answers: list[str]
    at: float


class Page:
    """The events of a page as a browser sends them, by the component that they belong to."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        config = httpx.get(f"{self._url}/config", timeout=BOUND).raise_for_status().json()
        names = {item["id"]: item["props"].get("elem_id") for item in config["components"]}
        self._events = {
            (names.get(target), event): item["id"]
            for item in config["dependencies"]
            for target, event in item["targets"]
        }

    def send(
        self, event: tuple[str, str], data: list[Any], session: str, came: list[str] | None = None
    ) -> tuple[list[Any], str]:
        """What the components show in the end, and all that came on the way; `came` is filled as it comes."""
        job = {"data": data, "fn_index": self._events[event], "session_hash": session}
        httpx.post(f"{self._url}/gradio_api/queue/join", json=job, timeout=BOUND).raise_for_status()
        address = f"{self._url}/gradio_api/queue/data?session_hash={session}"
        came = [] if came is None else came
        with httpx.stream("GET", address, timeout=BOUND) as lines:
            for line in lines.iter_lines():
                came.append(line)
                told = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {"msg": ""}
                if told["msg"] == "process_completed":
                    assert told["success"], line[:300]
                    return told["output"]["data"], "".join(came)
        raise AssertionError("the page hung up")


def chat(page: Page, subject: str, session: str) -> Said:
    first, _ = page.send(("question", "submit"), [f"What is {subject}?", None, None], session)
    at = time.monotonic()
    second, _ = page.send(("question", "submit"), ["Who wrote it?", None, None], session)
    return Said(subject, [first[1], second[1]], at)


def subjects(folder: Path) -> list[str]:
    """Names in titles, each answered from its own paper when nobody else asks."""
    with open_library(folder) as library:
        names = [paper.title.partition(":")[0] for paper in library.papers() if ":" in paper.title]
        own = [name for name in names if first_source(library.ask(f"What is {name}?")) == name]
    return own[:PEOPLE]


def first_source(answer: Any) -> str:
    return answer.sources[0].paper.title.partition(":")[0] if answer.sources and not answer.abstained else ""


def test_twenty_people_get_the_answers_to_their_own_questions_while_one_adds_papers(starter_copy, tmp_path):
    source = tmp_path / "more.jsonl"
    paper = '{{"title": "Lamp{0}: part {0}", "abstract": "Lamp{0} counts to {0} in {0} ways."}}\n'
    source.write_text("".join(paper.format(at) for at in range(PAPERS)), encoding="utf-8")
    names = subjects(starter_copy)
    assert len(names) == PEOPLE
    for url in served(starter_copy):
        page, began = Page(url), time.monotonic()
        with ThreadPoolExecutor(PEOPLE + 1) as people:
            adding = people.submit(page.send, ("add", "click"), [None, "", str(source), False], "adding")
            talks = [people.submit(chat, page, name, f"person{at}") for at, name in enumerate(names)]
            (_, report), added_at = adding.result(BOUND), time.monotonic()
            said = [talk.result(BOUND) for talk in talks]
        assert time.monotonic() - began < BOUND
        assert f"<dt>added</dt><dd>{PAPERS:,}</dd>" in report
        assert any(one.at < added_at for one in said), "some were answered while the papers were being added"
        for subject, answers, _ in said:
            for place, answer in enumerate(answers):
                turns = answer.split('<article class="turn"')[1:]
                assert len(turns) == place + 1
                assert f"What is {subject}?" in turns[0]
                assert 'class="problem"' not in answer
                assert re.search(rf'aria-label="Source 1: {re.escape(subject)}[:"]', turns[place]), (subject, place)
