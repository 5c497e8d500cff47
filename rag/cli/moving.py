"""The commands that move a library as one file: `export` and `import`."""

from __future__ import annotations

import json

import click

from rag.cli.options import cost_option, embedding_within, library_options, open_with


@click.command("export")
@click.argument("path", metavar="FILE.citewise", type=click.Path(dir_okay=False))
@library_options
def export(path: str, folder: str | None, configs: tuple[str, ...]) -> None:
    """Write the library with its vectors to one portable file."""
    from rag.cli.terminal import progress_bar

    with open_with(folder, configs) as library, progress_bar() as bar:
        written = library.export_to(path, progress=bar.show)
    papers = f"{written.papers:,} paper{'' if written.papers == 1 else 's'}"
    click.echo(f"exported {papers} to {written.path} ({written.bytes / 1e6:,.1f} MB)")


@click.command("import")
@click.argument("path", metavar="FILE.citewise", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@cost_option
@library_options
def import_(path: str, as_json: bool, max_cost: float | None, folder: str | None, configs: tuple[str, ...]) -> None:
    """Take in a file that `citewise export` wrote. It is checked whole before anything is changed."""
    from rag.cli.terminal import progress_bar, show_report

    with open_with(folder, configs, **embedding_within(max_cost)) as library:
        with progress_bar(enabled=not as_json) as bar:
            report = library.import_from(path, progress=bar.show, tell=bar.say)
        if as_json:
            click.echo(json.dumps(report.as_json(), ensure_ascii=False))
        else:
            show_report(report, library.folder)


COMMANDS = (export, import_)
