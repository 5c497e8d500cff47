"""One path from question to checked answer: stages, events, abstention, a model that misbehaves."""

import dataclasses
import re
import threading
import time

import pytest

from rag import Delta, Filters, Finished, Retrieved, Turn, open_library
from rag.answerers.extractive import ExtractiveAnswerer
from rag.answerers.metadata import MetadataAnswerer
from rag.answerers.model import ModelAnswerer
from rag.assemble import open_readers
from rag.conversation import by_rules
from rag.errors import ModelRejected, ModelUnavailable, UsageError
from rag.gate import Verdict
from rag.library_parts import open_catalog
from rag.llm import ChatModel
from rag.pipeline import Answerers, Pipeline
from rag.prompts import NOT_FOUND
from rag.rewriting import by_model
from rag.settings import AnswerSettings, LLMSettings, load_settings
from tests import scripted_server as script
from tests.scripted_server import serving

QUESTION = "How long did it take to train the big Transformer?"
GOOD = "The big Transformer was trained for 3.5 days on 8 P100 GPUs [1]."


@pytest.fixture(scope="module")
def readers(starter_folder):
    catalog = open_catalog(starter_folder)
    opened = open_readers(starter_folder, load_settings(gate={"enabled": False}), catalog)
    yield opened
    opened.close()
    catalog.close()


class FixedGate:
    """A gate whose verdict is given."""

    def __init__(self, verdict):
        self.verdict = verdict

    def judge(self, question, hits, sentences, understanding):
        return self.verdict


def pipeline(readers, *, model=None, gate=None, condenser=by_rules, **settings):
    return Pipeline(
        readers.retriever,
        gate,
        Answerers(ExtractiveAnswerer(), MetadataAnswerer(), model),
        encoder=readers.pipeline.encoder,
        settings=AnswerSettings.model_validate(settings),
        condenser=condenser,
    )


def answerer(server, **changes):
    given = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url, "timeout": 60.0, "retries": 0}
    return ModelAnswerer(ChatModel.from_settings(LLMSettings.model_validate(given | changes)))


# --- a paper that was chosen ---


def only_bert(starter):
    return Filters(only=tuple(paper.id for paper in starter.papers() if paper.title.startswith("BERT:")))


def test_a_pronoun_means_the_paper_that_was_chosen_before_anything_was_asked(starter):
    for extractive in (False, True):
        answer = starter.ask("What does it do?", filters=only_bert(starter), extractive=extractive)
        assert answer.searched == "What does BERT do?"
        assert answer.abstained is None
        assert {citation.title.partition(":")[0] for citation in answer.citations} == {"BERT"}


@pytest.mark.parametrize("before", ["What is GloVe?", "What is the boiling point of lead?"])
def test_a_pronoun_means_the_paper_that_was_chosen_since_the_last_answer(starter, before):
    last = starter.ask(before)
    answer = starter.ask("What does it do?", filters=only_bert(starter), history=[Turn(before, last)])
    assert answer.searched == "What does BERT do?"
    assert answer.filters == only_bert(starter)
    assert answer.abstained is None


@pytest.mark.loopback
def test_the_model_need_not_guess_which_paper_was_chosen(starter_folder, starter, loopback):
    with serving(script.says("BERT is pre-trained on unlabeled text [1].")) as server:
        llm = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url, "retries": 0}
        with open_library(starter_folder, llm=llm, gate={"enabled": False}, answer={"repair": False}) as library:
            last = starter.ask("What is GloVe?")
            answer = library.ask("What does it do?", filters=only_bert(starter), history=[Turn("GloVe?", last)])
    assert answer.searched == "What does BERT do?"
    assert len(server.requests) == 1


# --- without a model ---


def test_answer_is_frozen_cited_and_timed(readers):
    answer = pipeline(readers).ask(QUESTION)
    assert "3.5 days" in answer.text
    assert answer.sources[0].paper.title == "Attention Is All You Need"
    assert answer.mode == "extractive"
    assert answer.abstained is None
    assert {"condense", "retrieve", "gate", "answer", "check", "total"} <= answer.timings.keys()
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.text = "other"


def test_events_come_in_order_and_replay(readers):
    stream = pipeline(readers).stream(QUESTION)
    first, again = list(stream), list(stream)
    assert isinstance(first[0], Retrieved)
    assert all(isinstance(event, Delta) for event in first[1:-1])
    assert isinstance(first[-1], Finished)
    assert first == again
    assert stream.result() is first[-1].answer


def test_deltas_add_up_to_the_answer(readers):
    events = list(pipeline(readers).stream(QUESTION))
    written = "".join(event.text for event in events if isinstance(event, Delta))
    assert re.sub(r"\[\d+\]", "", written) == re.sub(r"\[\d+\]", "", events[-1].answer.text)


