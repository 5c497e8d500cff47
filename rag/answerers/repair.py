"""One more call of the model for what the citation check did not find supported: corrected, or left out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from rag.answerers.base import Draft, Request, summed
from rag.answerers.prompting import Prepared, prepare_repair
from rag.answerers.written import Written
from rag.citations import DraftSentence, split_draft
from rag.llm import ChatModel, Reply
from rag.markers import bracketed, without_markers
from rag.prompts import REMOVED

_MOST = 6  # sentences that are tried: more of them are no answer to be mended
_LONGEST_SILENCE = 20.0
_LINE = re.compile(r"^[\s>*_#\-(\[]*(\d{1,2})\s*[.:)\]]+[*_]*\s*(\S.*)$")


@dataclass(frozen=True, slots=True)
class Mended:
    """What a model proposes, unchecked: by the place of a sentence in the draft, the sentences to put there (none to
    leave it out). Places that it says nothing of are missing."""

    proposals: Mapping[int, tuple[DraftSentence, ...]]
    usage: dict[str, int] = field(default_factory=dict[str, int])
    prompt_version: str | None = None


class Mender(Protocol):
    """Proposes other sentences for some of a draft. A model's failure is raised as ModelError."""

    def mend(self, request: Request, sentences: Sequence[DraftSentence], wrong: Sequence[int]) -> Mended:
        """Proposals for the sentences at the places `wrong`, from the same papers."""
        ...


class ModelMender:
    """Asks the model once, without a second try, and never waits longer than 20 seconds for a word of it."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model.tried_once(timeout=_LONGEST_SILENCE)

    def mend(self, request: Request, sentences: Sequence[DraftSentence], wrong: Sequence[int]) -> Mended:
        """Proposals for the first six sentences at the places `wrong`."""
        places = list(wrong)[:_MOST]
        told = [bracketed(sentences[place].text) for place in places]
        prepared = prepare_repair(request, self._model.settings, wrong=told)
        reply = Reply()
        said = self._model.complete(prepared.messages, reply, request.stop)
        proposals: dict[int, tuple[DraftSentence, ...]] = {}
        for number, text in _lines(said):
            if 1 <= number <= len(places):
                place = places[number - 1]
                proposed = _as_drafted(text, prepared, sentences[place].lead)
                if proposed or REMOVED in text.upper():
                    proposals[place] = proposed
        return Mended(proposals, dict(reply.usage), prepared.version)


def _lines(said: str) -> list[tuple[int, str]]:
    """The numbered lines of a reply; of two with one number, the first."""
    found: dict[int, str] = {}
    for line in said.splitlines():
        if match := _LINE.match(line):
            found.setdefault(int(match[1]), match[2])
    return list(found.items())


def _as_drafted(text: str, prepared: Prepared, lead: str) -> tuple[DraftSentence, ...]:
    """A proposed line as sentences; none where it asks for that, or holds nothing that may be shown."""
    if REMOVED in text.upper():
        return ()
    written = Written(prepared.passages, (), secret=[prepared.messages[0].content])
    drafted = split_draft(" ".join(written.parts(text)[0].split()))
    return tuple(DraftSentence(item.text, lead if place == 0 else item.lead) for place, item in enumerate(drafted))


def with_repairs(
    draft: Draft, better: Mapping[int, tuple[DraftSentence, ...]], mended: Mended, *, all_wrong: bool
) -> Draft:
    """The draft with checked proposals in their places, and what that took.

    A sentence is left out only where others stay, and one that is there already is not said twice.
    """
    kept: list[DraftSentence] = []
    said = {without_markers(item.text) for at, item in enumerate(draft.sentences) if at not in better}
    rewritten = left_out = 0
    for at, item in enumerate(draft.sentences):
        new = tuple(
            other for other in better.get(at, (item,)) if at not in better or without_markers(other.text) not in said
        )
        said.update(without_markers(other.text) for other in new)
        rewritten += at in better and bool(new)
        left_out += not new
        kept += new
    if left_out and all_wrong and not rewritten:  # nothing would be left
        kept, left_out = list(draft.sentences), 0
    usage = summed(draft.usage, mended.usage)
    version = "+".join(part for part in (draft.prompt_version, mended.prompt_version) if part)
    notes = _told(rewritten, left_out)
    return replace(draft, sentences=tuple(kept), usage=usage, prompt_version=version, notes=(*draft.notes, *notes))


def _told(rewritten: int, left_out: int) -> tuple[str, ...]:
    done = [f"{number} {word}" for number, word in ((rewritten, "rewritten"), (left_out, "left out")) if number]
    return (f"Sentences that the abstracts did not support: {' and '.join(done)}.",) if done else ()
