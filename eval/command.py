"""The `eval` command: run, compare, report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rag.cli.options import library_options, open_with
from rag.errors import UsageError

if TYPE_CHECKING:
    from eval.case import Case
    from eval.comparing import Comparison
    from eval.gates import GateResult
    from eval.outcome import Run
    from eval.running import Progress


@click.group()
def evaluate() -> None:
    """Measure answers on question sets, compare configurations, gate a build."""


def _gate_options(command: Any) -> Any:
    for option in (
        click.option("--gate", metavar="CONDITIONS", help='Such as "ndcg@10>=0.85,facts>=base-0.02".'),
        click.option("--markdown", "markdown_file", type=click.Path(), help="Write Markdown for a pull request."),
        click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
    ):
        command = option(command)
    return command


@evaluate.command("run")
@click.argument("cases_path", metavar="CASES", type=click.Path())
@click.option("--out", default="eval-run", show_default=True, type=click.Path(), help="Folder for the results.")
@click.option("--qrels", type=click.Path(), help="Judgements, when CASES holds TREC topics.")
@click.option("--measures", help="Only these, comma-separated (default: all).")
@click.option("--tag", "tags", multiple=True, help="Only cases with this tag or kind; repeatable.")
@click.option("--limit", type=click.IntRange(1), help="Only the first cases.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, help="Questions at a time (for model servers).")
@click.option("--seed", type=int, default=0, help="Of the resampling; same seed, same numbers.")
@click.option("--fresh", is_flag=True, help="Ask everything again.")
@click.option("--allow-missing", is_flag=True, help="Let papers that the library does not hold count as misses.")
@click.option("--base", type=click.Path(), help="A run to measure the gate's “base” by.")
@click.option("--junit", "junit_file", type=click.Path(), help="Write JUnit XML.")
@_gate_options
@library_options
def run_command(cases_path: str, out: str, configs: tuple[str, ...], **options: Any) -> int:
    """Answer every case of CASES (.jsonl, a BEIR folder, or TREC topics with --qrels) and measure the
    answers.

    Writes summary.json, cases.jsonl, timings.json and report.html into the folder given with --out. Given
    several times, --config names one system each, run side by side into folders of their own and compared
    with the first; join with + to lay settings over each other (--config openai+eval).
    """
    from eval.formats import load_cases, load_trec

    qrels = options["qrels"]
    cases = load_trec(cases_path, qrels) if qrels else load_cases(cases_path)
    chosen = _chosen(cases, options["tags"], options["limit"])
    systems = _systems(configs)
    if len(systems) == 1:
        return _run_one(chosen, Path(out), systems, options)
    return _run_several(chosen, Path(out), systems, options)


@evaluate.command("compare")
@click.argument("first", type=click.Path())
@click.argument("second", type=click.Path())
@click.option("--seed", type=int, default=0, help="Of the resampling; same seed, same numbers.")
@_gate_options
def compare_command(
    first: str, second: str, seed: int, gate: str | None, markdown_file: str | None, as_json: bool
) -> int:
    """Compare two runs: is SECOND better than FIRST, beyond chance? The gate is checked on SECOND, base is
    FIRST.
    """
    from eval.comparing import compare
    from eval.outcome import Run

    before, after = Run.load(first), Run.load(second)
    results = _gate(gate, after, before)
    _told(compare(before, after, seed=seed), results, markdown_file=markdown_file, as_json=as_json)
    return _exit_code(results)


@evaluate.command("report")
@click.argument("folder", type=click.Path())
def report_command(folder: str) -> None:
    """Write report.html of a finished run anew."""
    from eval.outcome import Run

    click.echo(_write_report(Run.load(folder), Path(folder)))


Systems = dict[str, tuple[str, ...]]


def _systems(configs: Sequence[str]) -> Systems:
    """Configurations by name: one system for each --config, "default" where none is given."""
    if not configs:
        return {"default": ()}
    systems = {_system_name(config): _parts(config) for config in configs}
    if len(systems) < len(configs):
        raise UsageError("two of the configurations have the same name; give each another file name")
    return systems


def _parts(config: str) -> tuple[str, ...]:
    return (config,) if Path(config).is_file() else tuple(config.split("+"))


def _system_name(config: str) -> str:
    return "+".join(Path(part).stem for part in _parts(config))


def _chosen(cases: list[Case], tags: tuple[str, ...], limit: int | None) -> list[Case]:
    found = [case for case in cases if not tags or set(tags) & set(case.groups)][:limit]
    if not found:
        raise UsageError(f"no case has the tag {' or '.join(tags)}")
    return found


def _run_one(cases: list[Case], out: Path, systems: Systems, options: dict[str, Any]) -> int:
    from eval.outcome import Run, write_whole
    from eval.report.junit import junit
    from eval.report.markdown import run_markdown

    ((name, configs),) = systems.items()
    base = Run.load(options["base"]) if options["base"] else None
    finished = _run_system(cases, out, name, configs, options)
    results = _gate(options["gate"], finished, base)
    page = _write_report(finished, out, base)
    if options["markdown_file"]:
        write_whole(Path(options["markdown_file"]), run_markdown(finished, results))
    if options["junit_file"]:
        write_whole(Path(options["junit_file"]), junit(finished, results))
    if options["as_json"]:
        _print_json(finished.summary)
    else:
        _show(finished, page)
    _show_gate(results)
    return _exit_code(results)


def _run_several(cases: list[Case], out: Path, systems: Systems, options: dict[str, Any]) -> int:
    """The first is the base; the top folder holds its results, so that scripts find a summary.json either
    way.
    """
    from eval.comparing import compare

    if options["junit_file"] or options["base"]:
        raise UsageError("--junit and --base are for one configuration; the first --config is the base of the others")
    runs = [_run_system(cases, out / name, name, configs, options) for name, configs in systems.items()]
    base = runs[0]
    base.save(out)
    results: list[GateResult] = []
    for other in runs[1:]:
        comparison = compare(base, other, seed=options["seed"])
        checked = _gate(options["gate"], other, base)
        results += checked
        _save_comparison(comparison, out / other.name)
        _told(comparison, checked, markdown_file=options["markdown_file"], as_json=options["as_json"])
        _write_report(other, out / other.name, base)
    _write_report(base, out / base.name)
    _write_report(base, out, others=runs[1:])
    return _exit_code(results)


def _run_system(cases: list[Case], out: Path, name: str, configs: tuple[str, ...], options: dict[str, Any]) -> Run:
    from eval.running import run
    from eval.systems import LibrarySystem

    if options["fresh"]:
        (out / "replies.jsonl").unlink(missing_ok=True)
    measures = [part.strip() for part in options["measures"].split(",")] if options["measures"] else None
    with open_with(options["folder"], configs) as library, _progress(name) as progress:
        if not library.count():
            raise UsageError(f"the library {library.folder} holds no papers; add some with: citewise ingest PATH...")
        finished = run(
            LibrarySystem(library, name=name),
            cases,
            name=name,
            out=out,
            measures=measures,
            seed=options["seed"],
            jobs=options["jobs"],
            allow_missing=options["allow_missing"],
            progress=progress,
        )
    if failed := [row for row in finished.rows if row["error"]]:
        first = f"{failed[0]['id']}: {failed[0]['error']}"
        click.echo(f"{len(failed)} of {len(cases)} cases failed and count as zero; the first is {first}", err=True)
    return finished


def _gate(text: str | None, run: Run, base: Run | None) -> list[GateResult]:
    from eval.gates import check_gate, parse_gate

    return check_gate(parse_gate(text), run, base) if text else []


def _exit_code(results: Sequence[GateResult]) -> int:
    return 0 if all(item.passed for item in results) else 1


def _write_report(run: Run, folder: Path, base: Run | None = None, others: Sequence[Run] = ()) -> Path:
    from eval.comparing import compare
    from eval.outcome import write_whole
    from eval.report.page import page

    pairs = [(base, run)] if base else [(run, other) for other in others]
    path = folder / "report.html"
    write_whole(path, page(run, [compare(*pair, seed=run.seed) for pair in pairs]))
    return path


def _save_comparison(comparison: Comparison, folder: Path) -> None:
    import json

    from eval.outcome import write_whole

    write_whole(folder / "comparison.json", f"{json.dumps(comparison.as_json(), indent=1, ensure_ascii=False)}\n")
    write_whole(folder / "comparison.md", comparison.markdown())


def _told(comparison: Comparison, results: Sequence[GateResult], *, markdown_file: str | None, as_json: bool) -> None:
    from eval.outcome import write_whole
    from eval.report.markdown import comparison_markdown
    from eval.report.terminal import show_comparison

    if markdown_file:
        write_whole(Path(markdown_file), comparison_markdown(comparison, results))
    if as_json:
        _print_json(comparison.as_json())
    else:
        show_comparison(comparison)
    _show_gate(results)


def _show(run: Run, page: Path) -> None:
    from eval.report.terminal import show_run

    show_run(run)
    click.echo(f"report: {page}")


def _show_gate(results: Sequence[GateResult]) -> None:
    for item in results:
        click.echo(f"gate {item}", err=not item.passed)


def _print_json(value: dict[str, Any]) -> None:
    import json

    click.echo(json.dumps(value, ensure_ascii=False))


@contextmanager
def _progress(name: str) -> Iterator[Progress | None]:
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
        task = bar.add_task(f"asking {name}", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
