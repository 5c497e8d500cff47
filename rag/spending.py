"""What calls of paid models cost, and the limits that stop a call before it is made."""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rag.errors import CostLimit
from rag.tokens import count_tokens

if TYPE_CHECKING:
    from rag.settings import LLMSettings, PriceSettings

# Other models' tokenizers make more of the same text than cl100k does; each message adds a few tokens of its own.
_MARGIN = 0.9
_MESSAGE_TOKENS = 8
_SESSION = "--max-cost (llm.max_session_cost)"


class Tally:
    """What calls have cost, and what those under way may still cost. Safe for many threads.

    `limit` is what may be spent, None for any amount; `refused` the last error of a call that a limit stopped.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._spent = 0.0
        self._reserved = 0.0
        self._calls = 0
        self._unpriced = 0
        self.refused: CostLimit | None = None

    @property
    def spent(self) -> float:
        """Dollars, as far as prices are known."""
        return self._spent

    @property
    def cost(self) -> float | None:
        """Dollars; None where no call was made, or the price of one is not known."""
        return self._spent if self._calls and not self._unpriced else None

    def reserve(self, most: float, limit: float | None = None) -> bool:
        """Set `most` dollars aside for a call; False where that could pass the limit, or the one given."""
        limit = self.limit if limit is None else limit
        with self._lock:
            if limit is not None and self._spent + self._reserved + most > limit:
                return False
            self._reserved += most
            return True

    def release(self, reserved: float) -> None:
        """Give back what was set aside for a call that was not made."""
        with self._lock:
            self._reserved -= reserved

    def settle(self, reserved: float, cost: float | None) -> None:
        """Count a call that was made in place of what was set aside for it; None where its price is not known."""
        with self._lock:  # at once, or another thread could take what is given back before this is counted
            self._reserved -= reserved
            self._calls += 1
            self._spent += cost or 0.0
            self._unpriced += cost is None


@dataclass(slots=True)
class Call:
    """What became of a call: the text that came, the tokens where the server told them; `lost` when it may have been
    worked on to its end and nobody heard of it."""

    said: list[str] = field(default_factory=list[str])
    usage: dict[str, int] = field(default_factory=dict[str, int])
    lost: bool = False

    @property
    def begun(self) -> bool:
        """Whether there is anything to pay for; a server that refuses or cannot be reached asks for nothing."""
        return bool(self.said or self.usage or self.lost)


class Till:
    """Where a chat model's calls pay: each is let through only while all that it could cost is within the limits.

    `session` counts over all answers and has a limit of its own; without limits, calls are only counted.
    """

    def __init__(self, settings: LLMSettings, price: PriceSettings | None, session: Tally | None = None) -> None:
        self._settings = settings
        self._price = price
        self._session = session or Tally(settings.max_session_cost)

    @contextmanager
    def call(self, contents: Sequence[str], answer: Tally) -> Generator[Call]:
        """A call with these messages, for one answer. Raises CostLimit before anything is sent."""
        prompt = most_prompt_tokens(contents) if self._priced else 0
        most = cost_of({"prompt": prompt, "completion": self._settings.max_tokens}, self._price) or 0.0
        self._admit(answer, most)
        call = Call()
        try:
            yield call
        finally:
            for tally in (answer, self._session):
                if call.begun:
                    tally.settle(most, self._cost(call, prompt, most))
                else:
                    tally.release(most)

    @property
    def _priced(self) -> bool:
        return self._price is not None and self._price.output is not None

    def _admit(self, answer: Tally, most: float) -> None:
        one, session = self._settings.max_cost, self._session.limit
        if not self._priced and (one is not None or session is not None):
            self._refuse(
                answer, _unpriced("llm.max_cost" if session is None else _SESSION, self._settings), session=True
            )
        if not answer.reserve(most, one):
            told = f"a call could cost {dollars(most)}, and with it the answer more than llm.max_cost"
            self._refuse(answer, f"{told} ({dollars(one or 0.0)})", session=False)
        if not self._session.reserve(most):
            answer.release(most)
            told = f"a call could cost {dollars(most)}, {dollars(self._session.spent)} are spent"
            told += f" and {_SESSION} is {dollars(session or 0.0)}"
            self._refuse(answer, told, session=True)

    def _refuse(self, answer: Tally, told: str, *, session: bool) -> None:
        answer.refused = CostLimit(told, session=session)
        raise answer.refused

    def _cost(self, call: Call, prompt: int, most: float) -> float | None:
        if not self._priced or call.lost:
            return most if self._priced else None
        return cost_of(call.usage or {"prompt": prompt, "completion": count_tokens("".join(call.said))}, self._price)


def _unpriced(limit: str, settings: LLMSettings) -> str:
    entry = f"prices: {{{settings.model}: {{input: …, output: …}}}}"
    return f"{limit} is set but the price is not known: add {entry} to a settings file (dollars a million tokens)"


def cost_of(usage: Mapping[str, int], price: PriceSettings | None) -> float | None:
    """Dollars for the tokens of a chat model ("prompt", "completion"); None where the price is not known."""
    if price is None or price.output is None:
        return None
    return (usage.get("prompt", 0) * price.input + usage.get("completion", 0) * price.output) / 1e6


def most_prompt_tokens(contents: Sequence[str]) -> int:
    """Tokens of a prompt at most, one text a message: counted, with a margin for other tokenizers."""
    return sum(math.ceil(count_tokens(content) / _MARGIN) + _MESSAGE_TOKENS for content in contents)


def dollars(amount: float) -> str:
    """An amount as people read it: cents, and two digits of what is less than a cent.

    >>> [dollars(amount) for amount in (0, 1.5, 0.012, 0.00042, 1234.5)]
    ['$0.00', '$1.50', '$0.01', '$0.00042', '$1,234.50']
    """
    if not 0 < amount < 0.01:
        return f"${amount:,.2f}"
    return f"${amount:.{1 - math.floor(math.log10(amount))}f}"
