"""A library with a model, from its settings on: follow-ups that the model rewrites, and many questions at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from rag import open_library
from rag.answers import Delta, Finished, Turn
from tests import scripted_server as script
from tests.scripted_server import serving

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("socket_enabled")]

QUESTION = "How long did it take to train the big Transformer?"
GOOD = "The big Transformer was trained for 3.5 days on 8 P100 GPUs [1]."


def with_model(folder, server, **llm):
    given = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url, "timeout": 20.0, "retries": 0}
    return open_library(folder, llm=given | llm, gate={"enabled": False})


def test_the_model_rewrites_a_follow_up_and_its_tokens_count(starter_folder):
    rewritten = "How many GPUs trained the big Transformer?"
    with (
        serving(script.says(GOOD), script.says(rewritten), script.says(GOOD)) as server,
        with_model(starter_folder, server) as library,
    ):
        first = library.ask(QUESTION)
        answer = library.ask("And how many of them?", history=[Turn(first.question, first)])
    assert (first.searched, answer.searched) == (QUESTION, rewritten)
    assert first.usage == {"prompt": 321, "completion": 12}
    assert answer.usage == {"prompt": 642, "completion": 24}


@pytest.mark.parametrize("settings", [{"llm": {"condense": False}}, {"answer": {"mode": "extractive"}}])
def test_rules_rewrite_a_follow_up_where_the_model_shall_not(starter_folder, settings):
    with serving(script.says(GOOD)) as server, with_model(starter_folder, server) as library:
        first = library.ask(QUESTION)
        given = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url} | settings.get("llm", {})
        with open_library(starter_folder, **{**settings, "llm": given}) as plain:
            before = len(server.requests)
            answer = plain.ask("and on which data?", history=[Turn(first.question, first)])
            asked = server.requests[before:]
    assert answer.searched.startswith(QUESTION.rstrip("?"))
    assert not any("conversation-" in request["messages"][-1]["content"] for request in asked)


def test_thirty_two_questions_at_once_get_their_own_answers(starter_folder):
    numbers = [f"number{at}x" for at in range(32)]
    with (
        serving(script.repeats(pause=0.05)) as server,
        with_model(starter_folder, server) as library,
        ThreadPoolExecutor(32) as pool,
    ):

        def ask(number: str) -> tuple[str, str]:
            events = list(library.stream(f"What do transformers say about {number}?"))
            [finished] = [event.answer for event in events if isinstance(event, Finished)]
            return "".join(event.text for event in events if isinstance(event, Delta)), finished.text

        answers = list(pool.map(ask, numbers))
    for number, (streamed, text) in zip(numbers, answers, strict=True):
        assert text == f"You asked about {number} [1]."
        assert streamed == text
