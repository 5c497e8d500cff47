"""The language model's connection: what it sends, how it fails, how it stops."""

import gc
import socket
import threading
import time

import pytest

from rag.connection import Stop
from rag.errors import ModelError, ModelRejected, ModelUnavailable
from rag.llm import ChatModel, Message, Reply, Restart
from rag.settings import LLMSettings
from tests import scripted_server as script
from tests.scripted_server import serving

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("socket_enabled")]

KEY = "sk-secret-1234567890abcdef"
ASK = [Message("system", "Be brief."), Message("user", "Why?")]


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def model(server, **changes):
    given = {
        "kind": "openai-like",
        "model": "scripted",
        "base_url": server.base_url,
        "timeout": 60.0,
        "retries": 2,
    }
    return ChatModel.from_settings(LLMSettings.model_validate(given | changes))


def text_of(stream):
    said = ""
    for piece in stream:
        said = "" if isinstance(piece, Restart) else said + piece
    return said


def test_text_streams_in_pieces_with_usage_and_finish():
    with serving(script.says("Because it is so.")) as server:
        reply = Reply()
        pieces = list(model(server).stream(ASK, reply))
    assert "".join(pieces) == "Because it is so."
    assert len(pieces) > 1
    assert (reply.finish, reply.usage) == ("stop", {"prompt": 321, "completion": 12})


def test_request_carries_model_limits_and_key_from_the_environment():
    with serving(script.says("Yes.")) as server:
        model(server, max_tokens=77, temperature=0.3).complete(ASK)
    sent = server.requests[0]
    assert (sent["model"], sent["max_tokens"], sent["temperature"], sent["stream"]) == (
        "scripted",
        77,
        0.3,
        True,
    )
    assert [message["content"] for message in sent["messages"]] == ["Be brief.", "Why?"]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_openai_kind_honours_the_base_url_of_the_environment(monkeypatch):
    with serving(script.says("Yes.")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        assert model(server, kind="openai", model="gpt-4o-mini", base_url=None).complete(ASK) == "Yes."
    assert server.requests[0]["model"] == "gpt-4o-mini"


def test_openai_kind_takes_a_model_name_that_llamaindex_does_not_know():
    with serving(script.says("Yes.")) as server:
        assert model(server, kind="openai", model="house-model-7").complete(ASK) == "Yes."


def test_openai_without_a_key_is_rejected_before_any_call(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with (
        serving(script.says("Yes.")) as server,
        pytest.raises(ModelRejected, match="OPENAI_API_KEY is not set"),
    ):
        model(server, kind="openai")
    assert server.requests == []


def test_local_server_needs_no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with serving(script.says("Yes.")) as server:
        assert model(server).complete(ASK) == "Yes."


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        pytest.param(
            script.fails(401, f"Incorrect API key provided: {KEY}"), ModelRejected, "OPENAI_API_KEY", id="key"
        ),
        pytest.param(script.fails(404), ModelRejected, "knows no model 'scripted'", id="model"),
        pytest.param(script.fails(400, f"bad {KEY} thing"), ModelRejected, "rejected the request", id="request"),
    ],
)
def test_rejection_is_not_tried_again(step, error, words):
    with serving(step) as server, pytest.raises(error, match=words) as caught:
        model(server).complete(ASK)
    assert len(server.requests) == 1
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(script.fails(500, headers={"Retry-After": "0"}), id="failing"),
        pytest.param(script.fails(429, headers={"Retry-After": "0"}), id="overloaded"),
        pytest.param(script.cuts("Because it"), id="cut"),
        pytest.param(script.babbles(), id="no JSON"),
        pytest.param(script.streams_nonsense(), id="other JSON"),
        pytest.param(script.page(), id="web page"),
        pytest.param(script.says(""), id="empty"),
        pytest.param(script.says("It is", finish=None), id="no end"),
    ],
)
def test_passing_failure_is_tried_again(step):
    with serving(step, script.says("Because it is so.")) as server:
        assert text_of(model(server).stream(ASK, Reply())) == "Because it is so."
    assert len(server.requests) == 2


def test_tries_are_bounded():
    with serving(script.fails(503, headers={"Retry-After": "0"})) as server:
        asked = model(server, retries=2)
        with pytest.raises(ModelUnavailable, match="HTTP 503"):
            asked.complete(ASK)
    assert len(server.requests) == 3


def test_retry_after_is_obeyed():
    with serving(script.fails(429, headers={"Retry-After": "0.6"}), script.says("Yes.")) as server:
        began = time.monotonic()
        assert model(server).complete(ASK) == "Yes."
    assert time.monotonic() - began >= 0.6


def test_too_long_a_retry_after_fails_at_once():
    with serving(script.fails(429, headers={"Retry-After": "3600"})) as server:
        began = time.monotonic()
        with pytest.raises(ModelUnavailable):
            model(server).complete(ASK)
    assert time.monotonic() - began < 30
    assert len(server.requests) == 1


