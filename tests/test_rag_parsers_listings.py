"""Listings copied from web pages, pasted text, and the splitter of titles and abstracts."""

import os
import re
import textwrap
from pathlib import Path

import pytest

from rag.papers import Record, Reject
from rag.parsers import Notice, parse, parse_text
from rag.parsers.title_split import TitleSplitter
from rag.text import normalised_title

SHARED = Path(os.environ.get("CITEWISE_SHARED") or Path(__file__).parents[2] / "shared")
SEEDS = sorted((SHARED / "seeds").glob("*.txt"))
needs_seeds = pytest.mark.skipif(len(SEEDS) != 4, reason="the seed listings are not on this machine")

COINS = (
    "Counting coins in photographs is a task that small models are said to solve. We test twelve of them on a new set"
    " of ten thousand photographs and find that none passes chance on overlapping coins. A simple change to the loss"
    " closes half of the gap. Code is available at //github.com/coins/count."
)
NOTES = (
    "Banknotes fold, and folded banknotes fool classifiers. This paper introduces a synthetic fold generator and shows"
    " that training on its output halves the error on real folds. The generator needs no measured folds, runs on one"
    " core, and is released with the data that we collected from three banks."
)
LOCKS = (
    "Although lock picking has been studied for centuries, no open data set of picking sounds exists. We record four"
    " hundred hours, describe how they were labelled, and train first baselines. They confuse two families of locks"
    " and leave room for better models of rare clicks."
)
PAPERS = [
    ("Small Models Cannot Count Overlapping Coins", COINS),
    ("FoldNet: learning from folds that never were", NOTES),
    ("Listening to Locks: A Data Set of Picking Sounds", LOCKS),
]


def read(text, declared=None):
    items = list(parse_text(text, format=declared))
    return [item for item in items if isinstance(item, Record)], [item for item in items if isinstance(item, Reject)]


def pairs(text, declared=None):
    records, _ = read(text, declared)
    return [(record.title, record.abstract) for record in records]


def line(index, head="-", tail="3 authors · Nov 27, 2024"):
    return f"{head} {PAPERS[index][0]} {PAPERS[index][1]} {tail}"


# One line a paper


def test_one_line_a_paper_gives_title_abstract_and_every_number():
    text = "\n".join([line(0, "12", "3 authors · Nov 27, 2024 5"), line(1), line(2, "1", "1 authors · Mar 11")])
    records, rejects = read(text)
    assert not rejects
    assert [(record.title, record.abstract) for record in records] == PAPERS
    assert [record.upvotes for record in records] == [12, None, 1]
    assert [record.n_authors for record in records] == [3, 3, 1]
    assert [record.comments for record in records] == [5, None, None]
    assert [(record.date, record.year) for record in records] == [
        ("2024-11-27", 2024),
        ("2024-11-27", 2024),
        ("--03-11", None),
    ]
    assert records[0].code_urls == ("https://github.com/coins/count",)
    assert [record.source.line for record in records] == [1, 2, 3]


def test_a_line_listing_bears_blank_lines_crlf_page_junk_and_titles_alone():
    junk = ["new", "", "Get trending papers in your email inbox!", "Subscribe", "Mar 14", "", "Previous 1 2 3 Next"]
    text = "\r\n".join(
        [*junk, line(0), "", "7 A Title That Came Alone 2 authors · Jan 2, 2021", "", "stray words", line(2)]
    )
    records, rejects = read(text)
    assert [record.title for record in records] == [PAPERS[0][0], "A Title That Came Alone", PAPERS[2][0]]
    assert records[1].abstract == ""
    assert records[1].upvotes == 7
    assert [reject.line for reject in rejects] == [len(junk) + 5]


def test_a_long_line_that_lost_its_end_is_still_a_paper():
    text = "\n".join([line(0), line(1, tail=""), line(2)])
    records, _ = read(text)
    assert [record.title for record in records] == [title for title, _ in PAPERS]
    assert records[1].n_authors is None


