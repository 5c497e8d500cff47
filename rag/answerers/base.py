"""What every answerer is given and owes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rag.answers import Delta, Filters, Hit, Mode, Turn
from rag.citations import DraftSentence
from rag.connection import Stop

if TYPE_CHECKING:
    from rag.evidence import ScoredSentence
    from rag.questions import Understanding


@dataclass(frozen=True, slots=True)
class Request:
    """A question with its evidence. Source n is `hits[n - 1]`; `sentences` are those of the first hits, scored;
    `filters` are the given and the heard ones; `most` is how many sentences are wanted, None for as many as usual.

    Throwing `stop` in any thread ends the work of a model.
    """

    question: str
    hits: tuple[Hit, ...]
    sentences: tuple[ScoredSentence, ...]
    understanding: Understanding
    history: tuple[Turn, ...] = ()
    stop: Stop = field(default_factory=Stop)
    filters: Filters = field(default_factory=Filters)
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer before its citations are checked; `abstained` is the reason when there is none to give.

    `hits` are the papers that it cites by number where they are not those of the request.
    """

    sentences: tuple[DraftSentence, ...] = ()
    abstained: str | None = None
    mode: Mode = "extractive"
    model: str | None = None
    usage: dict[str, int] = field(default_factory=dict[str, int])
    prompt_version: str | None = None
    notes: tuple[str, ...] = ()
    hits: tuple[Hit, ...] | None = None


def summed(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """The tokens of two calls together, by kind."""
    return {kind: one.get(kind, 0) + other.get(kind, 0) for kind in (*one, *other)}


class Answerer(Protocol):
    """Writes one answer: any number of deltas, then exactly one draft, last.

    Closing the iterator early stops the work. A model's failure is raised as ModelError.
    """

    def write(self, request: Request) -> Iterator[Delta | Draft]:
        """Answer one request."""
        ...
