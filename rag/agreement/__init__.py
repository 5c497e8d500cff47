"""Do two sentences agree in what topic similarity cannot see: numbers, names, negation and direction?

Rules, not a model: each check says nothing where it is not sure, and returns a factor of 1 then.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from rag.agreement.direction import Direction, direction_differs, ranks_unsaid, read_directions, roles_swapped
from rag.agreement.names import names_agree, read_names
from rag.agreement.numbers import Number, numbers_agree, read_numbers
from rag.agreement.polarity import Polarity, polarity_differs, read_polarity

CONTRADICTED = 0.25  # share of the support left by a sentence that says the opposite
UNSAID_RANK = 0.7  # and by each "first", "best" or "only" that the paper does not say


class Statement(NamedTuple):
    """What the checks look at in one text."""

    numbers: tuple[Number, ...]
    names: frozenset[str]
    polarity: Polarity
    directions: tuple[Direction, ...]


def agreement(claim: str, evidence: str, *, whole: str = "") -> float:
    """How far `evidence` leaves the details of `claim` standing, in 0..1; 1 where nothing disagrees.

    `whole` is the title and abstract that the evidence is a part of: a name may be said elsewhere in it.
    """
    whole = whole or evidence
    said, found = read(claim), read(evidence)
    factor = numbers_agree(said.numbers, found.numbers, _numbers(whole)) * names_agree(said.names, whole)
    if (
        polarity_differs(said.polarity, found.polarity)
        or direction_differs(said.directions, found.directions)
        or roles_swapped(claim, evidence)
    ):
        factor *= CONTRADICTED
    return factor * UNSAID_RANK ** ranks_unsaid(claim, whole)


@lru_cache(maxsize=4096)
def read(sentence: str) -> Statement:
    """Everything the checks need of a text, in one go."""
    return Statement(
        numbers=_numbers(sentence),
        names=frozenset(read_names(sentence)),
        polarity=read_polarity(sentence),
        directions=tuple(read_directions(sentence)),
    )


@lru_cache(maxsize=4096)
def _numbers(text: str) -> tuple[Number, ...]:
    return tuple(read_numbers(text))
