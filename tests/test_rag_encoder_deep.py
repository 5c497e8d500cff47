"""The deep encoder: what a passage's vector is, which libraries have it, and how one changes over."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from rag import open_library, starter
from rag.chosen_encoder import SMALL_PILE, decided
from rag.cli import run
from rag.embeddings import DEEP, FAST, PASSAGE_TOKENS, RARE_WEIGHT, StaticTextEncoder, builtin_encoder
from rag.encoder import StaticEncoder
from rag.encoder.context import ContextEncoder
from rag.encoder.static import SHIPPED_WEIGHTS
from rag.errors import InputError, LibraryMismatch
from rag.ingest_inputs import pile_size
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


def test_a_deep_passage_has_the_transformers_vector_of_its_beginning_added_heavier_the_rarer_its_words(
    deep: StaticTextEncoder,
):
    context = ContextEncoder.load(SHIPPED_WEIGHTS)
    assert context is not None
    texts = ["A neural network", "Whales sing", LONG, "Malaria fever in villages"]
    shares = context.rare_share(texts, longest=PASSAGE_TOKENS)
    assert shares[0] == 0
    assert shares[3] > shares[2] > 0
    weights = 1 + RARE_WEIGHT * shares
    total = deep.words.encode(texts) + weights[:, None] * context.encode(texts, longest=PASSAGE_TOKENS)
    expected = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(deep.encode(texts), expected, atol=1e-6)
    assert deep.encode(texts).dtype == np.float32
    assert not deep.encode(["", "?!"]).any()


@pytest.mark.parametrize("is_deep", [False, True])
def test_a_question_has_the_transformers_vector_in_both(deep: StaticTextEncoder, is_deep: bool):
    context, encoder = ContextEncoder.load(SHIPPED_WEIGHTS), deep if is_deep else builtin_encoder()
    assert context is not None
    texts = ["when do whales sing?", "is malaria a fever?"]
    weights = 1 + (RARE_WEIGHT * context.rare_share(texts) if is_deep else np.zeros(2))
    total = encoder.words.encode(texts, side="query") + weights[:, None] * context.encode(texts)
    expected = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(texts, side="query"), expected, atol=1e-6)


def test_both_have_names_and_fingerprints_of_their_own(deep: StaticTextEncoder):
    encoders = [deep, builtin_encoder(), builtin_encoder(192, deep=True), builtin_encoder(192)]
    assert len({encoder.fingerprint for encoder in encoders}) == 4
    assert [encoder.name for encoder in encoders] == [DEEP, FAST, DEEP, FAST]
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
    ("kind", "made", "pile", "expected"),
    [
        ("builtin", None, None, FAST),
        ("builtin", None, SMALL_PILE, DEEP),
        ("builtin", None, SMALL_PILE + 1, FAST),
        ("builtin", FAST, 1, FAST),
        ("builtin", DEEP, SMALL_PILE + 1, DEEP),
        (FAST, DEEP, None, FAST),
        (FAST, None, 1, FAST),
        (DEEP, FAST, None, DEEP),
        ("openai", DEEP, 1, "openai"),
    ],
)
def test_builtin_is_what_the_library_has_and_for_a_new_one_what_its_pile_takes(
    kind: str, made: str | None, pile: int | None, expected: str
):
    manifest = Manifest.new(builtin_encoder(deep=made == DEEP), ChunkingSettings()) if made else None
    settings = EmbeddingSettings.model_validate({"kind": kind, "dimensions": 192})
    found = decided(settings, manifest, pile)
    assert (found.kind, found.dimensions) == (expected, 192)


@pytest.mark.parametrize(("limit", "expected"), [(300, FAST), (1000, DEEP)])
@pytest.mark.parametrize("given", ["file", "folder", "text", "packed"])
def test_the_first_pile_decides_which_of_the_two_a_library_has_and_the_report_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, expected: str, given: str
):
    monkeypatch.setattr("rag.chosen_encoder.SMALL_PILE", limit)
    (folder := tmp_path / "piles").mkdir()
    pile = written(folder / "pile.jsonl", papers=3)
    pasted = pile.read_text() if given == "text" else None
    if given == "packed":
        packed = gzip.compress(pile.read_bytes())
        pile.unlink()
        (pile := folder / "pile.jsonl.gz").write_bytes(packed)
    with open_library(tmp_path / "library") as library:
        report = library.ingest([] if pasted else [folder if given == "folder" else pile], text=pasted)
        assert report.as_json()["encoder"] == made_with(library.folder) == expected
        assert library.ingest([written(tmp_path / "more.jsonl", papers=9)]).encoder == expected


@pytest.mark.parametrize(("chosen", "limit", "expected"), [(False, 5000, DEEP), (False, 500, FAST), (True, 500, DEEP)])
def test_a_big_pile_brings_a_small_library_the_fast_encoder_unless_the_deep_one_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, chosen: bool, limit: int, expected: str
):
    monkeypatch.setattr("rag.chosen_encoder.BIG_PILE", limit)
    big = written(tmp_path / "big.jsonl", papers=5)
    with open_library(tmp_path / "library") as library:
        library.ingest([written(tmp_path / "pile.jsonl")])
        assert library.ask("When do whales sing?").abstained is None
        if chosen:
            assert run(["rebuild", "--encoder", DEEP, "--library", str(library.folder)]) == 0
            assert run(["rebuild", "--library", str(library.folder)]) == 0  # which keeps to it
        assert library.ingest([big]).encoder == made_with(library.folder) == expected
        assert library.count() == 6
        assert library.ask("When do whales sing?").abstained is None


def test_a_library_of_many_papers_keeps_its_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rag.chosen_encoder.BIG_PILE", 500)
    monkeypatch.setattr("rag.writers.FEW_PAPERS", 2)
    with open_library(tmp_path / "library") as library:
        library.ingest([written(tmp_path / "pile.jsonl", papers=3)])
        assert library.ingest([written(tmp_path / "big.jsonl", papers=5)]).encoder == DEEP


def test_a_library_from_when_there_was_one_builtin_encoder_is_a_fast_one(tmp_path: Path):
    with open_library(tmp_path, embedding={"kind": FAST}) as library:
        library.ingest([written(tmp_path / "pile.jsonl")])
    path = tmp_path / manifests.NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"encoder": "builtin"}))
    with open_library(tmp_path) as library:
        assert library.ask("When do whales sing?").abstained is None
        assert library.ingest([written(tmp_path / "more.jsonl", papers=2)]).encoder == FAST


def test_a_deep_library_is_searched_added_to_moved_and_looked_after_without_being_named(tmp_path: Path):
    with open_library(tmp_path / "library", embedding={"kind": DEEP}) as library:
        library.ingest([starter.path()])
    with open_library(tmp_path / "library") as library, open_library(tmp_path / "other") as other:
        library.ingest([written(tmp_path / "pile.jsonl")])
        assert library.search("when do whales sing", k=1)[0].paper.title.startswith("Whales sing in winter")
        assert all(check.ok for check in library.doctor())
        library.export_to(tmp_path / "moved.citewise")
        report = other.import_from(tmp_path / "moved.citewise")
        assert (report.notices, report.encoder) == ([], DEEP)  # nothing was encoded again
        assert made_with(tmp_path / "other") == made_with(tmp_path / "library") == DEEP


def test_a_library_made_with_one_is_not_opened_with_the_other_and_names_the_command(tmp_path: Path):
    with open_library(tmp_path, embedding={"kind": DEEP}) as library:
        library.ingest([written(tmp_path / "pile.jsonl")])
    told = r"encoder was builtin-deep.*is now builtin-fast .*citewise rebuild"
    with open_library(tmp_path, embedding={"kind": FAST}) as fast, pytest.raises(LibraryMismatch, match=told):
        fast.ask("When do whales sing?")


def test_rebuild_changes_the_encoder_and_keeps_to_it(tmp_path: Path):
    pile, folder = written(tmp_path / "pile.jsonl", papers=3), tmp_path / "library"
    where = ["--library", str(folder)]
    assert run(["ingest", str(pile), *where]) == 0
    for options, expected in (
        ([], DEEP),
        (["--encoder", FAST], FAST),
        ([], FAST),
        (["--encoder", DEEP], DEEP),
    ):
        assert run(["rebuild", *options, *where]) == 0
        assert made_with(folder) == expected
        assert run(["ask", "When do whales sing?", *where]) == 0


def test_what_the_gate_looks_at_does_not_depend_on_which_of_the_two_it_is(tmp_path: Path):
    found = []
    for kind in (FAST, DEEP):
        with open_library(tmp_path / kind, embedding={"kind": kind}) as library:
            library.ingest([starter.path()])
            found.append(library.ask("What is residual learning?").confidence)
    assert found[0] == pytest.approx(found[1], abs=0.02)


def test_both_hold_the_same_weights_in_memory(deep: StaticTextEncoder):
    assert deep.words._static is builtin_encoder().words._static
    assert deep._context() is builtin_encoder()._context()


def test_what_is_no_name_of_a_file_has_no_size_and_is_rejected(tmp_path: Path):
    assert pile_size(["no\0name"], None) is None
    with open_library(tmp_path / "library") as library, pytest.raises(InputError):
        library.ingest(["no\0name"])
