"""Retrieval over a small library in memory, with the shipped encoder."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.bench.memory import memory_parts
from rag.answers import Filters
from rag.encoder.static import StaticEncoder
from rag.papers import Paper
from rag.rerank import sentence_scores
from rag.retrieval import Retriever
from rag.settings import RerankSettings, RetrievalSettings

PAPERS = (
    Paper(
        "ldreg",
        "LDReg: Local Dimensionality Regularized Self-Supervised Learning",
        "Representations may collapse in dimension. We regularise the local intrinsic dimensionality. It helps.",
        year=2024,
        venue="ICLR",
    ),
    Paper(
        "collapse",
        "On dimensional collapse in contrastive learning",
        "Contrastive learning suffers from collapse of dimension. Unlike LDReg, we study the whole space.",
        year=2021,
        venue="NeurIPS",
    ),
    Paper(
        "top2vec",
        "Top2Vec: Distributed Representations of Topics",
        "Topic models find themes in documents. Joint vectors of words and documents need no stop-word list.",
        year=2020,
        authors=("Dimo Angelov",),
    ),
    Paper(
        "topics",
        "Topic models and representations of documents",
        "We compare ways to represent topics of documents. Word vectors and topic vectors are compared.",
        year=2019,
    ),
    Paper(
        "untitled",
        "Pruning removes weights of…",
        "Pruning removes weights of a network. Half can go.",
        untitled=True,
    ),
    Paper("bare", "A report on quicksort", ""),
    Paper(
        "trees",
        "Trees for tables",
        "Gradient boosted trees win on tabular data. Deep networks trail on small tables.",
        year=2022,
        code_urls=("https://github.com/a/b",),
    ),
)


@pytest.fixture(scope="module")
def encoder():
    return StaticEncoder.load()


@pytest.fixture(scope="module")
def retriever(encoder):
    return Retriever(*memory_parts(PAPERS, encoder), encoder)


def ids(found):
    return [hit.paper.id for hit in found.hits]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("How does LDReg help?", "ldreg"),
        ("what is ldreg", "ldreg"),
        ("How does Top2Vec represent documents and topics?", "top2vec"),
        ("When was 'Topic models and representations of documents' posted?", "topics"),
        ("topic models and representations of documents", "topics"),
        ("quicksort", "bare"),
        ("how many weights can be pruned away", "untitled"),
        ("Do trees beat deep learning on tables?", "trees"),
    ],
)
def test_the_named_or_described_paper_comes_first(retriever, question, first):
    assert ids(retriever.retrieve(question, k=3))[0] == first


class Misled:
    """An encoder that takes every question to be about quicksort."""

    name, dimension, fingerprint = "misled", 2, "misled"

    def encode(self, texts, *, side="passage"):
        sorting = [side == "query" or "quicksort" in text for text in texts]
        return np.array([(1.0, 0.0) if near else (0.6, 0.8) for near in sorting], dtype=np.float32)


def test_the_only_paper_that_holds_the_word_comes_before_one_that_the_encoder_finds_near():
    others = (Paper(f"other{n}", f"Report {n}", "On quicksort." if n % 2 else "Nothing.") for n in range(40))
    misled = Retriever(*memory_parts((*PAPERS, *others), Misled()), Misled())
    assert ids(misled.retrieve("What is boosted?", k=1)) == ["trees"]


def test_hits_are_ranked_and_carry_raw_scores_and_a_quote_of_the_abstract(retriever):
    found = retriever.retrieve("collapse of dimension in contrastive learning", k=4)
    assert [hit.rank for hit in found.hits] == [1, 2, 3, 4]
    assert [hit.score for hit in found.hits] == sorted((hit.score for hit in found.hits), reverse=True)
    assert found.hits[0].dense is not None
    assert found.hits[0].lexical is not None
    for hit in found.hits:
        assert hit.paper.abstract[hit.quote.start : hit.quote.end] == hit.quote.text or not hit.paper.abstract


def test_the_quote_is_the_sentence_that_answers(retriever):
    hit = retriever.retrieve("Which topic model needs no stop-word list?", k=1).hits[0]
    assert hit.quote.text == "Joint vectors of words and documents need no stop-word list."


def test_a_paper_without_abstract_is_found_and_quoted_by_its_title(retriever):
    hit = retriever.retrieve("report on quicksort", k=1).hits[0]
    assert hit.paper.id == "bare"
    assert (hit.quote.text, hit.quote.start, hit.quote.end) == ("A report on quicksort", 0, 0)


def test_sentences_belong_to_the_first_hits_in_their_order(retriever):
    found = retriever.retrieve("topics of documents", k=3)
    order = list(dict.fromkeys(sentence.paper_id for sentence in found.sentences))
    assert order == ids(found)
    for sentence in found.sentences:
        paper = next(hit.paper for hit in found.hits if hit.paper.id == sentence.paper_id)
        assert paper.abstract[sentence.start : sentence.end] == sentence.text or not paper.abstract
        assert 0 <= sentence.relevance <= 1
        assert np.linalg.norm(sentence.vector) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("question", "given_filters", "allowed"),
    [
        ("papers on topics before 2020", Filters(), {"topics"}),
        ("collapse at NeurIPS", Filters(), {"collapse"}),
        ("papers with code about tables", Filters(), {"trees"}),
        ("papers by Angelov on topics", Filters(), {"top2vec"}),
        ("collapse", Filters(year_from=2022), {"ldreg", "trees"}),
        ("collapse since 2022", Filters(venues=("iclr",)), {"ldreg"}),
        ("collapse", Filters(only=("topics", "bare")), {"topics", "bare"}),
    ],
)
def test_filters_given_and_heard_are_kept(retriever, question, given_filters, allowed):
    found = retriever.retrieve(question, k=10, filters=given_filters)
    assert set(ids(found)) <= allowed
    assert found.hits
    assert found.notes == (("Papers without a year on record were left out.",) if "since" in question else ())


def test_a_filter_that_no_paper_passes_is_reported(retriever):
    found = retriever.retrieve("papers on topics from 1999", k=5)
    assert found.hits == ()
    assert found.notes == ("no paper in this library is from the year 1999",)


def test_filter_results_are_dropped_when_the_catalog_changes(encoder):
    catalog, dense, lexical = memory_parts(PAPERS, encoder)
    retriever = Retriever(catalog, dense, lexical, encoder)
    assert ids(retriever.retrieve("collapse since 2024", k=5)) == ["ldreg"]
    catalog.replace(replace(PAPERS[1], year=2025))
    assert sorted(ids(retriever.retrieve("collapse since 2024", k=5))) == ["collapse", "ldreg"]


def test_an_empty_library_gives_no_hits(encoder):
    empty = Retriever(*memory_parts([], encoder), encoder)
    assert empty.retrieve("anything", k=10).hits == ()
    assert empty.retrieve("papers since 2020", k=10).hits == ()


@pytest.mark.parametrize(
    "question", ["", " \n ", "the of and", "🙂", "????", "a" * 10_000, "topic " * 2000, "LDReg\0x"]
)
def test_every_question_is_valid(retriever, question):
    found = retriever.retrieve(question, k=5)
    assert len(found.hits) <= 5


@given(st.text(max_size=80))
@settings(max_examples=60, deadline=None)
def test_any_text_is_answered_with_distinct_papers(retriever, question):
    found = ids(retriever.retrieve(question, k=5))
    assert len(found) == len(set(found))


def test_more_papers_than_there_are_can_be_asked_for(retriever):
    assert len(retriever.retrieve("topics of documents", k=1000).hits) <= len(PAPERS)


def test_the_same_question_gives_the_same_ranking(retriever):
    one, two = (retriever.retrieve("vectors of topics", k=5).hits for _ in range(2))
    assert one == two


def test_a_question_for_several_papers_ranks_a_copy_below_another_paper(encoder):
    copies = [replace(PAPERS[2], id=f"copy{number}", title="Topics as vectors") for number in range(3)]
    parts = memory_parts([*copies, *PAPERS[3:]], encoder)
    plain, diverse = (
        Retriever(*parts, encoder, settings=RetrievalSettings(diversity=share)).retrieve(
            "Which papers model topics?", k=3
        )
        for share in (0.0, 0.6)
    )
    assert sum(key.startswith("copy") for key in ids(diverse)) < sum(key.startswith("copy") for key in ids(plain))


def test_rerank_can_be_switched_off(encoder):
    parts = memory_parts(PAPERS, encoder)
    found = Retriever(*parts, encoder, rerank=RerankSettings(kind="none")).retrieve("topics", k=3)
    assert found.sentences
    assert set(sentence_scores(found.sentences)) == set(ids(found))


def test_stages_are_timed(retriever):
    start = time.perf_counter()
    timings = retriever.retrieve("topics", k=3).timings
    assert set(timings) == {"understand", "search", "rank"}
    assert sum(timings.values()) <= time.perf_counter() - start
