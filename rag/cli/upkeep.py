"""The commands that look after a library: `remove`, `rebuild` and `doctor`."""

from __future__ import annotations

import click

from rag.cli.options import cost_option, library_options, open_with
from rag.errors import UsageError


@click.command()
@click.argument("paper_ids", nargs=-1)
@click.option("--from", "source", metavar="PATH", help="Everything that was read from this file.")
@library_options
def remove(paper_ids: tuple[str, ...], source: str | None, folder: str | None, configs: tuple[str, ...]) -> None:
    """Remove papers by id, or all that one file brought.

    `citewise papers` lists the ids.
    """
    if not paper_ids and source is None:
        raise click.UsageError("give one or more paper ids, or --from PATH")
    with open_with(folder, configs) as library:
        unknown = [paper_id for paper_id in paper_ids if library.paper(paper_id) is None]
        if unknown and len(unknown) == len(paper_ids) and source is None:
            raise UsageError(f"no paper has the id {', '.join(unknown)} (see `citewise papers`)")
        removed = library.remove(paper_ids, source=source)
    if unknown:
        click.echo(f"no paper has the id {', '.join(unknown)} (see `citewise papers`)", err=True)
    click.echo(f"removed {removed} paper{'' if removed == 1 else 's'}")


@click.command()
@click.option("--encoder", type=click.Choice(["builtin-fast", "builtin-deep"]), help="Change to this encoder.")
@cost_option
@library_options
def rebuild(encoder: str | None, max_cost: float | None, folder: str | None, configs: tuple[str, ...]) -> None:
    """Make both indexes anew, with the present settings.

    All that they hold is in the catalog.
    """
    from rag.cli.terminal import progress_bar

    given = {"kind": encoder, "max_cost": max_cost}
    embedding = {name: value for name, value in given.items() if value is not None}
    with open_with(folder, configs, embedding=embedding) as library, progress_bar() as bar:
        papers = library.rebuild(progress=bar.show, tell=bar.say)
    click.echo(f"rebuilt the indexes of {papers} paper{'' if papers == 1 else 's'}")


@click.command()
@library_options
def doctor(folder: str | None, configs: tuple[str, ...]) -> int:
    """Say what is in order, what is not, and what mends it."""
    with open_with(folder, configs) as library:
        checks = library.doctor()
    for check in checks:
        mark = click.style("ok  ", fg="green") if check.ok else click.style("FAIL", fg="red")
        remedy = f"  → {check.remedy}" if check.remedy and not check.ok else ""
        click.echo(f"{mark}  {check.name}: {check.message}{remedy}")
    return 0 if all(check.ok for check in checks) else 1


COMMANDS = (remove, rebuild, doctor)