def test_ask_is_the_result_of_the_stream(readers):
    line = pipeline(readers)
    asked, streamed = line.ask(QUESTION), line.stream(QUESTION).result()
    assert dataclasses.replace(asked, timings={}) == dataclasses.replace(streamed, timings={})


def test_every_sentence_is_supported_and_quotes_have_exact_offsets(readers):
    for question in (QUESTION, "Which papers are about dense retrieval?", "What does dropout cost?"):
        answer = pipeline(readers).ask(question)
        papers = {source.paper.id: source.paper for source in answer.sources}
        assert answer.sentences
        assert all(sentence.supported and sentence.markers for sentence in answer.sentences)
        for citation in answer.citations:
            assert papers[citation.paper_id].abstract[citation.start : citation.end] == citation.quote
            assert citation.support > 0.9


def test_sources_are_numbered_in_reading_order(readers):
    answer = pipeline(readers).ask("Which papers are about dense retrieval?")
    shown = list(dict.fromkeys(re.findall(r"\[(\d+)\]", answer.text)))
    assert shown == [str(source.marker) for source in answer.sources] == sorted(shown, key=int)
    assert len(answer.sources) > 1


@pytest.mark.parametrize("question", ["", "   ", "\n\t"])
def test_empty_question_is_a_usage_error(readers, question):
    with pytest.raises(UsageError, match="empty"):
        pipeline(readers).stream(question)


def test_endless_question_is_a_usage_error(readers):
    with pytest.raises(UsageError, match="4,000") as caught:
        pipeline(readers).stream("why " * 1001)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("question", ["?", "the of and", "日本語の質問", "a" * 4000, "[1] [2]", "<b>x</b> ${y} %s {z}"])
def test_any_other_question_gets_an_answer_or_an_abstention(readers, question):
    answer = pipeline(readers).ask(question)
    assert answer.text
    assert answer.question == question


def test_closed_gate_abstains_with_the_reason_and_the_nearest_papers(readers):
    gate = FixedGate(Verdict(answerable=False, probability=0.1, reason="none of the abstracts mentions 'yaks'"))
    answer = pipeline(readers, gate=gate).ask("Do Transformers like yaks?")
    assert answer.abstained == "none of the abstracts mentions 'yaks'"
    assert "none of the abstracts mentions 'yaks'" in answer.text
    assert not re.search(r"\[\d+\]", answer.text)
    assert answer.citations == answer.sentences == ()
    assert 1 <= len(answer.sources) <= 5
    assert all(source.paper.title in answer.text for source in answer.sources)
    assert answer.confidence == 0.1


def test_filter_that_nothing_passes_abstains_and_says_so(readers):
    answer = pipeline(readers).ask("attention", filters=Filters(year_from=1800, year_to=1801))
    assert answer.abstained
    assert answer.sources == ()


def test_metadata_question_is_answered_from_the_record(readers):
    answer = pipeline(readers, gate=FixedGate(Verdict(answerable=False, probability=0.0, reason="no"))).ask(
        "Who wrote the paper Attention Is All You Need?"
    )
    assert "Ashish Vaswani" in answer.text
    citation = answer.citations[0]
    assert (citation.start, citation.end) == (0, 0)
    assert citation.quote.startswith("Authors: ")


def test_follow_up_is_completed_from_the_history(readers):
    line = pipeline(readers)
    first = line.ask("How does LoRA adapt a language model?")
    answer = line.ask("And does it add inference latency?", history=[Turn(first.question, first)])
    assert "no inference latency" in answer.text
    assert answer.searched != answer.question
    assert {source.paper.id for source in answer.sources} == {first.sources[0].paper.id}


def test_model_mode_without_a_model_is_a_usage_error(readers):
    with pytest.raises(UsageError, match="no model"):
        pipeline(readers, mode="llm")


# --- with a model ---


@pytest.fixture
def loopback(socket_enabled):
    """Marks a test that talks to the scripted server."""


@pytest.mark.loopback
def test_model_answer_is_checked_and_named(readers, loopback):
    with serving(script.says(GOOD)) as server:
        answer = pipeline(readers, model=answerer(server)).ask(QUESTION)
    assert answer.text == GOOD
    assert (answer.mode, answer.model, answer.prompt_version) == ("llm", "scripted", "answer-2")
    assert answer.usage == {"prompt": 321, "completion": 12}
    assert answer.citations[0].supported
    assert answer.citations[0].title == "Attention Is All You Need"


