"""A run as one HTML file that opens offline: everything inline, every text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from eval.report.cases import case_list
from eval.report.charts import curve, histogram, interval_bar, reliability
from eval.report.confidence import reliability_bins, risk_coverage
from eval.report.document import document
from eval.report.markdown import number

if TYPE_CHECKING:
    from eval.comparing import Comparison
    from eval.outcome import Run


_OWN_CHECK = (
    " The deterministic judge is the check by which Citewise itself drops and marks sentences: of its own answers it "
    "rarely finds a fault. How far that judge can be trusted is what labels by people are for (--labels)."
)


def page(run: Run, comparisons: Sequence[Comparison] = ()) -> str:
    """The whole page of a run, with comparisons (of it with others) where there are any."""
    parts = [
        _headline(run),
        _judges(run),
        *(_comparison(item) for item in comparisons),
        _charts(run),
        _diagnosis(run),
        _tags(run),
        case_list(run),
    ]
    heading = f"Evaluation of {escape(run.name)}"
    return document(heading, _lead(run), "".join(parts), script=True)


def _lead(run: Run) -> str:
    answerable = sum(row["answerable"] for row in run.rows)
    judge = f"citations judged by: {run.judge}" if run.judge else "citations not judged"
    failed = f", <strong>{run.summary['failed']} failed and count as zero</strong>" if run.summary["failed"] else ""
    return (
        f"{len(run.rows)} cases, {answerable} of them answerable{failed} · {escape(judge)} · "
        f"95 % bootstrap intervals, seed {run.seed} · seconds an answer: median {run.latency['latency_p50']:.3f}, "
        f"95th percentile {run.latency['latency_p95']:.3f}"
    )


def _headline(run: Run) -> str:
    rows = "".join(
        f'<tr><th scope="row" title="{escape(run.measures[name].about)}">{escape(name)}'
        f"{'' if run.measures[name].higher_is_better else ' <small>↓</small>'}</th>{_estimate(item)}</tr>"
        for name, item in run.summary["measures"].items()
        if item["n"]
    )
    absent = [f"<code>{escape(name)}</code>" for name, item in run.summary["measures"].items() if not item["n"]]
    unmeasured = f" Not measured, since no case has what it takes: {', '.join(absent)}." if absent else ""
    return (
        '<section><h2>Measures</h2><div class="wide"><table><thead><tr><th>measure</th><th class="n">value</th>'
        f'<th class="n">95 % interval</th><th class="bar-column"></th><th class="n">cases</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        '<p class="note">↓ lower is better. '
        f"{unmeasured}{_OWN_CHECK if run.judge == 'deterministic' else ''}</p>{_meanings(run)}</section>"
    )


def _estimate(item: dict[str, Any]) -> str:
    if item["mean"] is None:
        return '<td class="n">–</td><td class="n">–</td><td class="bar-column"></td><td class="n">0</td>'
    strip = interval_bar(item["low"], item["mean"], item["high"]) if 0 <= item["low"] <= item["high"] <= 1 else ""
    return (
        f'<td class="n"><strong>{number(item["mean"])}</strong></td><td class="n">{number(item["low"])} – '
        f'{number(item["high"])}</td><td class="bar-column">{strip}</td><td class="n">{item["n"]}</td>'
    )


def _meanings(run: Run) -> str:
    """Every measure's definition, for those who cannot point at its name."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(item.about)}</dd>" for name, item in run.measures.items())
    return f'<details class="about"><summary>What the measures mean</summary><dl class="terms">{items}</dl></details>'


