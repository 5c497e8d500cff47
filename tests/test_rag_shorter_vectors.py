"""Shorter vectors: what the setting gives, what stays as it was, and that a library says when they do not fit."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from rag import open_library
from rag.embeddings import builtin_encoder, load_encoder
from rag.encoder.principal import PRINCIPAL_FILE, Shortening, fitted
from rag.encoder.static import SHIPPED_WEIGHTS
from rag.encoder.train_principal import fit
from rag.errors import LibraryMismatch, SettingsError
from rag.settings import EmbeddingSettings, load_settings
from rag.starter import path as starter_path
from tests.ingesting import record, write

TEXTS = ["What makes training of deep networks unstable?", "Attention is all you need", "Pruning vision transformers"]


@pytest.fixture(scope="module")
def short():
    return builtin_encoder(192)


@pytest.mark.parametrize("side", ["query", "passage"])
def test_shorter_vectors_have_length_one_and_keep_the_cosines(short, side):
    vectors, full = (encoder.encode(TEXTS, side=side) for encoder in (short, builtin_encoder()))
    assert (vectors.shape, vectors.dtype, short.dimension) == ((3, 192), np.float32, 192)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(vectors @ vectors.T, full @ full.T, atol=0.12)
    assert not short.encode(["", "?!"], side=side).any()


def test_all_dimensions_keep_every_cosine(short):
    whole, full = Shortening.load(SHIPPED_WEIGHTS, 384), builtin_encoder().encode(TEXTS)
    vectors = whole.shortened(full)
    np.testing.assert_allclose(vectors @ vectors.T, full @ full.T, atol=2e-3)


def test_the_words_that_sentences_are_compared_by_are_not_shortened(short):
    np.testing.assert_array_equal(short.words.encode(TEXTS), builtin_encoder().encode(TEXTS))


def test_every_number_of_dimensions_has_a_fingerprint_of_its_own(short):
    encoders = [builtin_encoder(), short, builtin_encoder(256), builtin_encoder(192)]
    assert len({encoder.fingerprint for encoder in encoders}) == 3
    assert encoders[1].fingerprint == encoders[3].fingerprint


def test_a_library_of_other_dimensions_says_so_until_it_is_rebuilt(tmp_path):
    with open_library(tmp_path / "library") as library:
        library.ingest([starter_path()])
        before = library.search("low-rank adaptation", 1)[0].paper.id
    with open_library(tmp_path / "library", embedding={"dimensions": 192}) as library:
        with pytest.raises(LibraryMismatch, match=r"384 dimensions\) and is now \S+ \(192\).*citewise rebuild"):
            library.search("low-rank adaptation", 1)
        library.rebuild()
        assert library.search("low-rank adaptation", 1)[0].paper.id == before
        assert {len(vector) for vector in library.vectors(library.ids()).values()} == {192}
        library.ingest([write(tmp_path / "one.jsonl", [record(1, id="new")])])
        assert library.count() == 65
    other = open_library(tmp_path / "library", embedding={"dimensions": 256})
    with other, pytest.raises(LibraryMismatch, match="citewise rebuild"):
        other.ask("What is dropout?")


def test_an_import_into_a_library_of_other_dimensions_encodes_again(starter, tmp_path):
    starter.export_to(tmp_path / "starter.citewise")
    with open_library(tmp_path / "library", embedding={"dimensions": 128}) as library:
        report = library.import_from(tmp_path / "starter.citewise")
        assert (report.added, len(report.notices)) == (64, 1)
        assert library.ask("What is dropout?").citations


def test_a_trained_folder_is_shortened_once_its_components_are_fitted(tmp_path):
    folder = shutil.copytree(SHIPPED_WEIGHTS, tmp_path / "mine")
    (folder / PRINCIPAL_FILE).unlink()
    wanted = EmbeddingSettings(kind="path", path=folder, dimensions=32)
    with pytest.raises(SettingsError, match="train_principal"):
        load_encoder(wanted)
    papers = write(tmp_path / "papers.jsonl", [record(at, id=f"p{at}") for at in range(50)])
    assert fit(papers, folder) == folder / PRINCIPAL_FILE
    first = (folder / PRINCIPAL_FILE).read_bytes()
    assert load_encoder(wanted).encode(TEXTS).shape == (3, 32)
    fit(papers, folder)
    assert (folder / PRINCIPAL_FILE).read_bytes() == first


def test_components_are_sorted_and_keep_most_of_what_passages_differ_by():
    chance = np.random.default_rng(0)
    strengths = np.array([5.0, 3.0, 1.0, 0.1], dtype=np.float32)
    turned = np.linalg.qr(chance.standard_normal((4, 4)))[0].astype(np.float32)
    basis = fitted((chance.standard_normal((2000, 4)).astype(np.float32) * strengths) @ turned.T)
    np.testing.assert_allclose(np.abs((turned * strengths).T @ basis).argmax(axis=0), [0, 1, 2, 3])
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param({"dimensions": 385}, "more than the 384", id="more than there are"),
        pytest.param({"kind": "llamaindex", "target": "a.B", "dimensions": 64}, "embedding.options", id="a class"),
    ],
)
def test_dimensions_that_cannot_be_are_a_settings_error(settings, told):
    with pytest.raises(SettingsError, match=told):
        load_encoder(EmbeddingSettings(**settings))


def test_too_few_dimensions_are_refused_by_name():
    with pytest.raises(SettingsError, match=r"embedding\.dimensions"):
        load_settings(embedding={"dimensions": 3})
