"""The built-in encoder: what its vectors promise, what its files weigh, and what it was never trained on."""

from __future__ import annotations

import json
import os
import shutil
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from rag.encoder import StaticEncoder
from rag.encoder.static import SHIPPED_WEIGHTS, WEIGHT_FILES
from rag.encoder.train_corpus import (
    TrainingPaper,
    evaluation_ids,
    ids_hash,
    normalise,
    read_papers,
    split,
)

SHARED = Path(os.environ.get("CITEWISE_SHARED", Path(__file__).parents[2] / "shared"))
TEXTS = [
    "Attention Is All You Need\nWe propose the Transformer, a network based solely on attention mechanisms.",
    "Graph neural networks over-smooth node features.",
    "policy gradient policy gradient",
    "ünïcode, 数学 and $\\mathbf{x}_t$ \x00 survive",
    "word " * 5000,
]


@pytest.fixture(scope="module")
def encoder() -> StaticEncoder:
    return StaticEncoder.load()


def test_vectors_are_float32_rows_of_length_one(encoder: StaticEncoder) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), encoder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("text", ["", "   \n", "?!,.", "\x00"], ids=["empty", "blank", "punctuation", "control"])
@pytest.mark.parametrize("side", ["query", "passage"])
def test_text_without_words_is_the_zero_vector(encoder: StaticEncoder, text: str, side: str) -> None:
    assert not encoder.encode([text], side=side).any()  # type: ignore[arg-type]


def test_no_texts_give_no_rows(encoder: StaticEncoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dimension)


def test_a_text_has_the_same_vector_alone_and_in_any_batch(encoder: StaticEncoder) -> None:
    many = [f"{text} {number}" for number in range(300) for text in TEXTS[:3]]
    together = encoder.encode(many)
    alone = np.concatenate([encoder.encode([text]) for text in many[::97]])
    np.testing.assert_array_equal(together[::97], alone)


def test_two_loads_give_the_same_vectors(encoder: StaticEncoder) -> None:
    np.testing.assert_array_equal(StaticEncoder.load().encode(TEXTS), encoder.encode(TEXTS))


def test_case_and_punctuation_do_not_matter(encoder: StaticEncoder) -> None:
    plain, shouted = encoder.encode(["graph neural networks", "GRAPH, neural networks!"])
    assert plain @ shouted > 0.99


def test_a_question_is_nearer_to_the_paper_that_answers_it(encoder: StaticEncoder) -> None:
    question = encoder.encode(["Why do deep graph networks make all nodes look alike?"], side="query")[0]
    scores = encoder.encode(TEXTS[:2]) @ question
    assert scores[1] > scores[0]


def test_fingerprint_is_a_hash_of_the_weight_files(encoder: StaticEncoder, tmp_path: Path) -> None:
    for name in WEIGHT_FILES:
        shutil.copy(SHIPPED_WEIGHTS / name, tmp_path / name)
    assert StaticEncoder.load(tmp_path).fingerprint == encoder.fingerprint
    assert len(encoder.fingerprint) == 64
    with (tmp_path / "config.json").open("a", encoding="utf-8") as config:
        config.write("\n")
    assert StaticEncoder.load(tmp_path).fingerprint != encoder.fingerprint


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors, tokenizer\.json, config\.json missing"):
        StaticEncoder.load(tmp_path)


def test_weights_are_small_in_the_wheel_and_hold_no_pickle() -> None:
    files = [path for path in SHIPPED_WEIGHTS.rglob("*") if path.is_file()]
    assert sum(len(zlib.compress(path.read_bytes())) for path in files) <= 40_000_000
    assert {path.suffix for path in files} <= {".safetensors", ".json"}


def test_loading_and_encoding_stay_far_from_the_limits() -> None:
    """The limits are 0.4 s, 5 ms and 500 abstracts/s; processor time, and several times as much, as machines differ."""
    started = time.process_time()
    encoder = StaticEncoder.load()
    assert time.process_time() - started < 4
    started = time.process_time()
    encoder.encode(["how are words turned into vectors?"], side="query")
    assert time.process_time() - started < 0.25
    abstracts = ["We study how networks learn representations of text and images from data. " * 12] * 200
    started = time.process_time()
    encoder.encode(abstracts)
    assert time.process_time() - started < 4


def test_a_near_duplicate_of_an_evaluation_paper_is_left_out() -> None:
    words = [f"word{number}" for number in range(60)]
    papers = [
        _paper("gold", "A title of its own", " ".join(words)),
        _paper("copy", "Another title altogether", " ".join(["changed", *words[10:], "ending"])),
        _paper("same-title", "A Title of its own!", "Something quite different is said here."),
        _paper("seeded", "Unheard-of title of a paper", "Nothing of this was said before."),
        _paper("other", "A free paper", "Nothing in common with any of them at all, we hope."),
    ]
    found = split(papers, ["... Unheard-of title of a paper ..."], {"gold"})
    assert [paper.id for paper in found.papers] == ["other"]
    assert found.excluded == {
        "gold": "evaluation id",
        "copy": "near duplicate",
        "same-title": "evaluation title",
        "seeded": "evaluation title",
    }


def _paper(identifier: str, title: str, abstract: str) -> TrainingPaper:

    return TrainingPaper(identifier, title, abstract)


class Seeds:
    """The texts of the seed piles, and whether a text stands in them."""

    def __init__(self) -> None:
        paths = (SHARED / "seeds").glob("*")
        self._text = "\n".join(normalise(path.read_text(encoding="utf-8")) for path in paths)
        self._openings = {self._text[at : at + 12] for at in range(len(self._text))}  # looked up, not searched for

    def __contains__(self, text: str) -> bool:
        return (len(text) < 12 or text[:12] in self._openings) and text in self._text


@pytest.fixture(scope="module")
def corpus() -> tuple[list[TrainingPaper], set[str]]:
    """The papers that training may choose from, and the ids of those that evaluations use, in whatever place."""
    if not (SHARED / "corpora").is_dir():
        pytest.skip("the corpus in ../shared is not here")
    papers = list(read_papers(SHARED / "corpora" / "ml-papers.jsonl.gz"))
    gold = evaluation_ids(SHARED / "bench" / "tldr-dev.jsonl")
    gold_titles = {normalise(paper.title) for paper in papers if paper.id in gold}
    seeds, used = Seeds(), set(gold)
    for paper in papers:
        title, abstract = normalise(paper.title), normalise(paper.abstract)
        if title in gold_titles or (len(title) >= 12 and title in seeds) or abstract[:80] in seeds:
            used.add(paper.id)
    return papers, used


@pytest.mark.parametrize("name", ["training.json", "context_training.json"])
def test_the_evaluation_papers_were_kept_out_of_training(corpus, name: str) -> None:
    """The manifest's hash is that of the corpus without the excluded papers, and no evaluation paper is left in it."""
    papers, used = corpus
    manifest = json.loads((SHIPPED_WEIGHTS / name).read_text(encoding="utf-8"))
    excluded = set(manifest["excluded"])
    trained = [paper for paper in papers if paper.id not in excluded]
    assert len(trained) == manifest["training_papers"]
    assert ids_hash(paper.id for paper in trained) == manifest["training_ids_sha256"]
    assert len(used) > 300
    assert used <= excluded
