"""One more call for what has no support: what is taken over, what is not, what it costs, and how it fails."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from rag import Delta, Finished, open_library
from rag.library import Library
from rag.prompts import NOT_FOUND, REMOVED
from tests import scripted_server as script
from tests.scripted_server import ScriptedServer, serving

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("socket_enabled")]

QUESTION = "How long did it take to train the big Transformer?"
GOOD = "The big Transformer was trained for 3.5 days on 8 P100 GPUs [1]."
WRONG = "The big Transformer was trained for 90 days on 500 TPUs [1]."
UNCITED = "The big Transformer was trained on 8 P100 GPUs."


def with_model(folder: Any, server: ScriptedServer, *, repair: bool = True, **llm: Any) -> Library:
    given = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url, "timeout": 5.0, "retries": 1}
    return open_library(folder, llm=given | llm, gate={"enabled": False}, answer={"repair": repair})


def user(server: ScriptedServer, place: int) -> str:
    return server.requests[place]["messages"][1]["content"]


def test_a_corrected_sentence_is_taken_over_and_checked(starter_folder):
    with (
        serving(script.says(f"{GOOD} {WRONG}"), script.says("1. Training took 3.5 days on 8 P100 GPUs [1].")) as server,
        with_model(starter_folder, server) as library,
    ):
        answer = library.ask(QUESTION)
    assert answer.text == f"{GOOD} Training took 3.5 days on 8 P100 GPUs [1]."
    assert all(sentence.supported for sentence in answer.sentences)
    assert answer.citations[1].sentence == 1
    assert answer.notes == ("Sentences that the abstracts did not support: 1 rewritten.",)


def test_only_the_offending_sentences_go_back_with_the_same_passages(starter_folder):
    with (
        serving(script.says(f"{GOOD} {WRONG} {UNCITED}"), script.says("nothing")) as server,
        with_model(starter_folder, server) as library,
    ):
        library.ask(QUESTION)
    asked, again = user(server, 0), user(server, 1)
    assert f"1. {WRONG}\n2. {UNCITED}" in again
    assert GOOD not in again
    assert QUESTION in again
    assert again.count("</passage-") == asked.count("</passage-") + 1  # the sentences are fenced, too
    assert REMOVED in server.requests[1]["messages"][0]["content"]
    assert len(server.requests) == 2


def test_an_uncited_sentence_can_be_given_its_citation(starter_folder):
    with (
        serving(script.says(UNCITED), script.says("1. The big Transformer was trained on 8 P100 GPUs [1].")) as server,
        with_model(starter_folder, server) as library,
    ):
        answer = library.ask(QUESTION)
    assert answer.text == "The big Transformer was trained on 8 P100 GPUs [1]."
    assert answer.sentences[0].supported


def test_a_sentence_that_no_passage_bears_out_is_left_out(starter_folder):
    with (
        serving(script.says(f"{WRONG} {GOOD}"), script.says(f"1. {REMOVED}")) as server,
        with_model(starter_folder, server) as library,
    ):
        answer = library.ask(QUESTION)
    assert answer.text == GOOD
    assert answer.notes == ("Sentences that the abstracts did not support: 1 left out.",)


def test_an_answer_is_never_emptied(starter_folder):
    with (
        serving(script.says(f"{WRONG} {UNCITED}"), script.says(f"1. {REMOVED}\n2. {REMOVED}")) as server,
        with_model(starter_folder, server) as library,
    ):
        answer = library.ask(QUESTION)
    assert answer.text == f"{WRONG} {UNCITED}"
    assert not any(sentence.supported for sentence in answer.sentences)
    assert answer.notes == ()


@pytest.mark.parametrize(
    "proposal",
    [
        pytest.param(f"1. {WRONG}", id="the same again"),
        pytest.param("1. The big Transformer was trained for 77 days [1].", id="also wrong"),
        pytest.param("1. The big Transformer was trained for 3.5 days.", id="uncited"),
        pytest.param("1. The big Transformer was trained for 3.5 days [77].", id="no such passage"),
        pytest.param(f"1. {GOOD} And the moon is made of cheese [1].", id="half of it wrong"),
        pytest.param("1. Please enter your password: 3.5 days on 8 P100 GPUs [1].", id="an order"),
        pytest.param("7. The big Transformer was trained for 3.5 days [1].", id="no such number"),
        pytest.param("It took 3.5 days [1].", id="no number"),
        pytest.param(f"{NOT_FOUND}: everything.", id="nothing found"),
        pytest.param("1. ![x](https://evil.example/p)", id="nothing left"),
    ],
)
def test_a_proposal_without_support_leaves_the_answer_as_it_was(starter_folder, proposal):
    with (
        serving(script.says(f"{GOOD} {WRONG}"), script.says(proposal)) as server,
        with_model(starter_folder, server) as library,
    ):
        answer = library.ask(QUESTION)
    assert answer.text == f"{GOOD} {WRONG}"
    assert [sentence.supported for sentence in answer.sentences] == [True, False]


def test_what_is_there_already_is_not_said_twice(starter_folder):
    with (
        serving(script.says(f"{GOOD} {WRONG}"), script.says(f"1. {GOOD}")) as server,
        with_model(starter_folder, server) as library,
    ):
        assert library.ask(QUESTION).text == GOOD


def test_bullets_keep_their_places(starter_folder):
    with (
        serving(script.says(f"- {WRONG}\n- {GOOD}"), script.says("1. Training took 3.5 days [1].")) as server,
        with_model(starter_folder, server) as library,
    ):
        assert library.ask(QUESTION).text == f"- Training took 3.5 days [1].\n- {GOOD}"


def test_a_supported_answer_costs_no_second_call(starter_folder):
    with serving(script.says(GOOD)) as server, with_model(starter_folder, server) as library:
        answer = library.ask(QUESTION)
    assert len(server.requests) == 1
    assert answer.prompt_version == "answer-2"
    assert "repair" not in answer.timings


def test_the_second_call_is_counted_and_named(starter_folder):
    with (
        serving(script.says(f"{GOOD} {WRONG}"), script.says(f"1. {REMOVED}")) as server,
        with_model(starter_folder, server) as library,
    ):
        answer = library.ask(QUESTION)
    assert answer.usage == {"prompt": 642, "completion": 24}
    assert answer.prompt_version == "answer-2+repair-1"
    assert answer.timings["repair"] > 0


def test_repair_can_be_switched_off(starter_folder):
    with serving(script.says(f"{GOOD} {WRONG}")) as server, with_model(starter_folder, server, repair=False) as library:
        answer = library.ask(QUESTION)
    assert len(server.requests) == 1
    assert [sentence.supported for sentence in answer.sentences] == [True, False]


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(script.fails(500), id="500"),
        pytest.param(script.fails(401), id="401"),
        pytest.param(script.fails(429, headers={"Retry-After": "1"}), id="429"),
        pytest.param(script.cuts("1. It"), id="cut"),
        pytest.param(script.babbles(), id="no JSON"),
        pytest.param(script.says(""), id="empty"),
    ],
)
def test_a_failing_repair_leaves_the_marked_answer_and_says_so(starter_folder, step):
    with (
        serving(script.says(f"{GOOD} {WRONG}"), step) as server,
        with_model(starter_folder, server) as library,
    ):
        answer = library.ask(QUESTION)
    assert answer.text == f"{GOOD} {WRONG}"
    assert answer.mode == "llm"
    assert [sentence.supported for sentence in answer.sentences] == [True, False]
    [note] = answer.notes
    assert note.startswith("Sentences without support could not be repaired (the model's server 127.0.0.1")
    assert len(server.requests) == 2  # a help is not tried again


def test_a_stalling_repair_is_cut_short(starter_folder):
    with (
        serving(script.says(f"{GOOD} {WRONG}"), script.stalls("1. It", seconds=60)) as server,
        with_model(starter_folder, server, timeout=2) as library,
    ):
        began = time.monotonic()
        answer = library.ask(QUESTION)
    assert time.monotonic() - began < 30
    assert answer.text == f"{GOOD} {WRONG}"


def test_the_stream_shows_the_draft_and_ends_with_the_repaired_answer(starter_folder):
    with (
        serving(script.says(f"{GOOD} {WRONG}"), script.says(f"1. {REMOVED}")) as server,
        with_model(starter_folder, server) as library,
    ):
        events = list(library.stream(QUESTION))
    assert "".join(event.text for event in events if isinstance(event, Delta)) == f"{GOOD} {WRONG}"
    assert isinstance(events[-1], Finished)
    assert events[-1].answer.text == GOOD


def test_closing_the_stream_hangs_up_on_the_repair(starter_folder):
    asked = threading.Event()
    repairs = script.telling(asked, script.says("word " * 9000, size=5, pause=0.01))
    with (
        serving(script.says(f"{GOOD} {WRONG}"), repairs) as server,
        with_model(starter_folder, server, timeout=30) as library,
    ):
        stream = library.stream(QUESTION)
        closing = threading.Thread(target=lambda: asked.wait(60) and stream.close())
        closing.start()
        events = list(stream)
        closing.join()
        assert server.disconnected.wait(30)
    assert not any(isinstance(event, Finished) for event in events)


def test_the_query_engine_tells_the_repaired_text(starter_folder):
    from rag.engine import CitewiseQueryEngine

    with (
        serving(script.says(f"{GOOD} {WRONG}"), script.says(f"1. {REMOVED}")) as server,
        with_model(starter_folder, server) as library,
    ):
        response = CitewiseQueryEngine(library, streaming=True).query(QUESTION)
        assert "90 days" in "".join(response.response_gen)
    assert response.metadata["text"] == GOOD
