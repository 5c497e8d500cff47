"""A failing model, and keys: the same in the chat, the function and the command, and in whatever is kept of them."""

from __future__ import annotations

import json
import logging
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from rag import Delta, Turn, open_library
from rag.cli import run as citewise
from rag.errors import ModelRejected
from rag.library import Library
from rag.prompts import NOT_FOUND
from tests import scripted_server as script
from tests.scripted_server import ScriptedServer, serving
from ui.conversation import Chat
from ui.exchange import Talk
from ui.exports import KINDS, exported

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("socket_enabled")]

QUESTION = "How long did it take to train the big Transformer?"
GOOD = "The big Transformer was trained for 3.5 days on 8 P100 GPUs [1]."
KEY = "sk-proj-Zx81QmTtVw92LbPq7Rn4"
FAILURES = [
    pytest.param(script.fails(401, f"Incorrect API key provided: {KEY}"), "refused the key", id="401"),
    pytest.param(script.fails(404), "knows no model", id="404"),
    pytest.param(script.fails(400, "bad"), "rejected the request", id="400"),
    pytest.param(script.fails(429, headers={"Retry-After": "900"}), "overloaded", id="429"),
    pytest.param(script.fails(500), "HTTP 500", id="500"),
    pytest.param(script.cuts("It took"), "model failed", id="cut in the middle"),
    pytest.param(script.babbles(), "no answer", id="invalid JSON"),
    pytest.param(script.page(), "empty answer", id="web page"),
    pytest.param(script.says(""), "empty answer", id="empty"),
    pytest.param(script.says("[1][2] ..."), "held no words", id="markers only"),
    pytest.param(script.silent(60), "llm.timeout", id="silent"),
    pytest.param(script.stalls("It took", seconds=60), "llm.timeout", id="stalls"),
]


def config_of(folder: Path, address: str, **sections: Any) -> str:
    """A file of settings; the model has a minute, so that only a silence that is meant is one."""
    llm = {"kind": "openai-like", "model": "scripted", "base_url": address, "timeout": 60, "retries": 0}
    path = folder / "mine.yaml"
    path.write_text(json.dumps({"llm": llm | sections.pop("llm", {}), "gate": {"enabled": False}, **sections}))
    return str(path)


def chatted(library: Library, question: str = QUESTION) -> tuple[Talk, str]:
    """The conversation after a question, and the page that shows it."""
    chat = Chat(library)
    talk = [step.talk for step in chat.ask(question, Talk(), session="s", owner="") if step.talk][-1]
    return talk, chat.finished(talk)


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(("step", "said"), FAILURES)
def test_every_failure_is_an_extractive_answer_with_a_note_at_every_door(step, said, starter_copy, tmp_path, capsys):
    patience = {"timeout": 1.5} if said == "llm.timeout" else {}
    with serving(step) as server:
        config = config_of(tmp_path, server.base_url, llm=patience)
        with open_library(starter_copy, config=config) as library:
            answer = library.ask(QUESTION)
            talk, page = chatted(library)
        arguments = ["ask", QUESTION, "--library", str(starter_copy), "--config", config]
        assert citewise(arguments) == 0
        printed = flat(capsys.readouterr().out)
    [note] = answer.notes
    assert said in note
    assert (answer.mode, talk.exchanges[0].answer.mode) == ("extractive", "extractive")
    for shown in (answer.text, page, printed):
        assert "3.5 days" in shown
    for shown in (note, page, printed):
        assert "this answer is extractive instead" in shown
        assert said in shown


