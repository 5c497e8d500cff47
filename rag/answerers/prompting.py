"""The messages for the model: numbered, fenced passages and the history, trimmed to the context window."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.errors import ModelRejected
from rag.llm import Message
from rag.orders import visible
from rag.prompts import ANSWER, REPAIR, Prompt, load_prompt
from rag.text import collapse, shorten
from rag.tokens import count_tokens

if TYPE_CHECKING:
    from rag.answerers.base import Request
    from rag.answers import Answer, Hit, Turn
    from rag.settings import LLMSettings

# Other models' tokenizers make more of the same text than cl100k does.
_MARGIN = 0.9
_HISTORY_SHARE = 0.2
# What a server's chat template may read as the end of a message, and what looks like one of our fences.
_TEMPLATE = re.compile(
    r"<\|[^<>|\n]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>"
    r"|</?(?:passage|conversation|system|user|assistant|instructions?|im_start|im_end|tool_calls?)\b[^<>\n]{0,80}>",
    re.IGNORECASE,
)
_TURN_CHARACTERS = 600
_SENTENCE_CHARACTERS = 400
_TURNS = 4


@dataclass(frozen=True, slots=True)
class Prepared:
    """The messages, and how many of the request's hits are in them: passages 1..n are hits 1..n."""

    messages: tuple[Message, ...]
    passages: int
    version: str


def prepare(request: Request, settings: LLMSettings, *, sentences: int) -> Prepared:
    """The messages that ask for an answer. Passages go in by rank: whole while there is room, then their most relevant
    sentences, then not at all; the question is never cut.

    Raises ModelRejected when not even the first passage's best sentence fits.
    """
    return _prepared(load_prompt(ANSWER), request, settings, sentences=str(sentences))


def prepare_repair(request: Request, settings: LLMSettings, *, wrong: Sequence[str]) -> Prepared:
    """The messages that ask for other sentences in place of those that the passages do not support; see `prepare`."""
    listed = "\n".join(
        f"{number}. {shorten(plain(text), _SENTENCE_CHARACTERS)}" for number, text in enumerate(wrong, start=1)
    )
    return _prepared(load_prompt(REPAIR), request, settings, wrong=listed)


def _prepared(prompt: Prompt, request: Request, settings: LLMSettings, **values: str) -> Prepared:
    """A prompt with its own `values`, and with what of the passages and the history there is room for."""
    fence = fence_for([hit.paper.abstract for hit in request.hits])

    def messages(passages: Sequence[str], history: str) -> tuple[Message, ...]:
        system, user = prompt.filled(
            **values,
            fence=fence,
            passages="\n\n".join(passages),
            history=history,
            question=plain(request.question),
        )
        return Message("system", system), Message("user", user)

    room = int(settings.context_window * _MARGIN) - settings.max_tokens
    room -= sum(count_tokens(message.content) for message in messages((), ""))
    history = told_history(request.history, fence, tokens=int(max(0, room) * _HISTORY_SHARE))
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


def told_history(history: Sequence[Turn], fence: str, *, tokens: int) -> str:
    """The last turns that fit, oldest first, as fenced text; empty when there are none."""
    told: list[str] = []
    for turn in reversed(history[-_TURNS:]):
        answer = re.sub(r"\s*\[\d+\]", "", plain(supported_text(turn.answer)))
        text = f"Asked before: {plain(turn.question)}\nAnswered: {shorten(answer, _TURN_CHARACTERS)}"
        tokens -= count_tokens(text) + 2
        if tokens < 0:
            break
        told.insert(0, text)
    return f"<{fence}>\n" + "\n".join(told) + f"\n</{fence}>\n" if told else ""


def supported_text(answer: Answer) -> str:
    """What an earlier answer says with the abstracts behind it: what had to be marked is not handed on."""
    if answer.abstained or not answer.sentences:
        return answer.text
    return " ".join(sentence.text for sentence in answer.sentences if sentence.supported)


def plain(quoted: str) -> str:
    """Text from outside on one line, without what cannot be seen and what a chat template or our fence would read."""
    line = collapse(visible(quoted))
    while (shorter := _TEMPLATE.sub(" ", line)) != line:
        line = collapse(shorter)
    return line


def _passage(number: int, hit: Hit, abstract: str, fence: str) -> str:
    paper = hit.paper
    facts = [f"Title: {plain(paper.title)}"] if not paper.untitled else []
    facts += [f"Year: {paper.year}"] if paper.year else []
    return f'<{fence} id="{number}">\n' + "\n".join([*facts, plain(abstract)]) + f"\n</{fence}>"


def _core(request: Request, hit: Hit) -> str:
    """A paper's two most relevant sentences, in order; its quote where its sentences were not scored."""
    own = [item for item in request.sentences if item.paper_id == hit.paper.id]
    best = sorted(own, key=lambda item: -item.relevance)[:2]
    return " ".join(item.text for item in sorted(best, key=lambda item: item.ordinal)) or hit.quote.text
