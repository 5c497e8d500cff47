"""Cases made from a library: true of its papers, the same every time, and nothing made up."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from eval import Case, load_cases
from eval.making.by_model import cases_by_model
from eval.making.by_rules import cases_by_rules
from eval.making.from_feedback import Feedback, cases_from_feedback, read_feedback
from eval.making.names import Texts, mentions, title_name
from eval.making.near_misses import aspect_cases, swapped_cases
from eval.making.rules import gap_cases
from eval.measures.facts import says
from rag import Library, open_library
from rag.answers import Filters
from rag.cli import run as citewise
from rag.errors import CitewiseError, InputError
from rag.llm import ChatModel
from rag.papers import Paper
from rag.settings import LLMSettings, PriceSettings
from rag.spending import Tally
from tests import scripted_server as script
from tests.scripted_server import ScriptedServer, Step, serving

pytest.importorskip("ir_measures")


@pytest.fixture(scope="module")
def made(starter: Library) -> list[Case]:
    return cases_by_rules(starter.papers(), n=100)


def of_kind(made: list[Case], kind: str) -> list[Case]:
    return [case for case in made if kind in case.tags]


def test_every_kind_is_made_and_a_third_is_unanswerable(made: list[Case]):
    kinds = Counter(case.tags[-1] for case in made)
    assert set(kinds) == {"gap", "definition", "naming", "record", "unsaid", "swapped"}
    assert min(kinds.values()) >= 5
    assert 0.25 <= sum(not case.answerable for case in made) / len(made) <= 0.4
    assert len({case.id for case in made}) == len({case.question for case in made}) == len(made)


def test_a_gap_is_filled_by_its_paper_and_not_given_away(made: list[Case], starter: Library):
    for case in of_kind(made, "gap"):
        paper = starter.paper(case.relevant[0])
        assert paper
        [[number]] = case.facts
        assert case.answer in paper.abstract
        assert says(paper.abstract, (number,))
        assert not says(case.question, (number,)), case.question
        assert case.question.count("____") == 1


@pytest.mark.parametrize(
    ("sentence", "number"),
    [
        ("In our tests the parser reached 91.5 points (see 1934, 1935) on the lists of words.", "91.5"),
        ("All of the training was done within days on one IBM 7090 by 34 people.", "34"),
        ("Many programs ran on the old 360/67 machine for 12 hours before they gave up.", "12"),
        ("The net was trained on a single GeForce RTX 4090 card in the end.", None),
        ("The dates that stand in the record (1812, and so on) are those of the two wars.", "1812"),
    ],
)
def test_the_number_left_out_is_whole_and_no_part_of_a_name(sentence: str, number: str | None):
    made = list(gap_cases([Paper("p", "A title", sentence)]))
    assert [case.facts for case in made] == ([((number,),)] if number else [])


def test_a_near_miss_is_only_asked_of_what_it_makes_sense_for():
    dataset = Paper("d", "QUAIL: a dataset of birds", "QUAIL has songs to train on. Models score 9% on SONGS-1.")
    language = Paper("l", "LG: a language for geometry", "LG draws curves from short programs. LG is new.")
    network = Paper("n", "LOON: a network for birds", "LOON is trained on songs. It improves on DUCK-2 by 9%.")
    papers = [dataset, language, network]
    texts = Texts(papers)
    # A dataset or a language is not trained; DUCK-2 is a rival, not a dataset.
    assert [case.question for case in swapped_cases(papers, texts)] == ["Which score does LOON reach on SONGS-1?"]
    every = [case for turn in range(10) for case in aspect_cases([*[network] * turn, *papers], texts)]
    assert {case.about[0].partition(":")[0] for case in every} == {"QUAIL", "LG", "LOON"}
    trained = {case.about[0] for case in every if re.search("train|GPU|experiment", case.question)}
    assert trained == {network.title}


def test_names_and_records_are_those_of_the_paper(made: list[Case], starter: Library):
    for case in of_kind(made, "record"):
        paper = starter.paper(case.relevant[0])
        assert paper
        record = " ".join([*paper.authors, str(paper.year), paper.venue or "", paper.date or ""])
        assert all(says(record, fact) for fact in case.facts), case
    for case in of_kind(made, "definition"):
        paper = starter.paper(case.relevant[0])
        assert paper
        assert case.answer in paper.abstract


def test_a_near_miss_names_a_paper_that_lacks_the_words_of_an_answer(made: list[Case], starter: Library):
    papers = list(starter.papers())
    for case in [*of_kind(made, "unsaid"), *of_kind(made, "swapped")]:
        name = case.about[0].partition(":")[0]
        assert mentions(case.question, name)
        speaking = [paper for paper in papers if mentions(f"{paper.title}\n{paper.abstract}", name)]
        assert speaking
        for paper in speaking:
            for word in case.absent:
                assert not re.search(rf"(?<!\w){re.escape(word)}", f"{paper.title}\n{paper.abstract}", re.IGNORECASE)


def test_the_same_seed_makes_the_same_cases_whatever_the_order_of_the_papers(made: list[Case], starter: Library):
    papers = list(starter.papers())
    assert cases_by_rules(reversed(papers), n=100) == made
    assert cases_by_rules(papers, n=100, seed=1) != made
    assert len(cases_by_rules(papers, n=7)) == 7


def test_papers_that_say_nothing_askable_are_one_clear_line():
    with pytest.raises(InputError, match="no question can be made"):
        cases_by_rules([Paper("a", "A short note", "It is so.", untitled=True)])


def test_the_command_writes_cases_that_run_and_does_not_overwrite(
    starter_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "mine.jsonl"
    make = ["eval", "make", str(out), "-n", "20", "--library", str(starter_folder)]
    assert citewise(make) == 0
    assert "20 cases (gap 7" in capsys.readouterr().out
    assert len(load_cases(out)) == 20
    assert citewise(make) == 2
    assert "exists; give another name" in capsys.readouterr().err
    run = [
        "eval",
        "run",
        str(out),
        "--library",
        str(starter_folder),
        "--config",
        "eval",
        "--out",
        str(tmp_path / "run"),
    ]
    assert citewise([*run, "--gate", "success@5>=0.9"]) == 0


BERT = Paper("bert", "BERT", "BERT reads text from both sides. BERT-large has 340 million parameters in all.")
GLOVE = Paper("glove", "GloVe", "GloVe learns word vectors from counts. Its largest corpus has 42 billion tokens.")
GOOD = {"question": "How large is BERT-large?", "answer": "It has 340 million parameters.", "facts": ["340 million"]}


def drafted(*steps: Step, papers: tuple[Paper, ...] = (BERT, GLOVE), n: int = 1):
    with serving(*steps) as server:
        return cases_by_model(papers, model_on(server), n=n)


def model_on(server: ScriptedServer) -> ChatModel:
    return ChatModel.from_settings(
        LLMSettings(kind="openai-like", model="m", base_url=server.base_url, timeout=5, retries=0)
    )


@pytest.mark.loopback
@pytest.mark.usefixtures("socket_enabled")
def test_a_limit_on_cost_ends_the_work_and_keeps_the_questions_made_so_far():
    price = PriceSettings(input=1000.0, output=1000.0)
    answers = (draft(), script.says("BERT-large has 340 million parameters."), script.says("NOT SAID"))
    session = Tally(1.2)  # three calls of $0.333, and less than a fourth could cost
    with serving(*answers) as server:
        settings = LLMSettings(kind="openai-like", model="m", base_url=server.base_url, retries=0, max_tokens=100)
        model = ChatModel.from_settings(settings, prices={"m": price}, session=session)
        made = cases_by_model([BERT, replace(BERT, id="b2"), replace(BERT, id="b3")], model, n=3)
        assert len(server.requests) == 3
    assert session.spent < 1.2
    assert len(made.cases) == 1
    assert "max-cost" in (made.stopped or "")


def draft(**changed: object) -> Step:
    return script.says(json.dumps({**GOOD, **changed}))


@pytest.mark.loopback
@pytest.mark.usefixtures("socket_enabled")
def test_a_question_is_kept_when_it_survives_the_round_trip():
    answers = (script.says("BERT-large has 340 million parameters."), script.says("NOT SAID"))
    made = drafted(draft(), *answers, papers=(BERT,))
    [case] = made.cases
    assert (case.relevant, case.facts, case.answerable) == (("bert",), (("340 million",),), True)
    with serving(draft(), *answers) as server:
        cases_by_model([BERT, GLOVE], model_on(server), n=1)
        asked = [json.loads(item["messages"][1]["content"]) for item in server.requests]
    texts = [item["text"].partition(".")[0] for item in asked[1:]]
    assert sorted(texts) == ["BERT", "GloVe"], "asked back from its own abstract and from another"


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ((script.says("Sure! Here is one."),), "not the JSON"),
        ((draft(facts=[]),), "not the JSON"),
        ((draft(question="How large is the model of this paper?"),), "cannot see"),
        ((draft(facts=["341 million"]),), "'341 million' does not stand in the abstract"),
        ((draft(question="Does BERT-large have 340 million parameters?"),), "gives the fact '340 million' away"),
        (
            (draft(question="Is it so that BERT reads text from both sides. BERT-large has how many?"),),
            "copies 8 words",
        ),
        ((draft(), script.says("It has many.")), "does not say '340 million'"),
        (
            (draft(), script.says("340 million."), script.says("It has 42 billion.")),
            "answers it from another paper",
        ),
        ((script.fails(500),), "overloaded"),
    ],
)
@pytest.mark.usefixtures("socket_enabled")
def test_a_question_that_fails_a_check_is_rejected_with_the_reason(steps: tuple[Step, ...], reason: str):
    only = (BERT, Paper("short", "Short", "One sentence only."))
    papers = (BERT, BERT_TOO) if "another" in reason else only
    with pytest.raises(CitewiseError, match=re.escape(reason)):
        drafted(*steps, papers=papers)


BERT_TOO = Paper("bert-too", "BERT", BERT.abstract)


def record(text: str, *cited: str, abstained: str | None = None, before: tuple[str, ...] = ()) -> str:
    answer = {"text": text, "abstained": abstained, "citations": [{"paper_id": paper} for paper in cited]}
    earlier = [{"question": question, "answer": {"text": "Yes."}} for question in before]
    return json.dumps({"format": 1, "before": earlier, "exchanges": [{"question": "q", "answer": answer}]})


def test_an_answer_liked_becomes_a_case_with_its_papers_and_history():
    liked = Feedback("How large?", record("It has 340M [1]. Or 110M [1, 2].", "bert", "glove", before=("What?",)), "up")
    [case] = cases_from_feedback([liked]).cases
    assert case.relevant == ("bert", "glove")
    assert case.answer == "It has 340M. Or 110M."
    assert [turn.question for turn in case.history] == ["What?"]
    assert case.answerable


def test_an_abstention_liked_makes_the_question_unanswerable():
    [case] = cases_from_feedback([Feedback("Who paid?", record("Not said.", abstained="not said"), "up")]).cases
    assert (case.answerable, case.relevant, case.answer) == (False, (), "")


def test_an_answer_disliked_is_left_to_a_person_and_cannot_be_run_by_mistake(tmp_path: Path):
    made = cases_from_feedback([Feedback("How large?", record("It is [1].", "bert"), "down", "the size is missing")])
    assert made.cases == ()
    [row] = made.open
    assert (row["note"], row["answer_given"]) == ("the size is missing", "It is [1].")
    path = tmp_path / "open.jsonl"
    path.write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(InputError, match=r"open\.jsonl:1: answerable"):
        load_cases(path)


def test_the_last_vote_counts():
    votes = [
        Feedback("Q?", record("Old [1].", "bert"), "up", at=1.0),
        Feedback("Q?", record("New [1].", "glove"), "up", at=2.0),
        Feedback("Q?", record("Elsewhere [1].", "bert", before=("P?",)), "up", at=0.5),
    ]
    assert [case.answer for case in cases_from_feedback(reversed(votes)).cases] == ["Elsewhere.", "New."]


def test_a_vote_keeps_its_filters_and_a_case_its_name_when_others_come():
    narrowed = json.loads(record("It has 340M [1].", "bert", before=("What?",)))
    narrowed["exchanges"][0]["filters"] = {"year_from": 2018, "venues": [], "only": ["bert"], "has_code": None}
    narrowed["before"][0]["given"] = {"year_to": 2019}
    vote = Feedback("How large?", json.dumps(narrowed), "up", at=2.0)
    plain = Feedback("How large?", record("It has 110M [1].", "bert"), "up", at=1.0)
    [case] = cases_from_feedback([vote]).cases
    assert case.filters == Filters(year_from=2018, only=("bert",))
    assert case.history[0].filters == Filters(year_to=2019)
    other, same = cases_from_feedback([plain, vote]).cases
    assert same == case
    assert other.id != case.id


@pytest.mark.parametrize("broken", ["", "[]", '{"exchanges": []}', '{"before": 3}'])
def test_a_broken_record_is_one_clear_line(broken: str):
    with pytest.raises(InputError, match="the record of the answer to 'Q"):
        cases_from_feedback([Feedback("Q?", broken, "up")])


def test_votes_on_the_page_become_cases(starter_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from ui.conversation import Chat, Talk

    assert read_feedback(starter_copy) == []
    with open_library(starter_copy) as library:
        chat = Chat(library)
        talk = Talk()
        for question, rating, remark in (("What is BERT?", 1, ""), ("How large is it?", -1, "give both sizes")):
            talk = [step for step in chat.ask(question, talk, session="s", owner="") if step.talk][-1].talk
            chat.judge(talk, len(talk.exchanges) - 1, "", rating=rating, remark=remark)
    out = tmp_path / "votes.jsonl"
    assert citewise(["eval", "make", str(out), "--by", "votes", "--library", str(starter_copy)]) == 0
    [case] = load_cases(out)
    assert (case.question, case.tags) == ("What is BERT?", ("feedback", "up"))
    [row] = map(json.loads, (tmp_path / "votes.open.jsonl").read_text(encoding="utf-8").splitlines())
    assert (row["question"], row["note"]) == ("How large is it?", "give both sizes")
    assert [turn["question"] for turn in row["history"]] == ["What is BERT?"]
    assert "1 votes to complete by hand" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("title", "abstract", "name"),
    [
        ("GloVe: global vectors", "We train GloVe.", "GloVe"),
        ("Local SGD: fewer rounds", "We study local SGD.", "Local SGD"),
        ("Beta Shapley: fair shares", "We propose Beta Shapley.", "Beta Shapley"),
        ("Representation Learning: a review", "We review representation learning.", None),
        ("GloVe: global vectors", "We train vectors.", None),
    ],
)
def test_a_name_in_a_title_is_a_method_and_not_a_field(title: str, abstract: str, name: str | None):
    assert title_name(Paper("p", title, abstract)) == name
