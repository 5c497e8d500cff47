"""`citewise eval run`: answer cases, measure the answers, check the gate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eval.command.output import (
    exit_code,
    gate_options,
    judge_options,
    made_judge,
    print_json,
    progress_bar,
    resumable,
    seed_option,
    show_gate,
    tell_comparisons,
    write_report,
)
from rag.cli.options import cost_option, library_options, open_with
from rag.errors import UsageError
from rag.spending import Tally

if TYPE_CHECKING:
    from eval.case import Case
    from eval.comparing import Comparison
    from eval.judges.base import Judge
    from eval.labels import Label
    from eval.outcome import Run
    from rag.library import Library

Systems = dict[str, tuple[str, ...]]


@click.command("run")
@click.argument("cases_path", metavar="CASES", type=click.Path())
@click.option("--out", default="eval-run", show_default=True, type=click.Path(), help="Folder for the results.")
@click.option("--qrels", type=click.Path(), help="Judgements, when CASES holds TREC topics.")
@click.option("--measures", help="Only these, comma-separated (default: all).")
@click.option("--tag", "tags", multiple=True, help="Only cases with this tag or kind; repeatable.")
@click.option("--limit", type=click.IntRange(1), help="Only the first cases.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, help="Questions at a time (for model servers).")
@click.option("--repeat", type=click.IntRange(1, 100), default=1, help="Ask so often; the first answer is measured.")
@click.option(
    "--judge",
    "judge_kind",
    type=click.Choice(["deterministic", "llm", "human"]),
    default="deterministic",
    show_default=True,
    help="Who says whether a citation supports a sentence.",
)
@judge_options
@click.option("--labels", "labels_file", type=click.Path(), help="Human labels: report how far the judge agrees.")
@seed_option
@click.option("--fresh", is_flag=True, help="Ask everything again.")
@click.option("--allow-missing", is_flag=True, help="Let papers that the library does not hold count as misses.")
@click.option("--base", type=click.Path(), help="A run to measure the gate's “base” by.")
@cost_option
@click.option("--junit", "junit_file", type=click.Path(), help="Write JUnit XML.")
@gate_options
@library_options
def run_command(cases_path: str, out: str, configs: tuple[str, ...], **options: Any) -> int:
    """Answer every case of CASES and measure the answers.

    CASES is a .jsonl file, a BEIR folder, or TREC topics with --qrels. Writes summary.json, cases.jsonl, timings.json
    and report.html into the folder given with --out. Given several times, --config names one system each, run side
    by side into folders of their own and compared with the first; join with + to lay settings over each other
    (--config openai+eval).
    """
    from eval.formats import load_cases, load_trec
    from eval.labels import read_labels

    qrels = options["qrels"]
    cases = load_trec(cases_path, qrels) if qrels else load_cases(cases_path)
    options["labels"] = read_labels(options["labels_file"]) if options["labels_file"] else []
    chosen = chosen_cases(cases, options["tags"], options["limit"])
    systems = _systems(configs)
    _check_gate(options, based=len(systems) > 1 or bool(options["base"]))
    options["session"] = None if options["max_cost"] is None else Tally(options["max_cost"])
    with resumable():
        if len(systems) == 1:
            return _run_one(chosen, Path(out), systems, options)
        return _run_several(chosen, Path(out), systems, options)


def chosen_cases(cases: list[Case], tags: tuple[str, ...], limit: int | None) -> list[Case]:
    """The first `limit` cases with one of the tags; UsageError where there are none."""
    found = [case for case in cases if not tags or set(tags) & set(case.groups)][:limit]
    if not found:
        raise UsageError(f"no case has the tag {' or '.join(tags)}")
    return found


def filled(library: Library) -> Library:
    """The library, refused while it is empty."""
    if not library.count():
        raise UsageError(f"the library {library.folder} holds no papers; add some with: citewise ingest PATH...")
    return library


def _measures(options: dict[str, Any]) -> list[str]:
    """The names given, none where all are meant."""
    return [name for part in (options["measures"] or "").split(",") if (name := part.strip())]


def _check_gate(options: dict[str, Any], *, based: bool) -> None:
    from eval.gates import check_checkable
    from eval.measures import named

    check_checkable(options["gate"], named(_measures(options)), based=based)


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


def _run_one(cases: list[Case], out: Path, systems: Systems, options: dict[str, Any]) -> int:
    from eval.gates import check_gate
    from eval.outcome import Run, write_whole
    from eval.report.junit import junit
    from eval.report.markdown import run_markdown
    from eval.report.terminal import show_run

    ((name, configs),) = systems.items()
    base = Run.load(options["base"]) if options["base"] else None
    finished = _run_system(cases, out, name, configs, options)
    results = check_gate(options["gate"], finished, base)
    page = write_report(finished, out, base)
    if options["markdown_file"]:
        write_whole(Path(options["markdown_file"]), run_markdown(finished, results))
    if options["junit_file"]:
        write_whole(Path(options["junit_file"]), junit(finished, results))
    if options["as_json"]:
        print_json(finished.summary)
    else:
        show_run(finished)
        click.echo(f"report: {page}")
    show_gate(results)
    return exit_code(results)


def _run_several(cases: list[Case], out: Path, systems: Systems, options: dict[str, Any]) -> int:
    """The first is the base; the top folder holds its results, so that scripts find a summary.json either
    way.
    """
    from eval.comparing import compare
    from eval.gates import check_gate

    if options["junit_file"] or options["base"]:
        raise UsageError("--junit and --base are for one configuration; the first --config is the base of the others")
    runs = [_run_system(cases, out / name, name, configs, options) for name, configs in systems.items()]
    base = runs[0]
    base.save(out)
    compared = [
        (compare(base, other, seed=options["seed"]), check_gate(options["gate"], other, base)) for other in runs[1:]
    ]
    for other, (comparison, _) in zip(runs[1:], compared, strict=True):
        _save_comparison(comparison, out / other.name)
        write_report(other, out / other.name, base)
    write_report(base, out / base.name)
    write_report(base, out, others=runs[1:])
    tell_comparisons(compared, markdown_file=options["markdown_file"], as_json=options["as_json"])
    return exit_code([result for _, results in compared for result in results])


def _run_system(cases: list[Case], out: Path, name: str, configs: tuple[str, ...], options: dict[str, Any]) -> Run:
    from eval.running import run
    from eval.systems import LibrarySystem

    if options["fresh"]:
        for kept in ("replies.jsonl", "votes.jsonl"):
            (out / kept).unlink(missing_ok=True)
    with (
        open_with(options["folder"], configs) as library,
        progress_bar(f"asking {name}") as progress,
    ):
        library.session = options["session"] or library.session  # one limit for all systems and the judge
        finished = run(
            LibrarySystem(filled(library), name=name),
            cases,
            name=name,
            out=out,
            measures=_measures(options),
            judge=_judge(library, options, out),
            seed=options["seed"],
            jobs=options["jobs"],
            repeats=options["repeat"],
            labels=_answerable_labels(options["labels"], cases, options["judge_kind"]),
            allow_missing=options["allow_missing"],
            progress=progress,
        )
    if failed := [row for row in finished.rows if row["error"]]:
        first = f"{failed[0]['id']}: {failed[0]['error']}"
        click.echo(f"{len(failed)} of {len(cases)} cases failed and count as zero; the first is {first}", err=True)
    return finished


def _judge(library: Library, options: dict[str, Any], out: Path) -> Judge | None:
    """None for the default: it is made only where a measure needs it."""
    kind = options["judge_kind"]
    if kind == "deterministic":
        return None
    if kind == "llm":
        votes = out / "votes.jsonl"
        return made_judge(kind, options["judge_configs"], options["judge_times"], votes, session=library.session)
    from eval.judges.human import HumanJudge
    from eval.linking import Names

    if not options["labels"]:
        raise UsageError("human judgements come from a file; give it with --labels FILE.csv")
    return HumanJudge(options["labels"], Names.of(library.papers()), otherwise=made_judge("deterministic", (), 1))


def _answerable_labels(labels: list[Label], cases: Sequence[Case], judge_kind: str) -> list[Label]:
    """Labels to measure an automatic judge by; of answers, those to the cases that are run."""
    asked = {case.id for case in cases}
    return [] if judge_kind == "human" else [item for item in labels if item.level == "sentence" or item.id in asked]


def _save_comparison(comparison: Comparison, folder: Path) -> None:
    import json

    from eval.outcome import write_whole

    write_whole(folder / "comparison.json", f"{json.dumps(comparison.as_json(), indent=1, ensure_ascii=False)}\n")
    write_whole(folder / "comparison.md", comparison.markdown())
