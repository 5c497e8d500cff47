"""Where a case went wrong, stage by stage, as RAGChecker asks (Ru et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eval.case import Case
from eval.judges.base import Judged
from eval.measures.correct import is_correct
from eval.measures.facts import missing_facts, says
from eval.reply import Reply
from rag.papers import Paper

Lookup = Callable[[str], Paper | None]
STAGES = ("error", "retrieval", "ranking", "gate", "answer", "citation check")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The first stage to blame (one of STAGES), and why in words."""

    stage: str
    why: str


def diagnose(judged: Judged, lookup: Lookup) -> Diagnosis | None:
    """None for a case without fault. A right answer with an unsupported sentence is a fault of the citation
    check.
    """
    case, reply = judged.case, judged.reply
    if reply.error:
        return Diagnosis("error", reply.error)
    if is_correct(case, reply):
        return _citations(judged)
    if not case.answerable:
        return Diagnosis("gate", "answered, though the papers do not say it")
    return _found(case, reply, lookup) or _written(case, reply)


def _found(case: Case, reply: Reply, lookup: Lookup) -> Diagnosis | None:
    """Whether the papers that hold what is missing reached the answerer at all."""
    for what, holders in _wanted(case, reply, lookup):
        if not holders or holders & set(reply.context):
            continue
        ranks = [rank for rank, paper in enumerate(reply.retrieved, start=1) if paper in holders]
        if ranks:
            return Diagnosis(
                "ranking", f"{what} is found only at rank {ranks[0]}, below what the answer is written from"
            )
        return Diagnosis("retrieval", f"{what} is not among the {len(reply.retrieved)} papers found")
    return None


def _wanted(case: Case, reply: Reply, lookup: Lookup) -> list[tuple[str, set[str]]]:
    """What is missing, and the relevant papers that hold it (all of them where no text can be looked at)."""
    relevant = set(case.relevant)
    missing = missing_facts(case.facts, reply.prose)
    if not missing:
        return [("a relevant paper", relevant)]
    texts = {name: f"{paper.title} {paper.abstract}" for name in relevant if (paper := lookup(name))}
    return [
        (
            f"the paper with “{fact[0]}”",
            {name for name, text in texts.items() if says(text, fact)} or relevant,
        )
        for fact in missing
    ]


def _written(case: Case, reply: Reply) -> Diagnosis:
    if not reply.answered:
        return Diagnosis("gate", f"abstained, though the papers before it hold the answer: {reply.abstained}")
    missing = missing_facts(case.facts, reply.prose)
    if missing:
        listed = ", ".join(f"“{fact[0]}”" for fact in missing)
        return Diagnosis("answer", f"had the paper, but does not say {listed}")
    return Diagnosis("answer", "had a relevant paper, but does not cite it")


def _citations(judged: Judged) -> Diagnosis | None:
    if not judged.reply.answered:
        return None
    lost = sum(sentence.dangling for sentence in judged.reply.sentences)
    if lost:
        return Diagnosis("citation check", f"{lost} citation marker{'' if lost == 1 else 's'} lead nowhere")
    wrong = sum(not verdict.supported for verdict in judged.verdicts or ())
    if wrong:
        total = len(judged.verdicts or ())
        return Diagnosis("citation check", f"{wrong} of {total} sentences not supported by what they cite")
    return None