@pytest.mark.loopback
def test_prompt_fences_numbered_passages_with_an_unforeseeable_tag(readers, loopback):
    with serving(script.says(GOOD)) as server:
        line = pipeline(readers, model=answerer(server))
        line.ask(QUESTION)
        line.ask(QUESTION)
    fences = []
    for request in server.requests:
        system, user = (message["content"] for message in request["messages"])
        fence = re.search(r'<(passage-[0-9a-f]{12}) id="1">', user).group(1)
        fences.append(fence)
        assert user.count(f"</{fence}>") == user.count(f"<{fence} ") >= 3
        assert NOT_FOUND in system
        assert fence in system
        assert user.rstrip().endswith(QUESTION)
    assert fences[0] != fences[1]


@pytest.mark.loopback
def test_model_may_abstain(readers, loopback):
    with serving(script.says(f"{NOT_FOUND}: none says how much electricity was used.", size=3)) as server:
        events = list(pipeline(readers, model=answerer(server)).stream(QUESTION))
    answer = events[-1].answer
    assert answer.abstained == "according to the model, none says how much electricity was used"
    assert answer.mode == "llm"
    written = "".join(event.text for event in events if isinstance(event, Delta))
    assert NOT_FOUND not in written
    assert written == answer.text


@pytest.mark.loopback
def test_answer_that_is_partly_missing_keeps_its_cited_part(readers, loopback):
    with serving(script.says(f"{GOOD} {NOT_FOUND}: the electricity used.")) as server:
        answer = pipeline(readers, model=answerer(server)).ask(QUESTION)
    assert answer.text == GOOD
    assert answer.abstained is None


@pytest.mark.loopback
@pytest.mark.parametrize("size", [1, 2, 3, 5, 50])
def test_stream_never_shows_half_a_marker_or_a_dangling_one(readers, loopback, size):
    said = (
        "It took 3.5 days [1, 2] on 8 P100 GPUs【1】. It was good [77]. See [Smith 2020] ![x](http://evil.example/p)."
    )
    with serving(script.says(said, size=size)) as server:
        deltas = [
            event.text
            for event in pipeline(readers, model=answerer(server)).stream(QUESTION)
            if isinstance(event, Delta)
        ]
    for delta in deltas:
        assert delta.count("[") == delta.count("]"), delta
    written = "".join(deltas)
    assert "[77]" not in written
    assert "evil" not in written
    assert "Smith" not in written
    assert "[1][2]" in written


@pytest.mark.loopback
def test_links_images_and_html_of_the_model_are_removed(readers, loopback):
    said = (
        "It took [3.5 days](https://evil.example/a?q=1) [1]. ![track](https://evil.example/pixel.png) <img"
        " src=x onerror=y> "
        "Visit https://evil.example/now or www.evil.example. <script>alert(1)</script><b>Done</b> if p < 0.05 [1]."
    )
    with serving(script.says(said)) as server:
        text = pipeline(readers, model=answerer(server)).ask(QUESTION).text
    assert "evil" not in text
    assert not re.search(r"</?\w+|!\[|\]\(|alert", text)
    assert "3.5 days" in text
    assert "Done" in text
    assert "p < 0.05" in text


@pytest.mark.loopback
def test_reasoning_block_of_a_model_is_not_shown(readers, loopback):
    with serving(script.says(f"<think>The user wants [1] it.</think>\n{GOOD}", size=4)) as server:
        events = list(pipeline(readers, model=answerer(server)).stream(QUESTION))
    assert events[-1].answer.text == GOOD
    assert "user wants" not in "".join(event.text for event in events if isinstance(event, Delta))


@pytest.mark.loopback
def test_answer_cut_at_max_tokens_keeps_whole_sentences_and_says_so(readers, loopback):
    with serving(script.says(f"{GOOD} And then the", finish="length")) as server:
        answer = pipeline(readers, model=answerer(server)).ask(QUESTION)
    assert answer.text == GOOD
    assert any("max_tokens" in note for note in answer.notes)


@pytest.mark.loopback
@pytest.mark.parametrize(
    "step",
    [
        pytest.param(script.fails(500), id="500"),
        pytest.param(script.fails(401), id="401"),
        pytest.param(script.fails(404), id="404"),
        pytest.param(script.fails(429, headers={"Retry-After": "900"}), id="429"),
        pytest.param(script.cuts("It took"), id="cut"),
        pytest.param(script.babbles(), id="no JSON"),
        pytest.param(script.says(""), id="empty"),
        pytest.param(script.says("![only](http://evil.example/image)"), id="nothing left"),
    ],
)
def test_failing_model_gives_an_extractive_answer_with_a_note(readers, loopback, step):
    with serving(step) as server:
        answer = pipeline(readers, model=answerer(server)).ask(QUESTION)
    assert "3.5 days" in answer.text
    assert answer.mode == "extractive"
    assert "extractive" in answer.notes[0]


