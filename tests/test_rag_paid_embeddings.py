"""Libraries whose passages a server embeds: nothing is paid for twice, nor beyond the limit, nor lost to a failure."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rag import open_library
from rag.chosen_encoder import writing_encoder
from rag.cli import run as citewise
from rag.embedding_cache import FILE, Estimate
from rag.embeddings import StaticTextEncoder
from rag.errors import CostLimit, LibraryError, LibraryMismatch, ModelRejected, ModelUnavailable
from rag.settings import load_settings
from rag.tokens import count_tokens
from tests.embedding_server import EmbeddingServer, SidedEmbedding
from tests.waiting import eventually
from ui.conversation import Chat
from ui.endpoints import Endpoints
from ui.exchange import Talk

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("socket_enabled")]

KEY = "sk-secret-123456"
PAPERS = 12
PRICE = {"letters": {"input": 1000.0}}  # dollars a million tokens


@pytest.fixture
def server(socket_enabled, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    serving = EmbeddingServer()
    yield serving
    serving.close()


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """Twelve papers, each about another animal."""
    animals = "aardvark badger cheetah dolphin elephant flamingo giraffe hedgehog iguana jackal koala lemming".split()
    rows = [
        {
            "id": animal,
            "title": f"On the {animal}",
            "abstract": f"We study how the {animal} sleeps. It sleeps {at} hours.",
        }
        for at, animal in enumerate(animals, start=3)
    ]
    path = tmp_path / "papers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def library_on(folder: Path, server: EmbeddingServer, *, prices=None, **embedding):
    given = {"kind": "openai-like", "model": "letters", "base_url": server.url, "batch_size": 5, "retries": 0}
    return open_library(folder, embedding=given | embedding, prices=prices or {}, gate={"enabled": False})


def passages(server: EmbeddingServer) -> list[str]:
    return [text for text in server.texts if "\n" in text or "We study" in text]


def test_ingest_search_and_ask_go_through_the_server(server, papers, tmp_path):
    with library_on(tmp_path / "library", server) as library:
        assert library.ingest([papers]).added == PAPERS
    assert len(passages(server)) == PAPERS
    assert max(len(request["input"]) for request in server.requests) == 5
    server.requests.clear()
    with library_on(tmp_path / "library", server) as library:
        answer = library.ask("How long does the koala sleep?")
        assert library.search("koala", 1)[0].paper.id == "koala"
    assert "13 hours" in answer.text
    # Only questions are sent, and a library that is there is not asked for its dimension.
    assert all(len(request["input"]) == 1 and "We study" not in request["input"][0] for request in server.requests)
    assert not any(text == "dimension" for text in server.texts)
    assert KEY not in "".join(path.read_text(errors="ignore") for path in (tmp_path / "library").glob("*.json"))


def test_a_passage_is_paid_for_once_whatever_becomes_of_it(server, papers, tmp_path):
    with library_on(tmp_path / "library", server) as library:
        library.ingest([papers])
        paid = Counter(passages(server))
        assert library.remove(["koala", "jackal"]) == 2
        assert library.ingest([papers]).added == 2
        library.rebuild()
        library.remove(source=str(papers))
        library.ingest([papers])
        library.ingest(text=papers.read_text(encoding="utf-8"), format="jsonl")
        vectors = library.vectors(["koala"])
    assert Counter(passages(server)) == paid
    assert max(paid.values()) == 1
    raw = np.asarray(server.vector(next(text for text in paid if "koala" in text).replace("\n", " ")))
    np.testing.assert_allclose(vectors["koala"], raw / np.linalg.norm(raw), atol=1e-6)


def test_an_edited_abstract_is_paid_for_again_and_only_it(server, papers, tmp_path):
    with library_on(tmp_path / "library", server) as library:
        library.ingest([papers])
        server.requests.clear()
        edited = papers.read_text(encoding="utf-8").replace("how the koala sleeps", "how the koala climbs")
        papers.write_text(edited, encoding="utf-8")
        library.ingest([papers])
    assert [text for text in passages(server) if "climbs" in text] == passages(server) != []


def test_the_same_text_in_one_request_is_sent_once(server, tmp_path):
    settings = load_settings(embedding={"kind": "openai-like", "model": "letters", "base_url": server.url})
    encoder = writing_encoder(tmp_path, settings)
    vectors = encoder.encode(["whales", "birds", "", "whales"])
    assert [text for text in server.texts if text != "dimension"] == ["whales", "birds"]
    np.testing.assert_array_equal(vectors[0], vectors[3])
    assert not vectors[2].any()
    again = writing_encoder(tmp_path, settings).encode(["birds", "whales"])
    np.testing.assert_array_equal(again, vectors[[1, 0]])


def test_what_was_paid_before_a_failure_is_kept(server, papers, tmp_path):
    with library_on(tmp_path / "library", server) as library:
        server.failures = [None, None, (400, "no")]  # the dimension, five passages, then a refusal
        with pytest.raises(ModelRejected):
            library.ingest([papers])
        paid = passages(server)
        assert len(paid) == 10  # the refused request counts as sent
        library.ingest([papers])
        assert library.search("koala", 1)[0].paper.id == "koala"
    counts = Counter(passages(server))
    assert len(counts) == PAPERS
    assert [counts[text] for text in paid[:5]] == [1] * 5


def test_what_was_paid_before_a_kill_is_kept(server, papers, tmp_path):
    mine = tmp_path / "mine.yaml"
    embedding = {"kind": "openai-like", "model": "letters", "base_url": server.url, "batch_size": 5}
    mine.write_text(json.dumps({"embedding": embedding}), encoding="utf-8")
    command = ["ingest", str(papers), "--library", str(tmp_path / "library"), "--config", str(mine)]
    server.answers = 2  # the dimension, and five passages
    writer = subprocess.Popen([sys.executable, "-m", "rag.cli", *command])
    assert server.silence.wait(60)
    writer.kill()
    writer.wait()
    paid = server.requests[1]["input"]
    server.answers = None
    assert citewise(command) == 0
    counts = Counter(passages(server))
    assert len(counts) == PAPERS
    assert [counts[text] for text in paid] == [1] * 5


@pytest.mark.parametrize("failure", [(429, "slow down"), (500, "oops"), (503, "busy")])
def test_an_overloaded_server_is_asked_again_after_its_own_pause(server, papers, tmp_path, failure):
    server.headers = {"Retry-After": "0.05"}
    server.failures = [None, failure, failure]
    began = time.monotonic()
    with library_on(tmp_path / "library", server, retries=2) as library:
        assert library.ingest([papers]).added == PAPERS
        assert library.search("koala", 1)[0].paper.id == "koala"
    assert time.monotonic() - began > 0.1
    server.failures = [failure] * 3
    with library_on(tmp_path / "other", server, retries=2) as library, pytest.raises(ModelUnavailable, match="letters"):
        library.ingest([papers])
    assert server.failures == []


def test_a_refusal_is_not_asked_again(server, papers, tmp_path):
    server.fail_with = (401, "bad key")
    with library_on(tmp_path / "library", server, retries=5) as library, pytest.raises(ModelRejected, match="key"):
        library.ingest([papers])
    assert len(server.requests) == 1


def test_the_estimate_is_told_before_the_first_passage_is_sent(server, papers, tmp_path):
    told: list[tuple[Estimate, int]] = []
    with library_on(tmp_path / "library", server, prices=PRICE) as library:
        report = library.ingest([papers], tell=lambda estimate: told.append((estimate, len(passages(server)))))
        [(estimate, sent)] = told
        library.rebuild(tell=lambda again: told.append((again, 0)))
    tokens = sum(count_tokens(text) for text in library_texts(tmp_path / "library"))
    assert sent == 0
    assert (estimate.texts, estimate.kept) == (PAPERS, 0)
    assert tokens <= estimate.tokens <= tokens + PAPERS
    assert estimate.cost == pytest.approx(estimate.tokens / 1000)
    assert str(estimate) in [notice.message for notice in report.notices]
    assert (told[1][0].texts, told[1][0].cost, told[1][0].kept) == (0, 0.0, PAPERS)


def library_texts(folder: Path) -> list[str]:
    with open_library(folder) as library:
        return [f"{paper.title}\n{paper.abstract}" for paper in library.papers()]


def test_a_price_that_is_not_known_is_said_to_be_unknown(server, papers, tmp_path):
    told: list[Estimate] = []
    with library_on(tmp_path / "library", server) as library:
        library.ingest([papers], tell=told.append)
    assert told[0].cost is None
    assert "cost unknown" in str(told[0])


def test_above_the_limit_nothing_is_sent_and_a_higher_one_goes_on(server, papers, tmp_path):
    folder = tmp_path / "library"
    with library_on(folder, server, prices=PRICE, max_cost=0.001) as library:
        with pytest.raises(CostLimit, match=r"more than --max-cost \(embedding\.max_cost\) of \$0\.001"):
            library.ingest([papers])
        assert passages(server) == []
        assert library.count() == PAPERS
        assert "not indexed yet" in library.ask("How long does the koala sleep?").text
        with pytest.raises(CostLimit):
            library.rebuild()
        assert library.remove(["koala"]) == 1  # a limit must not keep anybody from removing
    with library_on(folder, server, prices=PRICE, max_cost=5.0) as library:
        report = library.ingest([papers])
        assert (report.added, report.unchanged) == (1, PAPERS - 1)
        assert library.search("badger", 1)[0].paper.id == "badger"
        assert library.search("koala", 1)[0].paper.id == "koala"
    assert len(passages(server)) == PAPERS


def test_a_limit_without_a_price_asks_for_the_price(server, papers, tmp_path):
    with library_on(tmp_path / "library", server, max_cost=5.0) as library:
        with pytest.raises(CostLimit, match=r"prices: \{letters: "):
            library.ingest([papers])
        assert passages(server) == []


def test_a_stopped_ingest_pays_for_nothing_and_goes_on_later(server, papers, tmp_path):
    with library_on(tmp_path / "library", server) as library:
        assert library.ingest([papers], should_stop=lambda: True).stopped
        assert passages(server) == []
        library.ingest([papers])
        assert library.search("koala", 1)[0].paper.id == "koala"


def test_another_encoder_needs_a_rebuild_and_the_way_back_is_free(server, papers, tmp_path):
    folder = tmp_path / "library"
    with library_on(folder, server) as library:
        library.ingest([papers])
    paid = len(passages(server))
    with open_library(folder) as library:
        for use in (lambda: library.ask("How long does the koala sleep?"), lambda: library.ingest([papers])):
            with pytest.raises(LibraryMismatch, match=r"letters.*builtin.*citewise rebuild"):
                use()
        assert library.rebuild() == PAPERS
        assert "13 hours" in library.ask("How long does the koala sleep?").text
    with library_on(folder, server) as library:
        with pytest.raises(LibraryMismatch, match="citewise rebuild"):
            library.ask("How long does the koala sleep?")
        library.rebuild()
        assert "13 hours" in library.ask("How long does the koala sleep?").text
    assert len(passages(server)) == paid


def test_a_server_that_changed_its_dimension_needs_a_rebuild(server, papers, tmp_path):
    folder = tmp_path / "library"
    with library_on(folder, server) as library:
        library.ingest([papers])
    server.dimension = 52
    with library_on(folder, server) as library:
        with pytest.raises(LibraryMismatch, match=r"52 numbers.*26 numbers.*citewise rebuild"):
            library.ask("How long does the koala sleep?")
        papers.write_text(papers.read_text(encoding="utf-8").replace("how the", "where the"), encoding="utf-8")
        with pytest.raises(LibraryMismatch, match=r"52 numbers.*26 numbers.*citewise rebuild"):
            library.ingest([papers])
        library.rebuild()
        assert "13 hours" in library.ask("How long does the koala sleep?").text
        assert library.vectors(["koala"])["koala"].shape == (52,)
    assert library_texts(folder)[0].count("where the") == 1


def test_papers_can_be_removed_while_the_server_is_away(server, papers, tmp_path):
    with library_on(tmp_path / "library", server) as library:
        library.ingest([papers])
    server.fail_with = (500, "away")
    with library_on(tmp_path / "library", server) as library:
        assert library.remove(["koala"]) == 1
        assert library.count() == PAPERS - 1


AWAY = "The papers were searched by words alone, without the embedding model (embedding model letters is out of reach"


def test_a_question_is_searched_by_its_words_while_the_server_is_away(server, papers, tmp_path):
    with library_on(tmp_path / "library", server) as library:
        library.ingest([papers])
        usual = library.ask("How long does the koala sleep?")
    server.fail_with = (500, "away")
    with library_on(tmp_path / "library", server) as library:
        answer = library.ask("How long does the koala sleep?")
        assert (answer.text, answer.citations) == (usual.text, usual.citations)
        assert answer.notes[0].startswith(AWAY)
        found = library.retrieve("koala", 1)
        assert (found.hits[0].paper.id, found.hits[0].dense) == ("koala", None)
        assert found.notes[0].startswith(AWAY)
        asked = len(server.requests)
        assert library.ask("How long does the elephnt sleep?").notes[1].startswith(AWAY)
        assert len(server.requests) == asked + 1, "a search that is repeated with better spelling asks no second time"
        server.fail_with = None
        assert library.ask("How long does the koala sleep?").notes == usual.notes


def test_a_silent_server_is_waited_for_once_before_words_alone_are_searched(server, papers, tmp_path):
    with library_on(tmp_path / "library", server) as library:
        library.ingest([papers])
    server.requests.clear()
    server.speaking.clear()
    with library_on(tmp_path / "library", server, retries=4, options={"timeout": 0.2}) as library:
        answer = library.ask("How long does the koala sleep?")
    assert "13 hours" in answer.text
    assert answer.notes[0].startswith(AWAY)
    assert eventually(lambda: bool(server.requests))  # its thread may read the request after the client has given up
    assert len(server.requests) == 1


def test_a_server_that_answers_with_blanks_only_is_given_up(server, papers, tmp_path):
    with library_on(tmp_path / "library", server) as library:
        library.ingest([papers])
    server.dripping = True
    with library_on(tmp_path / "library", server, retries=4, options={"timeout": 0.3}) as library:
        answer = library.ask("How long does the koala sleep?")
    assert "13 hours" in answer.text
    assert "no whole answer in 0.3 s" in answer.notes[0]


@pytest.mark.parametrize("failure", [(401, "no"), (404, "no such model"), (429, "slow down")])
def test_whatever_the_server_refuses_the_words_are_searched(server, papers, tmp_path, failure):
    with library_on(tmp_path / "library", server) as library:
        library.ingest([papers])
        server.fail_with = failure
        answer = library.ask("How long does the koala sleep?")
    assert "13 hours" in answer.text
    assert answer.notes[0].startswith("The papers were searched by words alone")
    assert KEY not in answer.notes[0]


def test_commands_and_the_page_say_that_words_alone_were_searched(server, papers, tmp_path, capsys):
    mine = tmp_path / "mine.yaml"
    embedding = {"kind": "openai-like", "model": "letters", "base_url": server.url, "retries": 0}
    mine.write_text(json.dumps({"embedding": embedding, "gate": {"enabled": False}}), encoding="utf-8")
    options = ["--library", str(tmp_path / "library"), "--config", str(mine)]
    assert citewise(["ingest", str(papers), *options]) == 0
    server.fail_with = (500, "away")
    capsys.readouterr()
    for command in (["ask", "How long does the koala sleep?"], ["search", "koala"]):
        assert citewise([*command, *options]) == 0
        assert AWAY in " ".join(capsys.readouterr().out.split())
    assert citewise(["search", "koala", "--json", *options]) == 0
    assert json.loads(capsys.readouterr().out)["notes"][0].startswith(AWAY)
    with open_library(tmp_path / "library", config=str(mine)) as library:
        [*_, last] = Chat(library).ask("How long does the koala sleep?", Talk(), session="s", owner="")
        assert AWAY in (last.finished or "")
        assert Endpoints(library).search("koala")["notes"][0].startswith(AWAY)


def test_without_falling_back_a_server_that_is_away_is_an_error(server, papers, tmp_path):
    with library_on(tmp_path / "library", server, fall_back=False) as library:
        library.ingest([papers])
        server.fail_with = (500, "away")
        for use in (library.ask, library.search):
            with pytest.raises(ModelUnavailable, match="letters is out of reach"):
                use("How long does the koala sleep?")


def test_a_question_waits_for_two_more_tries_at_most(server, papers, tmp_path):
    server.headers = {"Retry-After": "0.01"}
    with library_on(tmp_path / "library", server, retries=8) as library:
        library.ingest([papers])
        server.fail_with = (503, "busy")
        before = len(server.requests)
        assert library.ask("How long does the koala sleep?").notes
    assert len(server.requests) == before + 3


def test_openai_by_its_environment_embeds_a_library(server, papers, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    embedding = {"kind": "openai", "retries": 0, "options": {"dimensions": 26}}
    with open_library(tmp_path / "library", embedding=embedding, gate={"enabled": False}) as library:
        library.ingest([papers])
        assert "13 hours" in library.ask("How long does the koala sleep?").text
    assert {request["model"] for request in server.requests} == {"text-embedding-3-small"}
    assert {request["dimensions"] for request in server.requests} == {26}
    assert set(server.keys) == {f"Bearer {KEY}"}


def test_any_llama_index_class_embeds_a_library_with_both_its_sides(papers, tmp_path):
    embedding = {"kind": "llamaindex", "target": "tests.embedding_server.SidedEmbedding"}
    with open_library(tmp_path / "library", embedding=embedding, gate={"enabled": False}) as library:
        library.ingest([papers])
        assert "13 hours" in library.ask("How long does the koala sleep?").text
        stored = library.vectors(["koala"])["koala"]
        paper = library.paper("koala")
    own = SidedEmbedding()
    np.testing.assert_allclose(stored, unit(own.get_text_embedding(f"{paper.title}\n{paper.abstract}")), atol=1e-6)
    encoder = writing_encoder(tmp_path, load_settings(embedding=embedding))
    asked = encoder.encode(["koala"], side="query")[0]
    np.testing.assert_allclose(asked, unit(own.get_query_embedding("koala")), atol=1e-6)


def unit(numbers: list[float]) -> np.ndarray:
    return np.asarray(numbers) / np.linalg.norm(numbers)


def test_a_new_key_in_the_options_does_not_make_another_encoder(papers, tmp_path):
    embedding = {"kind": "llamaindex", "target": "tests.embedding_server.SidedEmbedding"}
    with open_library(tmp_path / "library", embedding=embedding | {"options": {"api_key": "one"}}) as library:
        library.ingest([papers])
    with open_library(tmp_path / "library", embedding=embedding | {"options": {"api_key": "two"}}) as library:
        assert len(library.search("koala", PAPERS)) == PAPERS


def test_a_cache_that_cannot_be_used_is_named(server, papers, tmp_path):
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / FILE).write_bytes(b"no database at all, but long enough to be read as one" * 40)
    with library_on(tmp_path / "library", server) as library, pytest.raises(LibraryError, match=FILE):
        library.ingest([papers])


def test_the_builtin_encoder_has_nothing_to_keep(papers, tmp_path):
    with open_library(tmp_path / "library") as library:
        library.ingest([papers], tell=lambda estimate: pytest.fail(str(estimate)))
    assert not (tmp_path / "library" / FILE).exists()
    assert isinstance(writing_encoder(tmp_path, load_settings()), StaticTextEncoder)


def test_the_command_shows_the_estimate_and_stops_at_max_cost(server, papers, tmp_path, capsys):
    mine = tmp_path / "mine.yaml"
    embedding = {"kind": "openai-like", "model": "letters", "base_url": server.url}
    mine.write_text(json.dumps({"embedding": embedding, "prices": PRICE}), encoding="utf-8")
    shared = ["--library", str(tmp_path / "library"), "--config", str(mine)]
    assert citewise(["ingest", str(papers), *shared, "--json", "--max-cost", "0.01"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert f"embedding {PAPERS} passages with letters" in told.err
    assert "more than --max-cost" in told.err
    assert citewise(["ingest", str(papers), *shared, "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["unchanged"] == PAPERS
    assert f"embedding {PAPERS} passages with letters" in told.err
    assert citewise(["rebuild", *shared, "--max-cost", "0"]) == 0  # all is known, so nothing is paid
    with sqlite3.connect(tmp_path / "library" / FILE) as database:
        assert database.execute("SELECT count(*) FROM vectors").fetchone() == (PAPERS,)


def test_an_import_takes_over_what_was_paid_and_says_what_the_rest_costs(server, papers, tmp_path):
    file = tmp_path / "library.citewise"
    with library_on(tmp_path / "library", server) as library:
        library.ingest([papers])
        library.export_to(file)
        answer = library.ask("How long does the koala sleep?").text
    server.requests.clear()
    with library_on(tmp_path / "copy", server, prices=PRICE, max_cost=0.0) as copy:
        assert copy.import_from(file).notices == []
        assert server.requests == []
        copy.rebuild()
        assert passages(server) == []
        assert copy.ask("How long does the koala sleep?").text == answer
    server.requests.clear()
    told: list[Estimate] = []
    other = {"kind": "openai-like", "model": "other", "base_url": server.url, "retries": 0}
    prices = {"other": PRICE["letters"]}
    with (
        open_library(tmp_path / "new", embedding=other | {"max_cost": 1e-6}, prices=prices) as library,
        pytest.raises(CostLimit, match="what was read is kept"),
    ):
        library.import_from(file, tell=told.append)
    assert told[0].texts == PAPERS
    assert passages(server) == []
    with open_library(tmp_path / "new", embedding=other, prices=prices) as library:
        [notice] = library.import_from(file).notices
        assert f"{PAPERS} passages were encoded with" in notice.message
        assert len(passages(server)) == PAPERS
        assert all(check.ok for check in library.doctor() if "index" in check.name)
