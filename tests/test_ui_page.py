"""The page in real headless Chromium, over the starter library and over a few hostile papers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.browsing import HOSTILE, ask, served

pytestmark = [pytest.mark.browser, pytest.mark.loopback, pytest.mark.enable_socket]


def test_an_example_question_is_answered_and_its_marker_opens_the_marked_sentence(visit, starter_url):
    page = visit(starter_url)
    page.click(".examples button")
    page.wait_for_selector("#finished .turn .cite")
    page.click("#finished .cite >> nth=0")
    strong = page.locator("#evidence mark.strong").first
    strong.wait_for()
    inside = page.locator("#evidence .source.active .abstract").inner_text()
    assert strong.inner_text() in inside
    assert len(inside) > len(strong.inner_text())
    assert re.search(r"Extractive\s*·?\s*\d", page.locator("#finished .made").inner_text())


def test_a_marker_of_an_earlier_turn_still_opens_its_own_source(visit, starter_url):
    page = visit(starter_url)
    page.click(".examples button >> nth=1")
    page.wait_for_selector("#finished .turn .cite")
    wanted = page.locator("#finished .turn .cite").first.get_attribute("aria-label").partition(": ")[2]
    ask(page, "What is the boiling point of lead?")
    assert page.locator("#evidence .source b").first.inner_text() != ""
    page.locator("#finished .turn").first.locator(".cite").first.click()
    page.wait_for_selector("#evidence .source.active")
    assert page.locator("#evidence .source.active b").inner_text() == wanted


def test_a_question_without_an_answer_is_met_calmly_with_the_nearest_papers(visit, starter_url):
    page = visit(starter_url)
    turn = ask(page, "What is the boiling point of lead?")
    assert "do not answer this" in turn.inner_text()
    page.wait_for_function("document.querySelector('#said').textContent === 'The abstracts do not answer this'")
    turn.locator(".near").first.click()
    page.wait_for_selector("#evidence .source.active")


def test_titles_and_abstracts_never_execute_and_mathematics_is_drawn(visit, hostile_url):
    page = visit(hostile_url)
    turn = ask(page, f"What is Emberlock? {HOSTILE}")
    page.wait_for_selector("#evidence .source")
    page.wait_for_function(
        "[...document.querySelectorAll('#evidence x-tex')].some(t => t.shadowRoot?.querySelector('.katex'))"
    )
    hidden = (
        "getComputedStyle(document.querySelector('#evidence x-tex').shadowRoot.querySelector('.katex-mathml')).position"
    )
    assert page.evaluate(hidden) == "absolute", "KaTeX's style sheet holds, so that nothing is drawn twice"
    assert "<img src=x" in page.locator("#evidence .source b").first.inner_text()
    assert "<script>" in turn.locator(".question").inner_text()
    page.click("nav [data-view=library]")
    page.click("#table tbody button >> nth=0")
    page.wait_for_selector("#detail h2")
    assert page.evaluate("window.hurt") is None
    assert page.locator("#finished img, #evidence img, #table img, #detail img, [href^=javascript]").count() == 0


def test_filters_heard_and_set_are_chips_that_can_be_taken_back(visit, hostile_url):
    page = visit(hostile_url)
    turn = ask(page, "Which papers from 2019 are about tides?")
    turn.locator(".heard .chip", has_text="2019").wait_for()
    turn.locator(".heard .chip").first.click()
    page.wait_for_function("document.querySelectorAll('#finished .turn').length === 2")
    page.click("#menu summary")
    page.check("#menu input[value=ICLR]")
    page.wait_for_selector("#chips .chip")
    assert "1 of 2 papers" in page.locator("#chips .left").inner_text()
    page.keyboard.press("Escape")
    page.click("#chips .chip")
    page.wait_for_function("!document.querySelector('#chips .chip')")


def test_only_this_paper_narrows_the_next_question(visit, starter_url):
    page = visit(starter_url)
    page.click(".examples button >> nth=1")
    page.wait_for_selector("#evidence .source")
    page.click("#evidence .source[open] [data-do=only]")
    page.wait_for_selector("#chips .left")
    assert page.locator("#chips .left").inner_text().startswith("1 of ")


def test_a_conversation_survives_a_reload_and_can_be_found_and_reopened(visit, starter_url):
    page = visit(starter_url)
    ask(page, "What is the melting point of unobtainium?")
    page.wait_for_function("location.search.includes('c=')")
    page.reload()
    page.wait_for_selector("#finished .turn")
    assert "unobtainium" in page.locator("#finished").inner_text()
    page.click("#brand [data-do=new]")
    page.wait_for_selector("#finished .welcome")
    page.click("#brand [data-do=drawer]")
    page.locator("#drawer .open", has_text="unobtainium").first.click()
    page.wait_for_selector("#finished .turn")


def test_a_question_can_be_edited_and_asked_again(visit, starter_url):
    page = visit(starter_url)
    ask(page, "What is the boiling point of lead?")
    page.hover("#finished .turn")
    page.click("#finished [data-do=edit]")
    page.fill("#finished .edited", "What is the boiling point of tin?")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#finished .question')?.dataset.text.includes('tin')")
    assert page.locator("#finished .turn").count() == 1


def test_an_answer_can_be_saved_as_bibtex(visit, starter_url):
    page = visit(starter_url)
    page.click(".examples button >> nth=1")
    page.wait_for_selector("#finished .made details")
    page.click("#finished .made summary")
    with page.expect_download() as download:
        page.click("#finished [data-format=bib]")
    assert Path(download.value.path()).read_text(encoding="utf-8").startswith("@")


def test_an_empty_library_says_how_to_fill_it_and_pasted_papers_can_be_asked(visit, empty_url):
    page = visit(empty_url)
    assert "No papers yet" in page.locator("#finished").inner_text()
    page.click(".welcome [data-view=library]")
    page.fill(
        "#pasted textarea",
        "@misc{a, title={Glowworm: Night Lights}, abstract={Glowworm lights the night with bacteria."
        " It needs no power.}}",
    )
    page.click("#add")
    page.wait_for_selector("#report .report")
    assert "added" in page.locator("#report").inner_text()
    page.wait_for_selector("#table .papers")
    page.click("nav [data-view=ask]")
    page.wait_for_function("document.querySelector('#finished').innerText.includes('Ask the abstracts')")
    assert "Glowworm" in ask(page, "What is Glowworm?").inner_text()


def test_keys_focus_the_box_and_break_the_line(visit, starter_url):
    page = visit(starter_url)
    page.locator("body").click(position={"x": 5, "y": 300})
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.closest('#question') !== null")
    page.keyboard.type("a")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("b")
    assert page.input_value("#question textarea") == "a\nb"


@pytest.mark.parametrize("width", [390, 1280, 2560])
def test_nothing_is_wider_than_the_screen(visit, starter_url, width):
    page = visit(starter_url, width=width, height=844)
    ask(page, "What is the boiling point of lead?")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator("#question textarea").bounding_box()
    assert box["y"] + box["height"] <= 844


def test_the_policy_lets_in_nobody_else(visit, starter_url):
    page = visit(starter_url)
    policy = page.request.get(starter_url).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


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


def test_a_hostile_title_is_only_text_on_the_map(visit, hostile_url):
    page = visit(hostile_url)
    page.click("nav [data-view=map]")
    page.wait_for_selector("#map .scatterlayer .point")
    for place in page.locator("#map .scatterlayer .point").all():
        box = place.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(150)
    page.click("#topics summary >> nth=0")
    assert page.evaluate("window.hurt") is None
    assert page.locator("#map a, #map image, #topics img").count() == 0


def test_pasted_words_search_the_table_and_keep_its_order(visit, starter_url):
    page = visit(starter_url)
    page.click("nav [data-view=library]")
    page.click("#table [data-order=newest]")
    page.wait_for_selector("#table th[aria-sort=descending]")
    page.fill("#words textarea, #words input", "attention")
    page.wait_for_function("document.querySelectorAll('#table tbody tr').length === 2")
    assert page.locator("#table tbody tr").first.inner_text().startswith("FlashAttention")


def test_a_whole_conversation_can_be_saved_as_a_record(visit, starter_url):
    page = visit(starter_url)
    assert not page.locator("#top .exports").is_visible()
    ask(page, "What is BERT?")
    ask(page, "How large is it?")
    page.click("#top .exports summary")
    with page.expect_download() as download:
        page.click("#top [data-format=json]")
    assert download.value.suggested_filename == "citewise-what-is-bert.json"
    record = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert [item["question"] for item in record["exchanges"]] == ["What is BERT?", "How large is it?"]


def test_a_vote_and_its_note_are_kept(visit, starter_url):
    page = visit(starter_url)
    turn = ask(page, "What is the boiling point of tungsten?")
    turn.locator("[data-rating='-1']").click()
    turn.locator(".remark input").fill("it should know")
    with page.expect_response(lambda response: "queue/join" in response.url):
        page.keyboard.press("Enter")
    assert not turn.locator(".remark").is_visible()
    page.wait_for_timeout(300)
    page.reload()
    page.wait_for_selector("#finished .turn")
    assert page.locator("#finished [data-rating='-1']").get_attribute("aria-pressed") == "true"
    assert page.input_value("#finished .remark input") == "it should know"


def test_files_of_one_name_are_added_together_and_the_report_can_be_saved(visit, empty_url, tmp_path):
    files = []
    for folder, title in (("a", "Saltmarsh: Growing Reeds"), ("b", "Windmill: Turning Air")):
        (tmp_path / folder).mkdir()
        files.append(tmp_path / folder / "papers.json")
        files[-1].write_text(json.dumps({"title": title, "abstract": f"{title} is described."}), encoding="utf-8")
    page = visit(empty_url)
    page.click("nav [data-view=library]")
    page.set_input_files("#files input[type=file]", files)
    page.wait_for_function("document.querySelector('#files').innerText.includes('papers')")
    page.click("#add")
    page.wait_for_selector("#report .report")
    assert re.search(r"added\s+2", page.locator("#report").inner_text())
    page.wait_for_function("document.querySelector('#table').innerText.includes('Windmill')")
    assert "Saltmarsh" in page.locator("#table").inner_text()
    with page.expect_download() as download:
        page.click("#report [data-do=report]")
    assert json.loads(Path(download.value.path()).read_text(encoding="utf-8"))["added"] == 2


def test_a_damaged_library_says_so_instead_of_an_empty_page(visit, tmp_path):
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "catalog.sqlite").write_bytes(b"not a database" * 500)
    for url in served(tmp_path / "library"):
        page = visit(url)
        page.wait_for_selector("#finished .problem")
        assert "is damaged" in page.locator("#finished").inner_text()
