"""Running, resuming, diagnosing and comparing; broken systems come out where they belong."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eval import Case, FunctionSystem, Reply, Run, compare, run
from eval.measures import named
from eval.reply import Cite, Said
from rag.answers import Filters
from rag.errors import CitewiseError, InputError, UsageError
from rag.papers import Paper
from tests import eval_fakes as fakes

pytest.importorskip("ir_measures")


def evaluated(answer: Callable[[str], object], **options: object) -> Run:
    return run(answer, fakes.CASES, papers=fakes.PAPERS, name=getattr(answer, "__name__", "system"), **options)


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    systems = (
        fakes.perfect,
        fakes.random_retriever,
        fakes.swapped_citations,
        fakes.always_abstains,
        fakes.never_abstains,
        fakes.blind_retriever,
        fakes.invents,
        fakes.cites_nothing,
        fakes.cites_too_much,
        fakes.dangles,
        fakes.rambles,
        fakes.spends,
        fakes.saves,
    )
    return {system.__name__: evaluated(system) for system in systems}


PERFECT = ["ndcg@10", "facts", "citation_recall", "citation_precision", "faithfulness", "abstain_f1", "correct"]


@pytest.mark.parametrize("name", PERFECT)
def test_a_perfect_system_gets_a_perfect_score(runs: dict[str, Run], name: str):
    assert runs["perfect"].value(name) == 1.0
    assert runs["perfect"].summary["diagnosis"] == {}


# A broken system, what gets worse by it beyond chance, and what it leaves as it is.
BROKEN = [
    (
        "random_retriever",
        # Of ten papers a random five hold the right one half of the time: recall@5 alone is too coarse here.
        ["ndcg@10", "success@1", "rr", "map", "facts", "token_f1", "rouge_l", "correct", "aurc"],
        ["abstain_f1", "cited", "citation_recall"],  # what it says, it says of the paper that it cites
    ),
    (
        "blind_retriever",
        ["ndcg@10", "recall@5", "recall@10", "recall@20", "success@1", "success@5", "rr", "map"],
        ["facts", "token_f1", "citation_recall", "abstain_f1"],
    ),
    (
        "swapped_citations",
        ["citation_recall", "citation_precision"],
        ["facts", "ndcg@10", "abstain_f1", "cited", "faithfulness", "correct"],
    ),
    (
        "invents",
        ["facts", "correct", "token_f1", "rouge_l", "citation_recall", "citation_precision", "faithfulness", "aurc"],
        ["ndcg@10", "abstain_f1", "cited", "dangling"],
    ),
    ("cites_nothing", ["cited", "citation_recall", "citation_precision"], ["facts", "ndcg@10", "faithfulness"]),
    ("cites_too_much", ["citation_precision"], ["facts", "ndcg@10", "citation_recall", "faithfulness", "correct"]),
    ("dangles", ["dangling"], ["facts", "ndcg@10", "citation_recall", "correct"]),
    ("rambles", ["words", "token_f1", "rouge_l"], ["facts", "ndcg@10", "citation_recall", "correct"]),
    (
        "always_abstains",
        ["facts", "token_f1", "correct", "abstain_precision", "abstain_f1", "abstain_auroc", "aurc"],
        ["ndcg@10", "abstain_recall"],
    ),
    (
        "never_abstains",
        ["abstain_precision", "abstain_recall", "abstain_f1", "abstain_auroc", "correct"],
        ["ndcg@10", "facts", "citation_precision"],
    ),
]


@pytest.mark.parametrize(("system", "worse", "untouched"), BROKEN)
def test_a_broken_system_is_found_by_the_measures_that_should_notice(
    runs: dict[str, Run], system: str, worse: list[str], untouched: list[str]
):
    found = {item.measure: item for item in compare(runs["perfect"], runs[system]).differences}
    # A measure that applies to no case of both, as citations to an answer that never comes, cannot get worse.
    assert {name: found[name].verdict for name in worse if name in found} == dict.fromkeys(worse, "worse")
    assert {name: runs[system].value(name) for name in untouched} == {
        name: runs["perfect"].value(name) for name in untouched
    }


def test_a_dearer_system_is_found_by_tokens_and_cost(runs: dict[str, Run]):
    found = {item.measure: item.verdict for item in compare(runs["saves"], runs["spends"]).differences}
    assert (found["tokens"], found["cost"], found["correct"]) == ("worse", "worse", "same")


def test_a_wavering_system_is_found_by_both_consistencies():
    def asked(answer: Callable[[str], Reply], repeats: int) -> Run:
        cases = [*fakes.CASES, *(fakes.PARAPHRASES if repeats == 1 else ())]
        return run(answer, cases, papers=fakes.PAPERS, repeats=repeats)

    def steady(question: str) -> Reply:
        return fakes.perfect(question.removeprefix("Tell me: "))

    for repeats, name in ((1, "paraphrase_consistency"), (2, "run_consistency")):
        before, after = asked(steady, repeats), asked(fakes.Wavers(), repeats)
        assert before.value(name) == 1.0
        assert {item.measure: item.verdict for item in compare(before, after).differences}[name] == "worse"


def test_every_measure_notices_some_broken_system():
    noticed = {name for _, worse, _ in BROKEN for name in worse}
    assert noticed | {"tokens", "cost", "run_consistency", "paraphrase_consistency"} == set(named())


@pytest.mark.parametrize(
    ("system", "stages"),
    [
        ("random_retriever", {"ranking", "answer"}),
        ("swapped_citations", {"citation check"}),
        ("always_abstains", {"gate"}),
        ("never_abstains", {"gate"}),
    ],
)
def test_a_broken_system_is_blamed_at_its_broken_stage(runs: dict[str, Run], system: str, stages: set[str]):
    assert set(runs[system].summary["diagnosis"]) == stages


def diagnosis(reply: Reply, **more: object) -> tuple[str, str]:
    judged = fakes.CASES[0].model_copy(update=more)
    (row,) = run(lambda question: reply, [judged], papers=fakes.PAPERS).rows
    return row["diagnosis"]["stage"], row["diagnosis"]["why"]


def test_a_miss_is_traced_to_retrieval_ranking_gate_or_answer():
    silent = Reply(abstained="not said")
    assert diagnosis(replace(silent, retrieved=("heron",)))[0] == "retrieval"
    stage, why = diagnosis(replace(silent, retrieved=("heron", "zephyr"), context=("heron",)))
    assert (stage, "rank 2" in why) == ("ranking", True)
    assert diagnosis(replace(silent, retrieved=("zephyr",), context=("zephyr",)))[0] == "gate"
    vague = Reply.from_text("Zephyr is a method for graph embedding [1].", ["zephyr"])
    stage, why = diagnosis(vague)
    assert (stage, "40 times faster" in why) == ("answer", True)


def test_a_missing_fact_is_traced_through_the_paper_that_holds_it():
    both = ("Zephyr: a new method for graph embedding", "Marlin: a new method for speech recognition")
    facts = (("40 times faster",), ("4.2 percent",))
    half = Reply.from_text("Zephyr is 40 times faster [1].", ["zephyr"], retrieved=("zephyr", "marlin"))
    stage, why = diagnosis(half, relevant=both, facts=facts)
    assert (stage, "4.2 percent" in why) == ("ranking", True)


def test_a_system_that_raises_keeps_its_cases_and_they_count_as_zero():
    def fragile(question: str) -> Reply:
        if "Zephyr" in question:
            raise ValueError("no\nZephyr")
        return fakes.perfect(question)

    finished = evaluated(fragile)
    assert finished.summary["n"] == len(fakes.CASES)
    assert finished.summary["failed"] == 2
    assert finished.summary["diagnosis"] == {"error": 2}
    assert finished.rows[0]["error"] == "ValueError: no Zephyr"
    assert finished.value("facts") == pytest.approx(0.9)
    assert finished.value("ndcg@10") == pytest.approx(0.9)
    # Nine answers are cited rightly, two cases failed; the nine abstentions cite nothing.
    assert finished.summary["measures"]["citation_recall"]["mean"] == pytest.approx(9 / 11, abs=1e-6)


def test_a_system_that_always_raises_is_an_error_not_a_zero():
    def broken(question: str) -> Reply:
        raise ValueError("no server")

    with pytest.raises(CitewiseError, match="every one of the 20 cases failed; the first with: ValueError: no server"):
        evaluated(broken)


def test_a_callable_may_return_prose_and_needs_no_papers():
    finished = run(lambda question: "It reaches 28.4 BLEU.", [Case(id="a", question="Q?", facts=(("28.4",),))])
    assert finished.value("facts") == 1
    assert finished.value("citation_recall") is None
    assert finished.summary["judge"] is None


def test_history_reaches_the_callable():
    def answer(question: str, history: object = ()) -> str:
        return f"You asked {len(history)} before."

    judged = Case(id="a", question="And?", facts=(("asked 1",),), history=({"question": "What?"},))
    assert run(answer, [judged]).value("facts") == 1


def test_what_cannot_answer_is_refused():
    with pytest.raises(UsageError, match="cannot evaluate a str"):
        run("not a system", fakes.CASES)


def test_an_unknown_paper_stops_the_run_unless_misses_are_allowed():
    strange = [Case(id="a", question="Zephyr?", relevant=("No such paper",), where="cases.jsonl:1")]
    with pytest.raises(InputError, match=r"cases\.jsonl:1: .*No such paper"):
        run(fakes.perfect, strange, papers=fakes.PAPERS)
    assert run(fakes.perfect, strange, papers=fakes.PAPERS, allow_missing=True).value("recall@10") == 0


def test_papers_of_one_title_are_one_paper_in_rankings():
    twin = replace(fakes.PAPERS[0], id="twin")
    reply = replace(fakes.perfect(fakes.CASES[0].question), retrieved=("twin", "heron", "zephyr"))
    finished = run(lambda question: reply, fakes.CASES[:1], papers=[*fakes.PAPERS, twin])
    assert finished.rows[0]["retrieved"] == ["zephyr", "heron"]
    assert finished.value("success@1") == 1


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("summary.json", "cases.jsonl")}


def test_the_same_seed_writes_the_same_bytes_and_threads_change_nothing(tmp_path: Path):
    evaluated(fakes.random_retriever, out=tmp_path / "a", seed=3)
    evaluated(fakes.random_retriever, out=tmp_path / "b", seed=3, jobs=4)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_summary_has_the_fixed_form(tmp_path: Path):
    evaluated(fakes.perfect, out=tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["n"] == 20
    assert summary["measures"]["ndcg@10"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 10}
    assert {"recall@5", "success@1", "facts", "citation_precision", "citation_recall", "abstain_f1"} <= set(
        summary["measures"]
    )
    assert summary["tags"]["near-miss"]["measures"]["abstain_recall"]["mean"] == 1.0
    assert len((tmp_path / "cases.jsonl").read_text(encoding="utf-8").splitlines()) == 20


def test_a_saved_run_loads_as_it_was(tmp_path: Path):
    finished = evaluated(fakes.never_abstains, out=tmp_path, measures=["facts", "abstain_f1"])
    loaded = Run.load(tmp_path)
    assert loaded.rows == finished.rows
    assert loaded.summary == finished.summary
    assert list(loaded.measures) == ["facts", "abstain_f1"]


def test_a_folder_without_a_run_is_one_clear_line(tmp_path: Path):
    with pytest.raises(InputError, match="holds no finished run"):
        Run.load(tmp_path)
    (tmp_path / "summary.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="holds no finished run"):
        Run.load(tmp_path)


class Counting:
    def __init__(self, stop_after: int | None = None) -> None:
        self.asked = 0
        self.stop_after = stop_after

    def __call__(self, question: str) -> Reply:
        if self.asked == self.stop_after:
            raise KeyboardInterrupt
        self.asked += 1
        return fakes.perfect(question)


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path):
    first, second = Counting(stop_after=7), Counting()
    with pytest.raises(KeyboardInterrupt):
        evaluated(FunctionSystem(first, fakes.PAPERS, fingerprint="v1"), out=tmp_path)
    log = tmp_path / "replies.jsonl"
    log.write_bytes(log.read_bytes()[:-10])  # as a crash in the middle of a line would leave it
    evaluated(FunctionSystem(second, fakes.PAPERS, fingerprint="v1"), out=tmp_path)
    assert second.asked == 20 - 6
    evaluated(fakes.perfect, out=tmp_path / "fresh")
    assert (tmp_path / "cases.jsonl").read_bytes() == (tmp_path / "fresh" / "cases.jsonl").read_bytes()


@pytest.mark.parametrize(("fingerprint", "asked"), [("v1", 0), ("v2", 20), (None, 20)])
def test_replies_are_reused_only_by_the_same_system(tmp_path: Path, fingerprint: str | None, asked: int):
    again = Counting()
    for system, name in ((Counting(), "v1"), (again, fingerprint)):
        evaluated(FunctionSystem(system, fakes.PAPERS, fingerprint=name), out=tmp_path)
    assert again.asked == asked


def test_a_failure_is_asked_again_next_time(tmp_path: Path):
    def flaky(question: str) -> Reply:
        raise TimeoutError("busy")

    def sometimes(question: str) -> Reply:
        return flaky(question) if "Heron" in question else fakes.perfect(question)

    assert evaluated(FunctionSystem(sometimes, fakes.PAPERS, fingerprint="v1"), out=tmp_path).summary["failed"] == 2
    assert evaluated(FunctionSystem(fakes.perfect, fakes.PAPERS, fingerprint="v1"), out=tmp_path).summary["failed"] == 0


def test_a_run_against_itself_shows_no_difference(runs: dict[str, Run]):
    found = compare(runs["random_retriever"], runs["random_retriever"])
    assert {item.verdict for item in found.differences} == {"same"}
    assert {item.p_holm for item in found.differences} == {1.0}
    assert found.changed == ()


def test_comparing_says_which_cases_changed_and_which_were_left_out(runs: dict[str, Run]):
    shorter = replace(runs["never_abstains"], rows=runs["never_abstains"].rows[1:])
    found = compare(runs["perfect"], shorter)
    assert found.n == 19
    assert found.left_out == ("result-zephyr",)
    assert found.as_json()["lost"] == [case.id for case in fakes.CASES if not case.answerable]
    assert found.as_json()["gained"] == []


def test_runs_that_share_nothing_or_asked_other_questions_are_not_compared(runs: dict[str, Run]):
    base = runs["perfect"]
    with pytest.raises(InputError, match="no case in common"):
        compare(base, replace(base, rows=()))
    reworded = replace(base, rows=({**base.rows[0], "question": "Other?"},))
    with pytest.raises(InputError, match="asks another question"):
        compare(base, reworded)
    regraded = replace(base, rows=({**base.rows[0], "facts": [["another"]]},))
    with pytest.raises(InputError, match="asks for other facts in each run"):
        compare(base, regraded)


def test_what_two_judges_said_is_not_compared(runs: dict[str, Run]):
    base = runs["perfect"]
    compared = {item.measure for item in compare(base, base).differences}
    found = compare(base, replace(base, judge="a model"))
    judged = {"citation_recall", "citation_precision", "faithfulness"}
    assert compared - {item.measure for item in found.differences} == judged
    assert found.notes == (
        f"The citations were judged by {base.judge} and a model: what rests on them is not compared.",
    )


def test_runs_of_one_name_are_told_apart(runs: dict[str, Run]):
    found = compare(runs["perfect"], runs["perfect"])
    assert (found.first, found.second) == ("perfect (first)", "perfect (second)")


def test_the_recall_of_abstention_rests_on_the_unanswerable_questions_alone(runs: dict[str, Run]):
    row = next(row for row in runs["perfect"].rows if not row["answerable"])
    few = replace(runs["perfect"], rows=(*(item for item in runs["perfect"].rows if item["answerable"]), row))
    assert few.summary["measures"]["abstain_recall"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 1}


def test_silence_is_not_measured_where_every_question_has_an_answer(runs: dict[str, Run]):
    answerable = replace(runs["perfect"], rows=tuple(row for row in runs["perfect"].rows if row["answerable"]))
    silent = {"abstain_precision", "abstain_recall", "abstain_f1", "abstain_auroc"}
    assert {name for name in silent if answerable.summary["measures"][name]["n"] == 0} == silent
    assert not silent & {item.measure for item in compare(answerable, runs["always_abstains"]).differences}
    assert runs["perfect"].summary["measures"]["abstain_f1"]["mean"] == 1


def test_dangling_markers_are_a_fault_even_of_a_right_answer():
    sentence = fakes.PAPERS[0].abstract.split(". ")[1] + "."
    reply = replace(fakes.perfect(fakes.CASES[0].question), sentences=(Said(sentence, (Cite("zephyr"),), dangling=2),))
    assert diagnosis(reply) == ("citation check", "2 citation markers lead nowhere")


def test_a_metadata_citation_is_judged_by_the_record(tmp_path: Path):
    dated = [Paper(id="p", title="Old Method", abstract="We describe a method.", date="1998-03-02", year=1998)]
    right = Reply("x", (Said("“Old Method” is dated 2 March 1998.", (Cite("p", "Date: 2 Mar 1998", metadata=True),)),))
    wrong = Reply("x", (Said("“Old Method” has 7 authors.", (Cite("p", "Authors: 7", metadata=True),)),))
    values = [run(lambda q, r=reply: r, [Case(id="a", question="When?")], papers=dated) for reply in (right, wrong)]
    assert [item.value("citation_recall") for item in values] == [1.0, 0.0]


def test_filters_of_a_case_reach_the_system_and_one_that_knows_none_fails_it():
    narrowed = Case(id="n", question="Who?", filters=Filters(year_from=2020), relevant=("zephyr",))
    seen = []

    def knows(question: str, *, filters: Filters) -> Reply:
        seen.append(filters)
        return Reply("x", retrieved=("zephyr",))

    assert run(knows, [narrowed], papers=fakes.PAPERS).value("rr") == 1.0
    assert seen == [Filters(year_from=2020)]
    with pytest.raises(CitewiseError, match="unexpected keyword argument 'filters'"):
        run(fakes.perfect, [narrowed], papers=fakes.PAPERS)
