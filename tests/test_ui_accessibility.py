"""axe-core over every view of the page, light and dark, on a phone and on a desk; names, focus and the keyboard."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.browsing import ask, open_example

pytestmark = [pytest.mark.browser, pytest.mark.loopback, pytest.mark.enable_socket]

ANSWERED = "Which papers retrieve passages with dense vectors?"
UNANSWERED = "What is the boiling point of lead?"


def first_run(page: Any) -> None:
    page.wait_for_selector(".examples button")


def answer(page: Any) -> None:
    ask(page, ANSWERED).locator(".cite").first.click()
    page.wait_for_selector("#evidence mark.strong")


def abstention(page: Any) -> None:
    ask(page, UNANSWERED).locator(".near").first.wait_for()


def filters(page: Any) -> None:
    page.click("#menu summary")
    page.check("#menu input[type=checkbox] >> nth=0")
    page.wait_for_selector("#chips .chip")


def conversations(page: Any) -> None:
    ask(page, UNANSWERED)
    page.click("[data-do=drawer]")
    page.wait_for_selector("#kept li")


def library(page: Any) -> None:
    page.click("nav [data-view=library]")
    page.click("#table tbody button >> nth=2")
    page.wait_for_selector("#detail h2")


def paper_map(page: Any) -> None:
    ask(page, ANSWERED)
    page.click("nav [data-view=map]")
    page.wait_for_selector("#map .scatterlayer .point")
    page.click("#topics summary >> nth=0")
    page.click("#topics li button >> nth=0")
    page.wait_for_selector("#map-paper h2")


def report(page: Any) -> None:
    page.click("nav [data-view=library]")
    page.fill("#pasted textarea", '{"title": "Glowworm: Night Lights", "abstract": "Glowworm lights the night."}\n{}')
    page.click("#add")
    page.wait_for_selector("#report .report")


def empty_library(page: Any) -> None:
    page.click("nav [data-view=library]")
    page.wait_for_selector("#table p")


def empty_map(page: Any) -> None:
    page.click("nav [data-view=map]")
    page.wait_for_selector("#map-notice p")


def assert_clean(page: Any) -> None:
    """No violation that axe-core calls serious or critical, in light and in dark, as wide as a phone and as a desk."""
    from axe_playwright_python.base import AXE_SCRIPT

    page.evaluate(AXE_SCRIPT)
    found: list[str] = []
    for width, theme in product((1280, 390), ("light", "dark")):
        page.set_viewport_size({"width": width, "height": 844})
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")
        page.wait_for_function("document.getAnimations().every(one => one.playState !== 'running')")
        told = page.evaluate("axe.run({resultTypes: ['violations']})")
        found += [
            f"{width} {theme} {item['id']}: {node['target']} {node['html'][:160]}"
            for item in told["violations"]
            if item["impact"] in {"serious", "critical"}
            for node in item["nodes"]
        ]
    assert found == []


@pytest.mark.parametrize("scene", [first_run, answer, abstention, filters, conversations, library, paper_map])
def test_axe_finds_no_serious_violation(visit, starter_url, scene):
    page = visit(starter_url)
    scene(page)
    assert_clean(page)


@pytest.mark.parametrize("scene", [lambda page: None, empty_library, empty_map, report],
                         ids=["first-page", "library", "map", "report"])  # fmt: skip
def test_axe_finds_no_serious_violation_where_there_are_no_papers_yet(visit, empty_url, scene):
    page = visit(empty_url)
    scene(page)
    assert_clean(page)


def test_axe_finds_no_serious_violation_in_the_sign_in_page(visit, locked_url):
    page = visit(locked_url, wait=False)
    page.fill("input[type=password]", "wrong")
    page.get_by_label("User").fill("somebody")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert] >> text=wrong")
    assert_clean(page)


def test_every_control_has_a_name(visit, starter_url):
    page = visit(starter_url)
    open_example(page)
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, input, textarea, summary, a[href]')].filter(e => e.offsetParent
        && !e.textContent.trim() && !e.getAttribute('aria-label') && !e.labels?.length && !e.title)
        .map(e => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []
