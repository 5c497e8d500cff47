"""The gate: when it abstains, and that its reasons are true."""

import json
from dataclasses import replace

import numpy as np
import pytest

from eval.bench.memory import memory_parts
from rag import open_library, text
from rag.embeddings import matched_tokens
from rag.encoder.static import StaticEncoder
from rag.errors import LibraryError
from rag.gate import Gate, GateModel
from rag.gate_features import CLOSER, FEATURES, Closest, FeatureMaker, closer
from rag.gate_rules import lacks, names_unsaid
from rag.papers import Paper
from rag.questions import understand
from rag.retrieval import Retriever
from rag.settings import GateSettings

PAPERS = (
    Paper(
        "p1",
        "Top2Vec: Distributed Representations of Topics",
        "Topic models find latent themes in collections of documents. We present Top2Vec, which finds topics "
        "from joint vectors of documents and words. It needs no stop-word lists and finds 20 topics by itself.",
    ),
    Paper(
        "p2",
        "Pruning vision transformers with noise",
        "Vision transformers are slow. We drop tokens with learned noise. ImageNet accuracy falls by 0.4 percent "
        "while throughput doubles.",
    ),
    Paper(
        "p3",
        "Gradient boosting for tables",
        "Boosted trees remain strong on tabular data because they handle irregular functions. We compare with "
        "deep networks on 45 datasets.",
    ),
)


@pytest.fixture(scope="module")
def library():
    encoder = StaticEncoder.load()
    catalog, dense, lexical = memory_parts(PAPERS, encoder)
    return Retriever(catalog, dense, lexical, encoder), encoder, lexical


@pytest.fixture(scope="module")
def judge(library):
    retriever, encoder, lexical = library

    def judged(question, **settings):
        found = retriever.retrieve(question, k=8)
        gate = Gate(encoder, lexical, settings=GateSettings(**settings))
        return gate.judge(question, found.hits, found.sentences, found.understanding)

    return judged


@pytest.mark.parametrize(
    "question",
    [
        "How much does accuracy on ImageNet fall when tokens are dropped with noise?",
        "Which topic model needs no stop-word lists?",
        "Why are boosted trees strong on tabular data?",
        "What is Top2Vec?",
    ],
)
def test_answers_what_the_abstracts_say(judge, question):
    verdict = judge(question)
    assert verdict.answerable, verdict
    assert verdict.reason is None


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        ("How do bees navigate back to the hive?", "bees"),
        ("What is the boiling point of mercury?", "mercury"),
        ("How is Swahili translated into Zulu?", "Swahili"),
    ],
)
def test_abstains_from_strangers_and_names_what_is_missing(judge, question, missing):
    verdict = judge(question)
    assert not verdict.answerable, verdict
    assert missing in verdict.reason


def test_a_near_miss_is_less_probable_than_what_the_abstract_says(judge):
    said = judge("How many topics does Top2Vec find by itself?")
    unsaid = judge("How many hours of GPU time does Top2Vec need?")
    assert unsaid.probability < said.probability


def test_reason_of_a_word_that_no_abstract_has_is_true(judge):
    verdict = judge("Which learning rate does Top2Vec use in Finland?", threshold=1.0)
    assert verdict.reason.startswith("none of the abstracts mentions")
    assert "Finland" in verdict.reason
    assert all("finland" not in paper.abstract.lower() for paper in PAPERS)


def test_threshold_of_the_settings_rules(judge):
    question = "Which topic model needs no stop-word lists?"
    assert not judge(question, threshold=1.0).answerable
    assert judge("How do bees navigate back to the hive?", threshold=0.0).answerable


def test_a_switched_off_gate_answers_whatever_was_found(judge):
    assert judge("How do bees navigate back to the hive?", enabled=False).answerable


def test_nothing_found_is_never_answerable(library):
    _, encoder, lexical = library
    verdict = Gate(encoder, lexical).judge("What is it?", (), (), understand("What is it?"))
    assert not verdict.answerable
    assert verdict.reason


@pytest.mark.parametrize("question", ["", "🙂", "the of and", "x" * 5000, "topic " * 1000])
def test_any_question_is_judged(judge, question):
    assert 0 <= judge(question).probability <= 1


def names_in(tree):
    return {tree[0], *names_in(tree[2]), *names_in(tree[3])} if isinstance(tree, list) else set()


def test_shipped_model_finds_every_feature_it_asks_for(library):
    retriever, encoder, lexical = library
    found = retriever.retrieve("Does Top2Vec work?", k=3)
    evidence = FeatureMaker(encoder, lexical).evidence(found.hits, found.sentences, found.understanding)
    assert set(evidence.features) == set(FEATURES)
    model = GateModel.read()
    assert 0 < model.first.probability(evidence.features) < 1
    closer_too = evidence.features | dict.fromkeys(CLOSER, 0.5)
    assert 0 < model.second.probability(closer_too) < 1
    used = {name for tree in model.second.trees for name in names_in(tree)}
    assert used <= set(closer_too)
    assert used >= set(CLOSER)


class Matcher:
    """Finds the words of a question again in a paper as well as it is told to."""

    def __init__(self, *found):
        self.found, self.asked = found, []

    def __call__(self, question, texts):
        self.asked.append((question, texts))
        return np.array(self.found, dtype=np.float32)


def verdict_of(library, question, matcher, unsure):
    retriever, encoder, lexical = library
    found = retriever.retrieve(question, k=8)
    gate = Gate(encoder, lexical, model=replace(GateModel.read(), unsure=unsure), matched=matcher)
    return gate.judge(question, found.hits, found.sentences, found.understanding)


def test_where_the_gate_is_unsure_it_looks_closer_at_one_paper(library):
    question = "Which topic model needs no stop-word lists?"
    good, bad = Matcher(0.95, 0.9, 0.9, 0.9), Matcher(0.1, 0.9, 0.1, 0.1)
    surer, less = (verdict_of(library, question, matcher, (0.0, 1.0)) for matcher in (good, bad))
    assert surer.probability > less.probability
    [(asked, told)] = good.asked
    assert asked == question
    assert told[0] == PAPERS[0].title
    sentences = [item.text for item in text.sentences(PAPERS[0].abstract)]
    assert told[1] == sentences[2], "it says what was asked for"
    assert {*told[1:]} == {*sentences}


def test_where_the_gate_is_sure_it_does_not_look_closer(library):
    matcher = Matcher(0.1)
    question = "Which topic model needs no stop-word lists?"
    assert verdict_of(library, question, matcher, (0.5, 0.5)) == verdict_of(library, question, None, (0.0, 1.0))
    assert matcher.asked == []


def test_a_question_in_another_language_is_not_looked_at_closer(library):
    matcher = Matcher(0.1)
    verdict_of(library, "Qu'est-ce que Top2Vec ?", matcher, (0.0, 1.0))
    assert matcher.asked == []


def test_a_question_without_tokens_can_be_looked_at_closer(library):
    assert 0 <= verdict_of(library, "topics", Matcher(), (0.0, 1.0)).probability <= 1


def test_the_closer_look_sees_what_has_no_counterpart():
    told = ("Pruning vision transformers with noise", "We drop tokens with learned noise.")
    paper = Closest(PAPERS[1], (), {}, has_kind=True, told=told)
    said = closer("Are tokens dropped with noise?", paper, matched_tokens)
    unsaid = closer("Are volcanoes dropped with noise?", paper, matched_tokens)
    assert unsaid["maxsim_least"] < said["maxsim_least"]
    assert unsaid["maxsim_least_three"] < said["maxsim_least_three"]
    assert unsaid["maxsim_mean"] < said["maxsim_mean"]


def test_a_broken_model_file_is_said_in_one_line(tmp_path):
    path = tmp_path / "gate_model.json"
    path.write_text(json.dumps({"bias": 0}))
    with pytest.raises(LibraryError, match=r"gate_model\.json"):
        GateModel.read(path)


def evidence_of(library, question):
    retriever, encoder, lexical = library
    found = retriever.retrieve(question, k=8)
    return FeatureMaker(encoder, lexical).evidence(found.hits, found.sentences, found.understanding)


def test_two_things_that_are_compared_may_be_in_two_papers(library):
    together = evidence_of(library, "Compare Top2Vec and gradient boosting for tables")
    assert together.closest.uncovered == ()
    assert together.features["unsaid_name"] == 0


def test_a_name_must_be_found_whole(library):
    assert evidence_of(library, "Does Top2Vec find topics?").features["names_nowhere"] == 0
    assert evidence_of(library, "Does Top2Vec beat ImageNet-Noise?").features["names_nowhere"] == 1


