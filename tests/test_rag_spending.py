"""Money: what answers of a paid model cost, and the limits that stop a call before it is made."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rag import open_library
from rag.answers import Turn
from rag.cli import run as citewise
from rag.connection import Stop
from rag.errors import CostLimit, ModelError
from rag.llm import ChatModel, Message, Reply
from rag.settings import LLMSettings, PriceSettings, load_settings
from rag.spending import Tally, cost_of, most_prompt_tokens
from rag.tokens import count_tokens
from tests import scripted_server as script
from tests.scripted_server import serving

QUESTION = "How long did it take to train the big Transformer?"
GOOD = "The big Transformer was trained for 3.5 days on 8 P100 GPUs [1]."
ASK = [Message("system", "Be brief."), Message("user", "Why?")]
PRICE = PriceSettings(input=1000.0, output=10_000.0)  # dollars a million tokens: a scripted call costs $0.441
COST = (321 * 1000 + 12 * 10_000) / 1e6

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("socket_enabled")]


def model(server, *, price: PriceSettings | None = PRICE, session: Tally | None = None, **changes):
    given = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url, "timeout": 5.0, "retries": 0}
    settings = LLMSettings.model_validate(given | {"max_tokens": 50} | changes)
    prices = {} if price is None else {"scripted": price}
    return ChatModel.from_settings(settings, prices=prices, session=session)


def with_model(folder, server, *, prices=None, answer=None, **llm):
    given = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url, "timeout": 20.0, "retries": 0}
    table = {"scripted": PRICE.model_dump()} if prices is None else prices
    return open_library(folder, llm=given | llm, gate={"enabled": False}, prices=table, answer=answer or {})


# --- the price table ---


def test_the_shipped_table_prices_the_default_models_and_says_of_which_day():
    settings = load_settings(["openai"])
    for name in (settings.llm.model, settings.embedding.model):
        assert settings.prices[name].input > 0
    assert all(price.as_of for price in settings.prices.values())
    assert "no-such-model" not in settings.prices


def test_a_settings_file_lays_its_prices_over_the_table(tmp_path: Path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("prices: {gpt-4o-mini: {input: 9}, house-model: {input: 1, output: 2}}\n", encoding="utf-8")
    prices = load_settings([mine]).prices
    assert (prices["gpt-4o-mini"].input, prices["gpt-4o-mini"].output) == (
        9.0,
        load_settings().prices["gpt-4o-mini"].output,
    )
    assert prices["house-model"].output == 2.0
    assert "gpt-4o" in prices


def test_the_cost_of_tokens_is_unknown_without_a_whole_price():
    usage = {"prompt": 1_000_000, "completion": 500_000}
    assert cost_of(usage, PriceSettings(input=2.0, output=10.0)) == pytest.approx(7.0)
    assert cost_of(usage, PriceSettings(input=0.0, output=0.0)) == 0.0
    assert cost_of(usage, PriceSettings(input=2.0)) is None
    assert cost_of(usage, None) is None


# --- one model ---


def test_a_call_costs_what_its_tokens_cost():
    stop, session = Stop(), Tally()
    with serving(script.says("Because.")) as server:
        model(server, session=session).complete(ASK, Reply(), stop)
    assert stop.tally.cost == session.cost == pytest.approx(COST)


def test_a_server_that_tells_no_tokens_is_counted_by_its_text():
    stop = Stop()
    with serving(script.says("Because it is so.", usage=False)) as server:
        model(server).complete(ASK, Reply(), stop)
    bound = most_prompt_tokens([message.content for message in ASK])
    assert stop.tally.cost == pytest.approx((bound * 1000 + count_tokens("Because it is so.") * 10_000) / 1e6)


def test_a_call_of_unknown_price_has_an_unknown_cost_never_none_at_all():
    stop = Stop()
    with serving(script.says("Because.")) as server:
        model(server, price=None).complete(ASK, Reply(), stop)
        assert stop.tally.cost is None
        model(server).complete(ASK, Reply(), stop)
    assert stop.tally.cost is None
    assert stop.tally.spent == pytest.approx(COST)


@pytest.mark.parametrize("failure", [script.fails(500), script.fails(401), script.page()])
def test_a_refused_call_costs_nothing(failure):
    stop = Stop()
    with serving(failure) as server, pytest.raises(ModelError):
        model(server).complete(ASK, Reply(), stop)
    assert stop.tally.spent == 0.0
    assert stop.tally.reserve(1.0, 1.0)


def test_every_attempt_is_paid_for():
    stop = Stop()
    with serving(script.cuts("Because it is"), script.says("Because.")) as server:
        model(server, retries=1).complete(ASK, Reply(), stop)
    bound = most_prompt_tokens([message.content for message in ASK])
    cut = (bound * 1000 + count_tokens("Because it is") * 10_000) / 1e6
    assert stop.tally.cost == pytest.approx(COST + cut)


def test_a_call_that_timed_out_is_taken_to_have_cost_the_most_it_could():
    stop = Stop()
    with serving(script.silent()) as server, pytest.raises(ModelError, match="in time"):
        model(server, timeout=0.3).complete(ASK, Reply(), stop)
    bound = most_prompt_tokens([message.content for message in ASK])
    assert stop.tally.cost == pytest.approx((bound * 1000 + 50 * 10_000) / 1e6)


def test_a_cancelled_answer_costs_what_was_said():
    stop = Stop()
    with serving(script.says("word " * 500, size=5, pause=0.01)) as server:
        stream = model(server).stream(ASK, Reply(), stop)
        said = next(stream)
        stream.close()
    bound = most_prompt_tokens([message.content for message in ASK])
    assert stop.tally.cost == pytest.approx((bound * 1000 + count_tokens(said) * 10_000) / 1e6)


@pytest.mark.parametrize("limit", ["max_cost", "max_session_cost"])
def test_a_call_that_could_pass_a_limit_is_not_made(limit):
    bound = most_prompt_tokens([message.content for message in ASK])
    most = (bound * 1000 + 50 * 10_000) / 1e6
    with serving(script.says("Because.")) as server:
        with pytest.raises(CostLimit, match=limit):
            model(server, **{limit: most * 0.999}).complete(ASK)
        assert server.requests == []
        assert model(server, **{limit: most}).complete(ASK) == "Because."


def test_an_answers_limit_holds_for_its_calls_together_and_a_sessions_for_all():
    with serving(script.says("Because.")) as server:
        asked = model(server, max_cost=0.9, max_session_cost=2.0)
        stop = Stop()
        asked.complete(ASK, Reply(), stop)
        with pytest.raises(CostLimit, match=r"llm\.max_cost") as one:
            asked.complete(ASK, Reply(), stop)
        asked.complete(ASK)
        asked.complete(ASK)
        asked.complete(ASK)
        with pytest.raises(CostLimit, match="max-cost") as session:
            asked.complete(ASK)
        assert len(server.requests) == 4
    assert (one.value.session, session.value.session) == (False, True)
    assert stop.tally.refused is one.value


def test_a_limit_without_a_price_asks_for_the_price():
    with serving(script.says("Because.")) as server:
        with pytest.raises(CostLimit, match=r"prices: \{scripted: ") as raised:
            model(server, price=None, max_cost=5.0).complete(ASK)
        with pytest.raises(CostLimit, match="max-cost"):
            model(server, price=PriceSettings(input=1.0), max_session_cost=5.0).complete(ASK)
        assert server.requests == []
    assert "\n" not in str(raised.value)


def test_many_threads_together_never_pass_the_limit():
    bound = most_prompt_tokens([message.content for message in ASK])
    most = (bound * 1000 + 50 * 10_000) / 1e6
    session = Tally(3.5 * most)
    with serving(script.says("Because.", pause=0.05)) as server, ThreadPoolExecutor(16) as pool:
        asked = model(server, session=session)

        def ask(_: int) -> bool:
            try:
                return asked.complete(ASK) == "Because."
            except CostLimit:
                return False

        answered = sum(pool.map(ask, range(16)))
        assert answered == len(server.requests)
    assert 3 <= answered < 16
    assert session.spent == pytest.approx(answered * COST)
    assert session.spent <= 3.5 * most


# --- a library ---


def test_an_answer_names_its_cost_rewriting_included(starter_folder):
    with (
        serving(script.says(GOOD), script.says(QUESTION), script.says(GOOD)) as server,
        with_model(starter_folder, server) as library,
    ):
        first = library.ask(QUESTION)
        second = library.ask("And how many of them?", history=[Turn(first.question, first)])
        assert library.session.cost == pytest.approx(3 * COST)
    assert first.cost == pytest.approx(COST)
    assert second.cost == pytest.approx(2 * COST)
    assert first.as_json()["cost"] == first.cost


def test_an_extractive_answer_has_no_cost_and_one_of_unknown_price_an_unknown_one(starter_folder):
    with serving(script.says(GOOD)) as server:
        with with_model(starter_folder, server, prices={}) as library:
            answer = library.ask(QUESTION)
        with with_model(starter_folder, server, answer={"mode": "extractive"}) as library:
            assert library.ask(QUESTION).cost is None
    assert (answer.cost, answer.usage) == (None, {"prompt": 321, "completion": 12})


def test_past_the_limit_the_answer_is_extractive_and_says_why(starter_folder):
    with (
        serving(script.says(GOOD)) as server,
        with_model(starter_folder, server, max_cost=0.01) as library,
    ):
        answer = library.ask(QUESTION)
        assert server.requests == []
    assert answer.mode == "extractive"
    assert answer.citations
    assert "was not asked" in answer.notes[-1]
    assert "llm.max_cost ($0.01)" in answer.notes[-1]


def test_without_the_fallback_the_limit_is_an_error(starter_folder):
    with (
        serving(script.says(GOOD)) as server,
        with_model(starter_folder, server, max_cost=0.01, answer={"fall_back": False}) as library,
        pytest.raises(CostLimit, match=r"llm\.max_cost"),
    ):
        library.ask(QUESTION)


def test_a_session_goes_on_over_answers_and_over_new_papers(starter_copy):
    with (
        serving(script.says(GOOD)) as server,
        with_model(starter_copy, server, max_session_cost=14.0) as library,
    ):
        modes = [library.ask(QUESTION).mode]
        library.ingest(text="A note on whales\n\nWhales sing in deep water, and they sing for hours on end.")
        while modes[-1] == "llm" and len(modes) < 40:
            modes.append(library.ask(QUESTION).mode)
        assert library.session.spent <= 14.0
        assert library.session.spent == pytest.approx(COST * len(server.requests))
    assert modes.count("llm") > 1
    assert modes[-1] == "extractive"


def test_a_missing_key_leaves_a_follow_up_to_the_rules(starter_folder):
    with open_library(starter_folder, llm={"kind": "openai"}, gate={"enabled": False}) as library:
        first = library.ask(QUESTION)
        answer = library.ask("How many GPUs did they use?", history=[Turn(first.question, first)])
    assert "OPENAI_API_KEY" in answer.notes[-1]


# --- the commands ---


def settings_file(folder: Path, server, **llm) -> str:
    given = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url, "retries": 0, "max_tokens": 100}
    path = folder / "mine.yaml"
    content = {"llm": given | llm, "gate": {"enabled": False}, "prices": {"scripted": PRICE.model_dump()}}
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def ask(folder: Path, config: str, *more: str) -> int:
    return citewise(["ask", QUESTION, "--library", str(folder), "--config", config, *more])


def test_ask_shows_tokens_and_cost(starter_folder, tmp_path, capsys):
    with serving(script.says(GOOD)) as server:
        assert ask(starter_folder, settings_file(tmp_path, server)) == 0
    assert "333 tokens · $0.44" in " ".join(capsys.readouterr().out.split())


def test_ask_keeps_to_max_cost(starter_folder, tmp_path, capsys):
    with serving(script.says(GOOD)) as server:
        assert ask(starter_folder, settings_file(tmp_path, server), "--json", "--max-cost", "0.5") == 0
        assert server.requests == []
    answer = json.loads(capsys.readouterr().out)
    assert answer["mode"] == "extractive"
    assert "--max-cost" in answer["notes"][-1]


def test_an_evaluation_stops_at_max_cost_and_goes_on_with_a_higher_one(starter_folder, tmp_path, capsys):
    cases = tmp_path / "cases.jsonl"
    rows = [
        {"id": f"c{at}", "question": f"{QUESTION} ({at})", "relevant": ["Attention Is All You Need"]} for at in range(6)
    ]
    cases.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with serving(script.says(GOOD)) as server:
        config = settings_file(tmp_path, server)
        command = ["eval", "run", str(cases), "--out", str(tmp_path / "out"), "--library", str(starter_folder)]
        command += ["--config", config, "--json"]
        ask(starter_folder, config)
        most = (most_prompt_tokens([item["content"] for item in server.requests.pop()["messages"]]) + 1000 + 20) / 1e3
        assert citewise([*command, "--max-cost", str(most + 2.5 * COST)]) == 1
        assert len(server.requests) == 3
        error = capsys.readouterr().err
        assert "--max-cost" in error
        assert "goes on where this one stopped" in error
        assert not (tmp_path / "out" / "summary.json").exists()
        assert citewise([*command, "--max-cost", "60"]) == 0
        assert len(server.requests) == 6
    summary = json.loads(capsys.readouterr().out)
    assert summary["failed"] == 0
    assert summary["measures"]["cost"]["mean"] == pytest.approx(COST)


def test_a_sweep_has_one_limit_for_all_its_points_and_goes_on_with_a_higher_one(starter_folder, tmp_path, capsys):
    cases, grid = tmp_path / "cases.jsonl", tmp_path / "grid.yaml"
    row = {"id": "c1", "question": QUESTION, "relevant": ["Attention Is All You Need"], "facts": [["3.5 days"]]}
    cases.write_text(json.dumps(row) + "\n", encoding="utf-8")
    grid.write_text("quality: facts\nsettings: {answer.min_support: [0.1, 0.2, 0.3]}", encoding="utf-8")
    with serving(script.says(GOOD)) as server:
        config = settings_file(tmp_path, server)
        command = ["eval", "sweep", str(cases), str(grid), "--out", str(tmp_path / "out"), "--config", config]
        command += ["--library", str(starter_folder), "--json"]
        assert citewise([*command, "--max-cost", "0"]) == 1
        assert server.requests == []
        assert "goes on where this one stopped" in capsys.readouterr().err
        assert citewise([*command, "--max-cost", "60"]) == 0
        assert len(server.requests) == 3
    assert len(json.loads(capsys.readouterr().out)["points"]) == 3


def test_making_questions_keeps_to_max_cost(starter_folder, tmp_path, capsys):
    made = tmp_path / "made.jsonl"
    with serving(script.says("no JSON")) as server:
        command = ["eval", "make", str(made), "--by", "model", "--library", str(starter_folder)]
        command += ["--config", settings_file(tmp_path, server)]
        assert citewise([*command, "--max-cost", "0.1"]) == 1
        assert server.requests == []
        assert "--max-cost" in capsys.readouterr().err
    assert not made.exists()
