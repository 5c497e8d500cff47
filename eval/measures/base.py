"""What a measure is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from eval.judges.base import Judged

    Matrix = NDArray[np.float64]

Row = Mapping[str, Any]  # one case of a run, as `outcome.Run` and cases.jsonl hold it


@dataclass(frozen=True, slots=True)
class CaseMeasure:
    """A value for each case, None where it does not apply. The value of a run is their mean."""

    name: str
    about: str
    value: Callable[[Judged], float | None]
    higher_is_better: bool = True

    def applies(self, rows: Iterable[Row]) -> bool:
        """Whether it can be measured on these cases: each case says so itself."""
        return True

    def columns(self, row: Row) -> tuple[float, ...] | None:
        """The case's value as one column."""
        value = row["measures"].get(self.name)
        return None if value is None else (value,)

    def combine(self, weights: Matrix, columns: Matrix) -> Matrix:
        """Weighted means (b,) of columns (n, 1) under weights (b, n)."""
        return (weights @ columns[:, 0]) / weights.sum(axis=1)


@dataclass(frozen=True, slots=True)
class SetMeasure:
    """A value for a set of cases that is no mean of theirs, such as F1 or the area under a curve.

    `pick` gives a case's columns, None where the case does not count; `join` computes the value (b,) for each
    row of weights (b, n) from columns (n, c), so that resampling is one call. `needs`: the kinds of case, answerable or
    not, without which the value would say nothing.
    """

    name: str
    about: str
    pick: Callable[[Row], tuple[float, ...] | None]
    join: Callable[[Matrix, Matrix], Matrix]
    higher_is_better: bool = True
    needs: tuple[bool, ...] = ()

    def applies(self, rows: Iterable[Row]) -> bool:
        """Whether the cases hold what is needed."""
        return set(self.needs) <= {row["answerable"] for row in rows}

    def columns(self, row: Row) -> tuple[float, ...] | None:
        """The case's columns."""
        return self.pick(row)

    def combine(self, weights: Matrix, columns: Matrix) -> Matrix:
        """Values (b,) of columns (n, c) under weights (b, n)."""
        return self.join(weights, columns)


Measure = CaseMeasure | SetMeasure
