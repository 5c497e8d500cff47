"""What is done on the page while something else is under way: nothing is lost, and nothing comes out of order."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import scripted_server as script
from tests.browsing import ask, served
from tests.scripted_server import ScriptedServer, Step, serving

pytestmark = [pytest.mark.browser, pytest.mark.loopback, pytest.mark.enable_socket]

QUICK = script.says("BERT is pre-trained on unlabeled text [1].")


@pytest.fixture(scope="module")
def model(starter_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ScriptedServer]]:
    """A page with a model, and that model."""
    folder = Path(shutil.copytree(starter_folder, tmp_path_factory.mktemp("meanwhile") / "library"))
    with serving(QUICK) as server:
        llm = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url, "retries": 0}
        for url in served(folder, llm=llm):
            yield url, server


@pytest.fixture
def writing(model: tuple[str, ScriptedServer]) -> Iterator[tuple[ScriptedServer, threading.Event]]:
    """The model, which stops in the middle of its next answer until the event is set."""
    _, server = model
    go = threading.Event()
    yield server, go
    go.set()
    server.steps[:] = [QUICK]


def begin(page: Any, server: ScriptedServer, go: threading.Event, *steps: Step) -> None:
    """Ask, and wait until half of the answer is there; the model takes other `steps` before it."""
    half = "BERT is pre-trained on unlabeled text [1]. "
    server.steps[:] = [*steps, script.says_when_told(half, half, go)]
    page.fill("#question textarea", "What is BERT?")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#live .draft')?.innerText.includes('unlabeled text')")


def test_a_filter_that_is_set_while_an_answer_is_written_holds_for_the_next_question(visit, model, writing):
    page = visit(model[0])
    begin(page, *writing)
    page.click("#menu summary")
    page.locator("#menu [name=year_to]").fill("2000")
    page.wait_for_selector("#chips .chip")
    writing[1].set()
    page.wait_for_selector("#finished .turn")
    writing[0].steps[:] = [QUICK]
    ask(page, "Which papers are about neural networks?")
    assert page.locator("#chips .chip").count() == 1
    dates = page.locator("#evidence .source summary small").all_inner_texts()
    assert dates
    assert all("19" in date or "2000" in date for date in dates), dates


def test_a_vote_on_an_earlier_answer_is_kept_while_the_next_one_is_written(visit, model, writing):
    page = visit(model[0])
    turn = ask(page, "What is BERT?")
    begin(page, *writing, script.says("What is BERT?"))
    turn.locator("[data-rating='-1']").click()
    turn.locator(".remark input").fill("too short")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#said').textContent === 'Your rating is kept'")
    writing[1].set()
    page.wait_for_function("document.querySelectorAll('#finished .turn').length === 2")
    assert turn.locator("[data-rating='-1']").get_attribute("aria-pressed") == "true"
    page.reload()
    page.wait_for_selector("#finished .turn")
    assert page.locator("#finished .remark input").first.input_value() == "too short"


def test_a_conversation_that_is_left_while_an_answer_is_written_does_not_come_back(visit, model, writing):
    page = visit(model[0])
    begin(page, *writing)
    page.click("#brand [data-do=new]")
    page.wait_for_selector("#welcome .welcome:visible")
    writing[1].set()
    writing[0].steps[:] = [QUICK]
    turn = ask(page, "What is GPT-3?")
    assert page.locator("#finished .turn").count() == 1
    assert turn.locator(".question").inner_text() == "What is GPT-3?"


def test_changes_that_follow_each_other_quickly_are_heard_in_their_order(visit, starter_url):
    page = visit(starter_url)
    held: list[Any] = []
    through: list[Any] = []

    def first_is_held(route: Any) -> None:
        (through if held else held).append(route)
        if through:
            route.continue_()

    page.route("**/queue/join*", first_is_held)
    page.click("#menu summary")
    page.locator("#menu [name=year_from]").fill("2020")
    page.locator("#menu [name=year_to]").fill("2018")
    page.wait_for_timeout(500)
    assert through == [], "the second change was sent before the first had come"
    held[0].continue_()
    page.wait_for_function("document.querySelector('#chips .chip')?.innerText.startsWith('2018 – 2020')")
