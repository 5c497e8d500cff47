"""The chat page in real headless Chromium: fixtures (offered by conftest) and the few moves that tests share."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from rag import open_library
from tests.waiting import eventually

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
HOSTILE = (
    "<img src=x onerror=window.hurt=1><script>window.hurt=2</script> ![i](http://evil.example/i.png)"
    " ${window.hurt=3} {{7}}"
)
PAPERS = [
    {
        "id": "hostile",
        "title": f"Emberlock: Safe Sorting {HOSTILE}",
        "abstract": f"We present Emberlock, which sorts in $O(n^2)$ time. {HOSTILE} Emberlock needs no labels.",
        "url": "javascript:window.hurt=4",
        "year": 2021,
        "venue": "ICLR",
    },
    {
        "id": "tide",
        "title": "Tidemark: Forecasting Tides",
        "abstract": "Tidemark forecasts tides with gradient boosting. It is accurate on short horizons.",
        "year": 2019,
        "venue": "KDD",
    },
]
USER, PASSWORD = "ann", "correct horse battery"
_SETTLED = "document.querySelectorAll('#finished .turn').length >= {} && !document.querySelector('#live .turn')"


def served(folder: Path, **settings: Any) -> Generator[str]:
    """The address of a page over the library in a folder, while the caller holds the iterator."""
    from ui.page import serve

    with open_library(folder, chat={"port": 0}, **settings) as library:
        page = serve(library, port=0)
        try:
            yield page.local_url
        finally:
            page.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium. Not for the whole session: while Playwright runs, no other test of this thread can use asyncio."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def starter_url(starter_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The starter papers: tests ask and look, but add and remove nothing."""
    yield from served(Path(shutil.copytree(starter_folder, tmp_path_factory.mktemp("page") / "library")))


@pytest.fixture
def own_url(starter_copy: Path) -> Iterator[str]:
    """The starter papers for one test, which may change them."""
    yield from served(starter_copy)


@pytest.fixture(scope="session")
def locked_url(starter_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The starter papers for those who sign in as USER with PASSWORD."""
    folder = Path(shutil.copytree(starter_folder, tmp_path_factory.mktemp("locked") / "library"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CITEWISE_USER", USER)
        environment.setenv("CITEWISE_PASSWORD", PASSWORD)
        serving = served(folder)
        url = next(serving)  # the password is read when the page is opened
    yield url
    serving.close()


@pytest.fixture(scope="session")
def hostile_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two papers, one of them hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    source = folder / "papers.jsonl"
    source.write_text("".join(json.dumps(paper) + "\n" for paper in PAPERS), encoding="utf-8")
    with open_library(folder / "library") as library:
        library.ingest([source])
    yield from served(folder / "library")


@pytest.fixture
def empty_url(tmp_path: Path) -> Iterator[str]:
    """No papers yet."""
    yield from served(tmp_path / "library")


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Open an address in a fresh browser context; in the end no request has left this machine and no script failed."""
    contexts: list[Any] = []
    outside: list[str] = []
    failures: list[str] = []

    def go(url: str, *, width: int = 1280, height: int = 800, scheme: str = "light", wait: bool = True) -> Any:
        viewport = {"width": width, "height": height}
        context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
        context.set_default_timeout(60_000)  # many times what anything takes, so that a busy machine is no failure
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: outside.append(request.url) if leaves(request.url) else None)
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(url)
        if wait:
            page.wait_for_selector("#welcome .welcome:visible, #finished .turn")
        return page

    yield go
    for context in contexts:
        context.close()
    assert outside == []
    assert failures == []


def leaves(url: str) -> bool:
    """Whether a request goes to another host."""
    return not re.match(r"(https?://(127\.0\.0\.1|localhost)[:/]|data:|blob:)", url)


def answered(page: Any, number: int = 1) -> None:
    """Wait until so many turns are finished and the next question can be asked."""
    page.wait_for_function(f"{_SETTLED.format(number)} && !document.body.classList.contains('running')")


def ask(page: Any, question: str) -> Any:
    """Ask in the box; the turn once it is finished, with its sources beside it."""
    before = page.locator("#finished .turn").count()
    page.fill("#question textarea", question)
    page.keyboard.press("Enter")
    answered(page, before + 1)
    return page.locator("#finished .turn").nth(before)


def open_example(page: Any, place: int = 1) -> Any:
    """Ask one of the example questions; the turn once it is finished, with its sources beside it."""
    page.locator(".examples button").nth(place).click()
    answered(page)
    return page.locator("#finished .turn").last


def point_at(page: Any, place: Any, words: str = "") -> None:
    """Point at a place on the map until it is named, with these words: it may still move as the map takes its size."""

    def pointed() -> bool:
        box = place.bounding_box()
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(0, 0)
        page.mouse.move(*middle)
        page.wait_for_timeout(100)  # the map looks where the mouse is a few times a second
        return page.locator("#map .hoverlayer text", has_text=words).count() > 0

    assert eventually(pointed)


def listed(page: Any, words: str = "") -> Any:
    """The kept conversations with these words, in the drawer."""
    if not page.locator("#drawer").is_visible():
        page.click("#brand [data-do=drawer]")
    page.fill("#looked-for textarea, #looked-for input", words)
    if words:  # one that is clicked while the list of all gives way to these would be another
        every = "items.length > 0 && items.every((item) => item.innerText.includes(words))"
        page.wait_for_function(
            f"words => {{ const items = [...document.querySelectorAll('#kept li')]; return {every}; }}", arg=words
        )
    return page.locator("#kept li").filter(has_text=words) if words else page.locator("#kept li")
