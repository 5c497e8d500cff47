"""Value objects of the chat page: one question with what became of it, and the conversation of a browser tab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from rag import Answer, Filters, Turn

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question, and its answer, or the `problem` that stood in the way, or the `partial` text until it was stopped.

    `given` are the filters that were set when it was asked. `cost` is what the model took for it in dollars, also when
    it was stopped or failed; None where no model was called, or its price is not known. `rating` is 1, 0 or -1, with
    an optional `remark`.
    """

    question: str
    answer: Answer | None = None
    given: Filters = field(default_factory=Filters)
    problem: str | None = None
    partial: str = ""
    cost: float | None = None
    rating: int = 0
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation as one browser tab has it open; `id` is None until something was kept of it."""

    id: str | None = None
    exchanges: tuple[Exchange, ...] = ()

    @property
    def history(self) -> list[Turn]:
        """The answered exchanges, as follow-up questions need them."""
        return [Turn(item.question, item.answer) for item in self.exchanges if item.answer is not None]


class Spent(NamedTuple):
    """What a conversation took of models: tokens, dollars as far as they are known, and answers of unknown cost."""

    tokens: int
    cost: float
    unpriced: int


def spent(exchanges: Sequence[Exchange]) -> Spent | None:
    """What the exchanges took together; None where no model was called."""
    used = [item.answer.usage if item.answer else {} for item in exchanges]
    tokens = sum(sum(usage.values()) for usage in used)
    costs = [item.cost for item in exchanges if item.cost is not None]
    unpriced = sum(bool(usage) and item.cost is None for item, usage in zip(exchanges, used, strict=True))
    return Spent(tokens, sum(costs), unpriced) if tokens or costs else None


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Exchange]:
    from pydantic import TypeAdapter

    return TypeAdapter(Exchange)


def dumped(exchange: Exchange) -> str:
    """An exchange as JSON: everything that is needed to show it again, papers included."""
    return _adapter().dump_json(exchange).decode()


def loaded(text: str) -> Exchange:
    """The exchange that `dumped` wrote."""
    return _adapter().validate_json(text)


def plain(exchange: Exchange) -> dict[str, Any]:
    """An exchange as JSON-ready values."""
    return _adapter().dump_python(exchange, mode="json")


def revived(values: dict[str, Any]) -> Exchange:
    """The exchange that `plain` made; ValueError where the values are not one's."""
    return _adapter().validate_python(values)
