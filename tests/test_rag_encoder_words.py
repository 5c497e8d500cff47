"""Token ids word by word are those that the tokenizer gives a whole text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace

from rag.encoder.static import SHIPPED_WEIGHTS
from rag.encoder.words import WordTokens

TOKENIZER = Tokenizer.from_file(str(SHIPPED_WEIGHTS / "tokenizer.json"))
WORDS = WordTokens(TOKENIZER, lambda _: True)
PIECES = [
    "Graph",
    "neural-network",
    "don't",
    "é",
    "e\u0301",
    "İstanbul",
    "ΣΑΣ",
    "\u00a0",
    "\x00",
    "\x0b",
    "语言",
    "_x",
    "…",
    "x" * 101,
]


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from([*PIECES, " ", "\n", ", "]), max_size=12).map("".join)))
@settings(max_examples=400, deadline=None)
def test_ids_are_the_tokenizers_own(text):
    assert WORDS.ids([text]) == [TOKENIZER.encode(text, add_special_tokens=False).ids]


def test_ids_that_do_not_count_are_left_out():
    whole = TOKENIZER.encode("a graph, a tree.", add_special_tokens=False).ids
    comma = TOKENIZER.token_to_id(",")
    assert comma in whole
    assert WordTokens(TOKENIZER, lambda at: at != comma).ids(["a graph, a tree."]) == [
        [at for at in whole if at != comma]
    ]


def test_a_tokenizer_of_another_kind_is_refused():
    other = Tokenizer(WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    other.pre_tokenizer = Whitespace()
    with pytest.raises(ValueError, match="those of BERT"):
        WordTokens(other, lambda _: True)
