"""Retrieval measures, computed by ir_measures over the ranked papers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from eval.measures.base import CaseMeasure
from rag.errors import MissingExtra

if TYPE_CHECKING:
    from eval.case import Case
    from eval.judges.base import Judged
    from eval.reply import Reply

# Our names, and ir_measures' own: https://ir-measur.es/en/latest/measures.html
IR_NAMES = {
    "ndcg@10": "nDCG@10",
    "recall@5": "R@5",
    "recall@10": "R@10",
    "recall@20": "R@20",
    "success@1": "Success@1",
    "success@5": "Success@5",
    "rr": "RR@10",
    "map": "AP",
}
_ABOUT = {
    "ndcg@10": "normalised discounted cumulative gain of the first 10 papers (Järvelin and Kekäläinen 2002)",
    "rr": "1 / rank of the first relevant paper, 0 beyond rank 10",
    "map": "average precision over the relevant papers",
}


def retrieval_values(cases: Sequence[Case], replies: Sequence[Reply]) -> dict[str, dict[str, float]]:
    """Values by case id and measure, for the cases with relevant papers; a case with no ranking scores zero."""
    ir = _ir_measures()
    measures = {ir.parse_measure(ir_name): name for name, ir_name in IR_NAMES.items()}
    judged = [(case, reply) for case, reply in zip(cases, replies, strict=True) if case.relevant]
    if not judged:
        return {}
    qrels = [ir.Qrel(case.id, paper, grade) for case, _ in judged for paper, grade in case.graded.items()]
    # Only the order counts, so scores are minus the rank: ties in a system's scores must not be broken by id.
    run = [
        ir.ScoredDoc(case.id, paper, -float(rank))
        for case, reply in judged
        for rank, paper in enumerate(dict.fromkeys(reply.retrieved))
    ]
    values: dict[str, dict[str, float]] = {case.id: {} for case, _ in judged}
    for metric in ir.iter_calc(list(measures), qrels, run):
        values[metric.query_id][measures[metric.measure]] = round(float(metric.value), 9)
    return values


def _ir_measures() -> Any:
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtra("ir-measures", "eval") from error
    return ir_measures


def _looked_up(name: str, judged: Judged) -> float | None:
    return judged.retrieval.get(name)


MEASURES = tuple(
    CaseMeasure(name, _ABOUT.get(name, f"{name} of the ranked papers"), partial(_looked_up, name)) for name in IR_NAMES
)
