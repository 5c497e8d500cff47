"""The page on a phone, a desk and a wide screen, light and dark: nothing overflows, nothing important is hidden."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browsing import ask

pytestmark = [pytest.mark.browser, pytest.mark.loopback, pytest.mark.enable_socket]

HEIGHT = 844


def assert_fits(page: Any, width: int, part: str) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width, part
    outside = page.evaluate(
        """width => [...document.querySelectorAll('button, input, textarea, a, h1, h2, p, td, th')].filter(node => {
            const box = node.getBoundingClientRect();
            return node.checkVisibility() && box.width > 1 && (box.right > width + 1 || box.left < -1);
        }).map(node => node.outerHTML.slice(0, 120))""",
        width,
    )
    assert outside == [], part


@pytest.mark.parametrize("width", [390, 1280, 2560])
def test_nothing_is_wider_than_the_screen(visit, starter_url, width):
    page = visit(starter_url, width=width, height=HEIGHT)
    page.wait_for_selector(".examples button")
    assert_fits(page, width, "first page")
    ask(page, "Which papers retrieve passages with dense vectors?")
    assert_fits(page, width, "answer")
    box = page.locator("#question textarea").bounding_box()
    assert box["y"] + box["height"] <= HEIGHT, "the box is on the screen"
    page.click("#menu summary")
    assert_fits(page, width, "filters")
    page.keyboard.press("Escape")
    page.click("#brand [data-do=drawer]")
    page.wait_for_selector("#kept li")
    assert_fits(page, width, "conversations")
    page.keyboard.press("Escape")
    page.click("nav [data-view=library]")
    page.click("#table tbody button >> nth=2")
    page.wait_for_selector("#detail h2")
    assert_fits(page, width, "library")
    page.click("nav [data-view=map]")
    page.wait_for_selector("#map .scatterlayer .point")
    assert_fits(page, width, "map")


def test_the_line_at_the_top_grows_with_its_letters_and_the_page_still_fits(visit, starter_url):
    page = visit(starter_url, width=320, height=HEIGHT)
    ask(page, "What is BERT?")
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    page.wait_for_function("parseInt(document.body.style.getPropertyValue('--top')) > 120")
    assert_fits(page, 320, "top")
    assert page.evaluate("document.documentElement.scrollHeight") <= HEIGHT + 1
    cut = """[...document.querySelectorAll('#top button, #top summary')].filter(node => {
        const box = node.getBoundingClientRect(), line = document.querySelector('#top').getBoundingClientRect();
        return node.checkVisibility() && (box.top < line.top || box.bottom > line.bottom);
    }).map(node => node.textContent)"""
    assert page.evaluate(cut) == []


def test_on_a_phone_the_sources_come_up_from_below_and_go_again(visit, starter_url):
    page = visit(starter_url, width=390, height=HEIGHT)
    turn = ask(page, "What is BERT?")
    assert not page.locator("#evidence").is_visible()
    turn.locator(".cite").first.click()
    page.locator("#evidence .source.active mark.strong").first.wait_for()
    assert page.locator("#evidence mark.strong").first.bounding_box()["y"] < HEIGHT
    page.click("#evidence .close")
    page.wait_for_selector("#evidence", state="hidden")


def test_the_drawer_leaves_the_line_at_the_top_in_sight(visit, starter_url):
    page = visit(starter_url, width=390, height=HEIGHT)
    page.click("#brand [data-do=drawer]")
    page.wait_for_selector("#drawer", state="visible")
    page.click("#brand [data-do=drawer]")
    page.wait_for_selector("#drawer", state="hidden")


def test_the_page_is_as_dark_as_the_system_until_somebody_chooses(visit, starter_url):
    page = visit(starter_url, scheme="dark")
    assert page.evaluate("document.body.classList.contains('dark')")
    page.click("[data-do=dark]")
    assert not page.evaluate("document.body.classList.contains('dark')")
    page.reload()
    page.wait_for_selector("#welcome .welcome")
    page.wait_for_function("!document.body.classList.contains('dark')")
