"""The public face of one library on disk: ingest, search, ask, list, mend."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

from rag.answers import Answer, Filters, Hit, Turn
from rag.assemble import Readers, examine, export_library
from rag.errors import UsageError
from rag.latest import Latest
from rag.library_parts import holds_library
from rag.papers import Paper
from rag.settings import Settings, load_settings
from rag.spending import Tally
from rag.steps import step
from rag.tracing import close_traces, open_traces
from rag.writers import import_library, open_ingester, rebuild_indexes

if TYPE_CHECKING:
    from llama_index.core.base.base_query_engine import BaseQueryEngine

    from rag.checkup import Check
    from rag.embedding_cache import Estimate
    from rag.exporting import Exported
    from rag.ingest import IngestReport, Progress
    from rag.interfaces import Vectors
    from rag.pipeline import AnswerStream, Pipeline
    from rag.retrieval import Retrieval
    from rag.stores.catalog import Catalog, Order

_COUNTS = ("added", "updated", "unchanged", "removed", "stopped", "seconds")

Report = Callable[["Progress"], None]


def open_library(
    path: str | Path | None = None, *, config: str | Path | Iterable[str | Path] = (), **overrides: Any
) -> Library:
    """Open the library in a folder (made at the first ingest), with named or given settings laid over the default.

    `overrides` are whole or partial settings sections, such as answer={"mode": "extractive"}. Raises SettingsError for
    wrong settings; a damaged library says so at first use, and names the command that mends it.
    """
    configs = [config] if isinstance(config, str | Path) else list(config)
    settings = load_settings(configs, **overrides)
    return Library(settings.library_folder(path), settings)


def ask(question: str, *, library: str | Path | None = None, **options: Any) -> Answer:
    """Answer one question from a library (default: the user's own); `options` as for `open_library`."""
    with open_library(library, **options) as opened:
        return opened.ask(question)


class Library:
    """One library on disk. Safe to use from many threads; what other processes ingest is seen at the next question.

    Opening is instant: catalog, indexes and encoder are loaded when first needed. `session` counts what all answers
    since then cost, for `llm.max_session_cost`.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.session = Tally(settings.llm.max_session_cost)
        self._latest = Latest(folder, settings, lambda: self.session)
        self._streams: WeakSet[AnswerStream] = WeakSet()
        self._listing = threading.Lock()
        self._open = ExitStack()
        open_traces(settings.tracing)
        self._open.callback(close_traces, settings.tracing)
        self._open.callback(self._latest.close)

    def ingest(
        self,
        paths: Sequence[str | Path] = (),
        *,
        text: str | None = None,
        format: str | None = None,  # noqa: A002 - the name that users know from the command line
        columns: Mapping[str, str] | None = None,
        sync: bool = False,
        progress: Report | None = None,
        should_stop: Callable[[], bool] | None = None,
        tell: Callable[[Estimate], object] | None = None,
    ) -> IngestReport:
        """Read papers from files, folders, addresses or pasted `text`, and index what is new or changed.

        Raises InputError when nothing could be read at all, LibraryLocked when another process is writing; single bad
        records are in the report's rejects. With `sync`, records that their file no longer holds are removed. Where a
        server embeds, `tell` is given what that takes before it begins; CostLimit where it is more than
        `embedding.max_cost`.
        """
        if not paths and text is None:
            raise UsageError("nothing to ingest: give paths or text")
        from rag.ingest_inputs import pile_size

        pile = pile_size(paths, text)
        with step("ingest") as work, open_ingester(self.folder, self.settings, pile=pile, tell=tell) as ingester:
            report = ingester.ingest(
                paths,
                text=text,
                format=format,
                columns=columns,
                sync=sync,
                progress=progress,
                should_stop=should_stop,
            )
            work.facts |= {name: getattr(report, name) for name in _COUNTS} | {"rejected": len(report.rejected)}
            return report

    def search(self, question: str, k: int = 10, *, filters: Filters | None = None) -> list[Hit]:
        """The k papers nearest to the question, best first; see `retrieve`."""
        return list(self.retrieve(question, k, filters=filters).hits)

    def retrieve(self, question: str, k: int = 10, *, filters: Filters | None = None) -> Retrieval:
        """What `search` finds, with all that is to be said of it; see `retrieval.Retriever.retrieve`."""
        readers = self._current()
        with step("retrieve") as work:
            found = readers.retriever.retrieve(question, k=k, filters=filters)
            work.facts["papers"] = len(found.hits)
            return found

    def stream(self, question: str, *, filters: Filters | None = None, history: Sequence[Turn] = ()) -> AnswerStream:
        """Start answering; iterate the events, or take `.result()`. Raises UsageError for an empty question."""
        return self._begun(self._current().pipeline, question, filters, history)

    def ask(
        self,
        question: str,
        *,
        filters: Filters | None = None,
        history: Sequence[Turn] = (),
        extractive: bool = False,
    ) -> Answer:
        """The finished answer: `stream(...).result()`; `extractive`: not by the model, even where one is set up."""
        pipeline = self._current().pipeline
        pipeline = pipeline.extractive() if extractive else pipeline
        return self._begun(pipeline, question, filters, history).result()

    def stop(self) -> None:
        """Stop all answers that are being written, from any thread; see `AnswerStream.close`."""
        with self._listing:
            streams = tuple(self._streams)
        for stream in streams:
            stream.close()

    def papers(self, *, filters: Filters | None = None) -> Iterator[Paper]:
        """All papers, or those that pass the filters, in the order they were added."""
        catalog = self._catalog()
        return iter(catalog.papers(catalog.select(filters)).values()) if filters else catalog.all_papers()

    def paper(self, identifier: str) -> Paper | None:
        """One paper by its id."""
        return self._catalog().papers([identifier]).get(identifier)

    def ids(self, *, filters: Filters | None = None) -> list[str]:
        """Ids of all papers, or of those that pass the filters, in the order they were added."""
        return self._catalog().select(filters or Filters())

    def vectors(self, paper_ids: Sequence[str]) -> dict[str, Vectors]:
        """The stored unit vector, float32 (dimension,), of each paper's first passage; unknown ids are left out."""
        found = self._current().dense.vectors([f"{paper_id}#0" for paper_id in paper_ids])
        return {passage_id.rpartition("#")[0]: vector for passage_id, vector in found.items()}

    def generation(self) -> int:
        """Grows with every change of the papers, also by other processes; 0 where there is no library yet."""
        return self._catalog().generation() if holds_library(self.folder, self.settings.catalog) else 0

    def count(self) -> int:
        """How many papers there are; 0 where there is no library yet."""
        return self._catalog().count() if holds_library(self.folder, self.settings.catalog) else 0

    def browse(
        self,
        text: str = "",
        *,
        limit: int = 50,
        offset: int = 0,
        order: Order = "added",
        filters: Filters | None = None,
    ) -> list[Paper]:
        """A page of the papers whose title holds every word of `text`."""
        return self._catalog().search_titles(
            text, limit=limit, offset=offset, order=order, filters=filters or Filters()
        )

    def matching(self, text: str = "", *, filters: Filters | None = None) -> int:
        """How many papers pass the filters and hold every word of `text` in their title."""
        return self._catalog().count_titles(text, filters=filters or Filters())

    def facets(self) -> dict[str, dict[str, int]]:
        """Papers by year, venue and source path, under "years", "venues" and "sources"; keys are text."""
        catalog = self._catalog()
        return {
            "years": {str(year): count for year, count in catalog.year_counts().items()},
            "venues": catalog.venue_counts(),
            "sources": catalog.source_counts(),
        }

    def years(self) -> tuple[int, int] | None:
        """The first and last year of the papers, None where no year is known."""
        return self._catalog().years() if holds_library(self.folder, self.settings.catalog) else None

    def remove(self, paper_ids: Sequence[str] = (), *, source: str | None = None) -> int:
        """Remove papers by id, and what one source file brought; how many papers are gone."""
        with open_ingester(self.folder, self.settings) as ingester:
            return ingester.remove(paper_ids, source=source)

    def rebuild(self, *, progress: Report | None = None, tell: Callable[[Estimate], object] | None = None) -> int:
        """Make both indexes anew from the catalog with the present settings; how many papers they hold. `tell` as for
        `ingest`."""
        return rebuild_indexes(self.folder, self.settings, progress=progress, tell=tell)

    def check_ready(self) -> None:
        """Raise CitewiseError unless questions can be answered now; a library without papers is ready to take some."""
        if holds_library(self.folder, self.settings.catalog) and not self._catalog().empty():
            readers = self._current()
            if self.settings.dense.kind == "chroma-server":
                readers.dense.count()

    def export_to(self, path: str | Path, *, progress: Report | None = None) -> Exported:
        """Write the whole library, with its vectors, to one portable file, which is replaced at once.

        Raises LibraryLocked while another process writes to the library, LibraryError where the file cannot be
        written or exists and is something else, UsageError for a library without papers.
        """
        return export_library(self.folder, self.settings, Path(path), progress=progress)

    def import_from(
        self, path: str | Path, *, progress: Report | None = None, tell: Callable[[Estimate], object] | None = None
    ) -> IngestReport:
        """Take in a portable file: an empty library becomes what was exported, another is added to as by an ingest.

        Nothing is encoded again where the same encoder made the file's vectors; otherwise a notice in the report says
        so, and `tell` and CostLimit are as for `ingest`. Raises InputError for a file that is damaged or none of ours,
        before anything is changed.
        """
        return import_library(self.folder, self.settings, Path(path), progress=progress, tell=tell)

    def doctor(self) -> list[Check]:
        """What is in order and what is not, each with the command that mends it."""
        return examine(self.folder, self.settings)

    def query_engine(self) -> BaseQueryEngine:
        """This library as a LlamaIndex query engine, for routers, agents and tools."""
        from rag.engine import CitewiseQueryEngine

        return CitewiseQueryEngine(self)

    def follow(self, seconds: float) -> None:
        """From now on look every so many seconds for what others wrote; see `Latest.follow`. For a replica that stays
        open."""
        self._latest.follow(seconds)

    def close(self) -> None:
        """Release the indexes and the catalog; whoever asks afterwards is told so by a LibraryError."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begun(
        self, pipeline: Pipeline, question: str, filters: Filters | None, history: Sequence[Turn]
    ) -> AnswerStream:
        stream = pipeline.stream(question, filters=filters, history=history)
        with self._listing:
            self._streams.add(stream)
        return stream

    def _catalog(self) -> Catalog:
        return self._latest.catalog()

    def _current(self) -> Readers:
        return self._latest.readers()
