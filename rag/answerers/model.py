"""Answers written by a language model from the papers found, and from nothing else."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from rag.answerers.base import Draft, Request
from rag.answerers.prompting import prepare
from rag.answerers.written import UNSAID, Written
from rag.answers import Delta
from rag.citations import split_draft
from rag.errors import ModelUnavailable
from rag.llm import ChatModel, Message, Reply, Restart
from rag.markers import bracketed, without_markers
from rag.prompts import NOT_FOUND
from rag.text import sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper

_ADDRESS = re.compile(r"https?://[^\s<>\])]+[^\s<>\]).,;:]")


class ModelAnswerer:
    """Streams a model's answer. Raises ModelUnavailable or ModelRejected where there is none to be had."""

    def __init__(self, model: ChatModel, *, max_sentences: int = 6) -> None:
        self._model = model
        self._most = max_sentences

    def write(self, request: Request) -> Iterator[Delta | Draft]:
        """Deltas as the model writes them, cleaned; then the draft. The model may abstain."""
        prepared = prepare(request, self._model.settings, sentences=self._most)
        papers = [hit.paper for hit in request.hits[: prepared.passages]]
        written = Written(prepared.passages, _addresses(papers), secret=[prepared.messages[0].content])
        reply = Reply()
        said = yield from self._streamed(request, prepared.messages, written, reply)
        answer, missing = written.parts(said)
        notes = ("The model's answer was cut off at llm.max_tokens.",) if reply.finish == "length" else ()
        answer = _complete_sentences(answer) if notes else answer
        if not missing and not any(map(str.isalnum, without_markers(answer))):
            raise ModelUnavailable("the model's answer held no words, or none but what had to be removed")
        yield Draft(
            sentences=tuple(split_draft(answer)),
            abstained=_attributed(missing) if not answer.strip() else None,
            mode="llm",
            model=self._model.name,
            usage=reply.usage,
            prompt_version=prepared.version,
            notes=notes,
        )

    def _streamed(
        self, request: Request, messages: Sequence[Message], written: Written, reply: Reply
    ) -> Generator[Delta, None, str]:
        """Deltas while the model writes; returns all that it said. After a restart the text is only collected: what was
        shown cannot be taken back, and the finished answer replaces it."""
        said, shown, mute = "", "", False
        for piece in self._model.stream(messages, reply, request.stop):
            if isinstance(piece, Restart):
                said, mute = "", True
                continue
            said += piece
            # Only the end of a word makes more of the text final.
            if mute or not any(map(str.isspace, piece)) or _may_abstain(said):
                continue
            now = written.so_far(said)
            if now.startswith(shown) and len(now) > len(shown):
                yield Delta(now[len(shown) :])
                shown = now
        whole = bracketed(written.parts(said)[0]).rstrip()
        if not mute and whole.startswith(shown) and len(whole) > len(shown):
            yield Delta(whole[len(shown) :])
        return said


def _may_abstain(said: str) -> bool:
    """Whether a text is, or may yet become, one that begins with the agreed phrase."""
    start = said.lstrip(" \t\r\n*_\"'“").upper()[: len(NOT_FOUND)]
    return NOT_FOUND.startswith(start)


def _attributed(reason: str) -> str:
    """What the model says is missing is not checked, so it is told as the model's."""
    return reason if reason == UNSAID else f"according to the model, {reason}"


def _complete_sentences(answer: str) -> str:
    """The answer up to its last full stop, when it has one."""
    found = sentences(answer)
    if len(found) > 1 and not re.search(r"[.!?][\"'”’)]*\s*$", answer):
        return answer[: found[-1].start].rstrip()
    return answer


def _addresses(papers: list[Paper]) -> frozenset[str]:
    """The addresses that a model may repeat: those in the papers it was given."""
    found: set[str] = set()
    for paper in papers:
        found.update(_ADDRESS.findall(paper.abstract))
        found.update(paper.code_urls)
        found.update([paper.url] if paper.url else [])
    return frozenset(found)
