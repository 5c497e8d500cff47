"""The commands that ask: `search` and `ask`, for a person, for a program, or for a stream of questions."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from rag.cli.options import (
    cost_option,
    filter_options,
    filters_from,
    library_options,
    open_with,
    standard_input,
    within_cost,
)
from rag.errors import CitewiseError, UsageError

if TYPE_CHECKING:
    from rag.retrieval import Retrieval

Reply = Callable[[str], dict[str, Any]]


@click.command()
@click.argument("question")
@click.option("-k", "--papers", "k", type=click.IntRange(1, 1000), default=10, help="How many papers.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with QUESTION -, one a line.")
@filter_options
@library_options
def search(question: str, k: int, as_json: bool, folder: str | None, configs: tuple[str, ...], **narrow: Any) -> int:
    """Find the papers nearest to QUESTION, best first. QUESTION - reads JSON Lines {"id","question"}."""
    filters = filters_from(**narrow)
    with open_with(folder, configs) as library:
        if question == "-" or as_json:
            return _answer_json(question, lambda text: search_json(text, library.retrieve(text, k, filters=filters)))
        from rag.cli.terminal import show_hits

        show_hits(question, library.retrieve(question, k, filters=filters))
    return 0


@click.command()
@click.argument("question")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with QUESTION -, one a line.")
@click.option("--quotes", is_flag=True, help="Show the abstract sentence behind every citation.")
@click.option("--mode", type=click.Choice(["auto", "extractive", "llm"]), help="Who writes the answer.")
@cost_option
@filter_options
@library_options
def ask(
    question: str,
    as_json: bool,
    quotes: bool,
    mode: str | None,
    max_cost: float | None,
    folder: str | None,
    configs: tuple[str, ...],
    **narrow: Any,
) -> int:
    """Answer QUESTION from the abstracts, every sentence cited. QUESTION - reads JSON Lines {"id","question"}."""
    filters = filters_from(**narrow)
    overrides = {"answer": {"mode": mode}} if mode else {}
    with open_with(folder, configs, **overrides, **within_cost(max_cost)) as library:
        if question == "-" or as_json:
            return _answer_json(question, lambda text: library.ask(text, filters=filters).as_json())
        from rag.cli.terminal import show_answer

        show_answer(library.ask(question, filters=filters), quotes=quotes)
    return 0


COMMANDS = (search, ask)


def search_json(question: str, found: Retrieval) -> dict[str, Any]:
    """The object that `citewise search --json` prints; `notes` only where there is something to be said."""
    rows = [
        {
            "rank": hit.rank,
            "paper_id": hit.paper.id,
            "title": hit.paper.title,
            "score": round(hit.score, 6),
            "quote": hit.quote.text,
        }
        for hit in found.hits
    ]
    return {"question": question, "hits": rows} | ({"notes": list(found.notes)} if found.notes else {})


def _answer_json(question: str, reply: Reply) -> int:
    if question != "-":
        _print_json(reply(question))
        return 0
    failures = 0
    for number, line in enumerate(_lines(), start=1):
        answer = _reply_to_line(number, line, reply)
        failures += "error" in answer
        _print_json(answer)
    return 2 if failures else 0


def _reply_to_line(number: int, line: str, reply: Reply) -> dict[str, Any]:
    """One answer for one input line: a line that cannot be answered must not stop the ones after it."""
    identifier = None
    try:
        given = json.loads(line)
        identifier = given.get("id") if isinstance(given, dict) else None
        if not isinstance(given, dict) or not isinstance(given.get("question"), str):
            raise UsageError(f'standard input, line {number}: expected an object with "id" and "question"')
        return {"id": identifier, **reply(given["question"])}
    except json.JSONDecodeError as error:
        return {"id": None, "error": f"standard input, line {number}: not JSON: {error.msg}"}
    except CitewiseError as error:
        return {"id": identifier, "error": str(error)}


def _lines() -> Iterator[str]:
    for line in standard_input():
        if line.strip():
            yield line


def _print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))
    sys.stdout.flush()
