"""What an ingest reports: how far it is, and at its end what became of each record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from rag.folding import display_title
from rag.indexing import Progress
from rag.merging import Outcome
from rag.papers import Reject

if TYPE_CHECKING:
    from rag.parsers import Notice

_TICK_SECONDS = 0.1


class Duplicate(NamedTuple):
    """A record that was merged: its title, the id of the paper it joined, and why."""

    title: str
    kept: str
    reason: str


@dataclass(slots=True)
class IngestReport:
    """What became of the records read. `parsed` = added + updated + unchanged + duplicates, unless it was stopped."""

    parsed: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    duplicates: list[Duplicate] = field(default_factory=list[Duplicate])
    rejected: list[Reject] = field(default_factory=list[Reject])
    notices: list[Notice] = field(default_factory=list["Notice"])
    formats: dict[str, str] = field(default_factory=dict[str, str])
    encoder: str = ""
    stopped: bool = False
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The object that `citewise ingest --json` prints."""
        return {
            "parsed": self.parsed,
            "added": self.added,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "removed": self.removed,
            "duplicates": [item._asdict() for item in self.duplicates],
            "rejected": [{"path": item.path, "line": item.line, "reason": item.reason} for item in self.rejected],
            "notices": [{"path": item.path, "line": item.line, "message": item.message} for item in self.notices],
            "formats": self.formats,
            "encoder": self.encoder,
            "stopped": self.stopped,
            "seconds": round(self.seconds, 3),
        }

    def count(self, outcomes: Iterable[Outcome]) -> None:
        """Take in what became of records."""
        for outcome in outcomes:
            match outcome.kind:
                case "added":
                    self.added += 1
                case "updated":
                    self.updated += 1
                case "unchanged":
                    self.unchanged += 1
                case "duplicate":
                    title = outcome.record.title or display_title(outcome.record.abstract)
                    self.duplicates.append(Duplicate(title, outcome.paper_id or "", outcome.reason or ""))


class Meter:
    """Counts, and tells the caller now and then."""

    def __init__(self, progress: Callable[[Progress], None] | None, should_stop: Callable[[], bool] | None) -> None:
        self.total: int | None = None
        self.done = 0
        self.finished = 0
        self.stopped = False
        self._progress = progress
        self._should_stop = should_stop
        self._start = time.perf_counter()
        self._last = 0.0

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self._start

    def show(self, stage: str, current: int = 0, *, force: bool = False) -> None:
        """Report progress, unless that was done a moment ago; `current` are bytes read of the present file."""
        now = self.seconds
        if self._progress and (force or now - self._last >= _TICK_SECONDS):
            self._last = now
            rate = self.done / now if now else 0.0
            self._progress(Progress(stage, self.done, self.finished + current, self.total, rate))

    def step(self, stage: str, done: int, total: int) -> None:
        """Report progress of a stage that counts passages."""
        if self._progress:
            self._progress(Progress(stage, self.done, done, total, self.done / self.seconds if self.seconds else 0.0))

    def ask(self) -> bool:
        """Whether to stop."""
        self.stopped = self.stopped or (self._should_stop is not None and self._should_stop())
        return self.stopped