def test_what_is_asked_at_the_end_and_not_said_is_seen(library):
    said = evidence_of(library, "Does Top2Vec need stop-word lists?")
    unsaid = evidence_of(library, "Does Top2Vec need volcanoes?")
    assert said.features["unsaid_last"] < unsaid.features["unsaid_last"]


def test_words_of_asking_for_the_aim_need_not_be_in_the_abstract(library):
    terms = evidence_of(library, "What problem does Top2Vec solve?").terms
    assert {term.word for term in terms}.isdisjoint({"problem", "solve"})


def test_in_contrast_says_nothing_about_contrastive_learning():
    encoder = StaticEncoder.load()
    paper = Paper("p", "Nets", "In contrast to older nets, ours are small.")
    parts = memory_parts((paper,), encoder)
    found = Retriever(*parts, encoder).retrieve("Is contrastive pre-training used?", k=3)
    evidence = FeatureMaker(encoder, parts[2]).evidence(found.hits, found.sentences, found.understanding)
    assert "contrastive" in {term.word for term in evidence.closest.uncovered}


def test_a_refusal_does_not_name_the_words_of_a_question_for_the_record(judge):
    reason = judge("What is Top2Vec and who wrote it?", threshold=1.0).reason
    assert "record" in reason
    assert "“wrote”" not in reason


# --- what is settled without the model ---

SCALES = Paper("s1", "Scaling laws", "We train GPT-3 with 175 billion parameters on WMT 2014 for 12 days.")
SILENT = Paper("s2", "Small talk", "Chatty models are said to be good company. We ask whether they are.")


@pytest.mark.parametrize(
    ("question", "unsaid"),
    [
        ("How many parameters does GPT-4 have?", ("GPT-4",)),
        ("How many parameters does GPT-3 have?", ()),
        ("What BLEU do LLMs reach on WMT14?", ()),
        ("How do GPT-3 and LightGBM differ?", ("LightGBM",)),
    ],
)
def test_a_coined_name_that_no_paper_says_is_known(question, unsaid):
    assert names_unsaid(understand(question), [SCALES, SILENT]) == unsaid


@pytest.mark.parametrize(
    ("question", "paper", "lacking"),
    [
        ("How long did training take?", SCALES, None),
        ("How long did training take?", SILENT, "gives no time for it"),
        ("How many parameters does it have?", SILENT, "gives no number for it"),
        ("How does it decide how many topics there are?", SILENT, None),
        ("How long are the inputs that it reads?", SILENT, None),
        ("What are its limitations?", SILENT, "tells no weakness of it"),
        (
            "What are its limitations?",
            Paper("s4", "T", "It had little trouble with long inputs."),
            "tells no weakness of it",
        ),
        ("What are its limitations?", Paper("s3", "T", "It lags on long inputs."), None),
        ("What does NLP mean?", Paper("s5", "T", "It solves NLP tasks."), "does not say what “NLP” stands for"),
        ("What does NLP stand for?", Paper("s6", "T", "It solves natural language processing."), None),
        ("What does WGAN mean?", Paper("s7", "Wasserstein GAN", "It trains."), None),
        ("What does HNSW mean?", Paper("s8", "T", "Layers of graphs (HNSW) are searched."), None),
        ("What does dropout mean?", Paper("s9", "T", "It trains."), None),
    ],
)
def test_a_kind_of_thing_that_a_paper_does_not_hold_is_known(question, paper, lacking):
    assert lacks(question, paper) == lacking


def test_a_name_that_no_paper_says_is_abstained_on_however_near_the_rest_is(starter):
    answer = starter.ask("How many parameters does GPT-4 have?")
    assert "none of the papers found mentions “GPT-4”" in (answer.abstained or "")
    assert answer.confidence is not None
    assert answer.confidence < GateModel.read().threshold


def test_a_paper_that_gives_no_time_does_not_answer_how_long(starter):
    assert "gives no time for it" in (starter.ask("How long did training BERT take?").abstained or "")


def test_a_gate_that_is_off_lets_all_of_this_pass(starter_folder):
    with open_library(starter_folder, gate={"enabled": False}) as library:
        assert not library.ask("How many parameters does GPT-4 have?").abstained
