"""`citewise eval labels` and `citewise eval agreement`: human labels out, in, and against the judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from eval.command.output import judge_options, made_judge, print_json
from eval.command.run import filled
from rag.cli.options import library_options, open_with


@click.command("labels")
@click.argument("run_folder", metavar="RUN", type=click.Path())
@click.argument("out", metavar="OUT.csv", type=click.Path())
@library_options
def labels_command(run_folder: str, out: str, configs: tuple[str, ...], **options: Any) -> None:
    """Write the answers of a run as a CSV for people to label.

    Fill in the column “label” with yes or no in any spreadsheet: does the evidence support the sentence, does the
    answer answer the question? Then: citewise eval agreement OUT.csv, or citewise eval run with --judge human.
    """
    from eval.labels import labels_to_fill, write_labels
    from eval.outcome import Run, write_whole

    run = Run.load(run_folder)
    with open_with(options["folder"], configs) as library:
        rows = list(labels_to_fill(run, filled(library).paper))
    write_whole(Path(out), write_labels(rows))
    click.echo(f"{len(rows)} rows to label: {out}")


@click.command("agreement")
@click.argument("labels_path", metavar="LABELS.csv", type=click.Path())
@click.option("--cases", "cases_path", type=click.Path(), help="The cases of labelled answers.")
@click.option("--judge", type=click.Choice(["deterministic", "llm"]), default="deterministic", show_default=True)
@judge_options
@click.option("--show", is_flag=True, help="List what the judge and the labels disagree about.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@library_options
def agreement_command(labels_path: str, cases_path: str | None, configs: tuple[str, ...], **options: Any) -> None:
    """How far an automatic judge agrees with human labels.

    Cohen's kappa with a 95 % interval.
    """
    from eval.agreement import agreements
    from eval.formats import load_cases
    from eval.labels import read_labels
    from eval.report.terminal import show_agreements

    labels = read_labels(labels_path)
    cases = load_cases(cases_path) if cases_path else []
    chosen = labels if cases_path else [label for label in labels if label.level == "sentence"]
    judge = made_judge(options["judge"], options["judge_configs"], options["judge_times"])
    with open_with(options["folder"], configs) as library:
        found = [item.as_json() for item in agreements(chosen, judge, filled(library).papers(), cases)]
    if options["as_json"]:
        print_json({"agreement": found, "judging": getattr(judge, "report", dict)()})
    else:
        show_agreements(found, differing=options["show"])
