"""What happens in the library view: looking through the papers, adding and removing some."""

from __future__ import annotations

import filecmp
import json
import logging
import queue
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rag import CitewiseError
from ui import render

if TYPE_CHECKING:
    from rag.ingest import Progress
    from rag.library import Library

logger = logging.getLogger(__name__)
PAGE = 50
_ORDERS = ("added", "title", "newest", "upvotes")
_UPLOADS = "uploads"
_REPORTS = 20  # kept for saving, the last ones


class Given(NamedTuple):
    """What somebody wants to add: uploaded files, pasted text, a path or address; `replace`: as newer versions."""

    files: Sequence[str] = ()
    text: str = ""
    path: str = ""
    replace: bool = False


class Shelf:
    """The papers of one library, as the page shows and changes them; `local`: paths of this machine may be read."""

    def __init__(self, library: Library, *, local: bool) -> None:
        self.library = library
        self.local = local
        self._cancels: dict[str, threading.Event] = {}
        self._at_work: dict[threading.Thread, threading.Event] = {}
        self._reports: dict[str, str] = {}

    @property
    def ingests(self) -> int:
        """How many ingests are under way, also of visitors who have left."""
        return len(self._alive())

    def table(self, words: str, order: str, offset: int) -> str:
        """One page of the papers."""
        total = self.library.matching(words) if self.library.count() else 0
        chosen: Any = order if order in _ORDERS else "added"
        papers = self.library.browse(words, limit=PAGE, offset=offset, order=chosen) if total else []
        return render.table_html(papers, total=total, offset=offset, order=chosen, searching=bool(words.strip()))

    def paper(self, paper_id: str) -> str:
        """One paper in full."""
        paper = self.library.paper(paper_id)
        return render.paper_html(paper) if paper else render.problem_html("This paper is no longer in the library.")

    def remove(self, paper_id: str) -> str:
        """Remove a paper; what became of it."""
        return _guarded(lambda: render.plain("Removed." if self.library.remove([paper_id]) else "It was gone already."))

    def add(self, given: Given, *, session: str) -> Iterator[str]:
        """Add papers; progress, then the report, as HTML."""
        if session in self._cancels:
            return
        place = given.path.strip() if self.local else ""
        if not (given.files or place or given.text.strip()):
            yield render.problem_html("Choose one or more files, or paste some abstracts.")
            return
        cancel = self._cancels.setdefault(session, threading.Event())
        told: queue.Queue[Progress | str] = queue.Queue()
        work = threading.Thread(target=self._ingest, args=(given, place, told, cancel, session), daemon=True)
        try:
            yield render.progress_html("reading", 0, None, 0.0)
            work.start()
            self._at_work = self._alive() | {work: cancel}
            while not isinstance(step := _latest(told), str):
                share = step.completed / step.total if step.total else None
                yield render.progress_html(step.stage, step.done, share, step.rate, cancelled=cancel.is_set())
            yield step
        finally:
            self._cancels.pop(session, None)

    def cancel(self, session: str) -> None:
        """Stop the session's ingest after the present batch."""
        if event := self._cancels.get(session):
            event.set()

    def cancel_all(self) -> None:
        """Stop all ingests after their present batch."""
        for event in self._alive().values():
            event.set()

    def report(self, session: str) -> str | None:
        """The session's last report as JSON, None where there is none."""
        return self._reports.get(session)

    def _ingest(
        self, given: Given, place: str, told: queue.Queue[Progress | str], cancel: threading.Event, session: str
    ) -> None:
        def work() -> str:
            folder = self.library.folder / _UPLOADS
            paths = stored([Path(file) for file in given.files], folder, replace=given.replace)
            report = self.library.ingest(
                [*paths, place] if place else paths,
                text=given.text.strip() or None,
                sync=given.replace and not given.text.strip(),  # all pasted texts are one source
                progress=told.put,
                should_stop=cancel.is_set,
            ).as_json()
            self._remember(session, json.dumps(report, ensure_ascii=False, indent=2))
            return render.report_html(report)

        told.put(_guarded(work))

    def _alive(self) -> dict[threading.Thread, threading.Event]:
        return {thread: cancel for thread, cancel in tuple(self._at_work.items()) if thread.is_alive()}

    def _remember(self, session: str, report: str) -> None:
        self._reports[session] = report
        for oldest in list(self._reports)[:-_REPORTS]:
            self._reports.pop(oldest, None)


def stored(uploads: Sequence[Path], folder: Path, *, replace: bool = False) -> list[str]:
    """Copies of uploads in a folder: under their own names, numbered where a name holds something else already.

    With `replace`, what the folder held under a name before gives way; two uploads of one name never do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept: list[Path] = []
    for upload in uploads:
        if replace and folder / upload.name not in kept:
            (folder / upload.name).unlink(missing_ok=True)
        kept.append(_copied(upload, folder))
    return [str(place) for place in kept]


def _copied(upload: Path, folder: Path) -> Path:
    ending = "".join(upload.suffixes[-2:]) if upload.suffix == ".gz" else upload.suffix
    stem = upload.name.removesuffix(ending)
    number = 1
    while True:
        place = folder / (upload.name if number == 1 else f"{stem} ({number}){ending}")
        try:
            with place.open("xb") as copy, upload.open("rb") as content:
                shutil.copyfileobj(content, copy)
            return place
        except FileExistsError:
            if filecmp.cmp(upload, place, shallow=False):
                return place
        number += 1


def _latest(told: queue.Queue[Any]) -> Any:
    """The newest step, waiting for one where there is none; the report is never skipped."""
    step = told.get()
    while not isinstance(step, str):
        try:
            step = told.get_nowait()
        except queue.Empty:
            break
    return step


def _guarded(work: Any) -> str:
    """What `work` returns, or one visible line on why it failed."""
    try:
        return work()
    except CitewiseError as error:
        return render.problem_html(str(error))
    except Exception as error:  # the page's outermost edge
        logger.exception("a change of the library failed")
        return render.problem_html(
            f"Something went wrong in Citewise ({type(error).__name__}: {error}); the terminal shows more."
        )
