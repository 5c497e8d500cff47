"""`citewise eval` on a real library: the files it writes, its exit codes, its messages."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from eval.labels import read_labels, write_labels
from rag.cli import run as citewise

pytest.importorskip("ir_measures")
CASES = Path(__file__).parents[1] / "eval" / "cases" / "starter.jsonl"
FAST = ["--config", "eval", "--limit", "6"]


def evaluate(library: Path, out: Path, *more: str, cases: Path = CASES) -> int:
    return citewise(["eval", "run", str(cases), "--library", str(library), "--out", str(out), *more])


def test_a_run_writes_summary_cases_and_report(starter_folder: Path, tmp_path: Path):
    assert evaluate(starter_folder, tmp_path, *FAST) == 0
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["n"] == 6
    assert summary["failed"] == 0
    assert summary["measures"]["success@1"]["mean"] > 0.8
    assert summary["measures"]["ndcg@10"]["n"] == 6
    assert len((tmp_path / "cases.jsonl").read_text(encoding="utf-8").splitlines()) == 6
    assert "What BLEU score did the Transformer reach" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_running_again_writes_the_same_bytes_whether_reused_or_fresh(starter_folder: Path, tmp_path: Path):
    options = (*FAST, "--tag", "single", "--tag", "unanswerable")
    written = []
    for more in ([], [], ["--fresh"]):
        assert evaluate(starter_folder, tmp_path, *options, *more) == 0
        written.append([(tmp_path / name).read_bytes() for name in ("summary.json", "cases.jsonl")])
    assert written[0] == written[1] == written[2]


def test_a_broken_gate_exits_1_and_says_which(starter_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    junit, markdown = tmp_path / "junit.xml", tmp_path / "run.md"
    gate = ["--gate", "recall@20>=0,facts>=1.5", "--junit", str(junit), "--markdown", str(markdown)]
    assert evaluate(starter_folder, tmp_path / "run", *FAST, *gate) == 1
    said = capsys.readouterr().err
    assert "gate BROKEN: facts>=1.5" in said
    assert "recall@20" not in said
    assert 'failures="1"' in junit.read_text(encoding="utf-8")
    assert "❌" in markdown.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gate", ""], "the gate is empty"),
        (["--gate", "facts>=base"], "give --base RUN"),
        (["--gate", "facts>=0", "--measures", "correct,rr"], "add it to --measures"),
        (["--seed", "-1"], "'--seed'"),
    ],
)
def test_what_cannot_be_checked_is_told_before_anything_is_asked(
    starter_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
):
    assert evaluate(starter_folder, tmp_path / "run", *FAST, *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_results_go_into_folders_that_are_made_and_a_file_in_the_way_is_told(
    starter_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    junit, markdown = tmp_path / "new" / "junit.xml", tmp_path / "newer" / "run.md"
    options = [*FAST, "--junit", str(junit), "--markdown", str(markdown)]
    assert evaluate(starter_folder, tmp_path / "run", *options) == 0
    assert junit.is_file()
    assert markdown.is_file()
    assert evaluate(starter_folder, junit, *FAST) == 2
    assert f"cannot make the folder {junit}: File exists" in capsys.readouterr().err


def test_two_configurations_run_side_by_side_and_are_compared(
    starter_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    talkative = tmp_path / "talkative.yaml"
    talkative.write_text("gate: {threshold: 0.0}\n", encoding="utf-8")
    out = tmp_path / "runs"
    other = tmp_path / "other.yaml"
    other.write_text("answer: {max_sentences: 1}\n", encoding="utf-8")
    named = ["eval", f"eval+{talkative}", f"eval+{other}"]
    markdown = tmp_path / "all.md"
    options = ["--tag", "unanswerable", "--limit", "8", "--markdown", str(markdown)]
    options += [part for name in named for part in ("--config", name)]
    assert evaluate(starter_folder, out, *options) == 0
    told = markdown.read_text(encoding="utf-8")
    assert all(f"### eval+{name} against eval: 8 cases" in told for name in ("talkative", "other"))
    compared = json.loads((out / "eval+talkative" / "comparison.json").read_text(encoding="utf-8"))
    assert compared["measures"]["abstain_recall"]["second"] == 0
    assert compared["measures"]["abstain_recall"]["first"] > 0
    assert json.loads((out / "summary.json").read_text(encoding="utf-8"))["name"] == "eval"
    capsys.readouterr()
    gate = ["--gate", "abstain_f1>=base-0.01"]
    assert citewise(["eval", "compare", str(out / "eval"), str(out / "eval+talkative"), "--json", *gate]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["n"] == 8
    assert "gate BROKEN: abstain_f1>=base-0.01" in printed.err
    assert citewise(["eval", "report", str(out / "eval")]) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": "a", "question": "Q?", "relevant": ["No such paper at all"]}', "cases.jsonl:1: the library holds no"),
        ("oops", "cases.jsonl:1: not JSON"),
        ("", "no case to evaluate"),
    ],
)
def test_wrong_cases_are_one_line_and_exit_2(
    starter_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
):
    path = tmp_path / "cases.jsonl"
    path.write_text(content, encoding="utf-8")
    assert evaluate(starter_folder, tmp_path / "run", cases=path) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_an_empty_library_is_said_to_be_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert evaluate(tmp_path / "none", tmp_path / "run", *FAST) == 2
    assert "holds no papers; add some with: citewise ingest" in capsys.readouterr().err


def test_follow_ups_are_asked_with_their_history(starter_folder: Path, tmp_path: Path):
    assert evaluate(starter_folder, tmp_path, "--config", "eval", "--tag", "follow-up") == 0
    rows = [json.loads(line) for line in (tmp_path / "cases.jsonl").read_text(encoding="utf-8").splitlines()]
    asked = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == sum("follow-up" in case["tags"] for case in asked) > 10
    assert any(row["searched"] != row["question"] for row in rows)


def test_the_command_and_the_package_load_nothing_heavy():
    heavy = "numpy scipy ir_measures chromadb llama_index rich.progress".split()
    code = f"import sys, eval, eval.command; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_labels_go_out_and_come_back_as_the_judge(
    starter_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    library = ["--library", str(starter_folder)]
    assert evaluate(starter_folder, tmp_path / "run", *FAST) == 0
    path = tmp_path / "labels.csv"
    assert citewise(["eval", "labels", str(tmp_path / "run"), str(path), *library]) == 0
    labels = read_labels(path)
    assert {item.level for item in labels} == {"sentence", "answer"}
    assert all(item.evidence for item in labels if item.level == "sentence")
    refused = ["--judge", "human", "--labels", str(path)]
    assert evaluate(starter_folder, tmp_path / "judged", *FAST, *refused) == 2
    assert "fill in the column" in capsys.readouterr().err
    path.write_text(write_labels(replace(item, label=False) for item in labels), encoding="utf-8")
    assert evaluate(starter_folder, tmp_path / "judged", *FAST, *refused) == 0
    summary = json.loads((tmp_path / "judged" / "summary.json").read_text(encoding="utf-8"))
    assert summary["measures"]["citation_recall"]["mean"] == 0
    assert summary["judging"]["labelled"] > 0


def test_the_agreement_of_the_judges_is_part_of_a_run_and_of_its_report(
    starter_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    labels = CASES.with_name("starter_labels.csv")
    assert evaluate(starter_folder, tmp_path, "--config", "eval", "--limit", "20", "--labels", str(labels)) == 0
    sentence, answer = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["agreement"]
    assert (sentence["level"], sentence["n"], answer["level"]) == ("sentence", 72, "answer")
    assert "Cohen's κ" in (tmp_path / "report.html").read_text(encoding="utf-8")
    capsys.readouterr()
    asked = ["eval", "agreement", str(labels), "--cases", str(CASES), "--library", str(starter_folder), "--json"]
    assert citewise(asked) == 0
    assert json.loads(capsys.readouterr().out)["agreement"][0] == sentence


def test_asking_twice_measures_the_consistency_of_runs(starter_folder: Path, tmp_path: Path):
    assert evaluate(starter_folder, tmp_path, *FAST, "--repeat", "2", "--measures", "run_consistency") == 0
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["measures"]["run_consistency"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 6}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--judge", "llm"], "name its settings with --judge-config"),
        (["--judge", "human"], "give it with --labels FILE.csv"),
        (["--labels", "nowhere.csv"], "cannot read the labels nowhere.csv"),
    ],
)
def test_a_judge_that_cannot_be_had_is_one_line_and_exit_2(
    starter_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
):
    assert evaluate(starter_folder, tmp_path, *FAST, *options) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
