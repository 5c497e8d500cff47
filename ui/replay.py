"""The `replay` command: asks the questions of an exported record again and says what has changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rag.cli.options import open_with
from rag.errors import InputError
from ui.exchange import Exchange, revived

if TYPE_CHECKING:
    from rag import Answer, Turn
    from rag.library import Library

_SECTIONS = ("retrieval", "rerank", "gate", "answer", "llm")  # embedding and chunking are the library's own


@dataclass(frozen=True, slots=True)
class Replayed:
    """One question asked again: its new answer, and in words what differs from the record; empty when nothing does."""

    question: str
    answer: Answer
    differences: tuple[str, ...]


@click.command()
@click.argument("record", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The new answers as JSON Lines, each with its differences.")
@click.option("--library", "folder", metavar="DIR", default=None, help="The library's folder (default: yours).")
def replay(record: Path, as_json: bool, folder: str | None) -> None:
    """Ask the questions of a RECORD (exported from the chat page as JSON) again, with the settings that it names.

    Exits with 1 when an answer, its sources or a quoted passage has changed.
    """
    content = read_record(record)
    changed = False
    with open_with(folder, (), **settings_of(content)) as library:
        for item in replayed(content, library):
            changed = changed or bool(item.differences)
            if as_json:
                click.echo(json.dumps(item.answer.as_json() | {"differences": item.differences}, ensure_ascii=False))
            else:
                click.echo(f"{'changed' if item.differences else 'same'}: {item.question}")
                for difference in item.differences:
                    click.echo(f"  {difference}")
    if changed:
        raise click.exceptions.Exit(1)


def read_record(path: Path) -> dict[str, Any]:
    """The record in a file; raises InputError where it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != 1 or not isinstance(content.get("exchanges"), list):
        raise InputError(f"{path} is not a record of this version; export one from the chat page (Export, JSON record)")
    return content


def settings_of(record: dict[str, Any]) -> dict[str, Any]:
    """The sections of the record's settings that decide what is retrieved and answered."""
    return {name: record["settings"][name] for name in _SECTIONS if name in record.get("settings", {})}


def replayed(record: dict[str, Any], library: Library) -> Iterator[Replayed]:
    """Each question of the record, asked again with its filters and the record's own history before it."""
    try:
        before = [revived(item) for item in record.get("before", [])]
        asked = [(revived(item["exchange"]), item) for item in record["exchanges"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the record is damaged: {error}") from error
    for exchange, item in asked:
        answer = library.ask(exchange.question, filters=exchange.given, history=_turns(before))
        yield Replayed(exchange.question, answer, tuple(_differences(exchange, item, answer, library)))
        before.append(exchange)


def _turns(exchanges: list[Exchange]) -> list[Turn]:
    from ui.exchange import Talk

    return Talk(exchanges=tuple(exchanges)).history


def _differences(exchange: Exchange, item: dict[str, Any], now: Answer, library: Library) -> Iterator[str]:
    from ui.record import paper_hash, passages

    for paper in item.get("papers", []):
        present = library.paper(paper["id"])
        if present is None:
            yield f"paper {paper['id']} is no longer in the library"
        elif paper_hash(present) != paper["sha256"]:
            yield f"“{present.title}” has another title or abstract now"
    then = exchange.answer
    if then is None:
        yield "it had no answer then"
        return
    if (then.abstained is None) != (now.abstained is None):
        yield "it is answered now" if now.abstained is None else f"it is not answered now: {now.abstained}"
    elif then.text != now.text:
        yield f"the text is another one: {now.text}"
    gone = {found["sha256"] for found in passages(then)} - {found["sha256"] for found in passages(now)}
    if gone:
        yield f"{len(gone)} of {len(passages(then))} quoted passages are no longer quoted"
