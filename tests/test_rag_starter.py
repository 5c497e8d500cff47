"""Claims about the starter library and the questions written for it."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from eval.measures.facts import missing_facts, says
from rag import starter
from rag.papers import Record, display_date
from rag.parsers import parse
from rag.text import normalised_title, sentences

CASES_FILE = Path(__file__).parents[1] / "eval" / "cases" / "starter.jsonl"
MARK = "Citewise summary, not the authors' text"
REQUIRED = {"id", "title", "abstract", "authors", "year", "venue", "url", "keywords", "abstract_by"}
OPTIONAL = {"date", "arxiv_id", "doi", "code"}
CASE_FIELDS = {"id", "question", "relevant", "facts", "answer", "answerable", "tags"}
LEAST_CASES = {
    "single": 55,
    "multi-paper": 15,
    "metadata": 15,
    "follow-up": 10,
    "paraphrase": 10,
    "typo": 5,
    "stranger": 10,
    "near-miss": 25,
    "reworded": 15,
}


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


PAPERS = read_lines(starter.path())
CASES = read_lines(CASES_FILE)
NEAR_MISSES = [case for case in CASES if "near-miss" in case["tags"]]
BY_TITLE = {paper["title"]: paper for paper in PAPERS}
each_paper = pytest.mark.parametrize("paper", PAPERS, ids=[paper["id"] for paper in PAPERS])
each_case = pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])


def searchable(paper: dict[str, Any]) -> str:
    """All that an answer about a paper may say: summary and metadata, as values in words."""
    values = [value for name, value in paper.items() if name != "abstract_by"]
    flat = [str(item) for value in values for item in (value if isinstance(value, list) else [value])]
    shown = display_date(paper["date"]) if "date" in paper else ""
    return "\n".join([*flat, shown, f"{len(paper['authors'])} authors"])


def as_facts(case: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(alternatives) for alternatives in case["facts"])


def test_library_holds_some_sixty_papers_with_unique_ids_titles_and_links():
    assert 60 <= len(PAPERS) <= 70
    for key in ("id", "url"):
        assert len({paper[key] for paper in PAPERS}) == len(PAPERS)
    assert len({normalised_title(paper["title"]) for paper in PAPERS}) == len(PAPERS)


def test_our_own_parser_reads_every_record_as_it_stands():
    records = [item for item in parse(starter.path()) if isinstance(item, Record)]
    assert [record.title for record in records] == [paper["title"] for paper in PAPERS]
    for record, paper in zip(records, PAPERS, strict=True):
        assert record.abstract == paper["abstract"]
        assert list(record.authors) == paper["authors"]
        assert (record.year, record.venue, record.url) == (paper["year"], paper["venue"], paper["url"])
        assert record.arxiv_id == paper.get("arxiv_id")


@each_paper
def test_record_has_its_fields_filled_and_no_others(paper: dict[str, Any]):
    assert REQUIRED <= paper.keys() <= REQUIRED | OPTIONAL
    assert all(paper.values())
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", paper["id"])
    assert all(name == name.strip() and " " in name for name in paper["authors"])
    assert len(set(paper["authors"])) == len(paper["authors"])


@each_paper
def test_summary_is_marked_as_ours_and_has_five_to_nine_sentences(paper: dict[str, Any]):
    assert paper["abstract_by"] == MARK
    assert 90 <= len(paper["abstract"].split()) <= 170
    assert 5 <= len(sentences(paper["abstract"])) <= 9
    assert not re.search(r"\b(we|our|us)\b", paper["abstract"], re.IGNORECASE)


@each_paper
def test_no_sentence_of_a_summary_opens_with_a_dangling_pronoun(paper: dict[str, Any]):
    openings = {span.text.split()[0].lower() for span in sentences(paper["abstract"])}
    assert not openings & {"it", "they", "he", "she"}


@each_paper
def test_year_is_plausible_and_agrees_with_the_date(paper: dict[str, Any]):
    assert 1950 <= paper["year"] <= date.today().year
    if "date" in paper:
        assert int(paper["date"][:4]) == paper["year"]
        date.fromisoformat((paper["date"] + "-01-01")[:10])


@each_paper
def test_venue_is_not_older_than_the_paper(paper: dict[str, Any]):
    years = [int(year) for year in re.findall(r"\b(?:19|20)\d\d\b", paper["venue"])]
    assert all(paper["year"] - 1 <= year <= paper["year"] + 2 for year in years)


@each_paper
def test_arxiv_id_is_well_formed_and_agrees_with_date_and_link(paper: dict[str, Any]):
    if "arxiv_id" not in paper:
        assert "arxiv.org" not in paper["url"]
        return
    found = re.fullmatch(r"(\d\d)(\d\d)\.(\d{4,5})", paper["arxiv_id"])
    assert found
    assert len(found[3]) == (5 if int(found[1]) >= 15 else 4)
    assert paper["url"] == f"https://arxiv.org/abs/{paper['arxiv_id']}"
    month = paper["date"][:7]
    allowed = {f"20{found[1]}-{found[2]}", previous_month(f"20{found[1]}-{found[2]}")}
    assert month in allowed, "arXiv numbers a paper in the month it was submitted or the next"


def previous_month(month: str) -> str:
    year, number = (int(part) for part in month.split("-"))
    return f"{year - (number == 1)}-{(number - 2) % 12 + 1:02d}"


@each_paper
def test_links_are_https_and_dois_well_formed(paper: dict[str, Any]):
    for key in ("url", "code"):
        assert re.fullmatch(r"https://[a-z0-9.-]+/\S+", paper.get(key, "https://none.example/x"))
    assert re.fullmatch(r"10\.\d{4,5}/\S+", paper.get("doi", "10.1234/none"))


def test_there_are_enough_cases_of_every_kind():
    assert len({case["id"] for case in CASES}) == len(CASES) >= 130
    assert len({case["question"].lower() for case in CASES}) == len(CASES)
    for tag, least in LEAST_CASES.items():
        assert sum(tag in case["tags"] for case in CASES) >= least, tag


@each_case
def test_case_has_its_fields(case: dict[str, Any]):
    assert CASE_FIELDS <= case.keys() <= CASE_FIELDS | {"history", "about", "absent", "paraphrase_of"}
    assert case["question"].strip()
    assert case["answer"].strip()
    assert case["tags"]
    assert all(alternatives and all(alternatives) for alternatives in case["facts"])
    assert ("follow-up" in case["tags"]) == ("history" in case)
    assert all(turn.keys() == {"question", "answer"} for turn in case.get("history", []))


@each_case
def test_relevant_papers_of_a_case_are_in_the_library(case: dict[str, Any]):
    assert len(set(case["relevant"])) == len(case["relevant"])
    assert set(case["relevant"]) <= BY_TITLE.keys()
    assert ("multi-paper" not in case["tags"]) or len(case["relevant"]) >= 2


@each_case
def test_facts_of_an_answerable_case_stand_in_its_relevant_papers(case: dict[str, Any]):
    if not case["answerable"]:
        assert case["relevant"] == []
        assert case["facts"] == []
        assert "unanswerable" in case["tags"]
        return
    assert case["relevant"]
    assert case["facts"]
    text = "\n".join(searchable(BY_TITLE[title]) for title in case["relevant"])
    assert not missing_facts(as_facts(case), text)


@pytest.mark.parametrize("case", NEAR_MISSES, ids=[case["id"] for case in NEAR_MISSES])
def test_near_miss_names_a_paper_of_the_library_that_does_not_hold_the_asked_words(case: dict[str, Any]):
    assert case["about"]
    assert case["absent"]
    summaries = "\n".join(BY_TITLE[title]["abstract"] for title in case["about"])
    assert not says(summaries, tuple(case["absent"]))


@each_case
def test_reference_answer_of_an_answerable_case_states_its_facts(case: dict[str, Any]):
    said = "\n".join([case["answer"], *case["relevant"]])
    assert not missing_facts(as_facts(case), said)
