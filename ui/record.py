"""The record of an answer: all that is needed to ask again, and to see whether the same comes out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from rag.servers import without_password
from ui.exchange import Exchange, plain, spent

if TYPE_CHECKING:
    from rag import Answer, Paper
    from rag.settings import Settings

FORMAT = 1
_LEFT_OUT = {"library": True, "chat": True, "prices": True, "embedding": {"options"}}  # options may hold a key


def recorded(exchanges: Sequence[Exchange], settings: Settings, *, first: int = 0) -> dict[str, Any]:
    """The exchanges from `first` on, ready for JSON; `before` are those that follow-up questions lean on.

    Each has `question`, `filters` (as set on the page), `answer` (as `citewise ask --json` prints it, None where there
    is none), `passages` (the quoted stretches of abstracts, with their hashes), `papers` (the sources, with the hash
    of title and abstract) and `exchange` (everything, papers included). `spent` is what they took of models together.
    """
    return {
        "format": FORMAT,
        "citewise": citewise_version(),
        "settings": _told(settings),
        "spent": total._asdict() if (total := spent(exchanges[first:])) else None,
        "before": [plain(item) for item in exchanges[:first]],
        "exchanges": [_one(item) for item in exchanges[first:]],
    }


def _told(settings: Settings) -> dict[str, Any]:
    """The settings, without what may be secret in them."""
    told = settings.model_dump(mode="json", exclude=_LEFT_OUT)
    for name in ("llm", "embedding"):
        told[name]["base_url"] = without_password(told[name]["base_url"]) if told[name]["base_url"] else None
    return told


def _one(item: Exchange) -> dict[str, Any]:
    answer = item.answer
    return {
        "question": item.question,
        "filters": asdict(item.given),
        "answer": answer.as_json() if answer else None,
        "passages": passages(answer) if answer else [],
        "papers": [{"id": source.paper.id, "sha256": paper_hash(source.paper)} for source in answer.sources]
        if answer
        else [],
        "exchange": plain(item),
    }


def passages(answer: Answer) -> list[dict[str, Any]]:
    """The stretches of abstracts that the answer quotes, each once, with a hash of the text."""
    found = {
        (item.paper_id, item.start, item.end): {
            "marker": item.marker,
            "paper_id": item.paper_id,
            "start": item.start,
            "end": item.end,
            "text": item.quote,
            "sha256": _hash(item.quote),
        }
        for item in answer.citations
    }
    return list(found.values())


def paper_hash(paper: Paper) -> str:
    """A hash that changes when title or abstract do."""
    return _hash(f"{paper.title}\n{paper.abstract}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def citewise_version() -> str:
    """The version that is installed; "unknown" where none is."""
    try:
        return version("citewise")
    except PackageNotFoundError:
        return "unknown"
