"""Golden cases: every measure on numbers worked out by hand."""

import math
from dataclasses import replace

import pytest

from eval.case import Case
from eval.judges.alce import judge_reply
from eval.judges.base import Evidence, Judged, SentenceVerdict
from eval.measures import named
from eval.measures.correct import is_correct
from eval.measures.facts import says
from eval.measures.overlap import rouge_l, token_f1
from eval.measures.retrieval import retrieval_values
from eval.reply import Cite, Reply, Said
from eval.statistics import value_of
from rag.errors import UsageError
from rag.papers import Paper

np = pytest.importorskip("numpy")


def case(identifier: str = "q", **more: object) -> Case:
    return Case.model_validate({"id": identifier, "question": "Q?", **more})


def retrieval(ranking: str, relevant: dict[str, int]) -> dict[str, float]:
    judged = case(relevant=list(relevant), grades=list(relevant.values()))
    return retrieval_values([judged], [Reply(retrieved=tuple(ranking.split()))])["q"]


def test_ndcg_of_a_ranking_worked_out_by_hand():
    # Gains 1 at rank 2 and 1 at rank 4; ideal: ranks 1 and 2.
    wanted = (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))
    assert retrieval("a b c d", {"b": 1, "d": 1})["ndcg@10"] == pytest.approx(wanted)


def test_graded_judgements_weigh_in_ndcg():
    wanted = (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))
    assert retrieval("a b", {"a": 1, "b": 3})["ndcg@10"] == pytest.approx(wanted)


def test_recall_success_reciprocal_rank_and_average_precision_by_hand():
    values = retrieval("x a y z u v b", {"a": 1, "b": 1, "never": 1})
    assert values["recall@5"] == pytest.approx(1 / 3)
    assert values["recall@10"] == pytest.approx(2 / 3)
    assert values["success@1"] == 0
    assert values["success@5"] == 1
    assert values["rr"] == pytest.approx(1 / 2)
    assert values["map"] == pytest.approx((1 / 2 + 2 / 7) / 3)


def test_a_case_without_a_ranking_scores_zero_and_is_not_dropped():
    cases = [case("found", relevant=["a"]), case("silent", relevant=["a"]), case("none")]
    values = retrieval_values(cases, [Reply(retrieved=("a",)), Reply(), Reply()])
    assert values["found"]["ndcg@10"] == 1
    assert set(values["silent"].values()) == {0.0}
    assert "none" not in values


def test_ties_are_not_broken_by_the_names_of_papers():
    assert retrieval("b a", {"b": 1})["success@1"] == retrieval("a b", {"a": 1})["success@1"] == 1


@pytest.mark.parametrize(
    ("text", "alternatives", "said"),
    [
        ("It reaches 28.4 BLEU.", ("28.4",), True),
        ("It reaches 128.4 BLEU.", ("28.4",), False),
        ("It reaches 28.41 BLEU.", ("28.4",), False),
        ("It took 3 days.", ("13 days", "3 days"), True),
        ("A masked language modelling task", ("masked language model",), True),
        ("an unmasked word", ("masked",), False),
        ("Zero‑shot – really", ("zero-shot - really",), True),
        ("40\nper cent", ("40 per cent",), True),
        ("See [41].", ("41",), True),
        ("version 2.4.1 of it", ("4.1",), False),
    ],
)
def test_a_fact_is_found_as_words_and_whole_numbers(text: str, alternatives: tuple[str, ...], said: bool):
    assert says(text, alternatives) is said


def facts_of(reply: Reply, **more: object) -> float | None:
    judged = Judged(case(facts=[["28.4"], ["8 GPUs", "eight GPUs"]], **more), reply)
    return named()["facts"].value(judged)


def test_facts_counts_the_required_facts_said_outside_of_markers():
    assert facts_of(Reply.from_text("It reached 28.4 BLEU on eight GPUs [1].", ["a"])) == 1
    assert facts_of(Reply.from_text("It reached 28.4 BLEU [8].", ["a"] * 9)) == 0.5
    assert facts_of(Reply(text="“28.4 on 8 GPUs” is the nearest paper.", abstained="not said")) == 0
    assert facts_of(Reply(error="broken")) == 0
    assert facts_of(Reply(), answerable=False) is None


