"""The `replay` command: asks the questions of an exported record again and says what has changed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from rag.cli.options import open_with
from rag.errors import InputError
from rag.servers import without_password
from ui.exchange import Exchange, revived
from ui.server import is_loopback

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
    """Ask the questions of a RECORD again, and say what changed.

    A record is what the chat page exports as JSON; its questions are asked with the settings that it names.
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
    """The sections of the record's settings that decide what is retrieved and answered.

    Raises InputError where a record, which may come from anybody, would have the key and the abstracts sent to an
    address that the user has not named.
    """
    given = record.get("settings", {})
    llm = given.get("llm", {}) if isinstance(given, dict) else None
    if not isinstance(llm, dict):
        raise InputError("the record is damaged: its settings are none")
    address = llm.get("base_url")
    if llm.get("kind", "none") != "none" and address and not _is_own(str(address)):
        raise InputError(
            f"the record wants the model's server {_host(str(address))} asked, which would be sent your key and the"
            f" abstracts: if you trust it, set OPENAI_BASE_URL to {without_password(str(address))}"
        )
    return {name: given[name] for name in _SECTIONS if name in given}


def _is_own(address: str) -> bool:
    """Whether an address is of this machine, or the one that the user's environment names."""
    own = os.environ.get("OPENAI_BASE_URL", "")
    return is_loopback(_host(address)) or address.rstrip("/") == own.rstrip("/")


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def replayed(record: dict[str, Any], library: Library) -> Iterator[Replayed]:
    """Each question of the record, asked again with its filters and the record's own history before it."""
    try:
        before = [revived(item) for item in record.get("before", [])]
        asked = [(revived(item["exchange"]), _hashes(item)) for item in record["exchanges"]]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the record is damaged: {error}") from error
    for exchange, hashes in asked:
        answer = library.ask(exchange.question, filters=exchange.given, history=_turns(before))
        yield Replayed(exchange.question, answer, tuple(_differences(exchange, hashes, answer, library)))
        before.append(exchange)


def _hashes(item: dict[str, Any]) -> dict[str, str]:
    """What the papers of an exchange were when it was recorded, by their ids."""
    return {str(paper["id"]): str(paper["sha256"]) for paper in item.get("papers", [])}


def _turns(exchanges: list[Exchange]) -> list[Turn]:
    from ui.exchange import Talk

    return Talk(exchanges=tuple(exchanges)).history


def _differences(exchange: Exchange, hashes: dict[str, str], now: Answer, library: Library) -> Iterator[str]:
    from ui.record import paper_hash, passages

    for paper_id, then_hash in hashes.items():
        present = library.paper(paper_id)
        if present is None:
            yield f"paper {paper_id} is no longer in the library"
        elif paper_hash(present) != then_hash:
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
