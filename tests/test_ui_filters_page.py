"""Filters in the browser: the menu with its years, chips, what was heard in a question, and single papers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browsing import answered, ask, open_example

pytestmark = [pytest.mark.browser, pytest.mark.loopback, pytest.mark.enable_socket]

UNANSWERED = "What is the boiling point of lead?"


def left(page: Any, words: str) -> None:
    """Wait until the chips say how many papers are left."""
    page.wait_for_function(f"document.querySelector('#chips .left')?.innerText.includes({words!r})")


def test_filters_heard_and_set_are_chips_that_can_be_taken_back(visit, hostile_url):
    page = visit(hostile_url)
    turn = ask(page, "Which papers from 2019 are about tides?")
    turn.locator(".heard .chip", has_text="2019").click()
    answered(page, 2)
    again = page.locator("#finished .turn").nth(1)
    assert again.locator(".question").inner_text() == "Which papers are about tides?"
    assert again.locator(".heard").count() == 0
    page.click("#menu summary")
    page.check("#menu input[value=ICLR]")
    left(page, "1 of 2 papers")
    page.keyboard.press("Escape")
    assert not page.locator("#menu form").is_visible()
    page.click("#chips .chip")
    page.wait_for_function("!document.querySelector('#chips .chip')")
    assert not page.is_checked("#menu input[value=ICLR]")


def test_the_years_are_a_range_over_a_histogram(visit, starter_url):
    page = visit(starter_url)
    page.click("#menu summary")
    assert page.locator("#menu .bars i").count() == 2023 - 1990 + 1
    first = page.locator("#menu [name=year_from]")
    first.focus()
    first.fill("2019")
    assert page.locator("#menu output").inner_text() == "2019 – 2023"
    assert page.locator("#menu .bars i.out").count() == 2019 - 1990
    page.wait_for_selector("#chips .chip")
    assert page.locator("#chips .chip").inner_text().startswith("2019 – …")
    page.locator("#menu [name=year_to]").fill("2020")
    page.wait_for_function("document.querySelector('#chips .chip')?.innerText.startsWith('2019 – 2020')")
    page.keyboard.press("Escape")
    turn = ask(page, "Which papers are about language models?")
    assert turn.locator(".heard").count() == 0, "what was set is not said to be heard"
    dates = page.locator("#evidence .source summary small").all_inner_texts()
    assert dates
    assert all("2019" in date or "2020" in date for date in dates)


def test_the_ends_of_the_years_may_cross(visit, starter_url):
    page = visit(starter_url)
    page.click("#menu summary")
    page.locator("#menu [name=year_from]").fill("2020")
    page.locator("#menu [name=year_to]").fill("2018")
    page.wait_for_function("document.querySelector('#chips .chip')?.innerText.startsWith('2018 – 2020')")


def test_venue_code_and_clear_all(visit, starter_url):
    page = visit(starter_url)
    page.click("#menu summary")
    page.check("#menu [name=has_code]")
    page.wait_for_selector("#chips .chip >> text=with code")
    page.check("#menu [name=venues] >> nth=0")
    page.check("#menu [name=venues] >> nth=1")
    page.wait_for_function("document.querySelectorAll('#chips .chip').length === 3")
    page.click("#menu [data-do=clear-filters]")
    page.wait_for_function("!document.querySelector('#chips .chip')")
    page.wait_for_function("!document.querySelector('#menu input:checked')")


def test_filters_stay_for_a_new_conversation_and_narrow_what_is_found(visit, starter_url):
    page = visit(starter_url)
    page.click("#menu summary")
    page.locator("#menu [name=year_to]").fill("2000")
    page.wait_for_selector("#chips .chip")
    page.keyboard.press("Escape")
    ask(page, "Which papers are about neural networks?")
    page.click("#brand [data-do=new]")
    page.wait_for_selector("#welcome .welcome")
    assert page.locator("#chips .chip").count() == 1


def test_only_this_paper_narrows_the_next_question_to_it(visit, starter_url):
    page = visit(starter_url)
    open_example(page)
    wanted = page.locator("#evidence .source[open] b").inner_text()
    page.click("#evidence .source[open] [data-do=only]")
    left(page, "1 of 64 papers")
    assert page.evaluate("document.activeElement.closest('#question') !== null")
    ask(page, "What does it do?")
    page.wait_for_function("document.querySelectorAll('#evidence .source').length === 1")
    assert page.locator("#evidence .source b").inner_text() == wanted


def test_an_excluded_paper_is_no_longer_found(visit, starter_url):
    page = visit(starter_url)
    ask(page, "What is BERT?")
    unwanted = page.locator("#evidence .source[open] b").inner_text()
    page.click("#evidence .source[open] [data-do=exclude]")
    left(page, "63 of 64 papers")
    assert page.locator("#chips .chip").inner_text().startswith("not BERT")
    ask(page, "What is BERT?")
    page.wait_for_selector("#evidence .source b >> text=Sentence-BERT")
    assert unwanted not in page.locator("#evidence .source b").all_inner_texts()


def test_more_like_this_lists_other_papers_that_can_be_chosen(visit, starter_url):
    page = visit(starter_url)
    ask(page, "What is BERT?")
    own = page.locator("#evidence .source[open] b").inner_text()
    page.click("#evidence .source[open] [data-do=like]")
    page.wait_for_selector("#evidence h2 >> text=More like")
    titles = page.locator("#evidence .source b").all_inner_texts()
    assert len(titles) >= 3
    assert own not in titles
    page.click("#evidence .source[open] [data-do=only]")
    left(page, "1 of 64 papers")


def test_quick_clicks_on_chips_are_all_heard(visit, starter_url):
    page = visit(starter_url)
    page.click("#menu summary")
    for place in range(5):
        page.check(f"#menu [name=venues] >> nth={place}")
    page.wait_for_function("document.querySelectorAll('#chips .chip').length === 5")
    page.keyboard.press("Escape")
    page.evaluate("[...document.querySelectorAll('#chips .chip')].slice(0, 4).forEach(chip => chip.click())")
    page.wait_for_function("document.querySelectorAll('#chips .chip').length === 1")