def test_token_f1_as_squad_computes_it():
    assert token_f1("The Denver Broncos", "Denver Broncos") == 1
    assert token_f1("the Broncos of Denver won it", "Denver Broncos") == pytest.approx(2 * 2 / (5 + 2))
    assert token_f1("", "Denver") == 0
    assert token_f1("Denver Denver", "Denver") == pytest.approx(2 / 3)


def test_rouge_l_on_the_example_of_its_paper():
    # Lin 2004: "police killed the gunman" against two candidates with three and two words in sequence.
    assert rouge_l("police kill the gunman", "police killed the gunman") == 0.75
    assert rouge_l("the gunman kill police", "police killed the gunman") == 0.5


class Table:
    """A judge that knows the answers by heart."""

    name = "table"

    def __init__(self, *supported: str) -> None:
        self.supported = set(supported)

    def supports(self, claim: str, evidence: list[Evidence]) -> bool:
        return f"{claim} <- {'+'.join(item.paper.id for item in evidence)}" in self.supported


def verdicts(judge: Table, *said: Said, context: tuple[str, ...] = ()) -> tuple[SentenceVerdict, ...]:
    def lookup(name: str) -> Paper | None:
        return Paper(id=name, title=name, abstract=name) if name != "gone" else None

    return judge_reply(Reply("x", said, context=context), lookup, judge)


def said(text: str, *cites: str) -> Said:
    return Said(text, tuple(map(Cite, cites)))


def citation(found: tuple[SentenceVerdict, ...]) -> tuple[float, float]:
    judged = Judged(case(), Reply("x", (said("x"),)), found)
    measures = named()
    return measures["citation_recall"].value(judged), measures["citation_precision"].value(judged)


def test_alce_recall_is_the_share_of_supported_sentences_uncited_ones_counting_as_unsupported():
    found = verdicts(Table("S1 <- a"), said("S1", "a"), said("S2", "b"), said("S3"))
    assert [item.supported for item in found] == [True, False, False]
    assert citation(found)[0] == pytest.approx(1 / 3)


def test_alce_precision_counts_a_needless_citation_against_the_answer():
    # a alone supports S1; b does not, and is not needed: 1 of 2 citations is precise.
    assert citation(verdicts(Table("S1 <- a+b", "S1 <- a"), said("S1", "a", "b"))) == (1.0, 0.5)


def test_alce_precision_accepts_citations_that_only_support_together():
    assert citation(verdicts(Table("S1 <- a+b"), said("S1", "a", "b"))) == (1.0, 1.0)


def test_alce_precision_is_zero_where_the_sentence_is_not_supported_or_nothing_is_cited():
    assert citation(verdicts(Table("S1 <- a"), said("S1", "a", "b"))) == (0.0, 0.0)
    assert citation(verdicts(Table(), said("S1"))) == (0.0, 0.0)


def test_a_cited_paper_that_does_not_exist_is_imprecise():
    (found,) = verdicts(Table("S1 <- a"), said("S1", "a", "gone"))
    assert found.precise == (True, False)


def test_faithfulness_looks_at_everything_retrieved():
    found = verdicts(Table("S1 <- c"), said("S1", "a"), said("S2", "a"), context=("a", "c"))
    assert [item.faithful for item in found] == [True, False]


def test_citation_measures_leave_abstentions_out_and_count_failures_as_zero():
    for name in ("citation_recall", "citation_precision", "faithfulness"):
        measure = named()[name]
        assert measure.value(Judged(case(), Reply(abstained="no"), ())) is None
        assert measure.value(Judged(case(), Reply(error="broken"), ())) == 0.0
        assert measure.value(Judged(case(), Reply("x", (said("x"),)), None)) is None


def test_cited_share_dangling_markers_and_length():
    reply = Reply.from_text("One thing is so [1]. Another is not. A third [7].", ["a", "b"])
    judged = Judged(case(), reply)
    assert named()["cited"].value(judged) == pytest.approx(1 / 3)
    assert named()["dangling"].value(judged) == 1
    assert named()["words"].value(judged) == 9


