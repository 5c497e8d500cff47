"""A set of cases by rules alone: the kinds mixed, drawn by a seed, the same every time."""

from __future__ import annotations

import random
from collections.abc import Iterable

from eval.case import Case
from eval.making.names import Texts
from eval.making.near_misses import aspect_cases, swapped_cases
from eval.making.rules import definition_cases, gap_cases, naming_cases, record_cases
from rag.errors import InputError
from rag.papers import Paper

# Shares of each kind; what a library has too few of goes to the others. A third is unanswerable.
_SHARES = {"gap": 0.35, "definition": 0.1, "naming": 0.1, "record": 0.12, "unsaid": 0.18, "swapped": 0.15}


def cases_by_rules(papers: Iterable[Paper], *, n: int = 60, seed: int = 0) -> list[Case]:
    """At most `n` cases over the papers. Raises InputError when nothing can be asked about any of them."""
    drawn = sorted(papers, key=lambda paper: paper.id)
    random.Random(seed).shuffle(drawn)  # noqa: S311 - a sample, no secret
    texts = Texts(drawn)
    kinds = {
        "gap": list(gap_cases(drawn)),
        "definition": list(definition_cases(drawn, texts)),
        "naming": list(naming_cases(drawn)),
        "record": list(record_cases(drawn)),
        "unsaid": list(aspect_cases(drawn, texts)),
        "swapped": list(swapped_cases(drawn, texts)),
    }
    wanted = {kind: round(share * n) for kind, share in _SHARES.items()}
    chosen = [case for kind, made in kinds.items() for case in made[: wanted[kind]]]
    spare = [case for kind, made in kinds.items() for case in made[wanted[kind] :]]
    chosen += spare[: max(0, n - len(chosen))]
    if not chosen:
        raise InputError("no question can be made of these papers: too few titles, numbers or records")
    return chosen[:n]