def _judges(run: Run) -> str:
    """What is known of the judges: how they agree with people, and how a model agrees with itself."""
    rows = "".join(
        f'<tr><th scope="row">{escape(item["judge"])}</th><td>{escape(item["level"])}</td>'
        f'<td class="n"><strong>{number(item["kappa"]["mean"])}</strong></td><td class="n">'
        f'{number(item["kappa"]["low"])} – {number(item["kappa"]["high"])}</td><td class="n">{item["same"]:.0%}</td>'
        f'<td class="n">{item["counts"]["yes_no"]}</td><td class="n">{item["counts"]["no_yes"]}</td>'
        f'<td class="n">{item["n"]}</td></tr>'
        for item in run.agreement
    )
    head = "".join(
        f'<th class="n">{name}</th>'
        for name in ("Cohen's κ", "95 % interval", "alike", "too kind", "too strict", "labels")
    )
    table = (
        f'<div class="wide"><table><thead><tr><th>judge</th><th>of a</th>{head}</tr></thead><tbody>{rows}</tbody>'
        '</table></div><p class="note">Against human labels; too kind: the judge says yes and people no. κ is 0 for '
        "agreement by chance and 1 for full agreement: the lower it is, the less the citation measures above say.</p>"
    )
    told = ", ".join(f"{escape(name.replace('_', ' '))} {value}" for name, value in (run.judging or {}).items())
    about = f'<p class="note">{escape(run.judge or "")}: {told}</p>' if told else ""
    return f"<section><h2>Judges</h2>{table if rows else ''}{about}</section>" if rows or about else ""


def _comparison(comparison: Comparison) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(item.measure)}</th><td class="n">{number(item.paired.first)}</td>'
        f'<td class="n">{number(item.paired.second)}</td><td class="n">{item.paired.difference:+.3f}</td>'
        f'<td class="n">{item.paired.low:+.3f} – {item.paired.high:+.3f}</td><td class="n">{number(item.p_holm)}</td>'
        f'<td class="n">{number(item.paired.effect)}</td><td class="{item.verdict}">{item.verdict}</td></tr>'
        for item in comparison.differences
    )
    first, second = escape(comparison.first), escape(comparison.second)
    return (
        f'<section><h2>{second} against {first}</h2><div class="wide"><table><thead><tr><th>measure</th>'
        f'<th class="n">{first}</th><th class="n">{second}</th><th class="n">difference</th><th class="n">95 %</th>'
        f'<th class="n">p</th><th class="n">d</th><th>{second} is</th></tr></thead><tbody>{rows}</tbody></table></div>'
        f'<p class="note">{comparison.n} shared cases; paired randomisation test, p corrected by Holm over the '
        f"measures; d: Cohen's d of the paired differences. {escape(' '.join(comparison.notes))}</p></section>"
    )


def _charts(run: Run) -> str:
    bins = reliability_bins(run)
    charts = [
        curve(
            risk_coverage(run),
            title="Risk when only the surest are answered",
            x="share answered",
            y="share wrong",
        ),
        reliability(bins, title="Is the gate's probability true?", x="probability given", y="share answerable")
        if bins
        else "",
        histogram(
            list(run.seconds.values()), title="Latency", x="seconds an answer (last bar: slower ones too)", y="cases"
        ),
    ]
    return f'<section><h2>Confidence and speed</h2><div class="charts">{"".join(charts)}</div></section>'


def _diagnosis(run: Run) -> str:
    blamed = run.summary["diagnosis"]
    if not blamed:
        return ""
    most = max(blamed.values())
    rows = "".join(
        f'<tr><th scope="row">{escape(stage)}</th><td class="n">{count}</td>'
        f'<td><meter min="0" max="{most}" value="{count}"></meter></td></tr>'
        for stage, count in blamed.items()
    )
    return f"<section><h2>Where it went wrong</h2><table><tbody>{rows}</tbody></table></section>"


def _tags(run: Run) -> str:
    tagged = run.summary["tags"]
    names = [name for name in run.measures if any(name in item["measures"] for item in tagged.values())]
    if not tagged or not names:
        return ""
    head = "".join(f'<th class="n">{escape(name)}</th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row">{escape(tag)}</th><td class="n">{item["n"]}</td>'
        + "".join(_tag_cell(item["measures"].get(name)) for name in names)
        + "</tr>"
        for tag, item in tagged.items()
    )
    return (
        '<section><h2>By tag</h2><div class="wide"><table><thead><tr><th>tag</th><th class="n">cases</th>'
        f"{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _tag_cell(item: dict[str, Any] | None) -> str:
    if not item or item["mean"] is None:
        return '<td class="n">–</td>'
    span = f"{number(item['low'])} – {number(item['high'])}, {item['n']} cases"
    return f'<td class="n" title="{span}">{number(item["mean"])}<br><small>{span.split(",")[0]}</small></td>'
