"""`citewise eval sweep`: a grid of settings, measured, and the points worth choosing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eval.command.output import print_json, progress_bar, resumable, seed_option
from eval.command.run import chosen_cases, filled
from rag.cli.options import cost_option, library_options, open_with
from rag.errors import InputError, SettingsError
from rag.spending import Tally

if TYPE_CHECKING:
    from eval.outcome import Run
    from eval.sweeping import Grid


@click.command("sweep")
@click.argument("cases_path", metavar="CASES", type=click.Path())
@click.argument("grid_path", metavar="GRID.yaml", type=click.Path())
@click.option("--out", default="eval-sweep", show_default=True, type=click.Path(), help="Folder for the results.")
@click.option("--tag", "tags", multiple=True, help="Only cases with this tag or kind; repeatable.")
@click.option("--limit", type=click.IntRange(1), help="Only the first cases.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, help="Questions at a time (for model servers).")
@seed_option
@cost_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@library_options
def sweep_command(cases_path: str, grid_path: str, out: str, configs: tuple[str, ...], **options: Any) -> None:
    """Run CASES at every combination of the settings in GRID.yaml.

    Shows which are best for their time. The grid names a measure (quality: facts) and values for settings (settings:
    {retrieval.papers: [4, 8]}), laid over the --config given. Writes sweep.json, sweep.md and sweep.html; what was
    asked before is not asked again.
    """
    from eval.formats import load_cases
    from eval.outcome import write_whole
    from eval.report.sweep import sweep_markdown, sweep_page
    from eval.report.terminal import show_sweep
    from eval.sweeping import read_grid, sweep

    grid = read_grid(grid_path)
    cases = chosen_cases(load_cases(cases_path), options["tags"], options["limit"])
    _check_points(grid, grid_path, configs)
    folder = Path(out)
    number = iter(range(1, len(grid.points()) + 1))
    options["session"] = None if options["max_cost"] is None else Tally(options["max_cost"])

    def measured(values: Mapping[str, Any]) -> Run:
        return _measured(values, next(number), cases, folder, grid.quality, configs, options)

    with resumable():
        found = sweep(grid, measured, seed=options["seed"])
    write_whole(folder / "sweep.json", _json(found.as_json()))
    write_whole(folder / "sweep.md", sweep_markdown(found))
    write_whole(folder / "sweep.html", sweep_page(found))
    if options["as_json"]:
        print_json(found.as_json())
    else:
        show_sweep(found)
        click.echo(f"report: {folder / 'sweep.html'}")


def _check_points(grid: Grid, path: str, configs: tuple[str, ...]) -> None:
    """Raise InputError for a point whose settings are wrong, before another is measured."""
    from eval.sweeping import nested, point_name
    from rag.settings import load_settings

    load_settings(configs)  # what is wrong without the grid is told as it is
    for values in grid.points():
        try:
            load_settings(configs, **nested(values))
        except SettingsError as error:
            raise InputError(f"{path}: {point_name(values)}: {str(error).partition(': ')[2]}") from error


def _measured(
    values: Mapping[str, Any],
    number: int,
    cases: list[Any],
    folder: Path,
    quality: str,
    configs: tuple[str, ...],
    options: dict[str, Any],
) -> Run:
    from eval.running import run
    from eval.sweeping import nested, point_name
    from eval.systems import LibrarySystem

    name = point_name(values)
    with open_with(options["folder"], configs, **nested(values)) as library, progress_bar(name) as progress:
        library.session = options["session"] or library.session  # one limit for all points
        return run(
            LibrarySystem(filled(library), name=name),
            cases,
            name=name,
            out=folder / f"{number:03d}",
            measures=[quality],
            seed=options["seed"],
            jobs=options["jobs"],
            progress=progress,
        )


def _json(value: Any) -> str:
    import json

    return f"{json.dumps(value, indent=1, ensure_ascii=False)}\n"
