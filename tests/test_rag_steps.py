"""Whoever listens to LlamaIndex's instrumentation is told of the steps of an answer, in order and one in another."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import llama_index_instrumentation as instrumentation
import pytest
from llama_index_instrumentation.span_handlers import SimpleSpanHandler

from rag import Library, open_library
from rag.errors import ModelError
from rag.steps import DISPATCHER, Step, listening, step, streamed
from tests.ingesting import write
from tests.scripted_server import ScriptedServer, fails, says

QUESTION = "How does dropout prevent overfitting?"
ANSWER = "Dropout switches off randomly chosen units [1]."


class Heard:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.errors: dict[str, BaseException | None] = {}

    def begun(self, work: Step) -> None:
        self.steps.append(work)

    def ended(self, work: Step, error: BaseException | None) -> None:
        assert work.id not in self.errors, "a step ends once"
        self.errors[work.id] = error

    def tree(self) -> list[str]:
        """Each step below those around it, in the order of their beginning."""
        paths: dict[str | None, str] = {None: ""}
        for work in self.steps:
            paths[work.id] = f"{paths[work.parent]}/{work.name}"
        return [paths[work.id] for work in self.steps]

    def named(self, name: str) -> Step:
        [work] = [work for work in self.steps if work.name == name]
        return work

    @property
    def all_ended(self) -> bool:
        return self.errors.keys() == {work.id for work in self.steps}


@pytest.fixture
def heard():
    listener = Heard()
    with listening(listener):
        yield listener


def with_model(folder: Path, server: ScriptedServer, **llm: object) -> Library:
    model = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url, "retries": 0, **llm}
    return open_library(folder, llm=model, gate={"enabled": False}, answer={"repair": False})


def test_the_steps_of_an_answer_stand_in_their_order(starter, heard):
    answer = starter.ask(QUESTION)
    assert heard.tree() == ["/ask", "/ask/condense", "/ask/retrieve", "/ask/gate", "/ask/write", "/ask/check"]
    assert heard.all_ended
    facts = heard.named("ask").facts
    assert (facts["outcome"], facts["mode"], facts["citations"]) == ("answered", "extractive", len(answer.citations))
    assert 0 < facts["first_words_seconds"] <= heard.named("ask").seconds
    assert heard.named("retrieve").facts["papers"] == 8
    assert heard.named("gate").facts["answerable"] is True


def test_facts_hold_no_words_of_the_question_or_the_papers(starter, heard):
    answer = starter.ask(QUESTION)
    told = " ".join(str(work.facts) for work in heard.steps).lower()
    assert "dropout" not in told
    content = heard.named("ask").content
    assert content == {"question": QUESTION, "searched": QUESTION, "answer": answer.text}


@pytest.mark.parametrize(
    ("question", "outcome"), [(QUESTION, "answered"), ("What is the boiling point of lead?", "abstained")]
)
def test_what_came_of_a_question_is_told(starter, heard, question, outcome):
    starter.ask(question)
    assert heard.named("ask").facts["outcome"] == outcome


def test_an_answer_that_nobody_read_to_its_end_was_stopped(starter, heard):
    stream = starter.stream(QUESTION)
    next(iter(stream))
    stream.close()
    assert heard.all_ended
    assert heard.named("ask").facts["outcome"] == "stopped"
    assert set(heard.errors.values()) == {None}


def test_a_stream_that_is_read_by_several_threads_in_turn_is_one_step(starter, heard):
    events = iter(starter.stream(QUESTION))
    while True:
        with ThreadPoolExecutor(1) as another:
            if another.submit(next, events, None).result() is None:
                break
        with step("reader"):
            pass
    paths = set(heard.tree())
    assert {"/ask/write", "/ask/check", "/reader"} <= paths, "the reader's own steps are no part of the answer"
    assert heard.all_ended


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_a_call_of_a_model_is_a_step_of_the_writing_with_its_tokens(starter_folder, heard):
    with ScriptedServer(says(ANSWER)) as server, with_model(starter_folder, server) as library:
        library.ask(QUESTION)
    assert "/ask/write/model" in heard.tree()
    facts = heard.named("model").facts
    assert {name: value for name, value in facts.items() if name.startswith("gen_ai")} == {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "scripted",
        "gen_ai.usage.input_tokens": 321, "gen_ai.usage.output_tokens": 12,
    }  # fmt: skip
    assert (facts["attempt"], facts["finish_reason"], facts["stopped"]) == (0, "stop", False)
    assert heard.named("model").content["reply"] == ANSWER
    assert heard.named("ask").facts["prompt_tokens"] == 321


@pytest.mark.loopback
@pytest.mark.enable_socket
def test_each_try_of_a_failing_model_is_a_step_with_its_error(starter_folder, heard):
    with ScriptedServer(fails(500)) as server, with_model(starter_folder, server, retries=1) as library:
        library.ask(QUESTION)
    tries = [work for work in heard.steps if work.name == "model"]
    assert [work.facts["attempt"] for work in tries] == [0, 1]
    assert all(isinstance(heard.errors[work.id], ModelError) for work in tries)
    assert heard.named("ask").facts["outcome"] == "failed over"
    assert heard.all_ended


def test_an_ingest_is_a_step_that_counts(tmp_path, heard):
    papers = [{"id": str(at), "title": f"Lamps {at}", "abstract": f"Lamp {at} burns."} for at in range(3)]
    with open_library(tmp_path / "library") as library:
        library.ingest([write(tmp_path / "a.jsonl", papers)])
    assert heard.named("ingest").facts["added"] == 3


def test_the_handlers_of_an_application_see_the_steps_as_spans(starter):
    handler = SimpleSpanHandler()
    root = instrumentation.get_dispatcher()
    root.add_span_handler(handler)
    try:
        starter.ask(QUESTION)
    finally:
        root.span_handlers.remove(handler)
    assert [span.id_.partition("-")[0] for span in handler.completed_spans][-1] == "citewise.ask"
    assert not handler.open_spans


def test_who_stopped_listening_is_told_nothing_more(starter):
    listener = Heard()
    with listening(listener):
        pass
    starter.ask(QUESTION)
    assert listener.steps == []
    assert instrumentation.get_dispatcher(DISPATCHER).span_handlers == []


def test_an_error_ends_every_step_that_it_leaves(heard):
    def pieces():
        with step("inner"):
            yield_from = 1 / 0
        yield yield_from

    with pytest.raises(ZeroDivisionError):
        list(streamed(Step("outer"), pieces()))
    assert heard.tree() == ["/outer", "/outer/inner"]
    assert all(isinstance(error, ZeroDivisionError) for error in heard.errors.values())
    assert heard.all_ended


def test_without_a_listener_an_answer_loads_nothing_to_listen_with(starter_folder):
    """In a process of its own, as the tests have loaded it."""
    code = (
        "import sys; from rag import open_library\n"
        f"with open_library({str(starter_folder)!r}) as library: library.ask({QUESTION!r})\n"
        "print([name for name in sys.modules if name.startswith(('llama_index', 'opentelemetry.sdk', 'prometheus'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout == "[]\n"
