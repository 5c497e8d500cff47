"""Cases from the votes and notes that readers leave in the chat."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from eval.case import Case, PastTurn
from rag.errors import InputError

_MARKER = re.compile(r"\s*\[\d+(?:, ?\d+)*\]")
_DATABASE = "conversations.sqlite"  # the chat page keeps it beside the library
OPEN = "true or false?"  # no boolean: a case still to be decided cannot be run by mistake


@dataclass(frozen=True, slots=True)
class Feedback:
    """One vote: the question, the record of the answer as the chat keeps it, "up" or "down", the reader's note."""

    question: str
    answer_record_json: str
    verdict: Literal["up", "down"]
    note: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class FromFeedback:
    """`cases` that a vote decides, and `open`: rows of a case file that a person has to complete.

    A thumb down says that an answer was bad, not what a good one is: such a row has its note and the answer given
    beside it, and is refused by `eval run` until somebody fills it in.
    """

    cases: tuple[Case, ...]
    open: tuple[dict[str, Any], ...]


def read_feedback(library_folder: str | Path) -> list[Feedback]:
    """The votes kept beside a library, oldest first; none where nobody has voted. Only reads."""
    path = Path(library_folder) / _DATABASE
    if not path.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            known = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'feedback'").fetchone()
            if not known:
                return []
            rows = database.execute(
                "SELECT question, answer_record_json, verdict, note, at FROM feedback ORDER BY at, question"
            ).fetchall()
    except sqlite3.Error as error:
        raise InputError(f"cannot read the votes in {path}: {error}") from error
    return [Feedback(*row) for row in rows]


def cases_from_feedback(rows: Iterable[Feedback]) -> FromFeedback:
    """Up: the answer becomes the reference and its cited papers the relevant ones; an abstention liked makes the
    question unanswerable. Down: a row to complete. Of the same question, filters and conversation before it, the last
    vote counts. Raises InputError for a record that is none.
    """
    latest: dict[str, tuple[Feedback, _Asked]] = {}
    for row in sorted(rows, key=lambda row: row.at):
        asked = _recorded(row)
        latest[asked.id] = (row, asked)
    decided = [(_decided(row, asked), row, asked) for row, asked in latest.values()]
    return FromFeedback(
        tuple(case for case, *_ in decided if case),
        tuple(_undecided(row, asked) for case, row, asked in decided if case is None),
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was voted on; `id` depends on the question, its filters and its history only."""

    id: str
    history: tuple[PastTurn, ...]
    filters: dict[str, Any]
    answer: Mapping[str, Any] | None


def _recorded(row: Feedback) -> _Asked:
    try:
        record = json.loads(row.answer_record_json)
        exchange = record["exchanges"][0]
        before = tuple(_turn(item) for item in record.get("before", ()))
        filters = _set(exchange.get("filters"))
        told = [{**_plain(turn), "answer": None} for turn in before]
        asked = json.dumps([row.question, filters, told], sort_keys=True)
        digest = hashlib.sha256(asked.encode()).hexdigest()
        return _Asked(f"vote-{digest[:10]}", before, filters, exchange["answer"])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(f"the record of the answer to {row.question!r} cannot be read: {error!r}") from error


def _turn(item: Mapping[str, Any]) -> PastTurn:
    answer = (item.get("answer") or {}).get("text", "")
    return PastTurn.model_validate({"question": item["question"], "answer": answer, "filters": _set(item.get("given"))})


def _set(filters: Mapping[str, Any] | None) -> dict[str, Any]:
    """The filters that narrow anything."""
    return {name: value for name, value in (filters or {}).items() if value not in (None, [], ())}


def _plain(turn: PastTurn) -> dict[str, Any]:
    return turn.model_dump(mode="json", exclude_defaults=True)


def _decided(row: Feedback, asked: _Asked) -> Case | None:
    answer = asked.answer
    if row.verdict != "up" or answer is None:
        return None
    papers = tuple(dict.fromkeys(cite["paper_id"] for cite in answer["citations"]))
    silent = answer["abstained"] is not None
    if not papers and not silent:
        return None
    return Case.model_validate(
        {
            "id": asked.id,
            "question": row.question,
            "relevant": () if silent else papers,
            "answer": "" if silent else _MARKER.sub("", answer["text"]),
            "answerable": not silent,
            "tags": ("feedback", "up"),
            "history": asked.history,
            "filters": asked.filters,
        }
    )


def _undecided(row: Feedback, asked: _Asked) -> dict[str, Any]:
    return {
        "id": asked.id,
        "question": row.question,
        "history": [_plain(turn) for turn in asked.history],
        "filters": asked.filters,
        "answerable": OPEN,
        "relevant": [],
        "facts": [],
        "answer": "",
        "tags": ["feedback", row.verdict],
        "note": row.note,
        "answer_given": asked.answer["text"] if asked.answer else "",
    }
