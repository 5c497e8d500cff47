"""Answers in the browser: markers and their sources, unsupported sentences, abstentions, follow-ups, mathematics."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import scripted_server as script
from tests.browsing import HOSTILE, answered, ask, open_example, served
from tests.scripted_server import ScriptedServer, serving

pytestmark = [pytest.mark.browser, pytest.mark.loopback, pytest.mark.enable_socket]

ANSWERED = "Which papers retrieve passages with dense vectors?"
UNANSWERED = "What is the boiling point of lead?"
MODEL = {"kind": "openai-like", "model": "scripted", "timeout": 20.0, "retries": 0}
PRICES = {"scripted": {"input": 1000.0, "output": 2000.0}}
ANSWER = {"repair": False}  # so that a test knows which step the model takes next


@pytest.fixture(scope="module")
def model(starter_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ScriptedServer]]:
    """A page whose answers a scripted model writes, and that model: each test gives it its steps."""
    folder = Path(shutil.copytree(starter_folder, tmp_path_factory.mktemp("model") / "library"))
    with serving(script.says("")) as server:
        for url in served(
            folder, llm=MODEL | {"base_url": server.base_url}, prices=PRICES, gate={"enabled": False}, answer=ANSWER
        ):
            yield url, server


def test_an_example_question_is_answered_and_its_marker_opens_the_marked_sentence(visit, starter_url):
    page = visit(starter_url)
    turn = open_example(page, 0)
    turn.locator(".cite").first.click()
    strong = page.locator("#evidence mark.strong").first
    strong.wait_for()
    inside = page.locator("#evidence .source.active .abstract").inner_text()
    assert strong.inner_text() in inside
    assert len(inside) > len(strong.inner_text())
    assert re.search(r"Extractive\s*·?\s*\d", turn.locator(".made").inner_text())


def test_a_finished_turn_is_never_seen_without_its_sources(visit, starter_url):
    page = visit(starter_url)
    page.evaluate("""void (window.beside = new Promise((tell) => new MutationObserver(() => {
        if (document.querySelector('#finished .turn')) tell(document.querySelectorAll('#evidence .source mark').length);
    }).observe(document.querySelector('#finished'), { childList: true, subtree: true })))""")
    ask(page, ANSWERED)
    assert page.evaluate("window.beside") >= 3


def test_each_marker_opens_its_own_source_with_the_sentence_that_supports_it(visit, starter_url):
    page = visit(starter_url)
    turn = ask(page, ANSWERED)
    markers = turn.locator(".cite").all()
    assert len(markers) >= 3
    for marker in markers:
        marker.click()
        number = marker.get_attribute("data-source")
        page.wait_for_selector(f"#evidence .source.active[data-source='{number}'] mark.strong")
        card = page.locator("#evidence .source.active")
        assert card.locator("b").inner_text() == marker.get_attribute("aria-label").partition(": ")[2]
        assert card.locator("mark.strong").first.is_visible()
        claim = turn.locator(f".sentence[data-sentence='{marker.get_attribute('data-sentence')}']").inner_text()
        assert card.locator("mark.strong").first.inner_text().rstrip(".")[-40:] in claim.replace("\n", " ")


def test_the_sources_of_the_next_answer_are_shown_from_their_begin(visit, starter_url):
    page = visit(starter_url)
    ask(page, ANSWERED).locator(".cite").last.click()
    page.wait_for_function("document.querySelector('#evidence').scrollTop > 0")
    ask(page, UNANSWERED)
    assert page.evaluate("document.querySelector('#evidence').scrollTop") == 0


def test_hovering_over_a_marker_shows_its_sentence_without_a_click(visit, starter_url):
    page = visit(starter_url)
    marker = ask(page, ANSWERED).locator(".cite").nth(1)
    marker.hover()
    page.wait_for_selector("#evidence .source.active[data-source='2'][open] mark.strong")


_OVER = """([x, y]) => document.querySelector('#finished .turn .cite').dispatchEvent(
    new MouseEvent('mouseover', {bubbles: true, screenX: x, screenY: y}))"""
_LATER = "new Promise((done) => setTimeout(done, 300))"  # a marker that is pointed at is followed after 120


def test_a_marker_that_comes_under_a_resting_mouse_does_not_take_the_panel(visit, starter_url):
    page = visit(starter_url)
    ask(page, ANSWERED)
    ask(page, UNANSWERED)
    page.evaluate("document.addEventListener('mousemove', (e) => { window.resting = [e.screenX, e.screenY]; })")
    page.mouse.move(300, 300)
    page.evaluate(f"({_OVER})(resting)")
    page.evaluate(_LATER)
    assert page.locator("#evidence .source.active").count() == 0
    page.evaluate(_OVER, [1, 1])
    page.wait_for_selector("#evidence .source.active")


def test_a_marker_that_was_pointed_at_just_before_the_next_answer_does_not_take_the_panel_from_it(visit, starter_url):
    page = visit(starter_url)
    ask(page, ANSWERED)
    drawn = "const last = document.querySelector('#finished .turn'); last.after(last.cloneNode(true))"
    page.evaluate(f"() => {{ ({_OVER})([1, 1]); {drawn} }}")
    page.evaluate(_LATER)
    assert page.locator("#evidence .source.active").count() == 0


def test_a_marker_of_an_earlier_turn_still_opens_its_own_source(visit, starter_url):
    page = visit(starter_url)
    first = open_example(page)
    wanted = first.locator(".cite").first.get_attribute("aria-label").partition(": ")[2]
    ask(page, UNANSWERED)
    first = page.locator("#finished .turn").first
    first.locator(".cite").first.click()
    page.wait_for_selector("#evidence .source.active")
    assert page.locator("#evidence .source.active b").inner_text() == wanted


def test_a_marker_opened_by_the_keyboard_takes_the_focus_to_its_source_and_escape_brings_it_back(visit, starter_url):
    page = visit(starter_url)
    ask(page, ANSWERED).locator(".cite").nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.closest('.source')?.dataset.source === '2'")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.matches('.cite[data-source=\"2\"]')")


@pytest.mark.parametrize("width", [390, 1280])
def test_a_marker_never_stands_alone_at_the_begin_of_a_line(visit, starter_url, width):
    page = visit(starter_url, width=width)
    ask(page, ANSWERED)
    page.evaluate("document.querySelector('.turn').style.maxWidth = 'none'")
    alone = """() => [...document.querySelectorAll('#finished .cite')].filter(cite => {
        const text = document.createTreeWalker(cite.closest('.answer'), NodeFilter.SHOW_TEXT);
        let before = null;
        while (text.nextNode() && !cite.contains(text.currentNode))
            if (text.currentNode.data.trim()) before = text.currentNode;
        const range = document.createRange();
        const end = before.data.trimEnd().length;
        range.setStart(before, end - 1); range.setEnd(before, end);
        return Math.abs(range.getBoundingClientRect().bottom - cite.getBoundingClientRect().bottom) > 12;
    }).map(cite => cite.parentElement.parentElement.textContent)"""
    for narrower in range(0, 120, 8):
        page.evaluate(f"document.querySelector('#finished').style.paddingRight = '{narrower}px'")
        assert page.evaluate(alone) == [], narrower


def test_a_question_without_an_answer_is_met_calmly_with_the_nearest_papers(visit, starter_url):
    page = visit(starter_url)
    turn = ask(page, UNANSWERED)
    assert "do not answer this" in turn.inner_text()
    assert turn.locator("[role=alert]").count() == 0
    page.wait_for_function("document.querySelector('#said').textContent === 'The abstracts do not answer this'")
    near = turn.locator(".near").first
    near.click()
    page.wait_for_selector("#evidence .source.active")
    assert page.locator("#evidence .source.active b").inner_text() == near.inner_text()


def test_an_unsupported_sentence_looks_different_and_says_so_on_hover(visit, model):
    url, server = model
    server.steps[:] = [
        script.says("BERT is pre-trained on unlabeled text [1]. BERT was taught by 9,000 hamsters on the moon [1].")
    ]
    page = visit(url)
    turn = ask(page, "What is BERT?")
    weak = turn.locator(".sentence.unsupported")
    assert weak.count() == 1
    assert "hamsters" in weak.inner_text()
    assert "do not support this sentence" in weak.get_attribute("title")
    decoration = "node => getComputedStyle(node).textDecorationStyle"
    assert weak.evaluate(decoration) == "wavy"
    assert turn.locator(".sentence").first.evaluate(decoration) != "wavy"
    assert "1 sentence unsupported" in turn.locator(".made").inner_text()


def test_an_answer_streams_and_then_names_its_model_tokens_and_cost(visit, model):
    url, server = model
    go, half = threading.Event(), "BERT is pre-trained on unlabeled text [1]. "
    server.steps[:] = [script.says_when_told(half, half, go)]
    page = visit(url)
    page.fill("#question textarea", "What is BERT?")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#live .draft')?.innerText.includes('unlabeled text')")
    assert page.locator("#finished .turn").count() == 0
    go.set()
    answered(page)
    made = page.locator("#finished .made").inner_text()
    assert "Written by scripted" in made
    assert "333 tokens (321 read, 12 written)" in made
    assert "$0.34" in made  # 321 x $1,000 and 12 x $2,000 a million, to the cent
    assert re.search(r"\d\.\d\d s", made)


def test_the_example_questions_cost_nothing_where_a_model_is_set_up(visit, starter_copy):
    with serving(script.says("no")) as server:
        for url in served(starter_copy, llm=MODEL | {"base_url": server.base_url}):
            visit(url).wait_for_selector(".examples button")
        assert server.requests == []


def test_a_follow_up_shows_the_question_that_the_model_made_of_it(visit, model):
    url, server = model
    good, whole = "BERT is pre-trained on unlabelled text [1].", "How large is the pre-trained BERT?"
    server.steps[:] = [script.says(good), script.says(whole), script.says(good)]
    page = visit(url)
    assert ask(page, "What is BERT?").locator(".searched").count() == 0
    assert ask(page, "and how large?").locator(".searched q").inner_text() == whole


def test_a_follow_up_without_a_model_shows_what_was_searched(visit, starter_url):
    page = visit(starter_url)
    ask(page, "What is BERT?")
    turn = ask(page, "How large is it?")
    assert turn.locator(".searched q").inner_text() == "How large is BERT?"


def test_after_ask_only_this_paper_a_follow_up_on_these_means_the_last_answers_papers(visit, starter_url):
    page = visit(starter_url)
    shown = ask(page, ANSWERED).locator(".cite").count()
    page.click("#evidence .source[open] [data-do=only]")
    page.wait_for_selector("#chips .left")
    turn = ask(page, "which of these has code?")
    assert turn.locator(".abstained").count() == 0
    assert shown >= turn.locator(".cite").count() >= 2
    assert "with code" in turn.locator(".heard").inner_text()


def test_mathematics_in_titles_and_abstracts_is_drawn_once(visit, hostile_url):
    page = visit(hostile_url)
    ask(page, f"What is Emberlock? {HOSTILE}")
    page.wait_for_function(
        "[...document.querySelectorAll('#evidence x-tex')].some(t => t.shadowRoot?.querySelector('.katex'))"
    )
    hidden = (
        "getComputedStyle(document.querySelector('#evidence x-tex').shadowRoot.querySelector('.katex-mathml')).position"
    )
    assert page.evaluate(hidden) == "absolute", "KaTeX's style sheet holds, so that nothing is drawn twice"
    drawn = page.evaluate("document.querySelector('#evidence x-tex').shadowRoot.querySelector('.katex-html').innerText")
    assert re.sub(r"\s", "", drawn) == "O(n2)"
