"""Offline evaluation: cases, measures with intervals, diagnosis and comparison, for our engine or any other.

>>> from eval import run, compare  # doctest: +SKIP
>>> before = run(answer_one, cases, papers=papers)  # doctest: +SKIP
>>> print(compare(before, run(answer_two, cases, papers=papers)).markdown())  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eval.case import Case
    from eval.comparing import Comparison, compare
    from eval.formats import load_cases, load_trec
    from eval.llama_index import QueryEngineSystem
    from eval.outcome import Run
    from eval.reply import Cite, Reply, Said
    from eval.running import run
    from eval.systems import FunctionSystem, LibrarySystem, System

# Where each name lives: loaded at first use, because `citewise --help` imports this package for its command.
_HOMES = {
    "Case": "eval.case",
    "Cite": "eval.reply",
    "Comparison": "eval.comparing",
    "FunctionSystem": "eval.systems",
    "LibrarySystem": "eval.systems",
    "QueryEngineSystem": "eval.llama_index",
    "Reply": "eval.reply",
    "Run": "eval.outcome",
    "Said": "eval.reply",
    "System": "eval.systems",
    "compare": "eval.comparing",
    "load_cases": "eval.formats",
    "load_trec": "eval.formats",
    "run": "eval.running",
}

__all__ = [
    "Case",
    "Cite",
    "Comparison",
    "FunctionSystem",
    "LibrarySystem",
    "QueryEngineSystem",
    "Reply",
    "Run",
    "Said",
    "System",
    "compare",
    "load_cases",
    "load_trec",
    "run",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'eval' has no attribute {name!r}")
