"""British and American spellings: which words have two, and that a question in one finds papers in the other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import open_library, text
from rag.british import american, other_spellings
from rag.stores.analysis import Analysis

PAIRS = (
    "regularisation regularization|optimiser optimizer|generalised generalized|tokenising tokenizing"
    "|generalisable generalizable|analyse analyze|behavioural behavioral|neighbourhood neighborhood|colour color"
    "|centred centered|centre center|fibres fibers|dialogue dialog|defence defense|tumours tumors|grey gray"
    "|colourisation colorization"
).split("|")
ALONE = (
    "noise denoised raised supervised unsupervised precise promising exercise otherwise pairwise surprise enterprise"
    " revised devising biased noisy crises axis basis analysis analyses four hour contour detour parametre vogue"
    " sparse dense disguise advertising arise"
).split()


@pytest.mark.parametrize("pair", PAIRS)
def test_a_word_of_two_spellings_is_compared_as_one_and_leads_to_the_other(pair: str):
    british, plain = pair.split()
    assert american(british) == american(plain) == plain
    assert list(other_spellings(british)) == [plain]
    assert british in other_spellings(plain)
    assert text.stem(british) == text.stem(plain)


@pytest.mark.parametrize("word", ALONE)
def test_a_word_of_one_spelling_stays_as_it_is(word: str):
    assert american(word) == word


PIECES = "colour favour is ise ising isation yse centre fibre alogue programme re our or l y a".split()


@given(st.text(max_size=40) | st.lists(st.sampled_from(PIECES), max_size=4).map("".join))
def test_any_text_has_one_american_spelling(word: str):
    assert american(american(word)) == american(word)


def test_a_word_that_is_known_in_its_other_spelling_is_not_taken_apart():
    held = {"regular": 9, "isat": 2}
    assert Analysis().query_words("regularisation", lambda word: held.get(word, 0)) == ["regular"]


@pytest.mark.parametrize(
    ("written", "asked"), [("regularization", "regularisation"), ("regularisation", "regularization")]
)
def test_a_question_in_one_spelling_is_answered_from_the_other(tmp_path: Path, written: str, asked: str):
    words = "kelp dunes magma fjord"
    rows = [
        {"id": str(at), "title": f"On {word}", "abstract": f"We study {word}. It is of use."}
        for at, word in enumerate(words.split())
    ]
    wanted = {
        "id": "w",
        "title": f"Local dimensionality {written}",
        "abstract": f"We propose local dimensionality {written} for training. It lowers the error on noisy labels.",
    }
    (tmp_path / "pile.jsonl").write_text("\n".join(map(json.dumps, [*rows, wanted])))
    with open_library(tmp_path / "library") as library:
        library.ingest([tmp_path / "pile.jsonl"])
        answer = library.ask(f"What does local dimensionality {asked} lower?")
        assert answer.abstained is None
        assert [source.paper.id for source in answer.sources][:1] == ["w"]
