"""What happens in the library view: looking through the papers, adding and removing some."""

from __future__ import annotations

import logging
import queue
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag import CitewiseError
from ui import render

if TYPE_CHECKING:
    from rag.ingest import Progress
    from rag.library import Library

logger = logging.getLogger(__name__)
PAGE = 50
_ORDERS = ("added", "title", "newest", "upvotes")
_UPLOADS = "uploads"


class Shelf:
    """The papers of one library, as the page shows and changes them; `local`: paths of this machine may be read."""

    def __init__(self, library: Library, *, local: bool) -> None:
        self.library = library
        self.local = local
        self._cancels: dict[str, threading.Event] = {}

    def table(self, words: str, order: str, offset: int) -> str:
        """One page of the papers."""
        total = self.library.matching(words) if self.library.count() else 0
        chosen: Any = order if order in _ORDERS else "added"
        papers = self.library.browse(words, limit=PAGE, offset=offset, order=chosen) if total else []
        return render.table_html(papers, total=total, offset=offset, order=chosen)

    def paper(self, paper_id: str) -> str:
        """One paper in full."""
        paper = self.library.paper(paper_id)
        return render.paper_html(paper) if paper else render.problem_html("This paper is no longer in the library.")

    def remove(self, paper_id: str) -> str:
        """Remove a paper; what became of it."""
        return _guarded(lambda: render.plain("Removed." if self.library.remove([paper_id]) else "It was gone already."))

    def add(self, files: Sequence[str], text: str, path: str, *, session: str) -> Iterator[str]:
        """Add papers; progress, then the report, as HTML."""
        if session in self._cancels:
            return
        wanted = [self._stored(Path(file)) for file in files]
        if path.strip() and self.local:
            wanted.append(path.strip())
        if not wanted and not text.strip():
            yield render.problem_html("Choose one or more files, or paste some abstracts.")
            return
        cancel = self._cancels.setdefault(session, threading.Event())
        told: queue.Queue[Progress | str] = queue.Queue()
        worker = threading.Thread(target=self._ingest, args=(wanted, text.strip() or None, told, cancel), daemon=True)
        try:
            yield render.progress_html("reading", 0, None, 0.0)
            worker.start()
            while not isinstance(step := _latest(told), str):
                yield render.progress_html(
                    step.stage, step.done, step.completed / step.total if step.total else None, step.rate
                )
            yield step
        finally:
            self._cancels.pop(session, None)

    def cancel(self, session: str) -> None:
        """Stop the session's ingest after the present batch."""
        if event := self._cancels.get(session):
            event.set()

    def _ingest(
        self, paths: list[str], text: str | None, told: queue.Queue[Progress | str], cancel: threading.Event
    ) -> None:
        def work() -> str:
            report = self.library.ingest(paths, text=text, progress=told.put, should_stop=cancel.is_set)
            return render.report_html(report.as_json())

        told.put(_guarded(work))

    def _stored(self, upload: Path) -> str:
        """A copy of an upload, kept beside the library by name, so that a changed file updates its papers."""
        folder = self.library.folder / _UPLOADS
        folder.mkdir(parents=True, exist_ok=True)
        return str(shutil.copyfile(upload, folder / upload.name))


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
