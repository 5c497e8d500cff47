"""What a person sees in a terminal: answers, hits, reports and progress, drawn with rich."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console, Group
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from rag.answers import Answer, Source
from rag.papers import Paper
from rag.spending import dollars

if TYPE_CHECKING:
    from rag.ingest import IngestReport
    from rag.ingest import Progress as IngestProgress
    from rag.retrieval import Retrieval

_WIDTH = 96
_MARKER = re.compile(r"\[\d+\]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_REJECTS_SHOWN = 20


def show_answer(answer: Answer, *, quotes: bool = False, console: Console | None = None) -> None:
    """Print an answer: the text, its numbered sources, and with `quotes` the sentence behind each citation."""
    screen = console or _console()
    screen.print()
    screen.print(_prose(answer))
    if answer.sources:
        heading = "Nearest papers" if answer.abstained else "Sources"
        screen.print(Text(f"\n{heading}", style="bold"))
        for source in answer.sources:
            screen.print(_source(source, answer, quotes=quotes))
    screen.print()
    screen.print(Text(_footer(answer), style="dim"))


def show_hits(question: str, found: Retrieval, *, console: Console | None = None) -> None:
    """Print ranked papers with the sentence of each that is nearest to the question, then what is to be said of it."""
    screen = console or _console()
    if not found.hits:
        screen.print(f"No paper matches {_clean(question)!r} with these filters.", markup=False)
    for hit in found.hits:
        screen.print()
        screen.print(_hanging(str(hit.rank), _paper_line(hit.paper)))
        if hit.quote.text and hit.quote.text != hit.paper.title:
            screen.print(Padding(Text(_clean(hit.quote.text), style="dim"), (0, 0, 0, 5)))
    for note in found.notes:
        screen.print(Text(f"\n{_clean(note)}", style="dim"))


def show_report(report: IngestReport, folder: Path, *, console: Console | None = None) -> None:
    """Print what an ingest kept, merged and rejected, and why."""
    screen = console or _console()
    outcome = report.as_json()
    counts = " · ".join(f"{outcome[name]:,} {name}" for name in ("parsed", "added", "updated", "unchanged"))
    merged, rejected = outcome["duplicates"], outcome["rejected"]
    screen.print(Text(f"{counts} · {len(merged):,} duplicates · {len(rejected):,} rejected"), style="bold")
    for notice in outcome["notices"]:
        screen.print(Text(f"  {_clean(notice['path'])}: {_clean(notice['message'])}", style="dim"))
    _show_some(screen, "Duplicates", [f"{item['title']} — {item['reason']}" for item in merged])
    _show_some(screen, "Rejected", [f"{item['path']}:{item['line']}: {item['reason']}" for item in rejected])
    screen.print(
        Text(f"{outcome['seconds']:.1f} s · encoder {_clean(outcome['encoder'])} · library {folder}", style="dim")
    )


class Bar(NamedTuple):
    """Shows progress (None where there is nobody to see it) and says lines that stay."""

    show: Callable[[IngestProgress], None] | None
    say: Callable[[object], None]


@contextmanager
def progress_bar(*, enabled: bool = True) -> Generator[Bar]:
    """A progress bar on standard error with rate and time left; only lines when that is not a terminal."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)

    def say(line: object) -> None:
        console.print(Text(_clean(str(line))))

    if not (enabled and console.is_terminal):
        yield Bar(None, say)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None, rate="")

        def update(step: IngestProgress) -> None:
            rate = f"{step.done:,} papers, {step.rate:,.0f}/s"
            bar.update(task, completed=step.completed, total=step.total, description=step.stage, rate=rate)

        yield Bar(update, say)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.width <= _WIDTH else Console(highlight=False, width=_WIDTH)


def _prose(answer: Answer) -> Text:
    text = Text(_clean(answer.text))
    if answer.abstained:
        text.stylize("yellow")
    text.highlight_regex(_MARKER, "cyan")
    for sentence in answer.sentences:
        if not sentence.supported:
            text.highlight_words([sentence.text], "yellow italic")
            text.append("\n  ⚠ not supported by the cited abstracts: ", style="yellow")
            text.append(_clean(sentence.text), style="yellow")
    return text


def _source(source: Source, answer: Answer, *, quotes: bool) -> Group:
    number = "·" if answer.abstained else f"[{source.marker}]"
    rows: list[Table | Padding] = [_hanging(number, _paper_line(source.paper))]
    if source.paper.url:
        rows.append(Padding(Text(source.paper.url, style="blue"), (0, 0, 0, 5)))
    if quotes:
        seen = dict.fromkeys(citation.quote for citation in answer.citations if citation.marker == source.marker)
        rows.extend(Padding(Text(f"“{_clean(quote)}”", style="dim"), (0, 0, 0, 5)) for quote in seen)
    return Group(*rows)


def _paper_line(paper: Paper) -> Text:
    line = Text(_clean(paper.title), style="bold")
    people = ", ".join(paper.authors[:2]) + (" et al." if len(paper.authors) > 2 else "")
    if not people and paper.n_authors:
        people = f"{paper.n_authors} author{'' if paper.n_authors == 1 else 's'}"
    facts = [fact for fact in (people, paper.venue, paper.date_text) if fact]
    line.append(f"  {_clean(' · '.join(facts))}" if facts else "", style="not bold dim")
    return line


def _hanging(number: str, line: Text) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right", min_width=3)
    grid.add_column()
    grid.add_row(number, line)
    return grid


def _footer(answer: Answer) -> str:
    wrote = f"written by {answer.model}" if answer.mode == "llm" else "extractive: the abstracts' own sentences"
    parts = [wrote, f"{answer.timings.get('total', 0.0):.2f} s", *_spent(answer), *answer.notes]
    if answer.searched and answer.searched != answer.question:
        parts.append(f"searched: {answer.searched}")
    return _clean(" · ".join(parts))


def _spent(answer: Answer) -> list[str]:
    """The tokens and the cost of an answer that a model was asked for."""
    if answer.cost is None and not answer.usage:
        return []
    cost = "cost unknown" if answer.cost is None else dollars(answer.cost)
    return [*([f"{sum(answer.usage.values()):,} tokens"] if answer.usage else []), cost]


def _show_some(screen: Console, heading: str, rows: Sequence[str]) -> None:
    if not rows:
        return
    screen.print(Text(heading, style="bold"))
    for row in rows[:_REJECTS_SHOWN]:
        screen.print(Text(f"  {_clean(row)}"))
    if len(rows) > _REJECTS_SHOWN:
        screen.print(Text(f"  and {len(rows) - _REJECTS_SHOWN:,} more: --json lists them all", style="dim"))


def _clean(text: str) -> str:
    """Text without control characters: what comes from files and models must not drive the terminal."""
    return _CONTROL.sub(" ", text)
