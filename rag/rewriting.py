"""Follow-up questions made whole by one call of a model, held to what was said before."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rag import text
from rag.answerers.prompting import plain, supported_text
from rag.answers import Filters, Turn
from rag.connection import Stop
from rag.conversation import LOOKED_BACK, Condensed, Condenser, by_rules
from rag.errors import ModelError
from rag.llm import Message, Reply
from rag.orders import gives_orders
from rag.prompts import CONDENSE, load_prompt

if TYPE_CHECKING:
    from rag.llm import ChatModel

_LONGEST = 500
_ADDRESS = re.compile(r"://|www\.|\S@\S|[<>\[\]|]")
_TOLD = 500
_FROM_CONVERSATION = 0.7  # share of a rewritten question's content stems that were said before


def by_model(model: ChatModel) -> Condenser:
    """A condenser that lets `model` rewrite the question, once; by rules where it fails, babbles or adds its own words
    (the rewritten question is searched and shown: what nobody said must not get in that way)."""

    def condense(question: str, filters: Filters, history: Sequence[Turn], stop: Stop | None = None) -> Condensed:
        ruled = by_rules(question, filters, history)
        if not history:
            return ruled
        reply = Reply()
        try:
            said = model.complete(condense_messages(question, history), reply, stop)
        except ModelError:
            return ruled
        rewritten = " ".join(said.split()).strip('"“” ')
        kept = rewritten if _is_rewriting(rewritten, question, history) else ruled.question
        return replace(ruled, question=kept, usage=reply.usage, prompt=CONDENSE)

    return condense


def _is_rewriting(rewritten: str, question: str, history: Sequence[Turn]) -> bool:
    """Whether a text is a question made of what was said before, and neither an order nor an address."""
    if not 0 < len(rewritten) <= _LONGEST or _ADDRESS.search(rewritten):
        return False
    if gives_orders(rewritten) and not gives_orders(question):
        return False
    stems = set(text.stems(rewritten))
    said = set(text.stems(" ".join([question, *_told(history)])))
    return len(stems & said) >= _FROM_CONVERSATION * len(stems)


def _told(history: Sequence[Turn]) -> list[str]:
    """What a model is told of the last turns: each as one text of three lines."""
    return [
        f"User: {plain(turn.question)}\nAnswer: {text.shorten(plain(supported_text(turn.answer)), _TOLD)}\nPapers: "
        + "; ".join(f"({source.marker}) {plain(source.paper.title)}" for source in turn.answer.sources)
        for turn in history[-LOOKED_BACK:]
    ]


def condense_messages(question: str, history: Sequence[Turn]) -> tuple[Message, Message]:
    """The messages that ask a model to rewrite a question: the last turns, fenced, and the question."""
    system, user = load_prompt(CONDENSE).filled(
        fence=f"conversation-{secrets.token_hex(6)}",
        history="\n".join(_told(history)),
        question=plain(question),
    )
    return Message("system", system), Message("user", user)
