"""Several questions in one, two sides of a comparison: taken apart, and answered each with its citations."""

import pytest

from rag import Delta, open_library
from rag.question_parts import parts_of, sides_of
from tests import scripted_server as script
from tests.scripted_server import serving


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("What is HNSW and what does ReAct do?", ("What is HNSW?", "what does ReAct do?")),
        ("When did WGAN come out and is it older than SODA?", ("When did WGAN come out?", "is WGAN older than SODA?")),
        ("What is LoRA, and when was it published?", ("What is LoRA?", "when was LoRA published?")),
        ("Who wrote BERT? What is dropout?", ("Who wrote BERT?", "What is dropout?")),
        ("Who wrote BERT? Who wrote GPT-3?", ("Who wrote BERT?", "Who wrote GPT-3?")),
        ("Who wrote BERT and what does it do?", ("Who wrote BERT?", "what does BERT do?")),
        ("Explain dropout. What is HNSW?", ("Explain dropout?", "What is HNSW?")),
        ("Hello, what is LoRA and who wrote BERT?", ("what is LoRA?", "who wrote BERT?")),
    ],
)
def test_questions_joined_in_one_are_told_apart_and_made_whole(question, parts):
    assert tuple(part.question for part in parts_of(question)) == parts


@pytest.mark.parametrize(
    "question",
    [
        "What is dropout?",
        "What is dropout and why does it help?",
        "What is C4 and how large is it?",
        "Which methods use few labels and do well?",
        "Who wrote Fact or Fiction and where is the code?",
        "When and where was BERT published?",
        "Who wrote Deep Networks and What They Say?",
        "Who wrote Are We There Yet? What Is Left to Do?",
        "What is the oldest paper on latent meaning, and when did it appear?",
        "How long did it take to train the big Transformer, and on what hardware?",
        "Which is older, BERT or GPT-3?",
        "and? and? and?",
    ],
)
def test_one_question_stays_one(question):
    assert parts_of(question) == ()


@pytest.mark.parametrize(
    ("question", "sides"),
    [
        ("compare pruning and distillation", ("pruning", "distillation")),
        ("What is the difference between the CBOW and skip-gram?", ("CBOW", "skip-gram")),
        ("dropout vs. batch normalization", ("dropout", "batch normalization")),
        ("How do GANs and VAEs differ?", ("GANs", "VAEs")),
        ("Hi, compare pruning and distillation", ("pruning", "distillation")),
        ("compare them", ()),
        ("compare the first two", ()),
        ("Compare the number of images used to pre-train CLIP and ViT", ()),
        ("How does t-SNE compare with UMAP in speed?", ()),
    ],
)
def test_the_sides_of_a_comparison_are_told(question, sides):
    assert tuple(side.told for side in sides_of(question)) == sides


def titles(answer):
    return [source.paper.title.partition(":")[0] for source in answer.sources]


def test_two_questions_in_one_are_both_answered_with_citations(starter):
    answer = starter.ask("What is HNSW and what does ReAct do?")
    assert answer.abstained is None
    assert [title[:9] for title in titles(answer)] == ["Efficient", "ReAct"]
    assert all(sentence.supported and sentence.markers for sentence in answer.sentences)
    assert "\nReAct prompts a language model" in answer.text
    for citation in answer.citations:
        paper = next(source.paper for source in answer.sources if source.paper.id == citation.paper_id)
        assert paper.abstract[citation.start : citation.end] == citation.quote


@pytest.mark.parametrize("known", ["What is HNSW", "What is dropout"])
def test_the_question_that_is_not_answered_is_named(starter, known):
    answer = starter.ask(f"{known} and what does SODA do?")
    assert answer.abstained is None
    assert len(answer.sources) == 1
    assert any("“what does SODA do?”" in note and "mentions “SODA”" in note for note in answer.notes)


def test_two_questions_without_an_answer_are_declined_once(starter):
    answer = starter.ask("What is Zorglub and what does SODA do?")
    assert answer.abstained
    assert answer.citations == ()


def test_records_and_contents_are_told_in_one_answer(starter):
    answer = starter.ask("Who wrote BERT and what does it do?")
    assert "Jacob Devlin" in answer.text
    assert "BERT pre-trains a Transformer encoder" in answer.text
    assert titles(answer) == ["BERT"]


def test_a_date_and_an_order_are_both_told_from_the_records(starter):
    answer = starter.ask("When did BERT come out and is it older than GPT-3?")
    assert "is older than the other: it is dated 11 October 2018" in answer.text
    assert len(titles(answer)) == 2


def test_a_count_of_the_library_and_a_topic_are_both_told(starter):
    answer = starter.ask("How many papers are there and what is dropout?")
    assert "This library holds 64 papers" in answer.text
    assert "Dropout is a regulariser" in answer.text
    assert all(sentence.supported for sentence in answer.sentences)


def test_both_topics_that_are_compared_are_told(starter):
    answer = starter.ask("compare dropout and diffusion models")
    assert titles(answer) == ["Dropout", "Denoising Diffusion Probabilistic Models"]
    assert answer.notes == ()


def test_the_side_of_a_comparison_that_no_abstract_tells_of_is_named(starter):
    answer = starter.ask("compare pruning and diffusion")
    assert titles(answer) == ["Denoising Diffusion Probabilistic Models"]
    assert answer.notes == ("“pruning”: nothing is told of it, as none of the abstracts mentions “pruning”.",)


def test_sides_that_one_paper_tells_of_are_answered_as_one_question(starter):
    answer = starter.ask("What is the difference between CBOW and skip-gram?")
    assert len(answer.sources) == 1
    assert "two word2vec architectures" in answer.text


def test_pieces_of_an_answer_in_parts_are_those_of_the_answer(starter):
    events = list(starter.stream("What is HNSW and what does ReAct do?"))
    told = "".join(event.text for event in events if isinstance(event, Delta))
    assert told == events[-1].answer.text
    assert {hit.paper.id for hit in events[0].hits} >= {source.paper.id for source in events[-1].answer.sources}


@pytest.mark.loopback
def test_a_model_is_given_the_papers_of_all_parts_in_one_call(starter_folder, socket_enabled):
    said = (
        "HNSW is an index for approximate nearest-neighbour search [1]. ReAct writes reasoning traces and actions [2]."
    )
    with serving(script.says(said)) as server:
        llm = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url, "retries": 0}
        with open_library(starter_folder, llm=llm, answer={"repair": False}) as library:
            answer = library.ask("What is HNSW and what does ReAct do?")
    assert len(server.requests) == 1
    assert answer.mode == "llm"
    assert [title[:9] for title in titles(answer)] == ["Efficient", "ReAct"]
