"""Sweeps: every combination is measured once, and the front holds what nothing else beats in both ways."""

import json
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from eval import Run, run
from eval.report.sweep import sweep_markdown, sweep_page
from eval.sweeping import Grid, read_grid, sweep
from rag.cli import run as citewise
from rag.errors import InputError, UsageError
from tests import eval_fakes as fakes

pytest.importorskip("ir_measures")
ROOT = Path(__file__).parents[1]
SYSTEMS = {"perfect": fakes.perfect, "random": fakes.random_retriever, "silent": fakes.always_abstains}


def measured(values: Mapping[str, Any]) -> Run:
    """The fake named, as slow as the point says."""
    finished = run(SYSTEMS[values["a.system"]], fakes.CASES, papers=fakes.PAPERS, measures=["facts", "words"])
    return replace(finished, seconds=dict.fromkeys(finished.seconds, values["a.seconds"]))


def swept(**settings: tuple[Any, ...]):
    grid = Grid({f"a.{name}": values for name, values in settings.items()}, "facts")
    return sweep(grid, measured)


def test_the_front_holds_what_no_other_point_beats():
    found = swept(system=("perfect", "random", "silent"), seconds=(0.1, 0.2))
    assert [point.name for point in found.points][:2] == ["system=perfect seconds=0.1", "system=perfect seconds=0.2"]
    assert [point.name for point in found.points if point.on_front] == ["system=perfect seconds=0.1"]
    assert [point.like_best for point in found.points] == [True, True, False, False, False, False]


def test_the_choice_is_the_fastest_that_is_not_told_from_the_best():
    slow_is_good = Grid({"a.place": (0, 1, 2)}, "facts")
    points = [("perfect", 0.3), ("perfect", 0.2), ("random", 0.1)]
    found = sweep(
        slow_is_good,
        lambda values: measured(dict(zip(("a.system", "a.seconds"), points[values["a.place"]], strict=True))),
    )
    assert [(point.values["a.place"], point.on_front) for point in found.points] == [(1, True), (0, False), (2, True)]
    assert found.choice.values == {"a.place": 1}
    assert found.as_json()["choice"] == {"a.place": 1}


def test_a_measure_that_is_better_when_lower_is_kept_low():
    found = sweep(Grid({"a.system": ("perfect", "random"), "a.seconds": (0.1,)}, "words"), measured)
    assert found.points[0].quality <= found.points[1].quality


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("- 1", InputError, "expected the keys quality and settings"),
        ("settings: {retrieval.papers: 5}", InputError, "retrieval.papers: expected a list"),
        ("settings: {papers: [5]}", InputError, "write SECTION.KEY"),
        ("settings: {embedding.kind: [builtin]}", InputError, "ingest a library for each"),
        ("settings: {a.b: [1]}\nqualty: facts", InputError, "expected the keys"),
        ("settings: {a.b: [1]}\nquality: factz", UsageError, "no measure is called 'factz'"),
        (f"settings: {{a.b: {list(range(20))}, a.c: {list(range(20))}}}", InputError, "400 combinations"),
        ("settings: [", InputError, "cannot read the grid"),
    ],
)
def test_a_grid_that_cannot_be_run_is_one_clear_line(
    tmp_path: Path, content: str, error: type[Exception], message: str
):
    path = tmp_path / "grid.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(error, match=message):
        read_grid(path)


def test_the_shipped_grids_are_read():
    for path in (ROOT / "eval" / "sweeps").glob("*.yaml"):
        assert len(read_grid(path).points()) > 1


class Wellformed(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_and_markdown_have_a_row_a_point_and_escape_values():
    found = swept(system=("perfect", "silent"), seconds=(0.1, 0.2))
    hostile = replace(found, points=(replace(found.points[0], values={"a.b": "<i>|"}), *found.points[1:]))
    shown = sweep_page(hostile)
    assert Wellformed(shown).open == []
    assert shown.count('<th scope="row">') == 4
    assert "<i>" not in shown
    assert "b=\\<i\\>\\|" in sweep_markdown(hostile)
    assert "flatters them" in shown


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("settings: {retrieval.papers: [4, -4]}", "papers=-4: retrieval.papers: Input should be greater"),
        ("settings: {answer.max_sentences: [2], retrieval.paper: [4]}", "paper=4: retrieval.paper: Extra inputs"),
    ],
)
def test_wrong_settings_are_told_before_any_point_is_measured(
    starter_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
):
    grid = tmp_path / "grid.yaml"
    grid.write_text(content, encoding="utf-8")
    cases = str(ROOT / "eval" / "cases" / "starter.jsonl")
    options = ["--library", str(starter_folder), "--out", str(tmp_path / "out"), "--config", "eval"]
    assert citewise(["eval", "sweep", cases, str(grid), *options]) == 2
    told = capsys.readouterr().err
    assert str(grid) in told
    assert message in told
    assert not (tmp_path / "out").exists()


def test_a_measure_that_no_case_has_is_told_at_the_first_point():
    asked: list[str] = []

    def counted(values: Mapping[str, Any]) -> Run:
        asked.append(str(values))
        return run(SYSTEMS[values["a.system"]], fakes.CASES, papers=fakes.PAPERS, measures=["tokens"])

    with pytest.raises(UsageError, match="no case has the measure 'tokens'"):
        sweep(Grid({"a.system": ("perfect", "random")}, "tokens"), counted)
    assert len(asked) == 1


def test_the_command_sweeps_a_library_and_asks_nothing_twice(
    starter_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    grid = tmp_path / "grid.yaml"
    grid.write_text("quality: facts\nsettings: {answer.max_sentences: [1, 4]}", encoding="utf-8")
    asked = ["eval", "sweep", str(ROOT / "eval" / "cases" / "starter.jsonl"), str(grid), "--out", str(tmp_path / "out")]
    options = ["--library", str(starter_folder), "--config", "eval", "--limit", "8", "--json"]
    written = []
    for _ in range(2):
        assert citewise([*asked, *options]) == 0
        written.append((tmp_path / "out" / "sweep.json").read_text(encoding="utf-8"))
    assert written[0] == written[1], "latencies come from the log as well"
    found = json.loads(written[0])
    assert [set(point["settings"]) for point in found["points"]] == [{"answer.max_sentences"}] * 2
    assert found["points"][0]["facts"] >= found["points"][1]["facts"]
    assert (tmp_path / "out" / "sweep.html").is_file()
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == found
