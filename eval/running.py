"""Running a system over cases: asking, judging, measuring; resumable and repeatable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.asking import Progress, aliased, ask_all, in_order
from eval.case import Case
from eval.diagnosis import diagnose
from eval.judges.alce import judge_reply
from eval.judges.base import Judge, Judged, SentenceVerdict
from eval.linking import Names, link
from eval.measures import named
from eval.measures.base import CaseMeasure, Measure
from eval.measures.citation import JUDGED
from eval.measures.facts import missing_facts
from eval.measures.retrieval import IR_NAMES, retrieval_values
from eval.outcome import Run, made_folder
from eval.replies import ReplyLog
from eval.reply import Reply
from eval.systems import System, as_system
from rag.errors import CitewiseError
from rag.papers import Paper

if TYPE_CHECKING:
    from eval.labels import Label

_SHOWN_PAPERS = 10  # of a ranking, kept in the row


def run(
    answerer: Any,
    cases: Iterable[Case],
    *,
    papers: Iterable[Paper] = (),
    name: str = "",
    out: str | Path | None = None,
    measures: list[str] | None = None,
    judge: Judge | None = None,
    seed: int = 0,
    jobs: int = 1,
    repeats: int = 1,
    labels: Sequence[Label] = (),
    allow_missing: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Evaluate a `System`, or any callable that answers a question, over cases.

    Each case is asked `repeats` times: the first reply is measured, the others say how alike they are to it.
    With `papers` (or a system that lists its own), cases may name papers by title, and citations are judged:
    by `judge`, by default the deterministic one. With `out`, the run is saved there, and replies are reused
    as long as question, papers, settings and code are the same. A case on which the system raises is kept,
    and scores zero.

    With human `labels`, the agreement of the automatic judges with them is part of the summary.

    Raises InputError for a case that names an unknown paper, CitewiseError when every case fails.
    """
    given = list(cases)
    system = as_system(answerer, papers, name=name or "system")
    names = Names.of(system.papers())
    linked = link(given, names, allow_missing=allow_missing) if names.ids else given
    log = ReplyLog(made_folder(Path(out)) / "replies.jsonl" if out else None)
    asked = ask_all(system, linked, log, jobs=jobs, times=repeats, progress=progress)
    told = [tuple(aliased(reply, names.aliases) for reply in replies) for replies in asked]
    replies = [first for first, *_ in told]
    if linked and all(reply.error for reply in replies):
        raise CitewiseError(f"every one of the {len(linked)} cases failed; the first with: {replies[0].error}")
    chosen = named(measures)
    judging = judge or (_default_judge() if names.ids and _needs_judge(chosen) else None)
    verdicts = _verdicts(replies, system, judging, jobs)
    judged = _judged(linked, told, verdicts, chosen)
    rows = tuple(_row(item, system, chosen) for item in judged)
    seconds = {case.id: reply.seconds for case, reply in zip(linked, replies, strict=True)}
    finished = Run(
        name or system.name,
        rows,
        seconds,
        seed,
        judging.name if judging else None,
        chosen,
        judging=_report(judging),
        agreement=_agreement(labels, judging, system, given, seed),
    )
    if out:
        finished.save(Path(out))
    return finished


def _needs_judge(measures: Mapping[str, Measure]) -> bool:
    return any(name in measures for name in JUDGED)


def _default_judge() -> Judge:
    from eval.judges.deterministic import default_judge

    return default_judge()


def _verdicts(
    replies: Sequence[Reply], system: System, judge: Judge | None, jobs: int
) -> list[tuple[SentenceVerdict, ...] | None]:
    """A judge that waits for a server may be asked about several replies at a time."""
    if judge is None:
        return [None] * len(replies)
    at_a_time = jobs if getattr(judge, "parallel", False) else 1
    return list(in_order(lambda reply: judge_reply(reply, system.paper, judge), replies, at_a_time))


def _report(judge: Judge | None) -> dict[str, Any] | None:
    """What a judge says of itself, where it does."""
    report = getattr(judge, "report", None)
    return report() if report else None


def _agreement(
    labels: Sequence[Label], judge: Judge | None, system: System, cases: Sequence[Case], seed: int
) -> tuple[dict[str, Any], ...]:
    from eval.agreement import agreements

    if not labels or judge is None:
        return ()
    return tuple(item.as_json() for item in agreements(labels, judge, system.papers(), cases, seed=seed))


def _judged(
    cases: Sequence[Case],
    told: Sequence[tuple[Reply, ...]],
    verdicts: Sequence[tuple[SentenceVerdict, ...] | None],
    measures: Mapping[str, Measure],
) -> list[Judged]:
    first = [replies[0] for replies in told]
    retrieval = retrieval_values(cases, first) if any(name in IR_NAMES for name in measures) else {}
    groups: dict[str, list[Reply]] = defaultdict(list)
    for case, reply in zip(cases, first, strict=True):
        groups[case.paraphrase_of or case.id].append(reply)
    return [
        Judged(
            case,
            replies[0],
            verdict,
            retrieval.get(case.id, {}),
            replies[1:],
            tuple(other for other in groups[case.paraphrase_of or case.id] if other is not replies[0]),
        )
        for case, replies, verdict in zip(cases, told, verdicts, strict=True)
    ]


def _row(judged: Judged, system: System, measures: Mapping[str, Measure]) -> dict[str, Any]:
    """One line of cases.jsonl: no clock, no path, so that it repeats."""
    case, reply = judged.case, judged.reply
    fault = diagnose(judged, system.paper)
    values = {
        name: measure.value(judged)
        for name, measure in _with_correct(measures).items()
        if isinstance(measure, CaseMeasure)
    }
    shown = dict.fromkeys((*case.relevant, *reply.cited, *reply.retrieved[:_SHOWN_PAPERS]))
    return {
        "id": case.id,
        "question": case.question,
        "history": [turn.question for turn in case.history],
        "tags": list(case.groups),
        "answerable": case.answerable,
        "relevant": list(case.relevant),
        "reference": case.answer,
        "facts": [list(fact) for fact in case.facts],
        "missing": [list(fact) for fact in missing_facts(case.facts, reply.prose)],
        "text": reply.text,
        "sentences": _sentences(judged),
        "retrieved": list(reply.retrieved[:_SHOWN_PAPERS]),
        "context": list(reply.context),
        "abstained": reply.abstained,
        "confidence": reply.confidence,
        "mode": reply.mode,
        "searched": reply.searched,
        "error": reply.error,
        "usage": reply.usage,
        "measures": {name: None if value is None else round(value, 6) for name, value in values.items()},
        "diagnosis": {"stage": fault.stage, "why": fault.why} if fault else None,
        "titles": {name: paper.title for name in shown if (paper := system.paper(name))},
    }


def _with_correct(measures: Mapping[str, Measure]) -> dict[str, Measure]:
    """`correct` is always kept: order, risk and diagnosis rest on it."""
    return {**named(["correct"]), **measures}


def _sentences(judged: Judged) -> list[dict[str, Any]]:
    verdicts = judged.verdicts or (None,) * len(judged.reply.sentences)
    return [
        {
            "text": said.text,
            "cites": [
                {"paper_id": cite.paper_id, "quote": cite.quote, "metadata": cite.metadata} for cite in said.cites
            ],
            "dangling": said.dangling,
            "supported": verdict.supported if verdict else None,
            "faithful": verdict.faithful if verdict else None,
        }
        for said, verdict in zip(judged.reply.sentences, verdicts, strict=False)
    ]
