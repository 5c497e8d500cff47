"""Bootstrap intervals, the paired randomisation test, effect size and Holm's correction; all seeded, all
repeatable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

Combine = Callable[["Matrix", "Matrix"], "Matrix"]  # weights (b, n) and columns (n, c) to values (b,)

BOOTSTRAPS = 2_000
SHUFFLES = 10_000
EXACT_UP_TO = 12  # differing pairs: 2^12 ways to swap them are all tried
_CELLS = 2_000_000  # weights held at once
_DIGITS = 6  # what is reported: more digits would be noise, and differ between processors


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its percentile bootstrap interval over cases. Of no case at all, None."""

    mean: float | None
    low: float | None
    high: float | None
    n: int

    def as_json(self) -> dict[str, float | int | None]:
        """As summary.json holds it."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "n": self.n}


def estimate(combine: Combine, columns: Sequence[Sequence[float]], *, seed: int, level: float = 0.95) -> Estimate:
    """The value over all cases, and the interval that `level` of the resamples fall in (Efron 1979)."""
    import numpy as np

    if not columns:
        return Estimate(None, None, None, 0)
    table = np.asarray(columns, dtype=np.float64)
    values = np.concatenate([combine(weights, table) for weights in _resamples(len(table), seed)])
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(_rounded(value_of(combine, table)), _rounded(low), _rounded(high), len(table))


def value_of(combine: Combine, table: Matrix) -> float:
    """The value with every case counted once."""
    import numpy as np

    return float(combine(np.ones((1, len(table))), table)[0])


@dataclass(frozen=True, slots=True)
class Paired:
    """Second minus first over the same cases: the difference, its bootstrap interval, the p-value of the
    paired randomisation test (two-sided), and Cohen's d of the case differences (None for values that are no
    means)."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    effect: float | None
    n: int


def paired(
    combine: Combine, first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], *, seed: int
) -> Paired:
    """Compare two systems on the same cases, given in the same order; at least one case."""
    import numpy as np

    before, after = (np.asarray(side, dtype=np.float64) for side in (first, second))
    resampled = np.concatenate(
        [combine(weights, after) - combine(weights, before) for weights in _resamples(len(before), seed)]
    )
    low, high = np.quantile(resampled, [0.025, 0.975])
    values = value_of(combine, before), value_of(combine, after)
    return Paired(
        first=_rounded(values[0]),
        second=_rounded(values[1]),
        difference=_rounded(values[1] - values[0]),
        low=_rounded(low),
        high=_rounded(high),
        p=_rounded(randomisation_test(combine, before, after, seed=seed)),
        effect=cohens_d(after[:, 0] - before[:, 0]) if before.shape[1] == 1 else None,
        n=len(before),
    )


def randomisation_test(combine: Combine, first: Matrix, second: Matrix, *, seed: int) -> float:
    """Two-sided p of a difference under random swaps of the two systems' results case by case (Fisher;
    Smucker et al. 2007). Exact for few differing cases, else from 10,000 swaps, the observed one counted
    among them."""
    import numpy as np

    differing = np.flatnonzero((first != second).any(axis=1))
    both = np.concatenate([first, second])
    observed = abs(value_of(combine, second) - value_of(combine, first))
    exact = len(differing) <= EXACT_UP_TO
    reached = total = 0
    for swaps in _all_swaps(len(differing)) if exact else _random_swaps(len(differing), seed):
        swapped = np.zeros((len(swaps), len(first)))
        swapped[:, differing] = swaps
        kept = 1 - swapped
        gap = combine(np.hstack([swapped, kept]), both) - combine(np.hstack([kept, swapped]), both)
        reached += int((np.abs(gap) >= observed - 1e-12).sum())
        total += len(swaps)
    return reached / total if exact else (reached + 1) / (total + 1)


def cohens_d(differences: Matrix) -> float | None:
    """Mean over standard deviation of paired differences; None where they do not vary."""
    if len(differences) < 2:
        return None
    spread = float(differences.std(ddof=1))
    return _rounded(float(differences.mean()) / spread) if spread > 0 else None


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjusted p-values (Holm 1979).

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    {'d': 0.02, 'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p * (len(p_values) - place)))
        adjusted[name] = _rounded(largest)
    return adjusted


def _resamples(n: int, seed: int) -> Iterator[Matrix]:
    """How often each of n cases is drawn, for 2,000 resamples, some rows at a time."""
    import numpy as np

    random = np.random.default_rng(seed)
    rows = max(1, min(BOOTSTRAPS, _CELLS // n))
    for start in range(0, BOOTSTRAPS, rows):
        yield random.multinomial(n, np.full(n, 1 / n), size=min(rows, BOOTSTRAPS - start)).astype(np.float64)


def _all_swaps(n: int) -> Iterator[Matrix]:
    import numpy as np

    yield ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(np.float64)


def _random_swaps(n: int, seed: int) -> Iterator[Matrix]:
    import numpy as np

    random = np.random.default_rng(seed)
    rows = max(1, min(SHUFFLES, _CELLS // n))
    for start in range(0, SHUFFLES, rows):
        yield random.integers(0, 2, size=(min(rows, SHUFFLES - start), n)).astype(np.float64)


def _rounded(value: float) -> float:
    return round(float(value), _DIGITS) + 0.0  # no -0.0
