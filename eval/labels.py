"""Human labels of sentences and answers: a CSV that a spreadsheet can fill in, out and back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eval.judges.base import Evidence, as_text
from rag.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from eval.outcome import Run
    from rag.papers import Paper

Level = Literal["sentence", "answer"]
_WORDS = {"yes": True, "y": True, "1": True, "true": True, "no": False, "n": False, "0": False, "false": False}
_FORMULA = ("=", "+", "-", "@", "\t", "'")  # what a spreadsheet may take for a formula, and our own guard
_BETWEEN = " | "


@dataclass(frozen=True, slots=True)
class Label:
    """One judgement by a person, or a row that waits for one (`label` None).

    Of a sentence: do the `papers` (ids or titles), taken together, support `text`? With `record`, their dates,
    authors and links count too. Of an answer: does `text` answer the question rightly? `id` is the case's.
    `made` says where the text comes from, `evidence` is for the reader's eyes.
    """

    id: str
    level: Level
    question: str
    text: str
    papers: tuple[str, ...] = ()
    record: bool = False
    label: bool | None = None
    made: str = ""
    note: str = ""
    evidence: str = ""


COLUMNS = tuple(item.name for item in fields(Label))


def labels_to_fill(run: Run, lookup: Callable[[str], Paper | None]) -> Iterator[Label]:
    """A row for each answer of a run and each of its sentences that cites something, none of them labelled yet."""
    for row in run.rows:
        if row["abstained"] is not None or row["error"]:
            continue
        prose = " ".join(said["text"] for said in row["sentences"])
        yield Label(row["id"], "answer", row["question"], prose, made=run.name, evidence=row["reference"])
        for said in row["sentences"]:
            papers = tuple(dict.fromkeys(cite["paper_id"] for cite in said["cites"]))
            if not papers:
                continue
            record = any(cite.get("metadata", False) for cite in said["cites"])
            read = [as_text(Evidence(paper, record)) for paper in map(lookup, papers) if paper]
            evidence = "\n\n".join(read)
            yield Label(
                row["id"], "sentence", row["question"], said["text"], papers, record, None, run.name, "", evidence
            )


def write_labels(labels: Iterable[Label]) -> str:
    """Labels as CSV text. A cell that a spreadsheet could run as a formula gets an apostrophe in front."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for label in labels:
        writer.writerow([_guarded(_cell(getattr(label, name))) for name in COLUMNS])
    return stream.getvalue()


def read_labels(path: str | Path) -> list[Label]:
    """Labels of a CSV file, also of one saved by a spreadsheet (semicolons, a byte order mark, other columns).

    Raises InputError with the line for what is no label; rows not filled in come back with `label` None.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the labels {path}: {error}") from error
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ",")
    missing = {"id", "level", "text", "label"} - set(reader.fieldnames or ())
    if missing:
        raise InputError(
            f"{path}:1: no column named {', '.join(sorted(missing))}; the columns are {', '.join(COLUMNS)}"
        )
    return [_read(row, f"{path}:{reader.line_num}") for row in reader]


def _read(row: dict[str, Any], where: str) -> Label:
    cells = {name: _unguarded(row.get(name) or "") for name in COLUMNS}
    said = cells["label"].strip().casefold()
    if said and said not in _WORDS:
        raise InputError(f"{where}: the label is {cells['label']!r}; write yes or no, or leave it empty")
    if cells["level"] not in ("sentence", "answer"):
        raise InputError(f"{where}: the level is {cells['level']!r}; it must be sentence or answer")
    return Label(
        id=cells["id"],
        level="sentence" if cells["level"] == "sentence" else "answer",
        question=cells["question"],
        text=cells["text"],
        papers=tuple(filter(None, cells["papers"].split(_BETWEEN))),
        record=_WORDS.get(cells["record"].casefold(), False),
        label=_WORDS.get(said),
        made=cells["made"],
        note=cells["note"],
        evidence=cells["evidence"],
    )


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return _BETWEEN.join(value)
    return {True: "yes", False: "no", None: ""}[value] if value is None or isinstance(value, bool) else str(value)


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