@pytest.mark.parametrize(
    ("judged", "reply", "right"),
    [
        (case(facts=[["x"]], relevant=["p"]), Reply.from_text("It says x."), True),
        (case(facts=[["x"], ["y"]], relevant=["p"]), Reply.from_text("It says x."), False),
        (case(relevant=["p"]), Reply.from_text("So it is [1].", ["p"]), True),
        (case(relevant=["p"]), Reply.from_text("So it is [1].", ["other"]), False),
        (case(relevant=["p"]), Reply(abstained="no"), False),
        (case(answerable=False), Reply(abstained="no"), True),
        (case(answerable=False), Reply.from_text("Surely."), False),
        (case(answerable=False), Reply(error="broken"), False),
    ],
)
def test_a_case_is_right_as_a_whole(judged: Case, reply: Reply, right: bool):
    assert is_correct(judged, reply) is right


def row(*, answerable: bool, abstained: bool, confidence: float | None = None, correct: bool | None = None) -> dict:
    right = (abstained != answerable) if correct is None else correct
    return {
        "answerable": answerable,
        "abstained": "reason" if abstained else None,
        "confidence": confidence,
        "error": None,
        "measures": {"correct": float(right)},
    }


def over(name: str, rows: list[dict]) -> float:
    measure = named()[name]
    columns = [found for item in rows if (found := measure.columns(item)) is not None]
    return value_of(measure.combine, np.array(columns, dtype=float))


DECISIONS = [
    *(row(answerable=False, abstained=True) for _ in range(3)),
    row(answerable=False, abstained=False),
    *(row(answerable=True, abstained=True) for _ in range(2)),
    *(row(answerable=True, abstained=False) for _ in range(4)),
]


def test_abstention_precision_recall_and_f1_by_hand():
    assert over("abstain_precision", DECISIONS) == pytest.approx(3 / 5)
    assert over("abstain_recall", DECISIONS) == pytest.approx(3 / 4)
    assert over("abstain_f1", DECISIONS) == pytest.approx(2 * 3 / (5 + 4))


def test_who_never_abstains_gets_no_precision_for_it():
    rows = [row(answerable=kind, abstained=False) for kind in (True, False)]
    assert [over(f"abstain_{name}", rows) for name in ("precision", "recall", "f1")] == [0, 0, 0]


def test_auroc_counts_pairs_and_half_of_ties():
    rows = [
        *(row(answerable=True, abstained=False, confidence=value) for value in (0.9, 0.5, 0.4)),
        *(row(answerable=False, abstained=False, confidence=value) for value in (0.5, 0.1)),
    ]
    # Of 6 pairs: 0.9 beats both, 0.5 ties one and beats one, 0.4 loses one and beats one.
    assert over("abstain_auroc", rows) == pytest.approx((2 + 1.5 + 1) / 6)


def test_auroc_without_confidences_is_that_of_the_decisions():
    assert over("abstain_auroc", DECISIONS) == pytest.approx((3 / 4 + 4 / 6) / 2)


def test_area_under_the_risk_coverage_curve_by_hand():
    rows = [
        row(answerable=True, abstained=False, confidence=0.9, correct=True),
        row(answerable=True, abstained=False, confidence=0.8, correct=False),
        row(answerable=True, abstained=False, confidence=0.7, correct=True),
        row(answerable=False, abstained=True, confidence=0.1, correct=True),
    ]
    assert over("aurc", rows) == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)


def test_tied_confidences_enter_the_risk_curve_together():
    rows = [row(answerable=True, abstained=False, confidence=0.5, correct=right) for right in (True, False)]
    assert over("aurc", rows) == over("aurc", rows[::-1]) == 0.5


def test_an_unknown_measure_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"no measure is called 'ndgc'; known: correct, ndcg@10"):
        named(["ndgc"])


def test_a_reply_survives_its_file_form():
    reply = replace(Reply.from_text("It is so [1]. And so.", ["a"]), confidence=0.25, error=None, seconds=1.5)
    assert Reply.from_json(reply.as_json()) == reply
