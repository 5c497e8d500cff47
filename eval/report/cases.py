"""The browsable list of cases, worst first."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from eval.diagnosis import STAGES
from eval.report.markdown import number

if TYPE_CHECKING:
    from eval.outcome import Run

_SHOWN_MEASURES = ("ndcg@10", "facts", "citation_recall", "citation_precision", "faithfulness")
Row = Mapping[str, Any]


def case_list(run: Run) -> str:
    """All cases as foldable rows, with a filter that needs the page's script (without it all are shown)."""
    ordered = sorted(run.rows, key=_badness)
    stages = [stage for stage in STAGES if run.summary["diagnosis"].get(stage)]
    choices = "".join(f"<option>{escape(choice)}</option>" for choice in stages)
    tags = "".join(f"<option>{escape(tag)}</option>" for tag in run.tags)
    return (
        '<section id="cases"><h2>Cases, worst first</h2><form class="filter" hidden>'
        '<input type="search" name="words" placeholder="words of the question" aria-label="words">'
        f'<select name="stage" aria-label="stage"><option value="">any stage</option>{choices}</select>'
        f'<select name="tag" aria-label="tag"><option value="">any tag</option>{tags}</select>'
        f'<output name="count"></output></form>{"".join(_case(run, row) for row in ordered)}</section>'
    )


def _badness(row: Row) -> tuple[float, float, int, float]:
    """Wrong before right, then fewer facts, then blame early in the pipeline, then worse citations."""
    facts = row["measures"].get("facts")
    recall = row["measures"].get("citation_recall")
    stage = STAGES.index(row["diagnosis"]["stage"]) if row["diagnosis"] else len(STAGES)
    return (
        row["measures"]["correct"],
        1.0 if facts is None else facts,
        stage,
        1.0 if recall is None else recall,
    )


def _case(run: Run, row: Row) -> str:
    fault = row["diagnosis"]
    mark = "right" if row["measures"]["correct"] and not fault else "flawed" if row["measures"]["correct"] else "wrong"
    stage = f'<span class="stage">{escape(fault["stage"])}</span>' if fault else ""
    tags = escape(" ".join(f"|{tag}|" for tag in row["tags"]))
    return (
        f'<details class="case {mark}" data-stage="{escape(fault["stage"] if fault else "")}" data-tags="{tags}">'
        f'<summary><span class="mark">{mark}</span> {escape(row["question"])} {stage}</summary>'
        f"<dl>{_about(run, row)}</dl></details>"
    )


def _about(run: Run, row: Row) -> str:
    parts = {
        "case": escape(f"{row['id']} · {', '.join(row['tags'])}"),
        "diagnosis": escape(row["diagnosis"]["why"]) if row["diagnosis"] else "",
        "earlier": "<br>".join(map(escape, row["history"])),
        "searched": escape(row["searched"]) if row["searched"] not in ("", row["question"]) else "",
        "answer": _answer(row),
        "reference": escape(row["reference"]),
        "facts": _facts(row),
        "relevant": _papers(row, row["relevant"]) if row["answerable"] else "none: the papers do not say it",
        "found": _ranking(row),
        "measures": _measures(run, row),
    }
    return "".join(f"<dt>{name}</dt><dd>{content}</dd>" for name, content in parts.items() if content)


def _answer(row: Row) -> str:
    if row["error"]:
        return f'<p class="bad">failed: {escape(row["error"])}</p>'
    if row["abstained"] is not None or not row["sentences"]:
        return f"<p>{escape(row['text'])}</p>"
    return f"<ul>{''.join(_sentence(row, said) for said in row['sentences'])}</ul>"


def _sentence(row: Row, said: Row) -> str:
    verdict = {True: "", False: ' <span class="bad">not supported</span>', None: ""}[said["supported"]]
    lost = f' <span class="bad">{said["dangling"]} dangling</span>' if said["dangling"] else ""
    quotes = "".join(_quote(row, said["text"], cite) for cite in said["cites"])
    return f"<li>{escape(said['text'])}{verdict}{lost}{quotes}</li>"


def _quote(row: Row, text: str, cite: Row) -> str:
    """The evidence; where it is the sentence itself, only that it is."""
    title = _title(row, cite["paper_id"])
    if cite["quote"] == text:
        return f"<cite>word for word from {title}</cite>"
    return f"<blockquote>{escape(cite['quote'] or 'no quote')}<cite>{title}</cite></blockquote>"


def _facts(row: Row) -> str:
    missing = [tuple(fact) for fact in row["missing"]] if row["answerable"] else []
    return "".join(
        f'<span class="fact {"lost" if tuple(fact) in missing else "said"}">{escape(" / ".join(fact))}</span>'
        for fact in row["facts"]
    )


def _ranking(row: Row) -> str:
    items = "".join(f"<li>{_marked(row, paper)}</li>" for paper in row["retrieved"])
    return f"<ol>{items}</ol>" if items else ""


def _marked(row: Row, paper: str) -> str:
    """The title, strong for a relevant paper."""
    title = _title(row, paper)
    return f"<strong>{title}</strong>" if paper in row["relevant"] else title


def _papers(row: Row, papers: list[str]) -> str:
    return "<br>".join(_title(row, paper) for paper in papers)


def _title(row: Row, paper: str) -> str:
    return escape(row["titles"].get(paper) or paper)


def _measures(run: Run, row: Row) -> str:
    shown = {name: row["measures"].get(name) for name in _SHOWN_MEASURES}
    values = [f"{name} {number(value)}" for name, value in shown.items() if value is not None]
    if row["confidence"] is not None:
        values.append(f"confidence {row['confidence']:.2f}")
    values.append(f"{run.seconds.get(row['id'], 0.0):.3f} s")
    return escape(" · ".join(values))
