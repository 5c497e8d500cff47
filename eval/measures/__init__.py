"""The measures, one idea a file, and the table of them in reporting order."""

from __future__ import annotations

from collections.abc import Sequence

from eval.measures import abstention, citation, consistency, correct, cost, facts, length, overlap, retrieval
from eval.measures.base import Measure
from rag.errors import UsageError

_TABLE: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        *correct.MEASURES,
        *retrieval.MEASURES,
        *facts.MEASURES,
        *overlap.MEASURES,
        *citation.MEASURES,
        *abstention.MEASURES,
        *consistency.MEASURES,
        *length.MEASURES,
        *cost.MEASURES,
    )
}


def named(names: Sequence[str] | None = None) -> dict[str, Measure]:
    """The measures of these names (None: all), in reporting order. Raises UsageError for an unknown one."""
    for name in names or ():
        if name not in _TABLE:
            raise UsageError(f"no measure is called {name!r}; known: {', '.join(_TABLE)}")
    return {name: measure for name, measure in _TABLE.items() if not names or name in names}
