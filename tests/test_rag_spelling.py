"""Misspelt words of a question."""

import pytest

from rag.spelling import corrected, corrections

ABSTRACT = "The Wasserstein distance is a measure of representations in memory and is bound by many layers of a forest"


@pytest.mark.parametrize(
    ("slip", "word"),
    [
        ("waserstein", "wasserstein"),
        ("memmory", "memory"),
        ("forrest", "forest"),
        ("mesure", "measure"),
        ("represntations", "representations"),
        ("hwo", "how"),
        ("dsitance", "distance"),
        ("distanse", "distance"),
    ],
)
def test_one_slip_is_put_right(slip, word):
    assert corrections([slip], [ABSTRACT]) == {slip: word}


@pytest.mark.parametrize("word", ["lawyers", "hive", "bees", "whale", "found", "xq", "mandarin"])
def test_another_word_is_left_alone(word):
    assert corrections([word], [ABSTRACT]) == {}


def test_only_the_misspelt_word_is_replaced():
    assert corrected("Is memmory (Memmory) memorable?", {"memmory": "memory"}) == "Is memory (memory) memorable?"
