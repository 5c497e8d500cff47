"""The `eval` command, one module a subcommand."""

from __future__ import annotations

import click

from eval.command.compare import compare_command, report_command
from eval.command.label import agreement_command, labels_command
from eval.command.make import make_command
from eval.command.run import run_command
from eval.command.sweep import sweep_command


@click.group()
def evaluate() -> None:
    """Measure answers, compare configurations, gate a build."""


for _command in (
    run_command,
    compare_command,
    sweep_command,
    make_command,
    labels_command,
    agreement_command,
    report_command,
):
    evaluate.add_command(_command)
