"""The command line as a program sees it: arguments in, JSON lines and exit codes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PAPERS = [
    {
        "id": "one",
        "title": "Ember: Sorting Networks for Warm Starts",
        "abstract": "We present Ember, which sorts candidate solutions before a solver starts. Ember cuts solving "
        "time by 41% on the Harbour benchmark. It needs no labelled data.",
        "year": 2021,
    },
    {
        "id": "two",
        "title": "A Survey of Tide Forecasting",
        "abstract": "Tide forecasting combines physics and statistics. This survey compares 27 forecasting methods "
        "and finds that gradient boosting is the most accurate on short horizons.",
        "year": 2019,
    },
]


def citewise(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rag.cli", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)


def out(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    papers = folder / "papers.jsonl"
    papers.write_text("".join(json.dumps(paper) + "\n" for paper in PAPERS) + "not json\n", encoding="utf-8")
    report = out(citewise("ingest", papers, "--library", folder / "library", "--json"))
    assert (report["parsed"], report["added"]) == (2, 2)
    return folder / "library"


def test_ingest_reports_a_bad_line_and_still_succeeds(library: Path) -> None:
    source = library.parent / "papers.jsonl"
    report = out(citewise("ingest", source, "--library", library, "--json"))
    assert {"parsed", "added", "updated", "unchanged", "duplicates", "rejected", "seconds"} <= report.keys()
    assert (report["added"], report["unchanged"]) == (0, 2)
    [rejected] = report["rejected"]
    assert rejected["path"].endswith("papers.jsonl")
    assert rejected["line"] == 3
    assert rejected["reason"]


def test_papers_are_one_object_a_line_with_null_where_unknown(library: Path) -> None:
    done = citewise("papers", "--json", "--library", library)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["id"] for row in rows] == ["one", "two"]
    wanted = {"id", "title", "abstract", "authors", "n_authors", "date", "year", "venue", "url", "upvotes", "sources"}
    assert all(wanted <= row.keys() for row in rows)
    assert rows[0]["venue"] is None
    assert rows[0]["sources"][0]["line"] == 1


def test_search_gives_one_hit_a_paper_with_a_quote_from_its_abstract(library: Path) -> None:
    found = out(citewise("search", "forecasting tides", "-k", 2, "--json", "--library", library))
    assert found["question"] == "forecasting tides"
    assert [hit["rank"] for hit in found["hits"]] == [1, 2]
    assert found["hits"][0]["paper_id"] == "two"
    assert found["hits"][0]["quote"] in PAPERS[1]["abstract"]


def test_an_answer_cites_the_sentence_that_says_it(library: Path) -> None:
    answer = out(citewise("ask", "How much does Ember cut solving time?", "--json", "--library", library))
    assert answer["abstained"] is None
    assert "41%" in answer["text"]
    assert answer["mode"] == "extractive"
    abstracts = {paper["id"]: paper["abstract"] for paper in PAPERS}
    assert answer["citations"]
    for citation in answer["citations"]:
        assert abstracts[citation["paper_id"]][citation["start"] : citation["end"]] == citation["quote"]
        assert f"[{citation['marker']}]" in answer["text"]


def test_what_no_abstract_says_is_not_answered(library: Path) -> None:
    answer = out(citewise("ask", "Who won the chess world championship in 1972?", "--json", "--library", library))
    assert answer["abstained"]
    assert answer["citations"] == []


def test_questions_from_standard_input_are_answered_in_order(library: Path) -> None:
    lines = [
        json.dumps({"id": 7, "question": "What is Ember?"}),
        "{broken",
        json.dumps({"id": "b", "question": "Which method forecasts tides best?"}),
    ]
    done = citewise("ask", "-", "--json", "--library", library, stdin="\n".join(lines))
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["id"] for row in rows] == [7, None, "b"]
    assert "error" in rows[1]
    assert rows[0]["sources"][0]["paper_id"] == "one"
    assert done.returncode == 2


def test_searches_from_standard_input_are_answered_too(library: Path) -> None:
    asked = json.dumps({"id": "s", "question": "tides"})
    row = out(citewise("search", "-", "--json", "--library", library, stdin=asked))
    assert (row["id"], row["hits"][0]["paper_id"]) == ("s", "two")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["ingest", "no/such/file.txt"], id="missing path"),
        pytest.param(["ingest"], id="nothing to ingest"),
        pytest.param(["ask", ""], id="empty question"),
        pytest.param(["ask", "What?", "--config", "nonsense"], id="unknown settings"),
        pytest.param(["ask", "What?", "--year", "soon"], id="no year"),
        pytest.param(["ask", "What?", "--year", "2021..2019"], id="years that end before they begin"),
        pytest.param(["frobnicate"], id="unknown command"),
        pytest.param(["remove"], id="nothing to remove"),
        pytest.param(["ask", "What?", "--mode", "llm"], id="no model set up"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(library: Path, arguments: list[str]) -> None:
    where = ["--library", str(library)] if arguments != ["frobnicate"] else []
    done = citewise(*arguments, *where)
    assert done.returncode in ((2,) if "no/such/file.txt" not in arguments else (1, 2)), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_asking_where_there_is_no_library_says_how_to_make_one(tmp_path: Path) -> None:
    done = citewise("ask", "What is Ember?", "--library", tmp_path / "none")
    assert done.returncode == 2
    assert "citewise ingest" in done.stderr
    assert not (tmp_path / "none").exists()


def test_a_removed_paper_is_found_no_more(library: Path, tmp_path: Path) -> None:
    other = tmp_path / "library"
    citewise("ingest", library.parent / "papers.jsonl", "--library", other)
    assert "removed 1 paper" in citewise("remove", "two", "--library", other).stdout
    found = out(citewise("search", "forecasting tides", "--json", "--library", other))
    assert [hit["paper_id"] for hit in found["hits"]] == ["one"]


def test_removing_only_papers_that_are_not_there_is_wrong_usage(library: Path) -> None:
    done = citewise("remove", "nowhere", "--library", library)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == "citewise: no paper has the id nowhere (see `citewise papers`)"


def test_doctor_finds_nothing_wrong_with_a_fresh_library(library: Path) -> None:
    done = citewise("doctor", "--library", library)
    assert done.returncode == 0, done.stdout
    assert "FAIL" not in done.stdout


def test_rebuild_keeps_every_paper(library: Path) -> None:
    assert "2 papers" in citewise("rebuild", "--library", library).stdout
    found = out(citewise("search", "forecasting tides", "--json", "--library", library))
    assert found["hits"][0]["paper_id"] == "two"


def test_help_says_of_every_command_in_a_whole_line_what_it_does() -> None:
    from click import Context, Group

    from rag.cli import group

    def told(commands: Group) -> Iterator[tuple[str, str]]:
        for name in commands.list_commands(Context(commands)):
            command = commands.get_command(Context(commands), name)
            assert command
            yield name, command.get_short_help_str(limit=60)
            if isinstance(command, Group):
                yield from told(command)

    assert [name for name, words in told(group) if not words or words.endswith("...")] == []


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom rag.cli import run\nrun(['--help'])\n"
        "heavy = {'chromadb', 'llama_index', 'gradio', 'openai', 'numpy', 'ray', 'tantivy', 'tokenizers'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("given", "found"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_small_matrix_products_run_on_one_thread_unless_told_otherwise(given: dict[str, str], found: str) -> None:
    code = "import os\nfrom rag.cli import run\nrun(['--help'])\nprint(os.environ['OPENBLAS_NUM_THREADS'])"
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"} | given
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)
    assert done.stdout.splitlines()[-1] == found


def test_a_closed_pipe_is_no_error(library: Path) -> None:
    command = f"{sys.executable} -m rag.cli papers --json --library {library} | true"
    started = time.monotonic()
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == "", time.monotonic() - started