# Titles and abstracts in turn, or in blocks

JUNK = ["new", "Get trending papers in your email inbox!", "Subscribe", "byAK and the research community", "Mar 14"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("gap", [1, 2, 4], ids=["pairs", "blocks", "wide blocks"])
def test_titles_and_abstracts_are_paired_under_page_junk(gap, newline):
    text = ("\n" * gap).join([*JUNK, *(part for paper in PAPERS for part in paper)]).replace("\n", newline)
    records, rejects = read(text)
    assert not rejects
    assert [(record.title, record.abstract) for record in records] == PAPERS


@pytest.mark.parametrize("button", ["Subscribe", "Sign Up", "Log In"])
def test_a_button_glued_to_the_first_title_is_taken_off(button):
    lines = ["Get trending papers in your email inbox once a day!", f"{button}{PAPERS[0][0]}", PAPERS[0][1]]
    assert pairs("\n".join([*lines, *PAPERS[1], *PAPERS[2]])) == PAPERS


def test_a_title_that_begins_like_a_button_is_kept_whole_among_papers():
    title = "SubscribeNet: Who Reads What"
    text = "\n".join([*PAPERS[0], title, PAPERS[1][1], *PAPERS[2]])
    assert pairs(text)[1][0] == title


def test_junk_in_the_middle_becomes_no_paper():
    middle = [
        "Upvote",
        "12",
        "2 days ago",
        "View all comments",
        "akhaliq",
        "Submitted by someone",
        "3 comments",
        "▲ 45",
    ]
    text = "\n\n".join([*PAPERS[0], *middle, *PAPERS[1], *middle, *PAPERS[2], *middle])
    assert pairs(text) == PAPERS


def test_a_user_name_between_title_and_abstract_is_not_the_title():
    text = "\n\n".join([PAPERS[0][0], "akhaliq", PAPERS[0][1], *PAPERS[1], *PAPERS[2]])
    assert pairs(text) == PAPERS


def test_a_line_of_names_between_title_and_abstract_is_its_authors():
    text = "\n\n".join([PAPERS[0][0], "Ann Bee, Cy van Dee and Eva Fox", PAPERS[0][1], *PAPERS[1], *PAPERS[2]])
    records, _ = read(text)
    assert [(record.title, record.abstract) for record in records] == PAPERS
    assert records[0].authors == ("Ann Bee", "Cy van Dee", "Eva Fox")


def test_a_line_of_numbers_after_an_abstract_belongs_to_its_paper():
    text = "\n\n".join([*PAPERS[0], "4 authors · Feb 3, 2023 6", *PAPERS[1], "2 authors · Mar 14", *PAPERS[2]])
    records, _ = read(text)
    assert [(record.title, record.abstract) for record in records] == PAPERS
    assert [(record.n_authors, record.date) for record in records] == [(4, "2023-02-03"), (2, "--03-14"), (None, None)]
    assert records[0].comments == 6


@pytest.mark.parametrize("gap", ["\n", "\n\n"])
def test_a_missing_abstract_shifts_nothing(gap):
    alone = "A Long Enough Title With No Abstract Below"
    records, rejects = read(gap.join([*PAPERS[0], alone, *PAPERS[1], *PAPERS[2]]))
    assert not rejects
    assert [record.title for record in records] == [PAPERS[0][0], alone, PAPERS[1][0], PAPERS[2][0]]
    assert records[1].abstract == ""
    assert records[2].abstract == NOTES


@pytest.mark.parametrize("gap", ["\n", "\n\n"])
def test_a_missing_title_gives_an_untitled_paper(gap):
    assert pairs(gap.join([*PAPERS[0], PAPERS[1][1], *PAPERS[2]])) == [PAPERS[0], ("", NOTES), PAPERS[2]]


def test_a_very_short_abstract_is_known_by_its_place():
    short = "We prove that coins are round."
    assert pairs("\n".join([*PAPERS[0], "On the Shape of Coins", short, *PAPERS[2]]))[1] == (
        "On the Shape of Coins",
        short,
    )


def test_abstracts_alone_are_untitled_papers():
    records, rejects = read("\n".join(["Subscribe", COINS, "", NOTES, LOCKS, "tiny"]))
    assert [(record.title, record.abstract) for record in records] == [("", COINS), ("", NOTES), ("", LOCKS)]
    assert len(rejects) <= 1


def test_skipped_junk_is_said_once():
    items = list(parse_text("\n\n".join([*JUNK, *PAPERS[0], *PAPERS[1]])))
    notices = [item.message for item in items if isinstance(item, Notice)]
    assert notices == ["format detected: listing-blocks", "5 lines of the web page around the papers skipped"]


# Pasted text


@pytest.mark.parametrize("gap", ["\n", "\n\n", "\n \n\t\n"])
def test_a_pasted_title_and_abstract_is_one_paper(gap):
    assert pairs(gap.join(PAPERS[0])) == [PAPERS[0]]


def test_a_pasted_abstract_is_an_untitled_paper():
    assert pairs(NOTES) == [("", NOTES)]


@pytest.mark.parametrize("gap", ["\n", "\n\n"])
@pytest.mark.parametrize("width", [50, 72, 100])
def test_wrapped_lines_are_joined_and_the_title_found(gap, width):
    text = "\n\n\n".join(title + gap + textwrap.fill(abstract, width) for title, abstract in PAPERS)
    assert pairs(text) == PAPERS


def test_markdown_headings_are_titles_and_paragraphs_are_joined():
    text = f"# {PAPERS[0][0]}\n\n{COINS}\n\nA second paragraph.\n\n## {PAPERS[1][0]}\n\n{NOTES}\n"
    assert pairs(text) == [(PAPERS[0][0], f"{COINS} A second paragraph."), PAPERS[1]]


def test_labels_are_understood():
    text = f"Title: {PAPERS[0][0]}\nAuthors: Ann Bee, Cy Dee\nAbstract: {COINS}\n"
    (record,), _ = read(text)
    assert (record.title, record.abstract, record.authors) == (*PAPERS[0], ("Ann Bee", "Cy Dee"))


# The splitter


def test_the_splitter_finds_titles_in_both_styles():
    splitter = TitleSplitter.load()
    assert [splitter.split(f"{title} {abstract}") for title, abstract in PAPERS] == PAPERS


@pytest.mark.parametrize(
    "text", ["", " ", "One", "a b c", "x" * 5_000, "word " * 3_000, "A. " * 500, "$" * 400, "\u2028 \u00a0 é"]
)
def test_the_splitter_takes_any_text_and_loses_none_of_it(text):
    title, abstract = TitleSplitter.load().split(text)
    assert f"{title} {abstract}".split() == text.split()


def test_a_title_with_no_abstract_stays_whole():
    assert TitleSplitter.load().split("Attention to Coins and Nothing Else") == (
        "Attention to Coins and Nothing Else",
        "",
    )


# The seed files


def seed_records(index):
    return [item for item in parse(SEEDS[index]) if isinstance(item, Record)]


@needs_seeds
def test_the_seeds_hold_350_records_of_340_papers_and_nothing_else():
    items = [item for path in SEEDS for item in parse(path)]
    records = [item for item in items if isinstance(item, Record)]
    assert len(records) == 350
    assert len({normalised_title(record.title or record.abstract) for record in records}) == 340
    assert not [item for item in items if isinstance(item, Reject)]


@needs_seeds
def test_the_seeds_formats_are_detected():
    formats = [parse(path).format for path in SEEDS]
    assert formats == ["abstract-lines", "listing-blocks", "listing-pairs", "listing-lines"]


@needs_seeds
@pytest.mark.parametrize(("index", "junk"), [(1, 5), (2, 2)])
def test_seed_titles_and_abstracts_come_out_exactly(index, junk):
    lines = [line for line in SEEDS[index].read_text(encoding="utf-8").splitlines() if line.strip()][junk:]
    lines[0] = lines[0].removeprefix("Subscribe")
    expected = [(title.strip(), " ".join(text.split())) for title, text in zip(lines[::2], lines[1::2], strict=True)]
    assert [(record.title, record.abstract) for record in seed_records(index)] == expected


@needs_seeds
def test_seed_abstracts_without_titles_come_out_exactly():
    lines = [line.strip() for line in SEEDS[0].read_text(encoding="utf-8").splitlines() if line.strip()]
    assert [(record.title, record.abstract) for record in seed_records(0)] == [("", line) for line in lines]


# Read by a person: how the title of each line of the fourth seed ends, and how its abstract begins.
ENDS = """
Token Pruning|In the
Graph Transformers|Recent advances
Bernoulli Policies|Reinforcement learning
Eigenvalue Distribution|Since the
Space Duality|While Transformers
Hierarchical Patterns|Attention, specifically
Model Editing|Recent alignment
Knowledge Transferability|Knowledge transferability,
Inference Learning|Backpropagation (BP)
Backpropagation-based Visualizations|Backpropagation-based visualizations
time-series forecasting|Can meta-learning
Neural Networks|Softmax attention
Feature Selection|Feature selection
Text Retrieval|Dual encoders
comprehensive review|Quantum walks,
Contrastive Learning|We introduce
Wasserstein GAN|We introduce
under KL-Constraint|This paper
in RL|As Reinforcement
Distributions Empirically|Calibrated uncertainty
Condition Contrastive Alignment|Classifier-Free Guidance
Hierarchical VAEs|Recent research
Multimodal Models|Unified multimodal
Recommender Systems|Deep recommender
Prompt-based Classifiers|Prompt-based classifiers
Mixture-of-Expert Prompts|Large Language
on Hypergraphs|Hypergraphs are
semi-definite programming|We study
Connection Laplacians|A Sheaf
Graph Transformer|Graph Transformer
Skip Connection|In diffusion
Distribution Shifts|Leveraging the
Stochastic Optimization|We consider
Diffusion Models|Recently, diffusion
Domain Abstraction|As a
Markov Chains|While transformer-based
of Attention|State-space models
Flexible Diffusion Model|Diffusion (score-based)
Size Scaling|In current
Step Sizes|We focus
Point of View|P. Kabamba
Large Language Model|With the
link prediction|Networks provide
Mode Connectivity|We study
Causal View|Being able
Relation Networks|Mental health
Convolutional Neural Networks|Over 50
"""


@needs_seeds
def test_every_run_together_seed_title_is_split_where_a_person_splits_it():
    records = seed_records(3)
    lines = [line for line in SEEDS[3].read_text(encoding="utf-8").splitlines() if line.strip()]
    expected = [tuple(pair.split("|")) for pair in ENDS.strip().splitlines()]
    assert len(records) == len(lines) == len(expected)
    for record, text, (end, begin) in zip(records, lines, expected, strict=True):
        assert record.title.endswith(end)
        assert record.abstract.startswith(begin)
        assert re.sub(r"^(?:-|\d+) ", "", text).startswith(f"{record.title} {record.abstract}")


@needs_seeds
def test_seed_numbers_and_dates_are_kept_as_precisely_as_they_are_given():
    records = {record.title: record for record in seed_records(3)}
    dated = records["Training Noise Token Pruning"]
    assert (dated.upvotes, dated.n_authors, dated.date, dated.comments) == (1, 3, "2024-11-27", 2)
    yearless = next(record for record in records.values() if record.title.startswith("Uni$"))
    assert (yearless.upvotes, yearless.n_authors, yearless.date, yearless.year, yearless.comments) == (
        28,
        8,
        "--03-11",
        None,
        3,
    )
    assert sum(record.year is None for record in records.values()) == 3
