"""The map in the browser: the papers as points, the last answer's sources marked, a click opens."""

from __future__ import annotations

import json

import pytest

from tests.browsing import ask

pytestmark = [pytest.mark.browser, pytest.mark.loopback, pytest.mark.enable_socket]


def test_the_map_shows_the_library_and_a_click_opens_the_paper(visit, starter_url):
    page = visit(starter_url)
    turn = ask(page, "What is BERT?")
    wanted = turn.locator(".cite").first.get_attribute("aria-label").partition(": ")[2]
    page.click("nav [data-view=map]")
    page.wait_for_selector("#map .scatterlayer .point")
    assert page.locator("#map .scatterlayer .trace:not(:last-child) .point").count() == 64
    assert page.locator("#topics .topic").count() >= 3
    assert "1 source of the last answer is marked" in page.locator("#map-notice").inner_text()
    marked = page.locator("#map .scatterlayer .trace").last.locator(".point").bounding_box()
    page.mouse.move(marked["x"] + marked["width"] / 2, marked["y"] + marked["height"] / 2)
    page.locator("#map .hoverlayer text", has_text="BERT").first.wait_for()
    page.mouse.click(marked["x"] + marked["width"] / 2, marked["y"] + marked["height"] / 2)
    page.wait_for_selector("#map-paper h2")
    assert page.locator("#map-paper h2").inner_text() == wanted
    page.click("#topics summary >> nth=0")
    other = page.locator("#topics .topic").first.locator("li button").filter(has_not_text=wanted).first
    title = other.inner_text()
    other.click()
    page.wait_for_function(f"document.querySelector('#map-paper h2').innerText === {json.dumps(title)}")
