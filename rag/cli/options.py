"""Options that commands share, and the way from options to a library."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from rag.answers import Filters

if TYPE_CHECKING:
    from rag.library import Library

Command = TypeVar("Command", bound=Callable[..., Any])


def library_options(command: Command) -> Command:
    """Add --library and --config, as every command has them."""
    command = click.option(
        "--config", "configs", multiple=True, metavar="NAME|PATH", help="Settings to lay over the default."
    )(command)
    return click.option(
        "--library", "folder", metavar="DIR", default=None, help="The library's folder (default: yours)."
    )(command)


def filter_options(command: Command) -> Command:
    """Add the options that narrow a search."""
    for option in reversed(
        [
            click.option("--year", metavar="Y|Y..Y", help="Papers of a year or a range (2019.., ..2020)."),
            click.option("--venue", "venues", multiple=True, help="Venue, as part of its name."),
            click.option("--author", "authors", multiple=True, help="Author, as part of a name."),
            click.option("--source", "sources", multiple=True, help="Source file, as part of its path."),
            click.option("--has-code", is_flag=True, help="Only papers with a link to code."),
        ]
    ):
        command = option(command)
    return command


def cost_option(command: Command) -> Command:
    """Add --max-cost."""
    told = "Stop before the calls of paid models cost more than so many dollars together."
    return click.option("--max-cost", type=click.FloatRange(0), metavar="DOLLARS", default=None, help=told)(command)


def within_cost(max_cost: float | None) -> dict[str, dict[str, Any]]:
    """The settings that --max-cost stands for, where questions are asked."""
    return {} if max_cost is None else {"llm": {"max_session_cost": max_cost}}


def embedding_within(max_cost: float | None) -> dict[str, dict[str, Any]]:
    """The settings that --max-cost stands for, where papers are embedded."""
    return {} if max_cost is None else {"embedding": {"max_cost": max_cost}}


def engine_options(command: Command) -> Command:
    """Add --engine, --address and --workers; `engine_settings` takes what they give."""
    for option in reversed(
        [
            click.option("--engine", type=click.Choice(["process", "ray"]), help="Where papers are read and embedded."),
            click.option("--address", metavar="HOST:PORT", help="The Ray cluster's; default: processes of its own."),
            click.option("--workers", type=click.IntRange(1), metavar="N", help="Processes on Ray; default: all."),
        ]
    ):
        command = option(command)
    return command


def engine_settings(**given: Any) -> dict[str, dict[str, Any]]:
    """The settings that the options of `engine_options` stand for."""
    chosen = {name: value for name, value in given.items() if value is not None}
    return {"ingest": chosen} if chosen else {}


def open_with(folder: str | None, configs: tuple[str, ...], **overrides: Any) -> Library:
    """The library that the options name."""
    from rag.library import open_library

    return open_library(folder, config=configs, **overrides)


def standard_input() -> TextIO:
    """Standard input as UTF-8 whatever the terminal's locale; what is not UTF-8 is replaced, never an error."""
    return io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace")


def filters_from(
    year: str | None,
    venues: tuple[str, ...],
    authors: tuple[str, ...],
    sources: tuple[str, ...],
    has_code: bool,
) -> Filters:
    """Filters from the options of `filter_options`; raises click.BadParameter for a year that is none."""
    year_from, year_to = _years(year)
    return Filters(
        year_from=year_from,
        year_to=year_to,
        venues=venues,
        authors=authors,
        sources=sources,
        has_code=True if has_code else None,
    )


def _years(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    match = re.fullmatch(r"(\d{4})?(\.\.)?(\d{4})?", text)
    if not match or not (match[1] or match[3]) or (match[1] and match[3] and not match[2]):
        raise click.BadParameter(f"{text!r} is not a year (2021) or a range (2019..2021, 2019.., ..2021)")
    first, dots, last = match.groups()
    if first and last and first > last:
        raise click.BadParameter(f"{text!r} ends before it begins: write {last}..{first}")
    return (int(first) if first else None), (int(last) if last else None if dots else int(first))
