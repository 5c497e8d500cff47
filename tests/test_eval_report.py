"""Reports say what a run says, open offline, and show hostile text as text; gates break when they should."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from eval import Case, Reply, Run, compare, run
from eval.gates import check_gate, parse_gate
from eval.reply import Cite, Said
from eval.report.cases import case_list
from eval.report.confidence import reliability_bins, risk_coverage
from eval.report.junit import junit
from eval.report.markdown import run_markdown
from eval.report.page import page
from eval.report.terminal import show_agreements, show_comparison
from rag.errors import InputError, UsageError
from rag.papers import Paper
from tests import eval_fakes as fakes

pytest.importorskip("ir_measures")
HOSTILE = "<script>alert(1)</script> & \"quotes\" 'too' ]]> \x00 | `x`"


@pytest.fixture(scope="module")
def good() -> Run:
    return run(fakes.perfect, fakes.CASES, papers=fakes.PAPERS, name="good")


@pytest.fixture(scope="module")
def bad() -> Run:
    return run(fakes.never_abstains, fakes.CASES, papers=fakes.PAPERS, name="bad")


@pytest.fixture(scope="module")
def hostile() -> Run:
    reply = Reply(HOSTILE, (Said(HOSTILE, (Cite("p", HOSTILE),)),), ("p",), ("p",), searched=HOSTILE)
    case = Case(id=HOSTILE, question=HOSTILE, facts=((HOSTILE * 2,),), answer=HOSTILE, tags=(HOSTILE,))
    return run(lambda question: reply, [case], papers=[Paper(id="p", title=HOSTILE, abstract=HOSTILE)], name=HOSTILE)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[tuple[str, dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "input"}:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


def test_the_page_is_well_formed_and_loads_nothing(bad: Run, good: Run):
    tags = Tags(page(bad, [compare(good, bad)]))
    assert tags.stack == []
    assert not [attrs for _, attrs in tags.opened if {"src", "href", "srcset", "action"} & set(attrs)]
    (policy,) = [attrs["content"] for tag, attrs in tags.opened if attrs.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    assert "url(" not in page(bad)
    assert "@import" not in page(bad)


def test_hostile_text_stays_text_everywhere(hostile: Run):
    shown = page(hostile, [compare(hostile, hostile)])
    assert shown.count("<script>") == 1
    assert "alert(1)&lt;/script&gt;" in shown
    assert "\x00" not in junit(hostile)
    assert ElementTree.fromstring(junit(hostile)).attrib["tests"] == "1"
    assert re.search(r"(?<!\\)\|", run_markdown(hostile).splitlines()[0]) is None


def test_every_measure_with_its_interval_is_in_the_headline(good: Run):
    shown = page(good)
    for name in good.measures:
        assert f">{name}" in shown
    assert "95 % interval" in shown


def test_all_cases_are_listed_and_the_wrong_ones_come_first(bad: Run):
    marks = re.findall(r'<details class="case (\w+)"', case_list(bad))
    assert marks == ["wrong"] * 10 + ["right"] * 10


def test_a_case_shows_question_answer_evidence_and_diagnosis(bad: Run):
    shown = case_list(bad)
    assert "Who funded the work on Zephyr?" in shown
    assert "answered, though the papers do not say it" in shown
    assert "word for word from Zephyr: a new method" in shown
    assert "Zephyr: a new method for graph embedding" in shown


def test_evidence_in_other_words_is_quoted():
    said = (Said("Zephyr is quick.", (Cite("zephyr", "Zephyr reaches 40 times faster than random walks."),)),)
    replied = replace(fakes.perfect(fakes.CASES[0].question), sentences=said)
    shown = case_list(run(lambda question: replied, fakes.CASES[:1], papers=fakes.PAPERS))
    assert "<blockquote>Zephyr reaches 40 times faster than random walks.<cite>Zephyr: a new method" in shown


def test_the_risk_curve_starts_with_the_surest_and_ends_with_all(good: Run, bad: Run):
    assert risk_coverage(good) == [(0.5, 0.0), (1.0, 0.5)]
    assert risk_coverage(bad) == [(1.0, 0.5)]


def test_reliability_bins_hold_the_share_that_was_answerable(good: Run):
    assert reliability_bins(good) == [(pytest.approx(0.1), 0.0, 10), (pytest.approx(0.9), 1.0, 10)]


def test_junit_fails_the_wrong_cases_and_names_the_stage(bad: Run):
    suite = ElementTree.fromstring(junit(bad))
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("20", "10")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.attrib["type"] == "gate"


def test_with_a_gate_junit_fails_by_its_conditions_only(bad: Run):
    results = check_gate(parse_gate("correct>=0.4,abstain_f1>=0.9"), bad)
    suite = ElementTree.fromstring(junit(bad, results))
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("22", "1")


def test_markdown_has_a_row_for_each_measure_and_the_gate(good: Run):
    text = run_markdown(good, check_gate(parse_gate("facts>=1.1"), good))
    assert "| ndcg@10 | 1.000 | 1.000 – 1.000 | 10 |" in text
    assert "❌ BROKEN: facts\\>=1.1" in text


def test_comparison_markdown_names_the_cases_lost(good: Run, bad: Run):
    text = compare(good, bad).markdown()
    assert "### bad against good: 20 cases" in text
    assert "Wrong now, right before (10): funding-zephyr" in text
    assert re.search(r"\| abstain\\_f1 \| 1\.000 \| 0\.000 \| -1\.000 .* \| worse \|", text)


def test_no_name_of_a_measure_is_cut_at_80_columns(
    good: Run, bad: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("COLUMNS", "80")
    compared = compare(good, bad)
    show_comparison(compared)
    told = capsys.readouterr().out
    assert all(re.search(rf"^ ?{re.escape(item.measure)} ", told, re.MULTILINE) for item in compared.differences)
    assert "…" not in told
    counts = {"yes_yes": 9, "yes_no": 12, "no_yes": 3, "no_no": 30}
    kappa = {"mean": 0.4, "low": 0.2, "high": 0.6}
    judge = {"judge": "llm gpt", "level": "sentence", "kappa": kappa, "same": 0.7, "counts": counts, "n": 54}
    show_agreements([judge])
    assert "llm gpt sentence" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("gate", "passed"),
    [
        ("facts>=1", [True]),
        ("facts>1", [False]),
        ("abstain_f1>=base-0.02", [False]),
        ("facts>=base", [True]),
        ("facts >= base - 0.02 , correct == 0.5, dangling<=0", [True, True, True]),
        ("latency_p95<=10", [True]),
    ],
)
def test_gates_are_checked_against_numbers_and_the_base(good: Run, bad: Run, gate: str, passed: list[bool]):
    assert [item.passed for item in check_gate(parse_gate(gate), bad, good)] == passed


def test_a_gate_never_passes_on_a_measure_that_no_case_has(good: Run):
    empty = replace(good, rows=tuple({**row, "measures": {**row["measures"], "facts": None}} for row in good.rows))
    (result,) = check_gate(parse_gate("facts<=1"), empty)
    assert not result.passed
    assert "not measured in any case" in str(result)
    (relative,) = check_gate(parse_gate("facts>=base-2"), good, empty)
    assert not relative.passed


def test_a_relative_condition_looks_at_the_cases_of_both_runs_only(good: Run, bad: Run):
    unanswerable = replace(bad, rows=tuple(row for row in bad.rows if not row["answerable"]))
    (result,) = check_gate(parse_gate("correct>=base-0.1"), good, unanswerable)
    assert (result.value, result.bound) == (1.0, -0.1)
    (result,) = check_gate(parse_gate("correct>=base-0.1"), unanswerable, good)
    assert (result.value, result.bound) == (0.0, 0.9)
    with pytest.raises(InputError, match="no case in common"):
        check_gate(parse_gate("correct>=base"), good, replace(bad, rows=()))


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("facts", "cannot read the condition 'facts'"),
        ("facts>=", "cannot read the condition"),
        ("facts>=base0.1", "write base\\+0.1 or base-0.1"),
        ("fact>=0.5", "no measure is called 'fact'"),
        ("facts>=base-0.1", "give --base RUN"),
        ("", "the gate is empty"),
        (" , ", "the gate is empty"),
    ],
)
def test_a_gate_that_cannot_be_read_is_a_usage_error(good: Run, gate: str, message: str):
    with pytest.raises(UsageError, match=message):
        check_gate(parse_gate(gate), good)


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_the_page_fits_its_screen_and_its_filter_works(bad: Run, tmp_path: Path, width: int, scheme: str):
    playwright = pytest.importorskip("playwright.sync_api")
    executable = Path("/usr/bin/chromium")
    if not executable.exists():
        pytest.skip("no chromium here")
    path = tmp_path / "report.html"
    path.write_text(page(bad), encoding="utf-8")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(executable), args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        problems: list[str] = []
        view.on("console", lambda message: problems.append(message.text))
        view.on("pageerror", lambda error: problems.append(str(error)))
        view.goto(path.as_uri())
        assert view.evaluate("document.documentElement.scrollWidth") <= width
        view.select_option("select[name=stage]", "gate")
        assert view.locator(".case:visible").count() == 10
        view.fill("input[name=words]", "zephyr")
        assert view.locator("output").inner_text() == "1 of 20"
        assert problems == []
        browser.close()
