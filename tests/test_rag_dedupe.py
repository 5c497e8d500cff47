"""Which records are one paper, and whether their keys meet."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.dedupe import Identity, abstract_words, contradicts, same_paper
from rag.papers import Record, SourceRef
from rag.sketches import Keymaker

WHALES = (
    "Humpback whales repeat their songs for hours. We record two hundred individuals over nine winters with bottom-"
    "mounted hydrophones. Songs change slowly within a season and abruptly between seasons. A model with one"
    " learned rate of change explains nine tenths of the drift. Songs of neighbouring groups converge within a month."
)
ENGINES = (
    "Steam engines waste most of their heat. We replace the valve gear of a small engine by electric valves. Fuel use"
    " falls by a third at part load and by a tenth at full load. Wear of the valves is measured over one thousand"
    " hours. The control fits into forty lines of code and needs no tuning on other engines."
)
REVISED = WHALES.replace("nine tenths", "eight tenths").replace(
    " Songs of neighbouring groups", " Moreover songs of all groups"
)


def identity(title: str = "", abstract: str = "", path: str = "a.jsonl", **fields) -> Identity:
    return Identity(Record(title=title, abstract=abstract, source=SourceRef(path, 1), **fields))


SAME = {
    "doi": (identity("A", WHALES, doi="10.1/X"), identity("B", ENGINES, doi="https://doi.org/10.1/x")),
    "arxiv versions": (identity("A", WHALES, arxiv_id="2101.00001v1"), identity("B", ENGINES, arxiv_id="2101.00001v3")),
    "arxiv doi": (identity("A", "", doi="10.48550/arXiv.2101.00001"), identity("B", "", arxiv_id="2101.00001")),
    "title case and punctuation": (identity("How Whales Sing!", WHALES), identity("how whales sing", REVISED)),
    "title alone": (identity("How whales sing", WHALES), identity("How Whales Sing")),
    "untitled": (identity("", WHALES), identity("How whales sing", WHALES.upper())),
    "untitled, a word changed": (identity("", WHALES), identity("Song", WHALES.replace("tenths", "parts"))),
    "untitled, cut": (identity("", WHALES), identity("How whales sing", WHALES[: WHALES.rindex("Songs of")])),
    "title typo": (identity("How wales sing in winter", WHALES), identity("How whales sing in winter", WHALES)),
    "subtitle left out": (identity("SongDrift", WHALES), identity("SongDrift: how whales sing", WHALES)),
    "latex": (
        identity("", WHALES.replace("nine tenths", r"$\mathbf{0.9}$ of all")),
        identity("", WHALES.replace("nine tenths", "0.9 of all")),
    ),
    "preprint and article": (
        identity("How whales sing", WHALES, doi="10.48550/arXiv.2101.00001"),
        identity("How whales sing", WHALES, doi="10.1/abc"),
    ),
    "same title and id, rewritten": (
        identity("How whales sing", WHALES, "a", external_id="Xy7Kq2"),
        identity("How whales sing", ENGINES, "b", external_id="Xy7Kq2"),
    ),
}
APART = {
    "untitled, much changed": (identity("", WHALES), identity("How whales sing", REVISED)),
    "another verb in the title": (
        identity("Tracked vehicle moving sideways", WHALES),
        identity("Crawler vehicle moving sideways", WHALES),
    ),
    "words in another order": (
        identity("Low-rank matrix approximation", WHALES),
        identity("Matrix approximation, low-rank", WHALES),
    ),
    "same title, other abstract": (identity("On valves", WHALES), identity("On valves", ENGINES)),
    "generic title": (identity("Editorial", WHALES), identity("Editorial", ENGINES)),
    "generic title without abstract": (identity("Editorial"), identity("Editorial", WHALES)),
    "generic titles only": (identity("Introduction"), identity("Introduction")),
    "generic title and the words that come with it": (
        identity("Introduction", "This chapter introduces databases."),
        identity("Introduction", "This chapter introduces compilers."),
    ),
    "part one and two": (identity("Whale song: Part I", WHALES), identity("Whale song: Part II", WHALES)),
    "numbers": (identity("Two whales", WHALES), identity("Three whales", WHALES)),
    "extended version": (identity("Whale song", WHALES), identity("Whale song (Extended Abstract)", WHALES)),
    "years in titles": (identity("Whale Task 2020", WHALES), identity("Whale Task 2021", WHALES)),
    "other title, same abstract": (identity("How whales sing", WHALES), identity("Valves without cams", WHALES)),
    "two dois": (identity("How whales sing", WHALES, doi="10.1/a"), identity("How whales sing", WHALES, doi="10.1/b")),
    "two arxiv ids": (identity("T", WHALES, arxiv_id="2101.00001"), identity("T", WHALES, arxiv_id="2101.00002")),
    "two rows of a file": (
        identity("How whales sing", WHALES, external_id="1"),
        identity("How whales sing", WHALES, external_id="2"),
    ),
    "other authors": (
        identity("How whales sing", WHALES, authors=("Ann Lee",)),
        identity("How whales sing", WHALES, authors=("Bo Chen", "Cy Dahl")),
    ),
    "far years, no abstract": (
        identity("How whales sing", "", year=1998),
        identity("How whales sing", WHALES, year=2021),
    ),
    "short untitled": (identity("", "We study whales."), identity("", "We study whales and engines.")),
    "row numbers of two files": (
        identity("On valves", WHALES, "a", external_id="1"),
        identity("On valves", ENGINES, "b", external_id="1"),
    ),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_the_same_paper_is_recognised_both_ways_round(pair):
    assert same_paper(*pair)
    assert same_paper(*reversed(pair)) == same_paper(*pair)


@pytest.mark.parametrize("pair", APART.values(), ids=APART)
def test_different_papers_stay_apart_both_ways_round(pair):
    assert same_paper(*pair) is None
    assert same_paper(*reversed(pair)) is None


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_the_same_paper_shares_a_key(pair):
    one, other = Keymaker().keys([item.record for item in pair])
    assert set(one.all()) & set(other.all())


def test_a_shared_doi_outweighs_what_speaks_against_it():
    one = identity("A", WHALES, doi="10.1/x", authors=("Ann Lee",))
    other = identity("B", ENGINES, doi="10.1/x", authors=("Bo Chen",))
    assert contradicts(one, other)
    assert same_paper(one, other) == "same DOI"


def test_keys_do_not_depend_on_the_batch():
    records = [identity("T", text).record for text in (WHALES, "", "two words", "just three words", ENGINES)]
    together = Keymaker().keys(records)
    assert together == [Keymaker().keys([record])[0] for record in records]
    assert [len(keys.sketch) > 0 for keys in together] == [True, False, False, True, True]


def test_keys_are_the_same_in_another_process():
    code = (
        "from rag.sketches import Keymaker; from rag.papers import Record, SourceRef; import sys;"
        "print(Keymaker().keys([Record(title='Whales', abstract=sys.argv[1], source=SourceRef('a', 1))])[0].all())"
    )
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", code, WHALES]
    outputs = [
        subprocess.run(
            command, cwd=root, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].strip() == str(Keymaker().keys([identity("Whales", WHALES).record])[0].all())


@pytest.mark.parametrize("seed", range(20))
def test_an_abstract_with_a_sentence_dropped_shares_a_key(seed):
    draw = random.Random(seed)
    words = [f"w{draw.randrange(5000)}" for _ in range(150)]
    cut = draw.randrange(120)
    keys = Keymaker().sketches([" ".join(words), " ".join(words[:cut] + words[cut + 20 :])])
    assert set(keys[0]) & set(keys[1])


@given(st.text(), st.text(), st.text())
def test_any_texts_have_keys_and_are_compared_alike_both_ways(title, abstract, other):
    if not (title or abstract):
        return
    one = Record(title=title, abstract=abstract, source=SourceRef("a", 1))
    two = Record(title=title or other or "t", abstract=other, source=SourceRef("b", 1))
    assert all(-(2**63) <= key < 2**63 for keys in Keymaker().keys([one, two]) for key in keys.all())
    assert same_paper(Identity(one), Identity(two)) == same_paper(Identity(two), Identity(one))


@given(st.text())
def test_words_of_an_abstract_ignore_case(text):
    if text.isascii():
        assert abstract_words(text.upper()) == abstract_words(text.lower())
