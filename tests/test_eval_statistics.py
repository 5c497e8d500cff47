"""The statistics agree with scipy and with textbook examples, and repeat exactly."""

from functools import partial

import numpy as np
import pytest

from eval.measures import named
from eval.statistics import cohens_d, estimate, holm, paired, randomisation_test, value_of

stats = pytest.importorskip("scipy.stats")
MEAN = named()["facts"].combine
F1 = named()["abstain_f1"].combine
# Darwin's plants, cross- and self-fertilised (Fisher 1935, The Design of Experiments): p of the exact test is 0.05267.
CROSSED = [23.5, 12, 21, 22, 19.125, 21.5, 22.125, 20.375, 18.25, 21.625, 23.25, 21, 22.125, 23, 12]
SELFED = [17.375, 20.375, 20, 20, 18.375, 18.625, 18.625, 15.25, 16.5, 18, 16.25, 18, 12.75, 15.5, 18]


def column(values: list[float]) -> np.ndarray:
    return np.asarray(values, dtype=float)[:, None]


def test_exact_randomisation_agrees_with_scipy():
    first, second = column([0.2, 0.5, 0.1, 0.9, 0.4, 0.6, 0.3]), column([0.6, 0.7, 0.5, 0.8, 0.9, 0.6, 0.8])
    wanted = stats.permutation_test(
        (first[:, 0], second[:, 0]),
        lambda a, b: np.mean(b) - np.mean(a),
        permutation_type="samples",
        n_resamples=np.inf,
    )
    assert randomisation_test(MEAN, first, second, seed=0) == pytest.approx(wanted.pvalue, abs=1e-9)


def test_sampled_randomisation_agrees_with_fisher_on_darwins_plants():
    found = randomisation_test(MEAN, column(SELFED), column(CROSSED), seed=0)
    assert found == pytest.approx(0.05267, abs=0.005)


def test_randomisation_of_a_measure_that_is_no_mean_agrees_with_scipy():
    random = np.random.default_rng(3)
    unanswerable = random.integers(0, 2, 9).astype(float)
    sides = [np.column_stack([random.integers(0, 2, 9), unanswerable]).astype(float) for _ in range(2)]

    def difference(a: np.ndarray, b: np.ndarray) -> float:
        one, two = (value_of(F1, np.column_stack([side, unanswerable])) for side in (a, b))
        return two - one

    wanted = stats.permutation_test(
        (sides[0][:, 0], sides[1][:, 0]),
        difference,
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=False,
    )
    assert randomisation_test(F1, *sides, seed=0) == pytest.approx(wanted.pvalue, abs=1e-9)


def test_equal_systems_do_not_differ():
    same = column([0.1, 0.9, 0.5])
    assert randomisation_test(MEAN, same, same, seed=0) == 1.0


def test_bootstrap_interval_agrees_with_scipys_percentile_interval():
    values = np.random.default_rng(1).beta(2, 1, size=200)
    wanted = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=2).confidence_interval
    found = estimate(MEAN, column(list(values)).tolist(), seed=0)
    assert found.mean == pytest.approx(values.mean(), abs=1e-6)
    assert found.low == pytest.approx(wanted.low, abs=0.004)
    assert found.high == pytest.approx(wanted.high, abs=0.004)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(5)
    samples = (random.binomial(1, 0.7, size=80).astype(float) for _ in range(200))
    intervals = [estimate(MEAN, column(list(sample)).tolist(), seed=0) for sample in samples]
    covered = np.mean([item.low <= 0.7 <= item.high for item in intervals])
    assert 0.9 <= covered <= 0.99


def test_auroc_agrees_with_the_mann_whitney_u_of_scipy():
    random = np.random.default_rng(7)
    scores, labels = random.integers(0, 9, 60) / 10, random.integers(0, 2, 60)
    u = stats.mannwhitneyu(scores[labels == 1], scores[labels == 0]).statistic
    wanted = u / (labels.sum() * (1 - labels).sum())
    assert value_of(named()["abstain_auroc"].combine, np.column_stack([scores, labels])) == pytest.approx(wanted)


def test_holm_on_a_textbook_example():
    # Worked through in Aickin and Gensler 1996's manner: sorted p times 4, 3, 2, 1, never falling, at most 1.
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == {"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06}
    assert holm({"x": 0.9, "y": 0.8})["y"] == 1.0


def test_effect_size_is_the_paired_t_over_root_n():
    differences = np.asarray(CROSSED) - np.asarray(SELFED)
    wanted = stats.ttest_rel(CROSSED, SELFED).statistic / len(CROSSED) ** 0.5
    assert cohens_d(differences) == pytest.approx(wanted, abs=1e-6)
    assert cohens_d(np.ones(4)) is None


def test_same_seed_same_numbers_and_another_seed_others():
    columns = column(list(np.random.default_rng(2).random(50))).tolist()
    assert estimate(MEAN, columns, seed=4) == estimate(MEAN, columns, seed=4)
    assert estimate(MEAN, columns, seed=4) != estimate(MEAN, columns, seed=5)


def test_an_estimate_over_no_case_says_so():
    assert estimate(MEAN, [], seed=0).as_json() == {"mean": None, "low": None, "high": None, "n": 0}


def test_a_paired_comparison_is_sharper_than_the_two_intervals_apart():
    random = np.random.default_rng(11)
    hard = random.random(60)
    compare = partial(paired, MEAN, column(list(hard)).tolist(), seed=0)
    found = compare(column(list(hard + 0.02 + random.normal(0, 0.02, 60))).tolist())
    assert found.low > 0
    assert found.p < 0.001
    assert found.difference == pytest.approx(0.02, abs=0.01)
