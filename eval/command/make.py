"""`citewise eval make`: cases from the user's own library."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eval.command.output import progress_bar, seed_option
from eval.command.run import filled
from rag.cli.options import cost_option, library_options, open_with, within_cost
from rag.errors import UsageError

if TYPE_CHECKING:
    from eval.case import Case
    from rag.library import Library


@click.command("make")
@click.argument("out", metavar="OUT.jsonl", type=click.Path())
@click.option(
    "--by",
    type=click.Choice(["rules", "model", "votes"]),
    default="rules",
    show_default=True,
    help="Rules need no key; votes are those given on the chat page.",
)
@click.option("-n", "count", type=click.IntRange(1, 10_000), default=60, show_default=True, help="Cases at most.")
@seed_option
@click.option("--force", is_flag=True, help="Replace OUT.jsonl where there is one.")
@cost_option
@library_options
def make_command(out: str, by: str, configs: tuple[str, ...], **options: Any) -> int:
    """Make a question set from the papers of your own library.

    By rules: gaps in sentences, names, records, and questions that the abstracts do not answer. By a model
    (--config openai): questions that survive a round trip. From votes: answers that readers liked; what they did
    not like is written beside, for you to complete. Read what was made before you trust it.
    """
    path = Path(out)
    if path.exists() and not options["force"]:
        raise UsageError(f"{path} exists; give another name, or replace it with --force")
    with open_with(options["folder"], configs, **within_cost(options["max_cost"])) as library:
        filled(library)
        if by == "votes":
            cases = _from_votes(library, path)
        elif by == "model":
            cases = _by_model(library, options)
        else:
            from eval.making.by_rules import cases_by_rules

            cases = cases_by_rules(library.papers(), n=options["count"], seed=options["seed"])
    if not cases:
        return 0
    _write(path, [_plain(case) for case in cases])
    kinds = ", ".join(f"{kind} {number}" for kind, number in Counter(case.tags[-1] for case in cases).items())
    click.echo(f"{len(cases)} cases ({kinds}): {path}")
    return 0


def _by_model(library: Library, options: dict[str, Any]) -> list[Case]:
    from eval.making.by_model import cases_by_model
    from rag.llm import ChatModel

    settings = library.settings.llm
    if settings.kind == "none":
        raise UsageError("--by model needs a model; name its settings with --config openai (or local-llm, or a file)")
    with progress_bar("making questions") as progress:
        made = cases_by_model(
            library.papers(),
            ChatModel.from_settings(settings, prices=library.settings.prices, session=library.session),
            n=options["count"],
            seed=options["seed"],
            progress=progress,
        )
    if made.stopped:
        click.echo(f"stopped before the limit: {made.stopped}", err=True)
    reasons = Counter(re.sub(r"'[^']*'|\"[^\"]*\"", "…", item.reason) for item in made.rejected)
    for reason, number in reasons.most_common():
        click.echo(f"rejected {number}: {reason}", err=True)
    return list(made.cases)


def _from_votes(library: Library, path: Path) -> list[Case]:
    from eval.making.from_feedback import cases_from_feedback, read_feedback

    made = cases_from_feedback(read_feedback(library.folder))
    if not made.cases and not made.open:
        click.echo("nobody has voted on an answer of this library yet")
    if made.open:
        beside = path.with_suffix(".open.jsonl")
        _write(beside, list(made.open))
        click.echo(f"{len(made.open)} votes to complete by hand (answerable, relevant, facts): {beside}")
    return list(made.cases)


def _plain(case: Case) -> dict[str, Any]:
    """The case without what it leaves at its default."""
    return {
        "id": case.id,
        "question": case.question,
        "answerable": case.answerable,
        **case.model_dump(mode="json", exclude_defaults=True, exclude={"id", "question", "answerable"}),
    }


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    import json

    from eval.outcome import write_whole

    write_whole(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
