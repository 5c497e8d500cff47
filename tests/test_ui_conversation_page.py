"""Conversations in the browser: stopped, retried, edited, copied, kept, found again, saved, judged; the keyboard."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import scripted_server as script
from tests.browsing import answered, ask, listed, open_example, served
from tests.scripted_server import ScriptedServer, serving
from ui.conversation import Chat

pytestmark = [pytest.mark.browser, pytest.mark.loopback, pytest.mark.enable_socket]

SLOW = "Lead is a metal that no abstract mentions. " * 200
UNANSWERED = "What is the boiling point of {}?"
TURNS = "document.querySelectorAll('#finished .turn').length === {}"


@pytest.fixture(scope="module")
def slow(starter_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ScriptedServer]]:
    """A page whose model writes for a quarter of an hour, and that model."""
    folder = Path(shutil.copytree(starter_folder, tmp_path_factory.mktemp("slow") / "library"))
    with serving(script.says(SLOW, pause=0.1)) as server:
        llm = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url, "timeout": 20.0, "retries": 0}
        for url in served(folder, llm=llm, gate={"enabled": False}):
            yield url, server


def told(page: Any, words: str) -> None:
    """Wait until those who do not see the page are told these words."""
    page.wait_for_function(f"document.querySelector('#said').textContent === {words!r}")


@pytest.mark.parametrize("how", ["button", "escape"])
def test_an_answer_under_way_can_be_stopped_and_what_was_written_stays(visit, slow, how):
    url, server = slow
    server.disconnected.clear()
    page = visit(url)
    page.fill("#question textarea", "What is BERT?")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#live .draft')?.innerText.includes('metal')")
    assert page.locator("#go").inner_text() == "Stop"
    if how == "button":
        page.click("#go")
    else:
        page.keyboard.press("Escape")
    answered(page)
    assert page.locator("#finished .made").inner_text() == "Stopped."
    assert "Lead is a metal" in page.locator("#finished .draft").inner_text()
    assert server.disconnected.wait(60), "the model is no longer kept writing"
    page.wait_for_function("document.querySelector('#go').innerText === 'Ask'")


def test_after_a_stop_the_same_question_can_be_asked_again(visit, slow):
    url, server = slow
    page = visit(url)
    page.fill("#question textarea", "What is BERT?")
    page.keyboard.press("Enter")
    page.wait_for_selector("#live .draft")
    page.keyboard.press("Escape")
    answered(page)
    server.steps[:] = [script.says("BERT is pre-trained on unlabeled text [1].")]
    page.hover("#finished .turn")
    page.click("#finished [data-do=retry]")
    page.wait_for_selector("#finished .turn .cite")
    answered(page)
    server.steps[:] = [script.says(SLOW, pause=0.1)]
    assert page.locator("#finished .turn").count() == 1


def test_retry_asks_the_question_again_in_its_place(visit, starter_url):
    page = visit(starter_url)
    ask(page, UNANSWERED.format("gold"))
    ask(page, UNANSWERED.format("silver"))
    page.locator("#finished .turn").first.hover()
    page.locator("#finished .turn").first.locator("[data-do=retry]").click()
    page.wait_for_function(TURNS.format(1))
    answered(page)
    assert "gold" in page.locator("#finished .question").inner_text()


def test_a_question_can_be_edited_and_asked_again(visit, starter_url):
    page = visit(starter_url)
    ask(page, UNANSWERED.format("lead"))
    page.hover("#finished .turn")
    page.click("#finished [data-do=edit]")
    page.fill("#finished .edited", UNANSWERED.format("tin"))
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#finished .question')?.dataset.text.includes('tin')")
    assert page.locator("#finished .turn").count() == 1


def test_an_edit_can_be_given_up(visit, starter_url):
    page = visit(starter_url)
    ask(page, UNANSWERED.format("lead"))
    page.hover("#finished .turn")
    page.click("#finished [data-do=edit]")
    page.fill("#finished .edited", "something else")
    page.keyboard.press("Escape")
    assert page.locator("#finished .edited").count() == 0
    assert page.locator("#finished .question").inner_text() == UNANSWERED.format("lead")


def test_a_copied_answer_has_its_markers_and_its_sources(visit, starter_url):
    page = visit(starter_url)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    turn = open_example(page)
    page.evaluate("""void (window.said = new Promise((tell) => new MutationObserver(() => {
        tell(document.querySelector('#finished [data-do=copy]').innerText);
    }).observe(document.querySelector('#finished [data-do=copy]'), { childList: true })))""")
    turn.locator("[data-do=copy]").click()
    assert page.evaluate("window.said") == "Copied"
    copied = page.evaluate("navigator.clipboard.readText()")
    title = turn.locator(".cite").first.get_attribute("aria-label").partition(": ")[2]
    assert " [1]." in copied
    assert copied.splitlines()[-1].startswith("[")
    assert f"[1] {title}" in copied.splitlines()


def test_a_new_conversation_begins_at_the_first_page_and_keeps_the_old_one(visit, starter_url):
    page = visit(starter_url)
    ask(page, UNANSWERED.format("wolframite"))
    assert not page.locator("#welcome").is_visible(), "the first page gives way to the conversation"
    page.click("#brand [data-do=new]")
    page.wait_for_selector("#welcome .welcome")
    page.wait_for_function("!location.search.includes('c=')")
    assert page.evaluate("document.activeElement.closest('#question') !== null")
    listed(page, "wolframite").locator(".open").wait_for()


def test_a_conversation_survives_a_reload_and_can_be_found_and_reopened(visit, starter_url):
    page = visit(starter_url)
    ask(page, UNANSWERED.format("unobtainium"))
    page.wait_for_function("location.search.includes('c=')")
    page.reload()
    page.wait_for_selector("#finished .turn")
    assert "unobtainium" in page.locator("#finished").inner_text()
    page.click("#brand [data-do=new]")
    page.wait_for_selector("#welcome .welcome")
    listed(page, "unobtainium").locator(".open").click()
    page.wait_for_selector("#finished .turn")
    assert "unobtainium" in page.locator("#finished").inner_text()


def test_a_reopened_conversation_goes_on_where_it_stopped(visit, starter_url):
    page = visit(starter_url)
    ask(page, "What is BERT?")
    page.wait_for_function("location.search.includes('c=')")
    page.reload()
    answered(page)
    assert ask(page, "How large is it?").locator(".searched q").inner_text() == "How large is BERT?"


def test_the_first_page_that_comes_late_leaves_an_answer_where_it_is(visit, own_url):
    page = visit(own_url)
    ask(page, UNANSWERED.format("bismuth"))
    page.click("nav [data-view=library]")
    page.fill("#pasted textarea", '{"title": "Glowworm: Night Lights", "abstract": "Glowworm lights the night."}')
    page.click("#add")
    page.click("nav [data-view=ask]")
    ask(page, UNANSWERED.format("thallium"))
    page.wait_for_function("document.querySelector('#welcome').textContent.includes('65')")
    assert page.locator("#finished .turn").count() == 2
    assert not page.locator("#welcome").is_visible()


def test_conversations_are_searched_by_what_was_asked_and_answered(visit, starter_url):
    page = visit(starter_url)
    ask(page, UNANSWERED.format("molybdenum"))
    page.click("#brand [data-do=new]")
    page.wait_for_selector("#welcome .welcome")
    ask(page, UNANSWERED.format("vanadium"))
    listed(page, "molybdenum").first.wait_for()
    page.wait_for_function("!document.querySelector('#kept').innerText.includes('vanadium')")
    page.fill("#looked-for textarea, #looked-for input", "zzzyzx")
    page.wait_for_function("document.querySelector('#kept').innerText.includes('Nothing found')")


def test_a_conversation_can_be_renamed_and_deleted(visit, starter_url):
    page = visit(starter_url)
    ask(page, UNANSWERED.format("rhodium"))
    page.once("dialog", lambda dialog: dialog.accept("Noble metals <b>1</b>"))
    listed(page, "rhodium").locator("[data-do=rename]").click()
    page.fill("#looked-for textarea, #looked-for input", "noble")
    page.locator("#kept li", has_text="Noble metals <b>1</b>").wait_for()
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.locator("#kept [data-do=delete]").first.click()
    assert page.locator("#kept li", has_text="Noble metals").count() == 1
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#kept [data-do=delete]").first.click()
    page.wait_for_function("document.querySelector('#kept').innerText.includes('Nothing found')")
    page.wait_for_selector("#welcome .welcome")
    page.reload()
    page.wait_for_selector("#welcome .welcome")


def test_an_answer_can_be_saved_as_bibtex(visit, starter_url):
    page = visit(starter_url)
    open_example(page)
    page.click("#finished .made summary")
    with page.expect_download() as download:
        page.click("#finished [data-format=bib]")
    assert Path(download.value.path()).read_text(encoding="utf-8").startswith("@")


def test_a_whole_conversation_can_be_saved_as_a_record(visit, starter_url):
    page = visit(starter_url)
    assert not page.locator("#top .exports").is_visible()
    ask(page, "What is BERT?")
    ask(page, "How large is it?")
    page.click("#top .exports summary")
    with page.expect_download() as download:
        page.click("#top [data-format=json]")
    assert download.value.suggested_filename == "citewise-what-is-bert.json"
    record = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert [item["question"] for item in record["exchanges"]] == ["What is BERT?", "How large is it?"]


def test_a_vote_and_its_note_are_kept(visit, starter_url):
    page = visit(starter_url)
    turn = ask(page, UNANSWERED.format("tungsten"))
    turn.locator("[data-rating='-1']").click()
    turn.locator(".remark input").fill("it should know")
    told(page, "Your rating is kept")
    page.evaluate("document.querySelector('#said').textContent = ''")
    page.keyboard.press("Enter")
    assert not turn.locator(".remark").is_visible()
    told(page, "Your rating is kept")
    page.reload()
    page.wait_for_selector("#finished .turn")
    assert page.input_value("#finished .remark input") == "it should know"
    assert page.locator("#finished [data-rating='-1']").get_attribute("aria-pressed") == "true"


def test_enter_sends_and_shift_enter_breaks_the_line(visit, starter_url):
    page = visit(starter_url)
    page.click("#question textarea")
    page.keyboard.type("What is the boiling point")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("of zinc?")
    assert page.input_value("#question textarea") == "What is the boiling point\nof zinc?"
    page.keyboard.press("Enter")
    answered(page)
    assert re.sub(r"\s+", " ", page.locator("#finished .question").inner_text()) == UNANSWERED.format("zinc")
    assert page.input_value("#question textarea") == ""


def test_a_slash_focuses_the_box_from_any_view(visit, starter_url):
    page = visit(starter_url)
    for view in ("ask", "library", "map"):
        page.click(f"nav [data-view={view}]")
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.closest('#question') !== null"), view
    page.keyboard.type("1/2")
    assert page.input_value("#question textarea") == "1/2", "while typing, a slash is a slash"


def test_nothing_is_asked_by_an_empty_box(visit, starter_url):
    page = visit(starter_url)
    page.fill("#question textarea", "   ")
    page.keyboard.press("Enter")
    page.click("#go")
    turn = ask(page, UNANSWERED.format("iron"))
    assert turn.get_attribute("data-turn") == "0"


def test_what_is_typed_stays_when_an_empty_question_comes_back_late(visit, starter_url, monkeypatch):
    come_back, came_back = threading.Event(), threading.Event()
    answered = Chat.ask

    def late(*given, **named):
        come_back.wait(60)
        yield from answered(*given, **named)
        came_back.set()

    monkeypatch.setattr(Chat, "ask", late)
    page = visit(starter_url)
    page.fill("#question textarea", "   ")
    page.keyboard.press("Enter")
    page.fill("#question textarea", UNANSWERED.format("iron"))
    come_back.set()
    assert came_back.wait(60)
    page.wait_for_timeout(500)  # for the browser to hear of it
    assert page.input_value("#question textarea") == UNANSWERED.format("iron")
