"""What the subcommands share: options, the progress bar, gates, and files with results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rag.errors import CostLimit

if TYPE_CHECKING:
    from eval.asking import Progress
    from eval.comparing import Comparison
    from eval.gates import Condition, GateResult
    from eval.judges.base import Judge
    from eval.outcome import Run
    from rag.spending import Tally

Command = TypeVar("Command", bound=Callable[..., Any])


@contextmanager
def resumable() -> Iterator[None]:
    """Say of a command that a limit on cost stopped how it goes on."""
    try:
        yield
    except CostLimit as error:
        told = f"stopped before the limit: {error}; the same command with a higher one goes on where this one stopped"
        raise CostLimit(told) from error


def _conditions(_context: click.Context, _option: click.Parameter, text: str | None) -> list[Condition]:
    """Read when the command begins: a gate that cannot be read is told before anything is asked."""
    if text is None:
        return []
    from eval.gates import parse_gate

    return parse_gate(text)


def gate_options(command: Command) -> Command:
    """Add --gate (as conditions), --markdown and --json."""
    for option in (
        click.option(
            "--gate", metavar="CONDITIONS", callback=_conditions, help='Such as "ndcg@10>=0.85,facts>=base-0.02".'
        ),
        click.option("--markdown", "markdown_file", type=click.Path(), help="Write Markdown for a pull request."),
        click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
    ):
        command = option(command)
    return command


def seed_option(command: Command) -> Command:
    """Add --seed."""
    told = "Of the draws; same seed, same numbers."
    return click.option("--seed", type=click.IntRange(0), default=0, help=told)(command)


def judge_options(command: Command) -> Command:
    """Add the options that choose a model as judge."""
    for option in (
        click.option(
            "--judge-times", type=click.IntRange(1, 25), default=3, show_default=True, help="Votes a judgement (llm)."
        ),
        click.option(
            "--judge-config", "judge_configs", multiple=True, metavar="NAME|PATH", help="Settings of the model (llm)."
        ),
    ):
        command = option(command)
    return command


def made_judge(
    kind: str, configs: Sequence[str], times: int, kept: Path | None = None, *, session: Tally | None = None
) -> Judge:
    """The automatic judge that the options name; one that is paid keeps its votes in the file `kept`, and its calls
    count in `session`.
    """
    if kind == "llm":
        from eval.judges.llm import llm_judge

        return llm_judge(configs, repeats=times, kept=kept, session=session)
    from eval.judges.deterministic import default_judge

    return default_judge()


def show_gate(results: Sequence[GateResult]) -> None:
    """A line a condition; broken ones on standard error."""
    for item in results:
        click.echo(f"gate {item}", err=not item.passed)


def exit_code(results: Sequence[GateResult]) -> int:
    """1 where a condition is broken."""
    return 0 if all(item.passed for item in results) else 1


def write_report(run: Run, folder: Path, base: Run | None = None, others: Sequence[Run] = ()) -> Path:
    """Write report.html, compared with a base or with others."""
    from eval.comparing import compare
    from eval.outcome import write_whole
    from eval.report.page import page

    pairs = [(base, run)] if base else [(run, other) for other in others]
    path = folder / "report.html"
    write_whole(path, page(run, [compare(*pair, seed=run.seed) for pair in pairs]))
    return path


def tell_comparisons(
    compared: Sequence[tuple[Comparison, Sequence[GateResult]]], *, markdown_file: str | None, as_json: bool
) -> None:
    """Show comparisons, each with its gate, as tables or as JSON, and write the Markdown asked for."""
    from eval.outcome import write_whole
    from eval.report.markdown import comparison_markdown
    from eval.report.terminal import show_comparison

    if markdown_file:
        write_whole(Path(markdown_file), "\n".join(comparison_markdown(*item) for item in compared))
    for comparison, results in compared:
        if as_json:
            print_json(comparison.as_json())
        else:
            show_comparison(comparison)
        show_gate(results)


def print_json(value: Any) -> None:
    """One line of JSON."""
    import json

    click.echo(json.dumps(value, ensure_ascii=False))


@contextmanager
def progress_bar(what: str) -> Iterator[Progress | None]:
    """A bar on standard error with rate and time left; nothing when that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
