"""`python -m ui.tour`: remakes the README's pictures of the page in headless Chromium, from the starter library.

Needs the `dev` extra and Debian's `chromium`.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rag import open_library, starter
from ui.page import serve

PICTURES = Path(__file__).parent / "screenshots"
QUESTION = "Which papers retrieve passages with dense vectors?"
UNANSWERED = "How many GPU hours did LoRA need on GPT-3?"
PASTED = [
    {"title": "LoRA: Low-Rank Adaptation of Large Language Models", "abstract": ""},
    {"title": "Tidemark: Forecasting Tides", "abstract": "Tidemark forecasts tides with gradient boosting."},
    {"title": "", "abstract": ""},
]
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
Page = Any


def first_run(page: Page) -> None:
    """What a newcomer sees."""


def answer(page: Page) -> None:
    """An answer, with the sentence behind its first citation."""
    _ask(page, QUESTION)
    page.click("#finished .cite >> nth=0")
    page.wait_for_selector("#evidence mark.strong")


def abstention(page: Page) -> None:
    """A question that the abstracts do not answer."""
    _ask(page, UNANSWERED)


def library(page: Page) -> None:
    """The table, and one paper."""
    page.click("nav [data-view=library]")
    page.wait_for_selector("#table tbody button")
    page.click("#table tbody button >> nth=2")
    page.wait_for_selector("#detail h2")


def report(page: Page) -> None:
    """What became of three pasted records."""
    page.click("nav [data-view=library]")
    page.fill("#pasted textarea", "\n".join(map(json.dumps, PASTED)))
    page.click("#add")
    page.wait_for_selector("#report .report", timeout=60_000)
    page.wait_for_function("document.querySelector('#pasted textarea').value === ''")  # then all the rest is drawn, too


def topics(page: Page) -> None:
    """The map, with the sources of an answer."""
    _ask(page, QUESTION)
    page.click("nav [data-view=map]")
    page.wait_for_selector("#map .scatterlayer .point", timeout=60_000)


SCENES: dict[str, tuple[Callable[[Page], None], int, bool]] = {
    "first-run": (first_run, 1280, False),
    "answer": (answer, 1280, False),
    "abstention": (abstention, 1280, False),
    "library": (library, 1280, False),
    "map": (topics, 1280, False),
    "dark": (answer, 1280, True),
    "phone": (answer, 390, False),
    "report": (report, 1280, False),  # last, for it adds papers
}
"""Name of the picture: what to do, width in pixels, dark."""


def main() -> None:
    """Take every picture and save it with few colours, which text on paper needs no more of."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("python -m ui.tour needs chromium; install it: apt-get install chromium")
    with _served() as address, _browser(chromium) as browser:
        for name, (play, width, dark) in SCENES.items():
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light")
            page.goto(address)
            page.wait_for_selector("#welcome .welcome:visible, #finished .turn", timeout=60_000)
            play(page)
            page.wait_for_timeout(700)  # until what moves has come to rest
            _save(PICTURES / f"{name}.png", page.screenshot())
            page.close()


@contextmanager
def _served() -> Generator[str]:
    with tempfile.TemporaryDirectory() as folder, open_library(Path(folder) / "library") as opened:
        opened.ingest([starter.path()])
        page = serve(opened, port=0)
        try:
            yield page.local_url
        finally:
            page.close()


@contextmanager
def _browser(chromium: str) -> Generator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        yield browser
        browser.close()


def _ask(page: Page, question: str) -> None:
    page.fill("#question textarea", question)
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#finished .turn') && !document.querySelector('#live .turn')")


def _save(target: Path, picture: bytes) -> None:
    from PIL import Image

    target.parent.mkdir(exist_ok=True)
    image = Image.open(io.BytesIO(picture)).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    image.save(target, optimize=True)


if __name__ == "__main__":
    main()
