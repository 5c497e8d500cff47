"""Running a system over cases: asking, judging, measuring; resumable and repeatable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from eval.case import Case
from eval.diagnosis import diagnose
from eval.judges.alce import judge_reply
from eval.judges.base import Judge, Judged
from eval.linking import Names, link
from eval.measures import named
from eval.measures.base import CaseMeasure, Measure
from eval.measures.facts import missing_facts
from eval.measures.retrieval import IR_NAMES, retrieval_values
from eval.outcome import Run
from eval.replies import ReplyLog, key_of
from eval.reply import Reply
from eval.systems import System, as_system
from rag.errors import CitewiseError
from rag.papers import Paper

Progress = Callable[[int, int], None]  # cases done, cases in all
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
    allow_missing: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Evaluate a `System`, or any callable that answers a question, over cases.

    With `papers` (or a system that lists its own), cases may name papers by title, and citations are judged:
    by `judge`, by default the deterministic one. With `out`, the run is saved there, and replies are reused
    as long as question, papers, settings and code are the same. A case on which the system raises is kept,
    and scores zero.

    Raises InputError for a case that names an unknown paper, CitewiseError when every case fails.
    """
    system = as_system(answerer, papers, name=name or "system")
    names = Names.of(system.papers())
    linked = link(list(cases), names, allow_missing=allow_missing) if names.ids else list(cases)
    log = ReplyLog(Path(out) / "replies.jsonl" if out else None)
    replies = [_aliased(reply, names.aliases) for reply in _ask_all(system, linked, log, jobs=jobs, progress=progress)]
    if linked and all(reply.error for reply in replies):
        raise CitewiseError(f"every one of the {len(linked)} cases failed; the first with: {replies[0].error}")
    chosen = named(measures)
    judging = judge or (_default_judge() if names.ids and _needs_judge(chosen) else None)
    rows = _rows(linked, replies, system, judging, chosen)
    seconds = {case.id: reply.seconds for case, reply in zip(linked, replies, strict=True)}
    finished = Run(name or system.name, rows, seconds, seed, judging.name if judging else None, chosen)
    if out:
        finished.save(Path(out))
    return finished


def _ask_all(
    system: System, cases: Sequence[Case], log: ReplyLog, *, jobs: int, progress: Progress | None
) -> list[Reply]:
    with log, ThreadPoolExecutor(max_workers=jobs) as pool:
        replies: list[Reply] = []
        for reply in _in_order(pool, lambda case: _ask(system, case, log), cases, jobs):
            replies.append(reply)
            if progress:
                progress(len(replies), len(cases))
        return replies


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Case], Reply], cases: Sequence[Case], jobs: int
) -> Iterator[Reply]:
    """One job needs no thread: an interrupt then stops at once, and what was answered is in the log."""
    return map(work, cases) if jobs == 1 else pool.map(work, cases)


def _ask(system: System, case: Case, log: ReplyLog) -> Reply:
    key = key_of(system.fingerprint, case)
    known = log.get(key)
    if known:
        return known
    try:
        reply = system.reply(case.question, case.history)
    except Exception as error:  # noqa: BLE001 - whatever a system under test raises is a result: a failed case
        return Reply(error=f"{type(error).__name__}: {' '.join(str(error).split())}")
    log.add(key, reply)
    return reply


def _aliased(reply: Reply, aliases: Mapping[str, str]) -> Reply:
    """Papers that share a title counted as one, as in the cases."""
    if not aliases:
        return reply
    from dataclasses import replace

    def one(ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(aliases.get(paper, paper) for paper in ids))

    return replace(reply, retrieved=one(reply.retrieved), context=one(reply.context))


def _needs_judge(measures: Mapping[str, Measure]) -> bool:
    return any(name in measures for name in ("citation_recall", "citation_precision", "faithfulness"))


def _default_judge() -> Judge:
    from eval.judges.deterministic import default_judge

    return default_judge()


def _rows(
    cases: Sequence[Case],
    replies: Sequence[Reply],
    system: System,
    judge: Judge | None,
    measures: Mapping[str, Measure],
) -> tuple[dict[str, Any], ...]:
    retrieval = retrieval_values(cases, replies) if any(name in IR_NAMES for name in measures) else {}
    rows = []
    for case, reply in zip(cases, replies, strict=True):
        verdicts = judge_reply(reply, system.paper, judge) if judge else None
        judged = Judged(case, reply, verdicts, retrieval.get(case.id, {}))
        rows.append(_row(judged, system, measures))
    return tuple(rows)


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
            "cites": [{"paper_id": cite.paper_id, "quote": cite.quote} for cite in said.cites],
            "dangling": said.dangling,
            "supported": verdict.supported if verdict else None,
            "faithful": verdict.faithful if verdict else None,
        }
        for said, verdict in zip(judged.reply.sentences, verdicts, strict=False)
    ]
