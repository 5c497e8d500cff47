"""The deep encoder: what a passage's vector is, which libraries have it, and how one changes over."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from rag import open_library, starter
from rag.chosen_encoder import decided
from rag.cli import run
from rag.embeddings import DEEP, PASSAGE_TOKENS, StaticTextEncoder, builtin_encoder
from rag.encoder import StaticEncoder
from rag.encoder.context import ContextEncoder
from rag.encoder.static import SHIPPED_WEIGHTS
from rag.errors import LibraryMismatch
from rag.settings import ChunkingSettings, EmbeddingSettings
from rag.stores import manifest as manifests
from rag.stores.manifest import Manifest

PAPER = {"id": "w", "title": "Whales sing in winter", "abstract": "We recorded whales. They sing more when it is cold."}
LONG = "Whales sing in winter\n" + "We recorded humpback whales near the coast and counted their songs. " * 20


@pytest.fixture(scope="module")
def deep() -> StaticTextEncoder:
    return builtin_encoder(deep=True)


def made_with(folder: Path) -> str:
    found = manifests.read(folder)
    assert found is not None
    return found.encoder


def written(path: Path, papers: int = 1) -> Path:
    rows = [PAPER | {"id": f"w{at}", "title": f"{PAPER['title']}, part {at} of {papers}"} for at in range(papers)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_deep_passage_has_the_transformers_vector_of_its_beginning_added(deep: StaticTextEncoder):
    context = ContextEncoder.load(SHIPPED_WEIGHTS)
    assert context is not None
    texts = ["Whales sing", LONG]
    total = deep.words.encode(texts) + context.encode(texts, longest=PASSAGE_TOKENS)
    expected = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(deep.encode(texts), expected, atol=1e-6)
    assert not deep.encode(["", "?!"]).any()


def test_a_question_is_the_same_to_both(deep: StaticTextEncoder):
    texts = ["when do whales sing?"]
    np.testing.assert_array_equal(deep.encode(texts, side="query"), builtin_encoder().encode(texts, side="query"))


def test_both_have_names_and_fingerprints_of_their_own(deep: StaticTextEncoder):
    encoders = [deep, builtin_encoder(), builtin_encoder(192, deep=True), builtin_encoder(192)]
    assert len({encoder.fingerprint for encoder in encoders}) == 4
    assert [encoder.name for encoder in encoders] == [DEEP, "builtin", DEEP, "builtin"]
    assert encoders[2].encode(["whales"]).shape == (1, 192)


def test_a_copy_for_another_process_gives_the_same_vectors(deep: StaticTextEncoder):
    copied = pickle.loads(pickle.dumps(deep))
    np.testing.assert_array_equal(copied.encode([LONG]), deep.encode([LONG]))
    assert (copied.name, copied.fingerprint) == (deep.name, deep.fingerprint)


def test_a_folder_without_a_transformer_cannot_be_deep(tmp_path: Path):
    with pytest.raises(ValueError, match="no transformer"):
        StaticTextEncoder(StaticEncoder.load(), "plain", deep=True)
    with pytest.raises(FileNotFoundError):
        StaticTextEncoder(StaticEncoder.load(), "plain", tmp_path, deep=True)


@pytest.mark.parametrize(
    ("kind", "made", "expected"),
    [
        ("builtin", None, "builtin-fast"),
        ("builtin", "builtin", "builtin-fast"),
        ("builtin", DEEP, "builtin-deep"),
        ("builtin-fast", DEEP, "builtin-fast"),
        ("builtin-deep", "builtin", "builtin-deep"),
        ("openai", DEEP, "openai"),
    ],
)
def test_builtin_is_what_the_library_has_and_fast_for_a_new_one(kind: str, made: str | None, expected: str):
    manifest = Manifest.new(builtin_encoder(deep=made == DEEP), ChunkingSettings()) if made else None
    settings = EmbeddingSettings.model_validate({"kind": kind, "dimensions": 192})
    found = decided(settings, manifest)
    assert (found.kind, found.dimensions) == (expected, 192)


def test_a_deep_library_is_searched_added_to_moved_and_looked_after_without_being_named(tmp_path: Path):
    with open_library(tmp_path / "library", embedding={"kind": "builtin-deep"}) as library:
        library.ingest([starter.path()])
    with open_library(tmp_path / "library") as library, open_library(tmp_path / "other") as other:
        library.ingest([written(tmp_path / "pile.jsonl")])
        assert library.search("when do whales sing", k=1)[0].paper.title.startswith("Whales sing in winter")
        assert all(check.ok for check in library.doctor())
        library.export_to(tmp_path / "moved.citewise")
        assert not other.import_from(tmp_path / "moved.citewise").notices  # nothing was encoded again
        assert made_with(tmp_path / "other") == made_with(tmp_path / "library") == DEEP


def test_a_library_made_with_one_is_not_opened_with_the_other_and_names_the_command(tmp_path: Path):
    with open_library(tmp_path, embedding={"kind": "builtin-deep"}) as library:
        library.ingest([written(tmp_path / "pile.jsonl")])
    told = r"encoder was builtin-deep.*is now builtin .*citewise rebuild"
    with open_library(tmp_path, embedding={"kind": "builtin-fast"}) as fast, pytest.raises(LibraryMismatch, match=told):
        fast.ask("When do whales sing?")


def test_rebuild_changes_the_encoder_and_keeps_to_it(tmp_path: Path):
    pile, folder = written(tmp_path / "pile.jsonl", papers=3), tmp_path / "library"
    where = ["--library", str(folder)]
    assert run(["ingest", str(pile), *where]) == 0
    for options, expected in (
        ([], "builtin"),
        (["--encoder", "builtin-deep"], DEEP),
        ([], DEEP),
        (["--encoder", "builtin-fast"], "builtin"),
    ):
        assert run(["rebuild", *options, *where]) == 0
        assert made_with(folder) == expected
        assert run(["ask", "When do whales sing?", *where]) == 0


def test_what_the_gate_looks_at_does_not_depend_on_which_of_the_two_it_is(tmp_path: Path):
    found = []
    for kind in ("builtin-fast", "builtin-deep"):
        with open_library(tmp_path / kind, embedding={"kind": kind}) as library:
            library.ingest([starter.path()])
            found.append(library.ask("What is residual learning?").confidence)
    assert found[0] == pytest.approx(found[1], abs=0.02)


def test_both_hold_the_same_token_vectors_in_memory(deep: StaticTextEncoder):
    assert deep.words._static is builtin_encoder().words._static
