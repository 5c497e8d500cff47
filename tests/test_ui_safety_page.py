"""The page is safe to open: hostile papers stay text, nobody else is let in, and a password is asked for where set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browsing import HOSTILE, PASSWORD, USER, ask, leaves, point_at

pytestmark = [pytest.mark.browser, pytest.mark.loopback, pytest.mark.enable_socket]


def test_titles_and_abstracts_never_execute(visit, hostile_url):
    page = visit(hostile_url)
    turn = ask(page, f"What is Emberlock? {HOSTILE}")
    page.wait_for_selector("#evidence .source")
    assert "<img src=x" in page.locator("#evidence .source b").first.inner_text()
    assert "<script>" in turn.locator(".question").inner_text()
    page.click("#evidence .source[open] [data-do=only]")
    page.wait_for_selector("#chips .chip")
    page.click("nav [data-view=library]")
    page.click("#table tbody button >> nth=0")
    page.wait_for_selector("#detail h2")
    page.click("#brand [data-do=drawer]")
    page.wait_for_selector("#kept li")
    assert page.evaluate("window.hurt") is None
    parts = "#finished, #evidence, #table, #detail, #chips, #kept"
    assert page.locator(f":is({parts}) :is(img, script, iframe, svg), [href^=javascript]").count() == 0


def test_a_hostile_title_is_only_text_on_the_map(visit, hostile_url):
    page = visit(hostile_url)
    page.click("nav [data-view=map]")
    page.wait_for_selector("#map .scatterlayer .point")
    for place in page.locator("#map .scatterlayer .point").all():
        point_at(page, place)
    page.click("#topics summary >> nth=0")
    assert page.evaluate("window.hurt") is None
    assert page.locator("#map a, #map image, #topics img").count() == 0


def test_the_policy_lets_in_nobody_else(visit, starter_url):
    page = visit(starter_url)
    policy = page.request.get(starter_url).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_no_view_asks_another_host_for_anything(browser, starter_url):
    context = browser.new_context()
    context.set_default_timeout(60_000)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(starter_url)
    page.wait_for_selector(".examples button")
    ask(page, "What is BERT?")
    for view, shown in (("library", "#table tbody tr"), ("map", "#map .scatterlayer .point"), ("ask", ".turn")):
        page.click(f"nav [data-view={view}]")
        page.wait_for_selector(shown)
    context.close()
    assert len(asked) > 20
    assert [url for url in asked if leaves(url)] == []


def test_files_of_this_machine_cannot_be_read_through_the_page(visit, starter_url):
    page = visit(starter_url)
    for path in ("/etc/passwd", str(Path(__file__).resolve()), "../../pyproject.toml"):
        for form in ("gradio_api/file=", "file="):
            assert page.request.get(f"{starter_url}{form}{path}").status in {403, 404}, path


def sign_in(page: Any, user: str, password: str) -> None:
    page.get_by_label("User").fill(user)
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


def test_with_a_password_set_nothing_is_shown_before_signing_in(visit, locked_url):
    page = visit(locked_url, wait=False)
    assert page.get_by_label("User").is_visible()
    assert "BERT" not in page.content()
    assert page.request.get(f"{locked_url}config").status == 401
    assert page.request.get(f"{locked_url}gradio_api/info").status == 401
    assert "default-src 'self'" in page.request.get(locked_url).headers["content-security-policy"]


def test_a_wrong_password_is_said_to_be_wrong_and_the_right_one_opens_the_page(visit, locked_url):
    page = visit(locked_url, wait=False)
    sign_in(page, USER, "wrong")
    page.wait_for_selector("[role=alert] >> text=User or password is wrong.")
    assert page.get_by_label("User").input_value() == USER
    sign_in(page, USER, PASSWORD)
    page.wait_for_selector("#welcome .welcome")
    assert "BERT" in ask(page, "What is BERT?").inner_text()
    page.click("nav [data-view=library]")
    assert page.locator("#pasted").is_visible()
    assert not page.locator("#path").is_visible(), "paths of the machine are for those who sit at it"


def test_the_named_endpoints_answer(starter_url):
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    client = Client(starter_url, verbose=False, analytics_enabled=False)
    assert client.predict("What is attention?", 3, api_name="/search")["hits"][0]["rank"] == 1
    narrow = client.predict("language models", 5, year_from=2020, year_to=2021, api_name="/search")
    assert {hit["year"] for hit in narrow["hits"]} <= {2020, 2021}
    assert client.predict("What is the boiling point of lead?", api_name="/ask")["abstained"]
    with pytest.raises(AppError, match="the question is empty"):
        client.predict(" ", api_name="/ask")
