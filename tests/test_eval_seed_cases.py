"""The seed cases are true of the seed papers, and their form does not give the answer away."""

import json
import os
import re
from collections import Counter
from functools import cache
from itertools import product
from pathlib import Path
from statistics import mean

import pytest

ROOT = Path(__file__).parents[1]
CASES = ROOT / "eval" / "cases" / "seeds.jsonl"
SEEDS = Path(os.environ.get("CITEWISE_SHARED", Path(__file__).parents[2] / "shared")) / "seeds"
LONGEST_FACT_WORDS = 4
COPIED_WORDS = 8

needs_seeds = pytest.mark.skipif(
    not list(SEEDS.glob("*.txt")), reason=f"no seed papers in {SEEDS}; set CITEWISE_SHARED to their parent"
)


@cache
def cases() -> tuple[dict, ...]:
    return tuple(json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines())


def answerable(wanted: bool) -> list[dict]:
    return [case for case in cases() if case["answerable"] is wanted]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def runs(text: str, length: int = COPIED_WORDS) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[at : at + length]) for at in range(len(found) - length + 1)}


@cache
def seed_lines() -> tuple[tuple[str, ...], ...]:
    """The lines that hold text, file by file."""
    files = sorted(SEEDS.glob("*.txt"))
    return tuple(tuple(filter(str.strip, file.read_text(encoding="utf-8").splitlines())) for file in files)


@cache
def entries(title: str) -> tuple[str, ...]:
    """What each seed file says of a paper: its line and, where the abstract stands apart, the next one."""
    opening = re.compile(rf"^\s*(?:Subscribe|\d+\s+|-\s+)?{re.escape(title)}")
    found = []
    for lines in seed_lines():
        for line, following in zip(lines, (*lines[1:], ""), strict=True):
            if match := opening.match(line):
                found.append(line if line[match.end() :].strip() else f"{line}\n{following}")
    return tuple(found)


def says(text: str, term: str) -> bool:
    """Whether a word of the text begins with the term (several words: the first of them)."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(term)}", text, flags=re.IGNORECASE) is not None


def test_every_case_has_the_fields_of_the_case_format():
    for case in cases():
        assert {"id", "kind", "question", "relevant", "facts", "answerable", "tags"} <= case.keys()
        assert case["question"].strip() == case["question"] != ""
        assert all(isinstance(tag, str) for tag in case["tags"])


def test_ids_and_questions_are_unique():
    assert len({case["id"] for case in cases()}) == len(cases())
    assert len({case["question"].lower() for case in cases()}) == len(cases())


def test_an_answerable_case_names_papers_and_facts_and_an_unanswerable_one_neither():
    for case in answerable(True):
        assert case["relevant"], case["id"]
        assert case["facts"], case["id"]
        assert all(case["facts"]), case["id"]
    for case in answerable(False):
        assert case["relevant"] == case["facts"] == [], case["id"]


def test_facts_are_short_terms_and_never_sentences():
    for case in answerable(True):
        for alternative in (term for fact in case["facts"] for term in fact):
            assert term_is_short(alternative), (case["id"], alternative)


def term_is_short(term: str) -> bool:
    return 0 < len(term.split()) <= LONGEST_FACT_WORDS


@pytest.mark.parametrize(
    ("kind", "fewest"),
    [("multi", 15), ("metadata", 12), ("typo", 6), ("keyword", 8), ("near", 70), ("stranger", 30)],
)
def test_no_kind_of_question_is_missing(kind: str, fewest: int):
    assert sum(case["kind"] == kind for case in cases()) >= fewest


def test_a_multi_case_needs_several_papers():
    assert all(len(case["relevant"]) > 1 for case in cases() if case["kind"] == "multi")


def test_a_near_miss_names_its_paper_and_a_stranger_none():
    for case in answerable(False):
        assert bool(case["about"]) is (case["kind"] == "near"), case["id"]
        assert case["absent"], case["id"]


def test_a_paper_stays_in_one_fold_so_that_one_half_can_calibrate_and_the_other_judge():
    folds = {"fold-a": set(), "fold-b": set()}
    for case in cases():
        (fold,) = folds.keys() & set(case["tags"])
        folds[fold].add((case["relevant"] or case.get("about") or [case["question"]])[0])
    assert folds["fold-a"].isdisjoint(folds["fold-b"])


def test_question_length_does_not_give_away_whether_there_is_an_answer():
    for measure in (lambda text: len(text.split()), len):
        yes, no = ([measure(case["question"]) for case in answerable(side)] for side in (True, False))
        assert mean(no) == pytest.approx(mean(yes), rel=0.2)
        # The chance that an answerable question is the longer one: 0.5 when length says nothing.
        assert 0.4 < mean((a > b) + 0.5 * (a == b) for a, b in product(yes, no)) < 0.6


def test_no_common_opening_word_belongs_to_one_side_only():
    openings = [Counter(words(case["question"])[0] for case in answerable(side)) for side in (True, False)]
    for word, uses in (openings[0] + openings[1]).items():
        if uses >= 10:
            assert min(opening[word] for opening in openings) >= 0.15 * uses, word


@needs_seeds
@pytest.mark.parametrize("case", answerable(True), ids=lambda case: case["id"])
def test_each_relevant_title_heads_a_seed_paper_which_holds_the_facts(case: dict):
    for title in case["relevant"]:
        assert entries(title), f"no seed paper is headed {title!r}"
    text = "\n".join(entry for title in case["relevant"] for entry in entries(title)).lower()
    for alternatives in case["facts"]:
        assert any(term.lower() in text for term in alternatives), f"no relevant paper says {alternatives}"


@needs_seeds
@pytest.mark.parametrize("case", answerable(False), ids=lambda case: case["id"])
def test_what_an_unanswerable_case_asks_for_is_not_in_the_papers(case: dict):
    for title in case["about"]:
        assert entries(title), f"no seed paper is headed {title!r}"
    near = [entry for title in case["about"] for entry in entries(title)]
    texts = near or ["\n".join(lines) for lines in seed_lines()]
    for term in case["absent"]:
        assert not any(says(text, term) for text in texts), f"the papers do say {term!r}"


@needs_seeds
def test_no_question_copies_a_phrase_of_an_abstract():
    copied = {run for lines in seed_lines() for line in lines for run in runs(line)}
    for case in cases():
        assert not runs(case["question"]) & copied, case["id"]