@pytest.mark.loopback
@pytest.mark.parametrize(("step", "error"), [(script.fails(500), ModelUnavailable), (script.fails(401), ModelRejected)])
def test_without_fall_back_the_failure_is_raised(readers, loopback, step, error):
    with serving(step) as server, pytest.raises(error):
        pipeline(readers, model=answerer(server), fall_back=False).ask(QUESTION)


@pytest.mark.loopback
def test_small_window_trims_passages_but_never_the_question(readers, loopback):
    question = f"{QUESTION} {'Please be exact. ' * 20}".strip()
    with serving(script.says(GOOD)) as server:
        pipeline(readers, model=answerer(server, context_window=1024, max_tokens=64)).ask(question)
        pipeline(readers, model=answerer(server, context_window=16_000, max_tokens=64)).ask(question)
    small, large = (request["messages"][1]["content"] for request in server.requests)
    assert question in small
    assert 1 <= small.count("</passage-") < large.count("</passage-")


@pytest.mark.loopback
def test_too_small_a_window_is_an_error_before_any_call(readers, loopback):
    with serving(script.says(GOOD)) as server:
        model = answerer(server, context_window=1024, max_tokens=1000)
        with pytest.raises(ModelRejected, match="context_window"):
            pipeline(readers, model=model, fall_back=False).ask(QUESTION)
    assert server.requests == []


@pytest.mark.loopback
def test_extractive_mode_never_calls_the_model(readers, loopback):
    with serving(script.says(GOOD)) as server:
        answer = pipeline(readers, model=answerer(server), mode="extractive").ask(QUESTION)
    assert answer.mode == "extractive"
    assert server.requests == []


@pytest.mark.loopback
def test_closed_gate_spares_the_model(readers, loopback):
    gate = FixedGate(Verdict(answerable=False, probability=0.1, reason="no"))
    with serving(script.says(GOOD)) as server:
        assert pipeline(readers, model=answerer(server), gate=gate).ask(QUESTION).abstained == "no"
    assert server.requests == []


@pytest.mark.loopback
def test_closing_the_stream_hangs_up_on_the_model(readers, loopback):
    with serving(script.says("word " * 9000, size=5, pause=0.01)) as server:
        stream = pipeline(readers, model=answerer(server)).stream(QUESTION)
        with stream:
            next(event for event in stream if isinstance(event, Delta))
        assert server.disconnected.wait(30)
    assert not any(isinstance(event, Finished) for event in stream)
    with pytest.raises(UsageError, match="stopped"):
        stream.result()


@pytest.mark.loopback
def test_stream_can_be_closed_by_another_thread(readers, loopback):
    asked = threading.Event()
    with serving(script.telling(asked, script.stalls("Well", seconds=60))) as server:
        stream = pipeline(readers, model=answerer(server, timeout=60)).stream(QUESTION)
        threading.Thread(target=lambda: asked.wait(60) and stream.close()).start()
        began = time.monotonic()
        events = list(stream)
    assert time.monotonic() - began < 30
    assert not any(isinstance(event, Finished) for event in events)


@pytest.mark.loopback
def test_history_reaches_the_model_without_markers(readers, loopback):
    with serving(script.says(GOOD)) as server:
        line = pipeline(readers, model=answerer(server))
        first = line.ask(QUESTION)
        line.ask("And what BLEU did it reach?", history=[Turn(first.question, first)])
    told = server.requests[1]["messages"][1]["content"]
    assert f"Asked before: {QUESTION}" in told
    assert "P100 GPUs." in told


@pytest.mark.loopback
def test_model_can_condense_a_follow_up(readers, loopback):
    rewritten = "How many GPUs trained the big Transformer?"
    with serving(script.says(GOOD), script.says(f'"{rewritten}"\n'), script.says(GOOD)) as server:
        model = answerer(server)
        line = pipeline(readers, model=model, condenser=by_model(model._model))
        first = line.ask(QUESTION)
        answer = line.ask("And how many of them?", history=[Turn(first.question, first)])
    assert answer.searched == rewritten
    assert answer.question == "And how many of them?"


@pytest.mark.loopback
def test_failing_condenser_falls_back_to_the_rules(readers, loopback):
    with serving(script.fails(500)) as server:
        condense = by_model(answerer(server)._model)
        first = pipeline(readers).ask("How does LoRA adapt a language model?")
        history = [Turn(first.question, first)]
        assert condense("Does it add latency?", Filters(), history) == by_rules(
            "Does it add latency?", Filters(), history
        )
