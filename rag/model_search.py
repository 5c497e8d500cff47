"""A language model's part in a search: other words for the question, and a second look at the first papers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from rag.answerers.base import summed
from rag.answerers.prompting import fence_for, plain
from rag.errors import ModelError, ModelUnavailable
from rag.llm import Message, Reply
from rag.prompts import HYDE, RERANK, REWRITE, load_prompt
from rag.quarantine import sound
from rag.text import shorten, words
from rag.tokens import count_tokens

if TYPE_CHECKING:
    from rag.connection import Stop
    from rag.llm import ChatModel
    from rag.papers import Paper

T = TypeVar("T")

_LONGEST_SILENCE = 20.0
_QUERIES, _QUERY_CHARACTERS = 3, 200
_IMAGINED_CHARACTERS = 1200
_ABSTRACT_CHARACTERS = 700
_MARGIN = 0.9
_LIST_MARK = re.compile(r"^\W*(?:\d{1,2}\s*[.):]\s*)?[\"'“]?")


@dataclass(frozen=True, slots=True)
class Expansion:
    """More to search with: `queries` are other phrasings of the question, `imagined` passages that would answer it."""

    queries: tuple[str, ...] = ()
    imagined: tuple[str, ...] = ()


class SearchModel:
    """A model that helps to search; it is made when first asked. Each call is tried once."""

    def __init__(
        self, model: Callable[[], ChatModel], *, rewrite: Literal["none", "multi-query", "hyde"], rerank: bool
    ) -> None:
        self._model = model
        self.rewrite = rewrite
        self.rerank = rerank

    def expansion(self, question: str, stop: Stop | None, reply: Reply) -> Expansion:
        """Up to three other phrasings (multi-query), or an imagined abstract (HyDE: Gao et al., 2022)."""
        fence = fence_for([question])
        version = HYDE if self.rewrite == "hyde" else REWRITE
        said = self._said(load_prompt(version).filled(fence=fence, question=plain(question)), stop, reply)
        if self.rewrite == "hyde":
            return Expansion(imagined=(shorten(plain(said), _IMAGINED_CHARACTERS),))
        lines = (plain(_LIST_MARK.sub("", line)).rstrip("\"'”") for line in said.splitlines())
        other = [line for line in dict.fromkeys(lines) if words(line) and len(line) <= _QUERY_CHARACTERS]
        if not other:
            raise ModelUnavailable("the model gave no other words for the question")
        return Expansion(queries=tuple(other[:_QUERIES]))

    def ranked(self, question: str, papers: Sequence[Paper], stop: Stop | None, reply: Reply) -> list[Paper]:
        """The papers that the model ranks, best first (listwise: Sun et al., 2023), without those it leaves out."""
        usable = [sound(paper) for paper in papers]
        fence = fence_for([question, *(paper.abstract for paper in usable)])
        model = self._model()
        room = int(model.settings.context_window * _MARGIN) - model.settings.max_tokens - count_tokens(question) - 300
        passages = _fitting([_passage(at, paper, fence) for at, paper in enumerate(usable, start=1)], room)
        prompt = load_prompt(RERANK)
        filled = prompt.filled(fence=fence, question=plain(question), passages="\n\n".join(passages))
        said = self._said(filled, stop, reply)
        numbers = [int(number) for number in re.findall(r"\d{1,3}", said)]
        ranked = [papers[number - 1] for number in dict.fromkeys(numbers) if 1 <= number <= len(passages)]
        if len(ranked) < 2:
            raise ModelUnavailable("the model gave no ranking")
        return ranked

    def _said(self, filled: tuple[str, str], stop: Stop | None, reply: Reply) -> str:
        system, user = filled
        model = self._model().tried_once(timeout=_LONGEST_SILENCE)
        return model.complete([Message("system", system), Message("user", user)], reply, stop)


@dataclass(slots=True)
class Help:
    """What a model does for one search, or nothing where there is none or it fails, which `notes` then say.

    `usage` counts tokens; `prompts` are the versions of the prompts that were used.
    """

    model: SearchModel | None = None
    stop: Stop | None = None
    usage: dict[str, int] = field(default_factory=dict[str, int])
    notes: list[str] = field(default_factory=list[str])
    prompts: list[str] = field(default_factory=list[str])

    def expansion(self, question: str) -> Expansion:
        """More to search with."""
        model = self.model
        if model is None or model.rewrite == "none" or not words(question):
            return Expansion()
        version = HYDE if model.rewrite == "hyde" else REWRITE
        made = self._tried(version, lambda reply: model.expansion(question, self.stop, reply))
        return made or Expansion()

    def opinions(self, question: str, papers: Sequence[Paper]) -> Mapping[str, float]:
        """A score for each paper that the model ranked, by its id; higher is better."""
        model = self.model
        if model is None or not model.rerank or len(papers) < 2:
            return {}
        ranked = self._tried(RERANK, lambda reply: model.ranked(question, papers, self.stop, reply))
        return {paper.id: float(-place) for place, paper in enumerate(ranked or ())}

    def _tried(self, version: str, call: Callable[[Reply], T]) -> T | None:
        reply = Reply()
        try:
            made = call(reply)
        except ModelError as error:
            what = "ranked" if version == RERANK else "searched"
            self.notes.append(f"The papers were {what} without the model ({error}).")
            return None
        finally:
            self.usage = summed(self.usage, reply.usage)
        self.prompts.append(version)
        return made


def _passage(number: int, paper: Paper, fence: str) -> str:
    text = f"{plain(paper.title)}\n{shorten(plain(paper.abstract), _ABSTRACT_CHARACTERS)}".strip()
    return f'<{fence} id="{number}">\n{text}\n</{fence}>'


def _fitting(passages: Sequence[str], room: int) -> list[str]:
    """The first passages that fit."""
    kept: list[str] = []
    for passage in passages:
        room -= count_tokens(passage) + 2
        if room < 0:
            break
        kept.append(passage)
    if len(kept) < 2:
        raise ModelUnavailable("fewer than two abstracts fit into llm.context_window")
    return kept