def test_refused_connection_says_so():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    settings = LLMSettings.model_validate({"kind": "openai-like", "base_url": address, "retries": 0})
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        ChatModel.from_settings(settings).complete(ASK)


@pytest.mark.parametrize("step", [script.silent(60), script.stalls(seconds=60), script.stalls("Well", seconds=60)])
def test_stall_is_bounded_even_when_the_server_keeps_the_stream_open(step):
    with serving(step) as server:
        began = time.monotonic()
        with pytest.raises(ModelUnavailable, match=r"timeout is 0\.5 s"):
            text_of(model(server, timeout=0.5, retries=0).stream(ASK, Reply()))
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("again", [False, True], ids=["new connection", "kept connection"])
def test_a_server_that_dawdles_over_its_headers_is_given_up(again):
    steps = [script.says("Well."), script.dawdles()] if again else [script.dawdles()]
    with serving(*steps) as server:
        slow = model(server, timeout=0.5, retries=0)
        if again:
            slow.complete(ASK)
        with pytest.raises(ModelUnavailable, match=r"timeout is 0\.5 s"):
            slow.complete(ASK)
        assert server.disconnected.wait(30)  # and did not end it by itself


def test_a_stream_that_breaks_off_is_closed_at_once_and_not_by_the_garbage_collector():
    with serving(script.streams_nonsense(on=True)) as server:
        broken = model(server, retries=0)
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(ModelUnavailable, match="no answer"):
                broken.complete(ASK)
            assert server.disconnected.wait(10)
        finally:
            gc.enable()


def test_an_answer_that_keeps_to_no_limit_is_cut_and_the_connection_closed():
    with serving(script.never_ends("and so on ")) as server:
        reply = Reply()
        said = model(server, max_tokens=32).complete(ASK, reply)
        assert server.disconnected.wait(30)
    assert len(said) < 32 * 20 + 20
    assert reply.finish == "length"


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": 9},
        {"prompt_tokens": None, "completion_tokens": None},
        {"prompt_tokens": -5, "completion_tokens": 3},
        {"prompt_tokens": 10**30, "completion_tokens": 3},
        {"prompt_tokens": True, "completion_tokens": False},
        "many",
        [1, 2],
    ],
    ids=str,
)
def test_tokens_that_are_told_wrongly_cost_no_answer(usage):
    with serving(script.counts(usage)) as server:
        reply = Reply()
        assert model(server, retries=0).complete(ASK, reply) == "Because it is so."
    assert reply.usage == {}


@pytest.mark.parametrize("said", ["因为就是这样。", "لماذا لا؟", "ऐसा ही है।"])
def test_a_sentence_of_another_script_that_no_finish_reason_follows_is_whole(said):
    with serving(script.says(said, finish=None)) as server:
        assert model(server, retries=0).complete(ASK) == said


@pytest.mark.parametrize("cut", [False, True], ids=["lingers", "breaks off"])
def test_a_whole_answer_is_kept_whatever_the_server_does_after_it(cut):
    with serving(script.lingers("Because it is so.", cut=cut)) as server:
        stop = Stop()
        assert model(server, timeout=0.5, retries=0).complete(ASK, Reply(), stop) == "Because it is so."
    assert not any(server.requests[1:])


def test_content_filter_is_a_rejection():
    with (
        serving(script.says("I", finish="content_filter")) as server,
        pytest.raises(ModelRejected, match="refused"),
    ):
        model(server).complete(ASK)


def test_restart_voids_what_was_given():
    with serving(script.cuts("Because it is wrong."), script.says("It is right.")) as server:
        pieces = list(model(server).stream(ASK, Reply()))
    assert any(isinstance(piece, Restart) for piece in pieces)
    assert text_of(pieces) == "It is right."


def test_closing_the_stream_ends_the_servers_work():
    with serving(script.says("word " * 9000, size=5, pause=0.01)) as server:
        stream = model(server).stream(ASK, Reply())
        assert next(stream)
        stream.close()
        assert server.disconnected.wait(30)


def test_another_thread_can_stop_a_waiting_read():
    with serving(script.stalls("Well", seconds=60)) as server:
        stop = Stop()
        stream = model(server, timeout=60).stream(ASK, Reply(), stop)
        assert next(stream) == "Well"
        threading.Timer(0.3, stop.set).start()
        began = time.monotonic()
        with pytest.raises(ModelError, match="stopped"):
            text_of(stream)
    assert time.monotonic() - began < 30


def test_a_stop_that_came_just_before_the_call_ends_it_too():
    stop, ended = Stop(), []
    stop.set()
    with stop.calling(lambda: ended.append(1)):
        assert ended == [1]
