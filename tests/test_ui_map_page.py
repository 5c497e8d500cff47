"""The map in the browser: the papers as points, the last answer's sources marked, a click opens."""

from __future__ import annotations

import json

import pytest

from tests.browsing import ask, point_at

pytestmark = [pytest.mark.browser, pytest.mark.loopback, pytest.mark.enable_socket]


def test_the_map_shows_the_library_and_a_click_opens_the_paper(visit, starter_url):
    page = visit(starter_url)
    turn = ask(page, "What is BERT?")
    wanted = turn.locator(".cite").first.get_attribute("aria-label").partition(": ")[2]
    page.click("nav [data-view=map]")
    page.wait_for_selector("#topics .topic >> nth=2")
    page.wait_for_selector("#map-notice >> text=1 source of the last answer is marked")
    marked = page.locator("#map .scatterlayer .trace").last.locator(".point")
    point_at(page, marked, "BERT")
    assert page.locator("#map .scatterlayer .trace:not(:last-child) .point").count() == 64
    page.mouse.down()
    page.mouse.up()
    page.wait_for_selector("#map-paper h2")
    assert page.locator("#map-paper h2").inner_text() == wanted
    page.click("#topics summary >> nth=0")
    other = page.locator("#topics .topic").first.locator("li button").filter(has_not_text=wanted).first
    title = other.inner_text()
    other.click()
    page.wait_for_function(f"document.querySelector('#map-paper h2').innerText === {json.dumps(title)}")