def test_a_refused_connection_is_one_too(starter_folder, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with open_library(starter_folder, config=config_of(tmp_path, address)) as library:
        answer = library.ask(QUESTION)
    assert "cannot be reached" in answer.notes[0]
    assert "3.5 days" in answer.text


def test_without_the_fallback_every_door_says_what_failed(starter_copy, tmp_path, capsys):
    with serving(script.fails(500)) as server:
        config = config_of(tmp_path, server.base_url, answer={"fall_back": False})
        with open_library(starter_copy, config=config) as library:
            talk, page = chatted(library)
        assert citewise(["ask", QUESTION, "--library", str(starter_copy), "--config", config]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("citewise: the model's server 127.0.0.1")
    assert talk.exchanges[0].problem == line.removeprefix("citewise: ")
    assert 'role="alert"' in page


def test_stop_on_the_page_hangs_up_on_the_model(starter_copy, tmp_path):
    with serving(script.says("word " * 9000, size=5, pause=0.01)) as server:
        config = config_of(tmp_path, server.base_url)
        with open_library(starter_copy, config=config) as library:
            chat, written, steps = Chat(library), threading.Event(), []
            stopping = threading.Thread(target=lambda: written.wait(60) and chat.stop("s"))
            stopping.start()
            for step in chat.ask(QUESTION, Talk(), session="s", owner=""):
                steps.append(step)
                if "word word" in (step.live or ""):
                    written.set()
            stopping.join()
            assert server.disconnected.wait(30)
    assert steps[-1].talk.exchanges[0].answer is None
    assert "word word" in steps[-1].talk.exchanges[0].partial


# --- keys ---


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(script.says(f"{GOOD} Your key is {KEY} [1]."), id="in an answer"),
        pytest.param(script.says(f"{NOT_FOUND}: the key {KEY}."), id="in a reason"),
        pytest.param(script.fails(401, f"Incorrect API key provided: {KEY}"), id="in a refusal"),
        pytest.param(script.fails(400, f"header Bearer {KEY} is bad"), id="in a rejection"),
        pytest.param(script.fails(500, KEY), id="in a failure"),
        pytest.param(script.babbles(), id="beside nonsense"),
    ],
)
def test_the_key_is_nowhere_but_in_the_request(step, starter_copy, tmp_path, monkeypatch, caplog, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with serving(step) as server:
        config = config_of(tmp_path, server.base_url)
        with open_library(starter_copy, config=config) as library:
            answer = library.ask(QUESTION)
            talk, page = chatted(library)
            kept = [exported(talk.exchanges, kind, library.settings) for kind in KINDS]
            seen = [
                repr(library.settings),
                repr(vars(library)),
                json.dumps(answer.as_json()),
                repr(answer),
                page,
                *kept,
            ]
        citewise(["--debug", "ask", QUESTION, "--json", "--library", str(starter_copy), "--config", config])
        citewise(["doctor", "--library", str(starter_copy), "--config", config])
    printed = capsys.readouterr()
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    for text in (*seen, printed.out, printed.err, caplog.text):
        assert KEY not in text
    for path in starter_copy.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()


# --- what fits into the window ---


def user(server: ScriptedServer) -> str:
    return server.requests[-1]["messages"][1]["content"]


def test_the_history_gives_way_before_the_question(starter_folder, tmp_path):
    alone = "How long was the big Transformer trained on P100 GPUs?"
    with serving(script.says(GOOD)) as server:
        small = config_of(tmp_path, server.base_url, llm={"context_window": 1100, "max_tokens": 64, "condense": False})
        with open_library(starter_folder, config=small) as library:
            first = library.ask(QUESTION)
            turns = [Turn(f"Question {number}: {'why and how ' * 12}?", first) for number in range(6)]
            library.ask(alone, history=turns)
    told = user(server)
    assert told.rstrip().endswith(f"Question: {alone}")
    assert "Asked before: Question 5" in told
    assert "Asked before: Question 2" not in told
    assert told.count("</passage-") >= 2  # the history's own, and a paper's


def test_a_long_abstract_gives_way_to_its_best_sentences(tmp_path):
    filler = " ".join(f"Sentence number {number} is about the weather in the harbour." for number in range(120))
    paper = {"id": "a", "title": "Ember: a cache", "abstract": f"{filler} Ember cuts decoding time by 41%. {filler}"}
    (tmp_path / "papers.jsonl").write_text(json.dumps(paper))
    with serving(script.says("Ember cuts decoding time by 41% [1].")) as server:
        small = config_of(tmp_path, server.base_url, llm={"context_window": 1400, "max_tokens": 64})
        with open_library(tmp_path / "library", config=small) as library:
            library.ingest([tmp_path / "papers.jsonl"])
            answer = library.ask("How much does Ember cut decoding time?")
    assert "Ember cuts decoding time by 41%." in user(server)
    assert "Sentence number 77" not in user(server)
    assert answer.sentences[0].supported


def test_a_window_too_small_is_said_at_every_door_and_no_call_is_made(starter_copy, tmp_path, capsys):
    with serving(script.says(GOOD)) as server:
        llm = {"context_window": 1024, "max_tokens": 1000}
        config = config_of(tmp_path, server.base_url, llm=llm, answer={"fall_back": False})
        with open_library(starter_copy, config=config) as library:
            with pytest.raises(ModelRejected, match=r"llm\.context_window \(1,024 tokens"):
                library.ask(QUESTION)
            talk, _ = chatted(library)
        assert citewise(["ask", QUESTION, "--library", str(starter_copy), "--config", config]) == 1
        assert server.requests == []
    assert "llm.context_window" in capsys.readouterr().err
    assert "llm.context_window" in talk.exchanges[0].problem


# --- what abstracts cannot tell ---


@pytest.mark.parametrize(
    ("question", "says", "told"),
    [
        ("What does Table 2 of Attention Is All You Need show?", GOOD, True),
        ("Which learning rate trained the big Transformer?", f"{NOT_FOUND}: the learning rate.", True),
        ("Which learning rate trained the big Transformer?", GOOD, False),
        (QUESTION, GOOD, False),
        (QUESTION, f"{NOT_FOUND}: the time.", False),
    ],
)
def test_the_answer_says_when_the_full_text_would_be_needed(starter_folder, tmp_path, question, says, told):
    with serving(script.says(says)) as server:
        with open_library(starter_folder, config=config_of(tmp_path, server.base_url)) as library:
            answer = library.ask(question)
        assert "Full texts are not available" in server.requests[0]["messages"][0]["content"]
    assert any("abstracts only" in note for note in answer.notes) == told


# --- markers, however the stream is cut ---

MARKERS = {
    "It took 3.5 days [1, 3-5].": "It took 3.5 days [1][2][3][4].",
    "It took 3.5 days (2).": "It took 3.5 days [1].",
    "It took 3.5 days [Smith 2020].": "It took 3.5 days.",
    "It took 3.5 days 【1】.": "It took 3.5 days [1].",
    "It took 3.5 days.[1] It was good.[2]": "It took 3.5 days [1]. It was good [2].",
    "It took 3.5 days [Passage 2; 1].": "It took 3.5 days [1][2].",
    "It took 3.5 days [1†source].": "It took 3.5 days [1].",
    "It took 3.5 days ^[1]^ (source 2).": "It took 3.5 days ^[1]^ [2].",
    "It took 3.5 days [42].": "It took 3.5 days.",
    "It took 3.5 days [1": "It took 3.5 days [1]",
}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 60])
@pytest.mark.parametrize("said", MARKERS)
def test_every_marker_is_understood_or_gone_however_the_stream_is_cut(starter_folder, tmp_path, said, size):
    with serving(script.says(said, size=size)) as server:
        config = config_of(tmp_path, server.base_url, answer={"repair": False})
        with open_library(starter_folder, config=config) as library:
            events = list(library.stream(QUESTION))
    assert events[-1].answer.text == MARKERS[said]
    written = ""
    for event in events:
        if isinstance(event, Delta):
            written += event.text
            assert written.count("[") == written.count("]")
            assert not any(sign in written for sign in ("【", "[42]", "Smith", "†", "(2)", "3-5"))
