"""Cases from the votes and notes that readers leave in the chat."""

from __future__ import annotations

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
    question unanswerable. Down: a row to complete. Asked twice in the same conversation so far, the last vote counts.
    Raises InputError for a record that is none.
    """
    latest: dict[tuple[str, ...], tuple[Feedback, tuple[PastTurn, ...], Mapping[str, Any] | None]] = {}
    for row in sorted(rows, key=lambda row: row.at):
        history, answer = _recorded(row)
        latest[(row.question, *(turn.question for turn in history))] = (row, history, answer)
    cases: list[Case] = []
    undecided: list[dict[str, Any]] = []
    for number, (row, history, answer) in enumerate(latest.values(), start=1):
        made = _decided(row, history, answer, number)
        if made:
            cases.append(made)
        else:
            undecided.append(_undecided(row, history, answer, number))
    return FromFeedback(tuple(cases), tuple(undecided))


def _recorded(row: Feedback) -> tuple[tuple[PastTurn, ...], Mapping[str, Any] | None]:
    try:
        record = json.loads(row.answer_record_json)
        before = tuple(_turn(item) for item in record.get("before", ()))
        return before, record["exchanges"][0]["answer"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(f"the record of the answer to {row.question!r} cannot be read: {error!r}") from error


def _turn(item: Mapping[str, Any]) -> PastTurn:
    return PastTurn(question=item["question"], answer=(item.get("answer") or {}).get("text", ""))


def _decided(
    row: Feedback, history: tuple[PastTurn, ...], answer: Mapping[str, Any] | None, number: int
) -> Case | None:
    if row.verdict != "up" or answer is None:
        return None
    papers = tuple(dict.fromkeys(cite["paper_id"] for cite in answer["citations"]))
    silent = answer["abstained"] is not None
    if not papers and not silent:
        return None
    return Case(
        id=f"vote-{number}",
        question=row.question,
        relevant=() if silent else papers,
        answer="" if silent else _MARKER.sub("", answer["text"]),
        answerable=not silent,
        tags=("feedback", "up"),
        history=history,
    )


def _undecided(
    row: Feedback, history: tuple[PastTurn, ...], answer: Mapping[str, Any] | None, number: int
) -> dict[str, Any]:
    return {
        "id": f"vote-{number}",
        "question": row.question,
        "history": [turn.model_dump() for turn in history],
        "answerable": OPEN,
        "relevant": [],
        "facts": [],
        "answer": "",
        "tags": ["feedback", row.verdict],
        "note": row.note,
        "answer_given": answer["text"] if answer else "",
    }
