"""The messages for the model: numbered, fenced passages and the history, trimmed to the context window."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.errors import ModelRejected
from rag.llm import Message
from rag.prompts import ANSWER, load_prompt
from rag.text import collapse, shorten
from rag.tokens import count_tokens

if TYPE_CHECKING:
    from rag.answerers.base import Request
    from rag.answers import Hit, Turn
    from rag.settings import LLMSettings

# Other models' tokenizers make more of the same text than cl100k does.
_MARGIN = 0.9
_HISTORY_SHARE = 0.2
_TURN_CHARACTERS = 600
_TURNS = 4


@dataclass(frozen=True, slots=True)
class Prepared:
    """The messages, and how many of the request's hits are in them: passages 1..n are hits 1..n."""

    messages: tuple[Message, ...]
    passages: int
    version: str


def prepare(request: Request, settings: LLMSettings, *, sentences: int) -> Prepared:
    """Fill in the prompt. Passages go in by rank: whole while there is room, then their most relevant sentences,
    then not at all; the question is never cut.

    Raises ModelRejected when not even the first passage's best sentence fits.
    """
    prompt = load_prompt(ANSWER)
    fence = fence_for([hit.paper.abstract for hit in request.hits])

    def messages(passages: Sequence[str], history: str) -> tuple[Message, ...]:
        system, user = prompt.filled(
            fence=fence,
            sentences=str(sentences),
            passages="\n\n".join(passages),
            history=history,
            question=collapse(request.question),
        )
        return Message("system", system), Message("user", user)

    room = int(settings.context_window * _MARGIN) - settings.max_tokens
    room -= sum(count_tokens(message.content) for message in messages((), ""))
    history = told_history(request.history, tokens=int(max(0, room) * _HISTORY_SHARE))
    passages = fitted_passages(request, fence, tokens=room - count_tokens(history))
    if not passages:
        raise ModelRejected(
            f"the question and one passage do not fit into llm.context_window ({settings.context_window:,} tokens,"
            f" of which llm.max_tokens keeps {settings.max_tokens:,}); raise it or ask more briefly"
        )
    return Prepared(messages(passages, history), len(passages), prompt.version)


def fence_for(quoted: Sequence[str]) -> str:
    """A tag name that nobody can have foreseen and no quoted text holds."""
    while True:
        fence = f"passage-{secrets.token_hex(6)}"
        if not any(fence in item for item in quoted):
            return fence


def fitted_passages(request: Request, fence: str, *, tokens: int) -> list[str]:
    """The passages of the first hits that fit, in order."""
    passages: list[str] = []
    for number, hit in enumerate(request.hits, start=1):
        whole = _passage(number, hit, hit.paper.abstract, fence)
        for text in (whole, _passage(number, hit, _core(request, hit), fence)):
            size = count_tokens(text) + 2
            if size <= tokens:
                passages.append(text)
                tokens -= size
                break
        else:
            break
    return passages


def told_history(history: Sequence[Turn], *, tokens: int) -> str:
    """The last turns that fit, oldest first, as text; empty when there are none."""
    told: list[str] = []
    for turn in reversed(history[-_TURNS:]):
        answer = re.sub(r"\s*\[\d+\]", "", turn.answer.text)
        text = f"Asked before: {collapse(turn.question)}\nAnswered: {shorten(collapse(answer), _TURN_CHARACTERS)}"
        tokens -= count_tokens(text) + 2
        if tokens < 0:
            break
        told.insert(0, text)
    return "\n".join(told) + "\n" if told else ""


def _passage(number: int, hit: Hit, abstract: str, fence: str) -> str:
    paper = hit.paper
    facts = [f"Title: {collapse(paper.title)}"] if not paper.untitled else []
    facts += [f"Year: {paper.year}"] if paper.year else []
    return f'<{fence} id="{number}">\n' + "\n".join([*facts, collapse(abstract)]) + f"\n</{fence}>"


def _core(request: Request, hit: Hit) -> str:
    """A paper's two most relevant sentences, in order; its quote where its sentences were not scored."""
    own = [item for item in request.sentences if item.paper_id == hit.paper.id]
    best = sorted(own, key=lambda item: -item.relevance)[:2]
    return " ".join(item.text for item in sorted(best, key=lambda item: item.ordinal)) or hit.quote.text
