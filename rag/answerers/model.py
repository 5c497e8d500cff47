"""Answers written by a language model from the papers found, and from nothing else."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from rag.answerers.base import Draft, Request
from rag.answerers.cleaning import StreamCleaner, clean
from rag.answerers.prompting import Prepared, prepare
from rag.answers import Delta
from rag.citations import split_draft
from rag.errors import ModelUnavailable
from rag.llm import ChatModel, Reply, Restart
from rag.markers import canonical, without_markers
from rag.prompts import NOT_FOUND
from rag.text import collapse, sentences, shorten

if TYPE_CHECKING:
    from rag.papers import Paper

_ADDRESS = re.compile(r"https?://[^\s<>\])]+[^\s<>\]).,;:]")
_REASON_CHARACTERS = 240


class ModelAnswerer:
    """Streams a model's answer. Raises ModelUnavailable or ModelRejected where there is none to be had."""

    def __init__(self, model: ChatModel, *, max_sentences: int = 6) -> None:
        self._model = model
        self._most = max_sentences

    def write(self, request: Request) -> Iterator[Delta | Draft]:
        """Deltas as the model writes them, cleaned; then the draft. The model may abstain."""
        prepared = prepare(request, self._model.settings, sentences=self._most)
        papers = [hit.paper for hit in request.hits[: prepared.passages]]
        addresses = _addresses(papers)
        reply = Reply()
        said = yield from self._streamed(request, prepared, addresses, reply)
        text = canonical(clean(said, addresses), prepared.passages)
        answer, missing = _without_not_found(text)
        notes = ("The model's answer was cut off at llm.max_tokens.",) if reply.finish == "length" else ()
        answer = _complete_sentences(answer) if notes else answer
        if not answer.strip() and not missing:
            raise ModelUnavailable("the model's answer held nothing but what had to be removed")
        yield Draft(
            sentences=tuple(split_draft(answer)),
            abstained=missing if not answer.strip() else None,
            mode="llm",
            model=self._model.name,
            usage=reply.usage,
            prompt_version=prepared.version,
            notes=notes,
        )

    def _streamed(
        self, request: Request, prepared: Prepared, addresses: frozenset[str], reply: Reply
    ) -> Generator[Delta, None, str]:
        """Deltas while the model writes; returns all that it said. After a restart the text is only collected: what was
        shown cannot be taken back, and the finished answer replaces it."""
        cleaner = StreamCleaner(prepared.passages, addresses)
        said, mute = "", False
        for piece in self._model.stream(prepared.messages, reply, request.stop):
            if isinstance(piece, Restart):
                said, mute = "", True
                continue
            waiting = _may_abstain(said)
            said += piece
            if mute or _may_abstain(said):
                continue
            shown = cleaner.feed(said if waiting else piece)
            if shown:
                yield Delta(shown)
        rest = "" if mute or _may_abstain(said) else cleaner.rest()
        if rest:
            yield Delta(rest)
        return said


def _may_abstain(said: str) -> bool:
    """Whether a text is, or may yet become, one that begins with the agreed phrase."""
    start = _plain(said)[: len(NOT_FOUND)]
    return NOT_FOUND.startswith(start)


def _plain(said: str) -> str:
    return said.lstrip(" \t\r\n*_\"'“").upper()


_NOT_FOUND_SENTENCE = re.compile(rf"[*_\"“]*{re.escape(NOT_FOUND)}[*_\"”]*\s*[:.,;–—-]*\s*", re.IGNORECASE)


def _without_not_found(text: str) -> tuple[str, str]:
    """The answer's text without what the model said is missing, and the latter as a reason.

    A text that begins with the agreed phrase is all reason; one that ends with it is an answer that is incomplete.
    """
    match = _NOT_FOUND_SENTENCE.search(text)
    if not match:
        return text, ""
    before, after = text[: match.start()].strip(), without_markers(text[match.end() :])
    first = next((span.text for span in sentences(collapse(after))), "")
    reason = shorten(first, _REASON_CHARACTERS).rstrip(". ") or "the abstracts found do not say this"
    return before, reason


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
