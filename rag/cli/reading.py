"""The commands that take papers in and list them: `ingest` and `papers`."""

from __future__ import annotations

import json
from typing import Any

import click

from rag.cli.options import (
    cost_option,
    embedding_within,
    engine_options,
    engine_settings,
    filter_options,
    filters_from,
    library_options,
    open_with,
    standard_input,
)


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--format", "format_name", metavar="F", help="Declare the format; `citewise formats` lists them.")
@click.option("--column", "columns", multiple=True, metavar="FIELD=NAME", help="A column's meaning: title=Headline.")
@click.option("--sync", is_flag=True, help="Also remove what these files no longer hold.")
@click.option("--starter", is_flag=True, help="The starter library: 64 landmark papers, our own summaries.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@engine_options
@cost_option
@library_options
def ingest(
    paths: tuple[str, ...],
    format_name: str | None,
    columns: tuple[str, ...],
    sync: bool,
    starter: bool,
    as_json: bool,
    max_cost: float | None,
    folder: str | None,
    configs: tuple[str, ...],
    **engine: Any,
) -> int:
    """Read papers from files, folders or addresses. PATH - reads pasted text from standard input."""
    from rag.cli.terminal import progress_bar, show_report

    if not paths and not starter:
        raise click.UsageError("give one or more paths, or --starter")
    inputs = [*(path for path in paths if path != "-"), *([_starter_path()] if starter else [])]
    pasted = standard_input().read() if "-" in paths else None
    declared = _columns(columns)
    with open_with(folder, configs, **embedding_within(max_cost), **engine_settings(**engine)) as library:
        if library.settings.ingest.engine != "ray" and (engine["address"] or engine["workers"]):
            raise click.UsageError("--address and --workers are for --engine ray")
        with progress_bar(enabled=not as_json) as bar:
            report = library.ingest(
                inputs, text=pasted, format=format_name, columns=declared, sync=sync, progress=bar.show, tell=bar.say
            )
        if as_json:
            click.echo(json.dumps(report.as_json(), ensure_ascii=False))
        else:
            show_report(report, library.folder)
    return 0 if report.parsed else 1


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@filter_options
@library_options
def papers(as_json: bool, folder: str | None, configs: tuple[str, ...], **narrow: Any) -> None:
    """List the papers of the library."""
    with open_with(folder, configs) as library:
        for paper in library.papers(filters=filters_from(**narrow)):
            if as_json:
                click.echo(json.dumps(paper.as_json(), ensure_ascii=False))
            else:
                date = paper.date_text or "no date"
                click.echo(f"{click.style(paper.id, fg='cyan')}  {paper.title}  {click.style(date, dim=True)}")


@click.command()
def formats() -> None:
    """List the formats that `ingest --format` knows."""
    from rag.parsers import FORMATS

    width = max(len(name) for name in FORMATS)
    for name, description in FORMATS.items():
        click.echo(f"{click.style(name.ljust(width), fg='cyan')}  {description}")


COMMANDS = (ingest, papers, formats)


def _starter_path() -> str:
    from rag.starter import path

    return str(path())


def _columns(pairs: tuple[str, ...]) -> dict[str, str] | None:
    columns: dict[str, str] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not (name and equals and column):
            raise click.BadParameter(f"--column {pair!r}: expected FIELD=NAME, for example title=Headline")
        columns[name.strip()] = column.strip()
    return columns or None
