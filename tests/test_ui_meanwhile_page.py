"""What is done on the page while something else is under way: nothing is lost, and nothing comes out of order."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import scripted_server as script
from tests.browsing import answered, ask, listed, served
from tests.scripted_server import ScriptedServer, Step, serving
from tests.test_ui_library_page import library, papers_file
from tests.waiting import eventually
from ui.conversation import Chat
from ui.handlers import Handlers

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


def until(page: Any, claim: Callable[[], bool]) -> None:
    """Wait for what comes by way of the browser, which is heard only while the page waits."""
    assert eventually(lambda: page.wait_for_timeout(20) or claim())


def test_a_filter_that_is_set_while_an_answer_is_written_holds_for_the_next_question(visit, model, writing):
    page = visit(model[0])
    begin(page, *writing)
    page.click("#menu summary")
    page.locator("#menu [name=year_to]").fill("2000")
    page.wait_for_selector("#chips .chip")
    writing[1].set()
    answered(page)
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
    page.wait_for_function("document.querySelector('#said').textContent === 'Your rating is kept'")
    page.evaluate("document.querySelector('#said').textContent = ''")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#said').textContent === 'Your rating is kept'")
    writing[1].set()
    answered(page, 2)
    assert turn.locator("[data-rating='-1']").get_attribute("aria-pressed") == "true"
    page.reload()
    page.wait_for_selector("#finished .turn")
    assert page.locator("#finished .remark input").first.input_value() == "too short"


def test_what_is_typed_in_an_earlier_turn_stays_when_the_next_answer_is_drawn(visit, model, writing):
    page = visit(model[0])
    turn = ask(page, "What is BERT?")
    begin(page, *writing, script.says("What is BERT?"))
    turn.locator("[data-rating='-1']").click()
    turn.locator(".remark input").fill("too sh")
    turn.locator("[data-do=edit]").click()
    turn.locator(".edited").fill("What is")
    page.keyboard.press("Home")
    writing[1].set()
    answered(page, 2)
    assert turn.locator(".remark input").is_visible()
    assert turn.locator(".remark input").input_value() == "too sh"
    page.keyboard.type("Say: ")
    assert turn.locator(".edited").input_value() == "Say: What is"
    page.click("#brand [data-do=new]")
    page.wait_for_selector("#welcome .welcome:visible")
    writing[0].steps[:] = [QUICK]
    turn = ask(page, "What is BERT?")
    assert turn.locator(".edited").count() == 0, "in another conversation nothing is being written"
    assert not turn.locator(".remark").is_visible()


def test_the_papers_found_are_shown_while_the_answer_is_written(visit, model, writing):
    page = visit(model[0])
    begin(page, *writing)
    assert "BERT" in page.locator("#evidence .found li").first.inner_text()
    writing[1].set()
    answered(page)
    assert page.locator("#evidence .source").count() > 0
    assert page.locator("#evidence .found").count() == 0


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
    page.evaluate("""window.tried = 0; window.fetch = ((send) => (where, how) => {
        window.tried += String(where?.url ?? where).includes('/queue/join');
        return send(where, how);
    })(window.fetch)""")
    page.click("#menu summary")
    page.locator("#menu [name=year_from]").fill("2020")
    page.locator("#menu [name=year_to]").fill("2018")
    page.wait_for_function("window.tried === 2")
    until(page, lambda: bool(held))
    page.wait_for_timeout(500)
    assert through == [], "the second change was sent before the first had come"
    held[0].continue_()
    page.wait_for_function("document.querySelector('#chips .chip')?.innerText.startsWith('2018 – 2020')")


class Held:
    """The requests for some address, which wait until they are let go."""

    def __init__(self, page: Any, address: str) -> None:
        self._page, self._open, self._routes = page, False, []
        page.route(address, lambda route: self._come(route))

    def _come(self, route: Any) -> None:
        if self._open:
            route.continue_()
        else:
            self._routes.append(route)

    def let_go(self) -> None:
        """Wait for one, and hold none from then on."""
        until(self._page, lambda: bool(self._routes))
        self._open = True
        for route in self._routes:
            route.continue_()


JOIN = "**/queue/join*"


def test_a_stop_holds_for_a_question_that_the_server_has_not_heard_yet(visit, model, writing):
    page = visit(model[0])
    writing[0].steps[:] = [script.says_when_told("BERT is pre-trained on unlabeled text [1]. ", "", writing[1])]
    held = Held(page, JOIN)
    page.fill("#question textarea", "What is BERT?")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    held.let_go()
    answered(page)
    assert page.locator("#finished .made").inner_text() == "Stopped."


def test_the_next_question_can_be_typed_while_an_answer_is_written(visit, model, writing):
    page = visit(model[0])
    begin(page, *writing)
    page.fill("#question textarea", "What is GPT-3?")
    writing[1].set()
    answered(page)
    assert page.input_value("#question textarea") == "What is GPT-3?"


def test_what_is_typed_right_after_a_question_stays_when_the_server_takes_that_one(visit, starter_url):
    page = visit(starter_url)
    held = Held(page, JOIN)
    page.fill("#question textarea", "What is BERT?")
    page.keyboard.press("Enter")
    page.fill("#question textarea", "What is GPT-3?")
    held.let_go()
    answered(page)
    assert page.input_value("#question textarea") == "What is GPT-3?"


@pytest.fixture
def slowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[type, str], threading.Event]]:
    """Makes a step of the server wait until the event that it returns is set."""
    go = threading.Event()

    def slow(owner: type, name: str) -> threading.Event:
        step = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given: go.wait(60) and step(*given))
        return go

    yield slow
    go.set()


def hear(page: Any) -> None:
    """Wait until the page has heard from the server again, of something that was done later than all else."""
    listed(page)
    page.fill("#looked-for textarea, #looked-for input", "zzzyzx")
    page.wait_for_function("document.querySelector('#kept').innerText.includes('Nothing found')")


def asked_too_early(page: Any) -> bool:
    """Whether the question in the box is taken up before what was done later."""
    page.keyboard.press("Enter")
    hear(page)
    return page.locator("#live .turn, #finished .turn").count() > 0


def test_a_question_waits_for_the_filter_that_was_set_before_it(visit, starter_url, slowed):
    page = visit(starter_url)
    go = slowed(Chat, "narrowed")
    page.click("#menu summary")
    page.locator("#menu [name=year_to]").fill("2000")
    page.fill("#question textarea", "Which papers are about neural networks?")
    assert not asked_too_early(page)
    go.set()
    answered(page)
    dates = page.locator("#evidence .source summary small").all_inner_texts()
    assert dates
    assert all("19" in date or "2000" in date for date in dates), dates
    assert page.input_value("#question textarea") == ""


def test_a_question_waits_for_what_the_page_arrives_with(visit, starter_url, slowed):
    go = slowed(Handlers, "summary")
    page = visit(starter_url, wait=False)
    page.fill("#question textarea", "What is BERT?")
    assert not asked_too_early(page)
    go.set()
    page.wait_for_selector("#summary >> text=64 papers")
    answered(page)
    assert page.locator("#finished .question").inner_text() == "What is BERT?"


def test_a_question_is_asked_though_what_was_before_it_failed(visit, starter_url, monkeypatch):
    page = visit(starter_url)
    monkeypatch.setattr(Chat, "narrowed", lambda *_: 1 / 0)
    page.click("#menu summary")
    page.locator("#menu [name=year_to]").fill("2000")
    assert ask(page, "What is BERT?").locator(".cite").count() > 0


@pytest.fixture
def uneven(monkeypatch: pytest.MonkeyPatch) -> Callable[[type, str], list[Any]]:
    """Makes a step of the server take longer the first time than the second, where both are taken at once."""

    def make(owner: type, name: str) -> list[Any]:
        step, begun, made = getattr(owner, name), [], []

        def work(*given: Any) -> Any:
            begun.append(name)
            if len(begun) == 1:
                eventually(lambda: bool(made), seconds=1)
            made.append(step(*given))
            return made[-1]

        monkeypatch.setattr(owner, name, work)
        return made

    return make


def test_of_two_conversations_chosen_quickly_the_second_is_opened(visit, starter_url, uneven):
    page = visit(starter_url)
    for name in ("gallium", "thorium"):
        ask(page, f"What is the boiling point of {name}?")
        page.click("#brand [data-do=new]")
        page.wait_for_selector("#welcome .welcome:visible")
    listed(page)
    page.wait_for_function("document.querySelector('#kept').innerText.includes('thorium')")
    opened = uneven(Handlers, "opened")
    page.evaluate("""for (const name of ['gallium', 'thorium'])
        [...document.querySelectorAll('#kept .open')].find(item => item.innerText.includes(name)).click()""")
    until(page, lambda: len(opened) == 2)
    hear(page)
    page.wait_for_function("document.querySelector('#finished .question')?.innerText.includes('thorium')")


def test_of_two_papers_chosen_quickly_those_like_the_second_are_shown(visit, starter_url, uneven):
    page = visit(starter_url)
    ask(page, "Which papers retrieve passages with dense vectors?")
    second = page.locator("#evidence .source b").nth(1).text_content()
    found = uneven(Chat, "similar")
    page.evaluate("""[...document.querySelectorAll('#evidence .source [data-do=like]')].slice(0, 2)
        .forEach(button => button.click())""")
    until(page, lambda: len(found) == 2)
    hear(page)
    page.wait_for_function("title => document.querySelector('#evidence h2')?.innerText.includes(title)", arg=second)


def test_what_is_sought_and_chosen_while_papers_are_added_holds_when_they_are_there(visit, own_url, writing):
    page = library(visit(own_url))
    paper = {"title": "Lamplight: Attention at Night", "abstract": "Lamplight attends.", "year": 2025}
    with ScriptedServer(QUICK, listing=script.sends_when_told(json.dumps([paper]), writing[1])) as server:
        page.fill("#path textarea, #path input", f"{server.base_url}/papers.json")
        page.click("#add")
        page.wait_for_selector("#report .progress")
        page.fill("#words textarea, #words input", "attention")
        page.wait_for_function("document.querySelectorAll('#table tbody tr').length === 2")
        page.click("nav [data-view=ask]")
        page.click("#menu summary")
        page.check("#menu [name=venues] >> nth=0")
        page.wait_for_selector("#chips .chip")
        writing[1].set()
        page.wait_for_function("document.querySelectorAll('#table tbody tr').length === 3")
        page.wait_for_function("document.querySelectorAll('#menu .bars i').length === 2025 - 1990 + 1")
    assert page.locator("#menu input:checked").count() == 1


def test_the_form_of_filters_knows_at_once_what_was_taken_back(visit, starter_url):
    page = visit(starter_url)
    page.click("#menu summary")
    for place in range(3):
        page.check(f"#menu [name=venues] >> nth={place}")
    page.locator("#menu [name=year_from]").fill("2019")
    page.wait_for_function("document.querySelectorAll('#chips .chip').length === 4")
    held = Held(page, JOIN)
    page.evaluate("document.querySelectorAll('#chips .chip').forEach((chip) => chip.click())")
    page.click("#menu summary")
    page.check("#menu [name=venues] >> nth=3")
    held.let_go()
    page.wait_for_function("document.querySelectorAll('#chips .chip').length === 1")
    wanted = page.locator("#menu [name=venues] >> nth=3").input_value()
    page.wait_for_function("name => document.querySelector('#chips .chip')?.dataset.value === name", arg=wanted)
    assert page.locator("#menu input:checked").count() == 1


def test_a_button_that_is_drawn_anew_while_it_is_pressed_is_pressed(visit, starter_url):
    page = library(visit(starter_url))
    page.hover("#table [data-order=title]", position={"x": 5, "y": 5})  # once it is where it stays
    page.mouse.down()
    page.evaluate("(old => old.replaceWith(old.cloneNode(true)))(document.querySelector('#table [data-order=title]'))")
    page.mouse.up()
    page.wait_for_selector("#table th[aria-sort=ascending]")


def test_papers_are_added_once_their_files_have_come(visit, empty_url, tmp_path):
    page = library(visit(empty_url))
    held = Held(page, "**/upload?*")
    page.set_input_files("#files input[type=file]", papers_file(tmp_path / "more.jsonl", 3, "Lamp"))
    page.wait_for_selector("#files .uploading")
    page.click("#add")
    held.let_go()
    page.wait_for_selector("#report .report")
    assert "added\n3" in page.locator("#report").inner_text()


def test_what_is_pasted_while_papers_are_added_stays_for_the_next_time(visit, empty_url):
    page = library(visit(empty_url))
    page.fill("#pasted textarea", '{"title": "Glowworm: Night Lights", "abstract": "Glowworm lights the night."}')
    page.check("#newer input")
    held = Held(page, JOIN)
    page.click("#add")
    page.fill("#pasted textarea", "the next ones")
    held.let_go()
    page.wait_for_function("!document.querySelector('#newer input').checked")
    assert "added\n1" in page.locator("#report").inner_text()
    assert page.input_value("#pasted textarea") == "the next ones"


def test_two_files_saved_quickly_are_both_saved(visit, starter_url):
    page = visit(starter_url)
    ask(page, "What is BERT?")
    held, names = Held(page, JOIN), []
    page.on("download", lambda download: names.append(download.suggested_filename))
    for kind in ("json", "bib"):
        page.click("#top .exports summary")
        page.click(f"#top [data-format={kind}]")
    held.let_go()
    until(page, lambda: len(names) == 2)
    assert sorted(names) == ["citewise-what-is-bert.bib", "citewise-what-is-bert.json"]


def test_a_view_or_drawer_that_was_chosen_before_the_page_was_ready_stays(visit, starter_url):
    page = visit(starter_url)
    page.context.add_init_script("""window.late = []; window.setTimeout = ((later) => (what, ...more) =>
        what.name === 'begin' ? window.late.push(what) : later(what, ...more))(window.setTimeout)""")
    page.reload()
    page.wait_for_selector("#welcome .welcome")
    page.click("nav [data-view=library]")
    page.click("#brand [data-do=drawer]")
    page.evaluate("window.late.forEach((what) => what())")
    assert page.locator("#table").is_visible()
    assert page.locator("#drawer").is_visible()


def test_what_the_stream_of_events_was_closed_upon_is_heard_all_the_same(visit, starter_url):
    page = visit(starter_url)
    closed: list[Any] = []
    streams: set[Any] = set()
    page.on("request", lambda request: streams.add(request) if "/queue/data" in request.url else None)
    for end in ("requestfinished", "requestfailed"):
        page.on(end, lambda request: streams.discard(request))
    page.reload()
    page.wait_for_selector(".examples button")

    def close_the_first(route: Any) -> None:
        if closed:
            route.continue_()
        else:
            closed.append(route)
            route.fulfill(content_type="text/event-stream", body='data: {"msg": "close_stream"}\n\n')

    until(page, lambda: not streams)  # nothing is on its way, and so what is done next opens one
    page.route("**/queue/data*", close_the_first)
    page.click("#menu summary")
    page.locator("#menu [name=year_from]").fill("2018")
    page.wait_for_selector("#chips .chip")
    assert closed
    until(page, lambda: not streams)
    closed.clear()
    turn = ask(page, "What is BERT?")
    assert closed
    assert turn.locator(".cite").count() > 0
