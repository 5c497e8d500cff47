"""Score fusion and what follows it: z-scores, blending, diversity."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.fusion import fuse
from rag.rerank import blend, diversified

SCORES = st.dictionaries(st.text(max_size=3), st.floats(-5, 50, allow_nan=False), max_size=20)


def order(fused):
    return [item.id for item in fused]


def test_weight_decides_which_side_rules():
    dense, lexical = {"a": 0.9, "b": 0.1}, {"a": 1.0, "b": 9.0}
    assert order(fuse(dense, lexical, dense_weight=0.9)) == ["a", "b"]
    assert order(fuse(dense, lexical, dense_weight=0.1)) == ["b", "a"]


def test_scale_of_one_side_does_not_matter():
    dense, lexical = {"a": 0.9, "b": 0.5, "c": 0.1}, {"a": 1.0, "b": 9.0, "c": 4.0}
    large = {key: 1000 * score + 7 for key, score in lexical.items()}
    assert [x.score for x in fuse(dense, lexical, dense_weight=0.5)] == pytest.approx(
        [x.score for x in fuse(dense, large, dense_weight=0.5)]
    )


def test_a_candidate_unknown_to_one_side_gets_its_lowest_score():
    fused = {x.id: x for x in fuse({"a": 0.9, "b": 0.3, "c": 0.3}, {"a": 2.0, "b": 1.0}, dense_weight=0.5)}
    assert fused["c"].lexical is None
    assert fused["c"].score == pytest.approx(fused["b"].score)


def test_a_silent_side_leaves_the_ranking_to_the_other():
    assert order(fuse({}, {"a": 1.0, "b": 2.0}, dense_weight=0.9)) == ["b", "a"]
    assert order(fuse({"a": 0.2, "b": 0.1}, {}, dense_weight=0.1)) == ["a", "b"]
    assert fuse({}, {}, dense_weight=0.5) == []


def test_ties_are_broken_by_raw_scores_and_then_by_id():
    assert order(fuse({"c": 0.5, "a": 0.5, "b": 0.5}, {}, dense_weight=0.5)) == ["a", "b", "c"]


@given(SCORES, SCORES, st.floats(0, 1), st.randoms(use_true_random=False))
def test_ranking_never_depends_on_the_order_of_the_input(dense, lexical, weight, chance: random.Random):
    shuffled = [dict(chance.sample(list(side.items()), len(side))) for side in (dense, lexical)]
    assert fuse(dense, lexical, dense_weight=weight) == fuse(*shuffled, dense_weight=weight)


@given(SCORES, SCORES, st.floats(0, 1))
def test_every_candidate_is_ranked_once_with_a_finite_score(dense, lexical, weight):
    fused = fuse(dense, lexical, dense_weight=weight)
    assert sorted(order(fused)) == sorted(dense.keys() | lexical.keys())
    assert all(np.isfinite(item.score) for item in fused)


def test_blend_moves_only_papers_with_a_second_opinion_and_keeps_their_mean():
    scores = {"a": 3.0, "b": 2.0, "c": 1.0}
    blended = blend(scores, {"a": 0.1, "b": 0.9}, weight=1.0)
    assert blended["b"] > blended["a"]
    assert blended["c"] == 1.0
    assert blended["a"] + blended["b"] == pytest.approx(5.0)


def test_blend_with_equal_opinions_changes_nothing():
    assert blend({"a": 3.0, "b": 2.0}, {"a": 0.4, "b": 0.4}, weight=1.0) == {"a": 3.0, "b": 2.0}


def test_diversity_puts_a_different_paper_before_a_copy():
    vectors = {"a": np.array([1.0, 0]), "copy": np.array([1.0, 0]), "other": np.array([0, 1.0])}
    scores = {"a": 3.0, "copy": 2.9, "other": 2.0}
    assert diversified(list(scores), scores, vectors, share=0.5) == ["a", "other", "copy"]
    assert diversified(list(scores), scores, vectors, share=0.0) == ["a", "copy", "other"]
    assert diversified([], {}, {}, share=0.5) == []
