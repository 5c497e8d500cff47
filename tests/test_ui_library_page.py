"""The library view in the browser: looking through papers, adding them in every way, and the report of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import ask, served

pytestmark = [pytest.mark.browser, pytest.mark.loopback, pytest.mark.enable_socket]

MANY = 12_000  # papers in a file that takes a few seconds to add


def library(page: Any) -> Any:
    page.click("nav [data-view=library]")
    return page


def added(page: Any) -> int:
    """How many papers the report says were added, once it is there."""
    page.click("#add")
    page.wait_for_selector("#report .report", timeout=60_000)
    return int(re.search(r"added\s+([\d,]+)", page.locator("#report").inner_text())[1].replace(",", ""))


def papers_file(path: Path, number: int, subject: str) -> Path:
    path.write_text(
        "".join(
            json.dumps(
                {"title": f"{subject}{at}: part {at}", "abstract": f"{subject}{at} counts to {at} in {at} ways."}
            )
            + "\n"
            for at in range(number)
        ),
        encoding="utf-8",
    )
    return path


def test_an_empty_library_says_how_to_fill_it_and_pasted_papers_can_be_asked(visit, empty_url):
    page = visit(empty_url)
    assert "No papers yet" in page.locator("#welcome").inner_text()
    page.click(".welcome [data-view=library]")
    assert "No papers yet" in page.locator("#table").inner_text()
    page.fill(
        "#pasted textarea",
        "@misc{a, title={Glowworm: Night Lights}, abstract={Glowworm lights the night with bacteria."
        " It needs no power.}}",
    )
    assert added(page) == 1
    page.wait_for_selector("#table .papers")
    page.wait_for_function("document.querySelector('#pasted textarea').value === ''")
    page.click("nav [data-view=ask]")
    page.wait_for_function("document.querySelector('#welcome').innerText.includes('Ask the abstracts')")
    assert "Glowworm" in ask(page, "What is Glowworm?").inner_text()


def test_a_question_to_an_empty_library_says_what_to_do(visit, empty_url):
    turn = ask(visit(empty_url), "What is attention?")
    assert re.search(r"no papers|empty", turn.inner_text(), re.IGNORECASE)


def test_words_search_the_table_and_keep_its_order(visit, starter_url):
    page = library(visit(starter_url))
    page.click("#table [data-order=newest]")
    page.wait_for_selector("#table th[aria-sort=descending]")
    page.fill("#words textarea, #words input", "attention")
    page.wait_for_function("document.querySelectorAll('#table tbody tr').length === 2")
    assert page.locator("#table tbody tr").first.inner_text().startswith("FlashAttention")
    page.fill("#words textarea, #words input", "zzzyzx")
    page.wait_for_function("document.querySelector('#table').innerText.includes('No paper has these words')")


def test_the_table_is_sorted_by_a_click_on_its_head_and_leafed_through(visit, starter_url):
    page = library(visit(starter_url))
    assert page.locator("#table tbody tr").count() == 50
    page.click("#table [data-order=title]")
    page.wait_for_selector("#table th[aria-sort=ascending]")
    titles = page.locator("#table tbody button").all_inner_texts()
    assert titles == sorted(titles, key=str.lower)
    page.click("#table .pager button >> text=Later")
    page.wait_for_function("document.querySelectorAll('#table tbody tr').length === 14")
    assert page.locator("#table th[aria-sort=ascending]").count() == 1
    assert page.locator("#table tbody button").first.inner_text().lower() > titles[-1].lower()


def test_a_paper_opens_beside_the_table_and_closes_again(visit, starter_url):
    page = library(visit(starter_url))
    row = page.locator("#table tbody button").nth(2)
    row.click()
    page.wait_for_selector("#detail h2")
    assert page.locator("#detail h2").inner_text() == row.inner_text()
    assert len(page.locator("#detail .abstract").inner_text()) > 200
    page.click("#detail [data-do=close-paper]")
    page.wait_for_selector("#detail h2", state="hidden")
    assert page.evaluate("document.activeElement.innerText") == row.inner_text()


def test_a_question_about_it_means_the_paper_that_was_chosen_in_the_table(visit, starter_url):
    page = library(visit(starter_url))
    page.fill("#words textarea, #words input", "BERT: Pre-training")
    page.wait_for_function("document.querySelectorAll('#table tbody tr').length === 1")
    page.click("#table tbody button")
    page.click("#detail [data-do=only]")
    page.wait_for_selector("#chips .left")
    turn = ask(page, "What does it do?")
    assert turn.locator(".searched q").inner_text() == "What does BERT do?"
    assert turn.locator(".cite").count() >= 1


def test_a_removed_paper_is_gone_from_table_count_and_answers(visit, own_url):
    page = library(visit(own_url))
    page.fill("#words textarea, #words input", "BERT: Pre-training")
    page.wait_for_function("document.querySelectorAll('#table tbody tr').length === 1")
    page.click("#table tbody button")
    page.wait_for_selector("#detail h2")
    title = page.locator("#detail h2").inner_text()
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("#detail [data-do=remove]")
    assert page.locator("#detail h2").inner_text() == title
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#detail [data-do=remove]")
    page.wait_for_function("document.querySelector('#detail').innerText.includes('Removed.')")
    page.wait_for_function("document.querySelector('#summary').innerText.includes('63 papers')")
    page.wait_for_function("document.querySelector('#table').innerText.includes('No paper has these words')")
    page.click("nav [data-view=ask]")
    ask(page, "What is BERT?")
    assert title not in page.locator("#evidence .source b").all_inner_texts()


def test_the_table_stays_sorted_when_a_paper_is_removed(visit, own_url):
    page = library(visit(own_url))
    page.click("#table [data-order=title]")
    page.wait_for_selector("#table th[aria-sort=ascending]")
    first, second = page.locator("#table tbody button").all_inner_texts()[:2]
    page.click("#table tbody button")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#detail [data-do=remove]")
    gone = "first => document.querySelector('#table tbody button')?.innerText !== first"
    page.wait_for_function(gone, arg=first)
    assert page.locator("#table tbody button").first.inner_text() == second


def test_files_of_one_name_are_added_together_and_the_report_can_be_saved(visit, empty_url, tmp_path):
    files = []
    for folder, title in (("a", "Saltmarsh: Growing Reeds"), ("b", "Windmill: Turning Air")):
        (tmp_path / folder).mkdir()
        files.append(tmp_path / folder / "papers.json")
        files[-1].write_text(json.dumps({"title": title, "abstract": f"{title} is described."}), encoding="utf-8")
    page = library(visit(empty_url))
    page.set_input_files("#files input[type=file]", files)
    page.wait_for_function("document.querySelector('#files').innerText.includes('papers')")
    assert added(page) == 2
    page.wait_for_function("document.querySelector('#table').innerText.includes('Windmill')")
    assert "Saltmarsh" in page.locator("#table").inner_text()
    with page.expect_download() as download:
        page.click("#report [data-do=report]")
    assert json.loads(Path(download.value.path()).read_text(encoding="utf-8"))["added"] == 2


def test_a_file_of_any_kind_that_can_be_read_can_be_chosen(visit, empty_url, tmp_path):
    page = library(visit(empty_url))
    source = tmp_path / "pubmed.nbib"
    source.write_text(
        "PMID- 1\nTI  - Sandbank: Counting Seals\nAB  - Sandbank counts seals from the air.\n", encoding="utf-8"
    )
    page.set_input_files("#files input[type=file]", source)
    page.wait_for_function("document.querySelector('#files').innerText.includes('pubmed')")
    assert added(page) == 1


def test_a_path_of_this_machine_is_added(visit, empty_url, tmp_path):
    source = papers_file(tmp_path / "more.jsonl", 3, "Lamp")
    page = library(visit(empty_url))
    page.fill("#path textarea, #path input", str(source))
    assert added(page) == 3


def test_the_report_says_what_was_merged_and_what_was_rejected_and_why(visit, empty_url):
    page = library(visit(empty_url, height=600))
    twice = json.dumps({"title": "Saltmarsh: Growing Reeds", "abstract": "Saltmarsh grows reeds in brackish water."})
    page.fill("#pasted textarea", "\n".join([twice, twice, json.dumps({"title": "", "abstract": ""})]))
    assert added(page) == 1
    report = page.locator("#report")
    assert "1 rejected" in report.inner_text()
    page.wait_for_function("document.querySelector('#report .report').getBoundingClientRect().bottom <= innerHeight")
    assert re.search(r"line 3: neither a title nor an abstract", report.inner_text())
    report.locator("summary", has_text="1 merged").click()
    report.locator("[data-do=paper]").first.click()
    page.wait_for_selector("#detail h2 >> text=Saltmarsh")


def test_nothing_to_add_is_one_visible_line(visit, empty_url):
    page = library(visit(empty_url))
    page.click("#add")
    page.wait_for_selector("#report .problem")
    assert "Choose one or more files" in page.locator("#report").inner_text()


def test_an_ingest_can_be_cancelled_and_keeps_what_was_read(visit, empty_url, tmp_path):
    source = papers_file(tmp_path / "many.jsonl", MANY, "Lamp")
    page = library(visit(empty_url))
    page.set_input_files("#files input[type=file]", source)
    page.wait_for_function("document.querySelector('#files').innerText.includes('many')")
    page.click("#add")
    page.wait_for_function("/: [1-9]/.test(document.querySelector('#report .quiet')?.innerText)", timeout=60_000)
    page.click("#report [data-do=cancel-ingest]")
    page.wait_for_selector("#report .report", timeout=240_000)  # the present batch is finished first
    assert "Cancelled" in page.locator("#report").inner_text()
    page.wait_for_function("/^[1-9]/.test(document.querySelector('#summary').innerText)")
    count = int(page.locator("#summary").inner_text().split()[0].replace(",", ""))
    assert 0 < count < MANY


def test_a_damaged_library_says_so_instead_of_an_empty_page(visit, tmp_path):
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "catalog.sqlite").write_bytes(b"not a database" * 500)
    for url in served(tmp_path / "library"):
        page = visit(url)
        page.wait_for_selector("#welcome .problem")
        assert "is damaged" in page.locator("#welcome").inner_text()
