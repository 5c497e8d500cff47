"""Readers of case files: our JSON Lines, BEIR folders, TREC topics with qrels."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from eval.case import Case
from rag.errors import InputError

Judgements = dict[str, dict[str, int]]  # question id → document id → grade above 0

_TOPIC = re.compile(r"<top>(.*?)</top>", re.DOTALL | re.IGNORECASE)
_TOPIC_NUMBER = re.compile(r"<num>\s*(?:Number:)?\s*([^\s<]+)", re.IGNORECASE)
_TOPIC_TITLE = re.compile(r"<title>\s*(?:Topic:)?\s*(.*?)\s*(?=<|\Z)", re.DOTALL | re.IGNORECASE)
_EXPECTED = {  # pydantic's kinds of error, in the words of JSON
    "tuple_type": "expected a list",
    "string_type": "expected text",
    "bool_parsing": "expected true or false",
    "model_type": "expected an object",
    "dataclass_type": "expected an object",
}


def load_cases(path: str | Path) -> list[Case]:
    """Cases from a .jsonl(.gz) file or a BEIR folder. Raises InputError that names the file and the line."""
    path = Path(path)
    if path.is_dir():
        return load_beir(path)
    return _unique(_case(row, line, path) for line, row in _objects(path))


def load_beir(folder: str | Path, split: str = "test") -> list[Case]:
    """Cases from a BEIR folder: queries.jsonl, qrels/SPLIT.tsv, and corpus.jsonl for the titles.

    Papers are named by title where the corpus has one, since a library gives papers ids of its own. Queries
    without judgements are left out, as BEIR does.
    """
    folder = Path(folder)
    judged = _beir_judgements(folder / "qrels" / f"{split}.tsv")
    titles = _titles(folder / "corpus.jsonl")
    cases = []
    for line, row in _objects(folder / "queries.jsonl"):
        identifier = str(row.get("_id", row.get("id", "")))
        if grades := judged.get(identifier):
            named = {titles.get(document) or document: grade for document, grade in grades.items()}
            cases.append(_judged(identifier, row.get("text"), named, f"{folder / 'queries.jsonl'}:{line}"))
    if not cases:
        raise InputError(f"{folder}: no query has a judgement in qrels/{split}.tsv; do the ids agree?")
    return _unique(cases)


def load_trec(topics: str | Path, qrels: str | Path) -> list[Case]:
    """Cases from TREC topics (SGML, or `number<TAB>question` lines) and four-column qrels.

    Grades of 0 and below mean not relevant; topics without judgements are left out, as trec_eval does.
    """
    judged = _trec_judgements(Path(qrels))
    source = Path(topics)
    cases = [
        _judged(number, question, judged[number], f"{source}:{line}")
        for line, number, question in _topics(source)
        if judged.get(number)
    ]
    if not cases:
        raise InputError(f"{topics}: no topic has a judgement in {qrels}; do the numbers agree?")
    return _unique(cases)


def _judged(identifier: str, question: Any, grades: dict[str, int], where: str) -> Case:
    row = {"id": identifier, "question": question, "relevant": list(grades), "grades": list(grades.values())}
    return _validated(row, where)


def _case(row: Any, line: int, path: Path) -> Case:
    if isinstance(row, dict) and row.get("id") in (None, ""):
        row = {**row, "id": f"line-{line}"}
    return _validated(row, f"{path}:{line}")


def _validated(row: Any, where: str) -> Case:
    try:
        return Case.model_validate({**row, "where": where} if isinstance(row, dict) else row)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        said = _EXPECTED.get(first["type"]) or first["msg"].removeprefix("Value error, ")
        raise InputError(f"{where}: {f'{key}: ' if key else ''}{said}") from error


def _unique(cases: Iterable[Case]) -> list[Case]:
    seen: dict[str, Case] = {}
    for case in cases:
        if case.id in seen:
            raise InputError(f"{case.where}: the id {case.id!r} is also that of {seen[case.id].where}")
        seen[case.id] = case
    if not seen:
        raise InputError("there is no case to evaluate: the file is empty")
    for case in seen.values():
        _check_paraphrase(case, seen)
    return list(seen.values())


def _check_paraphrase(case: Case, known: Mapping[str, Case]) -> None:
    """Raise InputError for a paraphrase that would stand alone, so that its consistency would not be measured."""
    if not case.paraphrase_of:
        return
    if case.paraphrase_of not in known:
        raise InputError(f"{case.where}: paraphrase_of: no case has the id {case.paraphrase_of!r}")
    if known[case.paraphrase_of].paraphrase_of:
        raise InputError(
            f"{case.where}: paraphrase_of: {case.paraphrase_of!r} is a paraphrase itself; name its original"
        )


def _objects(path: Path) -> Iterator[tuple[int, Any]]:
    for line, content in _lines(path):
        try:
            yield line, json.loads(content.rstrip())
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{line}: not JSON: {error.msg} (column {error.colno})") from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that hold something, numbered from 1."""
    opened = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opened(path, "rb") as stream:
            for number, content in enumerate(stream, start=1):
                line = content.decode("utf-8-sig" if number == 1 else "utf-8")
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise InputError(f"{path}:{number}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _titles(corpus: Path) -> dict[str, str]:
    if not corpus.is_file():
        return {}
    return {str(row.get("_id", row.get("id", ""))): row.get("title", "") for _, row in _objects(corpus)}


def _beir_judgements(path: Path) -> Judgements:
    rows = ((line, content.split("\t")) for line, content in _lines(path) if not content.startswith("query-id"))
    return _judgements(
        path,
        ((line, row[0], row[1], row[2]) if len(row) == 3 else _malformed(path, line, 3) for line, row in rows),
    )


def _trec_judgements(path: Path) -> Judgements:
    rows = ((line, content.split()) for line, content in _lines(path))
    return _judgements(
        path,
        ((line, row[0], row[2], row[3]) if len(row) == 4 else _malformed(path, line, 4) for line, row in rows),
    )


def _malformed(path: Path, line: int, columns: int) -> Any:
    raise InputError(f"{path}:{line}: expected {columns} columns")


def _judgements(path: Path, rows: Iterable[tuple[int, str, str, str]]) -> Judgements:
    judged: Judgements = defaultdict(dict)
    for line, query, document, grade in rows:
        try:
            value = int(grade)
        except ValueError as error:
            raise InputError(f"{path}:{line}: the grade {grade.strip()!r} is not a whole number") from error
        if value > 0:
            judged[query][document] = value
    return judged


def _topics(path: Path) -> Iterator[tuple[int, str, str]]:
    lines = list(_lines(path))
    whole = "\n".join(content.rstrip("\n") for _, content in lines)
    if "<top>" in whole.lower():
        yield from _sgml_topics(path, whole, lines)
        return
    for line, content in lines:
        number, tab, question = content.rstrip("\n").partition("\t")
        if not tab:
            raise InputError(f"{path}:{line}: expected number, tab, question")
        yield line, number.strip(), question.strip()


def _sgml_topics(path: Path, whole: str, lines: list[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    for match in _TOPIC.finditer(whole):
        line = lines[whole.count("\n", 0, match.start())][0]
        number, title = _TOPIC_NUMBER.search(match[1]), _TOPIC_TITLE.search(match[1])
        if not number or not title:
            raise InputError(f"{path}:{line}: a topic needs <num> and <title>")
        yield line, number[1], " ".join(title[1].split())
