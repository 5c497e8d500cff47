"""`citewise eval compare` and `citewise eval report`: what finished runs say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from eval.command.output import exit_code, gate_options, seed_option, tell_comparisons, write_report

if TYPE_CHECKING:
    from eval.gates import Condition


@click.command("compare")
@click.argument("first", type=click.Path())
@click.argument("second", type=click.Path())
@seed_option
@gate_options
def compare_command(
    first: str, second: str, seed: int, gate: list[Condition], markdown_file: str | None, as_json: bool
) -> int:
    """Compare two runs: is SECOND better, beyond chance?

    The gate is checked on SECOND, base is FIRST.
    """
    from eval.comparing import compare
    from eval.gates import check_gate
    from eval.outcome import Run

    before, after = Run.load(first), Run.load(second)
    results = check_gate(gate, after, before)
    compared = [(compare(before, after, seed=seed), results)]
    tell_comparisons(compared, markdown_file=markdown_file, as_json=as_json)
    return exit_code(results)


@click.command("report")
@click.argument("folder", type=click.Path())
def report_command(folder: str) -> None:
    """Write report.html of a finished run anew."""
    from eval.outcome import Run

    click.echo(write_report(Run.load(folder), Path(folder)))
