"""Money on the chat page: what answers cost, stopped ones too, and where a limit ends it."""

from __future__ import annotations

import pytest

from rag import open_library
from tests import scripted_server as script
from tests.scripted_server import serving
from ui.conversation import Chat
from ui.exchange import Talk, spent

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("socket_enabled")]

QUESTION = "How long did it take to train the big Transformer?"
GOOD = "The big Transformer was trained for 3.5 days on 8 P100 GPUs [1]."
COST = (321 * 1000 + 12 * 10_000) / 1e6


def chat_on(folder, server, **llm) -> Chat:
    given = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url, "retries": 0, "condense": False}
    prices = {"scripted": {"input": 1000, "output": 10_000}}
    return Chat(open_library(folder, llm=given | {"max_tokens": 100} | llm, prices=prices, gate={"enabled": False}))


def asked(chat: Chat, text: str, talk: Talk) -> tuple[Talk, str]:
    *_, last = chat.ask(text, talk, session="s", owner="")
    assert last.talk is not None
    return last.talk, last.finished or ""


def test_a_conversation_adds_up_and_a_limit_ends_the_spending(starter_copy):
    with serving(script.says(GOOD)) as server:
        chat = chat_on(starter_copy, server, max_session_cost=5.0)
        talk, page = asked(chat, QUESTION, Talk())
        assert "$0.44" in page
        assert "This conversation" not in page
        while talk.exchanges[-1].cost is not None:
            talk, page = asked(chat, QUESTION, talk)
        paid = len(server.requests)
        chat.library.close()
    assert paid == len(talk.exchanges) - 1 > 1
    assert f"{333 * paid:,} tokens · ${COST * paid:.2f}" in page
    assert "was not asked" in page
    assert "--max-cost" in page
    assert talk.exchanges[-1].answer.mode == "extractive"


def test_a_stopped_answer_has_cost_what_was_said(starter_copy):
    with serving(script.says("word " * 400, size=5, pause=0.02)) as server:
        chat = chat_on(starter_copy, server)
        steps = chat.ask(QUESTION, Talk(), session="s", owner="")
        for shown in steps:
            if "word" in (shown.live or ""):
                chat.stop("s")
        talk = shown.talk
        chat.library.close()
    [exchange] = talk.exchanges
    assert exchange.answer is None
    assert exchange.cost > 0
    assert spent(talk.exchanges).cost == exchange.cost


def test_a_failed_answer_has_cost_what_was_said(starter_copy):
    with serving(script.cuts("The big Transformer was trained")) as server:
        chat = chat_on(starter_copy, server)
        talk, page = asked(chat, QUESTION, Talk())
        chat.library.close()
    [exchange] = talk.exchanges
    assert exchange.answer.mode == "extractive"
    assert exchange.cost > 0
    assert f"${exchange.cost:.2f}" in page
