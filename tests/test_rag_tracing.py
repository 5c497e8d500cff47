"""Traces go to the user's own collector when asked for, without the words of questions and papers; else nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rag import open_library
from rag.errors import SettingsError
from rag.settings import Settings
from tests import chroma
from tests.otlp import attributes, collecting
from tests.scripted_server import ScriptedServer, fails, says

ROOT = Path(__file__).parents[1]
QUESTION = "How does dropout prevent overfitting?"
ANSWER = "Dropout switches off randomly chosen units [1]."

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]


def ask(folder: Path, settings: dict, environment: dict[str, str]) -> dict:
    """The answer of a command in a process of its own."""
    config = folder.parent / "mine.yaml"
    config.write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "rag.cli", "ask", QUESTION, "--json", "--library", str(folder)]
    done = subprocess.run(
        [*command, "--config", str(config)], cwd=ROOT, env={**os.environ, **environment},
        capture_output=True, text=True, check=True, timeout=240,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_an_answer_is_a_trace_without_its_words(starter_copy):
    with collecting() as collector:
        ask(starter_copy, {"tracing": {"endpoint": collector.address}}, {})
    whole = collector.named("citewise.ask")
    assert {span.name for span in collector.spans} == {
        f"citewise.{name}" for name in ("ask", "condense", "retrieve", "gate", "write", "check")
    }
    for span in collector.spans:
        assert span.trace_id == whole.trace_id
        assert span is whole or span.parent_span_id == whole.span_id
        assert whole.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
    told = attributes(whole)
    assert (told["citewise.outcome"], told["citewise.mode"]) == ("answered", "extractive")
    assert b"citewise" in collector.raw, "the service's name"
    assert b"ropout" not in collector.raw


def test_with_content_the_words_are_in_it(starter_copy):
    with collecting() as collector:
        answer = ask(starter_copy, {"tracing": {"endpoint": collector.address, "content": True}}, {})
    told = attributes(collector.named("citewise.ask"))
    assert (told["citewise.question"], told["citewise.answer"]) == (QUESTION, answer["text"])


def test_by_default_nothing_is_sent_whatever_the_environment_says(starter_copy):
    with collecting() as collector:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.address,
            "OTEL_TRACES_EXPORTER": "otlp",
        }
        answer = ask(starter_copy, {}, environment)
    assert answer["abstained"] is None
    assert collector.raw == b""
    assert Settings().tracing.endpoint is None


def test_a_model_call_tells_its_tokens_and_a_failed_one_only_the_kind_of_its_error(starter_folder):
    model = {"kind": "openai-like", "model": "scripted", "retries": 0}
    rest = {"gate": {"enabled": False}, "answer": {"repair": False}}
    with collecting() as collector:
        for script in (says(ANSWER), fails(400, "a secret of the server")):
            with ScriptedServer(script) as server:
                llm = {**model, "base_url": server.base_url}
                with open_library(starter_folder, llm=llm, tracing={"endpoint": collector.address}, **rest) as library:
                    library.ask(QUESTION)
    good, bad = [span for span in collector.spans if span.name == "citewise.model"]
    assert attributes(good)["gen_ai.usage.input_tokens"] == 321
    assert (bad.status.code, attributes(bad)["error.type"]) == (2, "ModelRejected")
    assert b"secret" not in collector.raw
    assert b"ropout" not in collector.raw


def test_several_libraries_share_one_way_to_the_collector(starter_folder):
    with collecting() as collector:
        tracing = {"endpoint": collector.address}
        with open_library(starter_folder, tracing=tracing), open_library(starter_folder, tracing=tracing) as library:
            library.ask(QUESTION)
        assert len([span for span in collector.spans if span.name == "citewise.ask"]) == 1


def test_a_collector_that_is_away_delays_no_answer_and_the_end_by_seconds(starter_folder):
    tracing = {"endpoint": f"http://127.0.0.1:{chroma.free_port()}"}
    with open_library(starter_folder, tracing=tracing) as library:
        assert library.ask(QUESTION).citations
        began = time.monotonic()
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4317", "http://", "ftp://a:1", "http://a b"])
def test_an_address_that_is_none_is_refused(tmp_path, endpoint):
    with pytest.raises(SettingsError, match=r"tracing\.endpoint"):
        open_library(tmp_path, tracing={"endpoint": endpoint})
