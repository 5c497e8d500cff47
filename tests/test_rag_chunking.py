"""Passages: bounded in tokens, whole sentences, nothing of an abstract left out."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.chunking import chunk
from rag.papers import Paper
from rag.settings import ChunkingSettings
from rag.text import sentences
from rag.tokens import count_tokens, fits, token_bound

SMALL = ChunkingSettings(max_tokens=64, overlap_sentences=1)
LONG = " ".join(f"Sentence number {n} says that thing {n} is larger than thing {n + 1}." for n in range(40))
# Words, numbers, punctuation, white space of every kind, scripts without spaces, and characters of several tokens.
PIECES = st.one_of(
    st.sampled_from([*" \n\t\u00a0\u2009.,;:!?()-'\"", "  ", "\r\n", "é", "論文", "🧪"]),
    st.sampled_from(["a.b", "e.g. ", "Fig. 3. ", ". The "]),
    st.from_regex(r"[A-Za-z]{1,12}", fullmatch=True),
    st.from_regex(r"[0-9.]{1,6}", fullmatch=True),
    st.text(max_size=8),
)
TEXTS = st.lists(PIECES, max_size=150).map("".join)


def paper(abstract: str, title: str = "A title", **more: object) -> Paper:
    return Paper(id="p", title=title, abstract=abstract, **more)  # type: ignore[arg-type]


def test_an_abstract_that_fits_is_one_passage_with_its_title():
    [passage] = chunk(paper(LONG), ChunkingSettings(max_tokens=2048))
    assert passage.text == f"A title\n{LONG}"
    assert (passage.id, passage.paper_id, passage.ordinal) == ("p#0", "p", 0)
    assert (passage.start, passage.end) == (0, len(LONG))


def test_a_paper_without_an_abstract_is_its_title():
    [passage] = chunk(paper("  \n "), SMALL)
    assert (passage.text, passage.start, passage.end) == ("A title", 0, 0)


def test_an_untitled_paper_does_not_repeat_its_display_title():
    [passage] = chunk(paper("We study whales.", title="We study…", untitled=True), SMALL)
    assert passage.text == "We study whales."


def test_long_abstracts_are_cut_between_sentences_and_overlap():
    passages = chunk(paper(LONG), SMALL)
    spans = sentences(LONG)
    assert len(passages) > 3
    starts, ends = {span.start for span in spans}, {span.end for span in spans}
    for before, after in pairwise(passages):
        assert before.end in ends
        assert after.start in starts
        shared = [span for span in spans if span.start >= after.start and span.end <= before.end]
        assert len(shared) == 1


@pytest.mark.parametrize("overlap", [0, 2])
def test_overlap_is_as_many_sentences_as_asked(overlap):
    short = " ".join(f"Thing {n} wins." for n in range(60))
    passages = chunk(paper(short), ChunkingSettings(max_tokens=64, overlap_sentences=overlap))
    assert len(passages) > 2
    for before, after in pairwise(passages):
        inside = [span for span in sentences(short) if after.start <= span.start and span.end <= before.end]
        assert len(inside) == overlap


def test_a_long_sentence_is_cut_between_words():
    words = " ".join(f"word{n}" for n in range(300))
    passages = chunk(paper(words), SMALL)
    assert [word for passage in passages for word in words[passage.start : passage.end].split()] == words.split()


def test_a_word_longer_than_a_passage_is_cut_too():
    abstract = "Start. " + "ab1-" * 2000 + " End."
    check(abstract, paper(abstract), SMALL)


def test_a_long_title_is_shortened_in_the_passages_only():
    long_title = "A study of " + "very " * 200 + "long titles"
    passages = chunk(paper(LONG, title=long_title), SMALL)
    for passage in passages:
        carried, body = passage.text.split("\n", 1)
        assert long_title.startswith(carried)
        assert count_tokens(carried) <= 32
        assert body == LONG[passage.start : passage.end]
    [alone] = chunk(paper("", title=long_title), SMALL)
    assert 32 < count_tokens(alone.text) <= 64


def check(abstract: str, source: Paper, chunking: ChunkingSettings) -> None:
    passages = chunk(source, chunking)
    covered: set[int] = set()
    for ordinal, passage in enumerate(passages):
        assert passage.id == f"p#{ordinal}"
        assert count_tokens(passage.text) <= chunking.max_tokens
        assert passage.text.endswith(abstract[passage.start : passage.end])
        covered.update(range(passage.start, passage.end))
    assert {at for at, character in enumerate(abstract) if not character.isspace()} <= covered
    starts = [passage.start for passage in passages]
    assert starts == sorted(set(starts))


@settings(max_examples=150, deadline=None)
@given(TEXTS, TEXTS, st.integers(0, 3), st.booleans())
def test_every_character_is_in_a_passage_and_every_passage_fits(abstract, title, overlap, untitled):
    source = paper(abstract, title=title or "t", untitled=untitled)
    check(abstract, source, ChunkingSettings(max_tokens=64, overlap_sentences=overlap))


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_the_quick_bound_is_never_below_the_count(text):
    assert token_bound(text) >= count_tokens(text)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(0, 200))
def test_fits_says_what_counting_says(text, limit):
    assert fits(text, limit) == (count_tokens(text) <= limit)


def test_the_bound_is_close_on_ordinary_text():
    assert token_bound(LONG) <= count_tokens(LONG) + 40


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_counts_are_tiktokens(text):
    assert count_tokens(text) == len(reference().encode(text, disallowed_special=()))


def reference():
    """tiktoken's own cl100k_base, made to read the same file."""
    import tiktoken

    spec = importlib.util.find_spec("llama_index.core")
    folder = Path(spec.submodule_search_locations[0]) / "_static" / "tiktoken_cache"
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    try:
        return tiktoken.get_encoding("cl100k_base")
    finally:
        os.environ.pop("TIKTOKEN_CACHE_DIR")
        if before is not None:
            os.environ["TIKTOKEN_CACHE_DIR"] = before


def test_the_vocabulary_is_the_published_one():
    spec = importlib.util.find_spec("llama_index.core")
    folder = Path(spec.submodule_search_locations[0]) / "_static" / "tiktoken_cache"
    published = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
    files = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in folder.iterdir()}
    assert base64.b64decode(files[published].read_bytes().split()[0]) == b"!"


def test_counting_needs_neither_llama_index_nor_a_writable_cache(tmp_path):
    program = (
        "import sys; from rag.tokens import count_tokens; assert count_tokens('one two three') == 3;"
        "assert not [name for name in sys.modules if name.startswith('llama_index.core')]"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "TIKTOKEN_CACHE_DIR": str(tmp_path / "none")}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, cwd=Path(__file__).parents[1])
    assert list(tmp_path.iterdir()) == []
