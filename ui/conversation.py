"""What happens in the conversation: asking, stopping, filters, kept conversations. No component is named here."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from rag import CitewiseError, Delta, Filters, Finished, Retrieved
from rag.errors import UsageError
from rag.question_filters import hear
from ui import render
from ui.examples import examples
from ui.exchange import Exchange, Talk
from ui.history import History
from ui.record import recorded

if TYPE_CHECKING:
    from rag.library import Library
    from rag.pipeline import AnswerStream

logger = logging.getLogger(__name__)
_TICK = 0.05  # seconds between two pictures of a draft


class Shown(NamedTuple):
    """What the page shows after a step; None leaves a part as it is."""

    talk: Talk | None = None
    finished: str | None = None
    live: str | None = None


class _Run:
    """An answer that is being made; a stop counts from the first moment on. One that was `left` is no longer shown."""

    def __init__(self) -> None:
        self.left = False
        self._stopped = threading.Event()
        self._stream: AnswerStream | None = None

    def begin(self, stream: AnswerStream) -> None:
        self._stream = stream
        if self._stopped.is_set():
            stream.close()

    def stop(self) -> None:
        self._stopped.set()
        if self._stream is not None:
            self._stream.close()


class Chat:
    """The conversations over one library. Holds what is running, by browser session, so that it can be stopped."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.history = History(library.folder)
        self._running: dict[str, _Run] = {}
        self._examples: tuple[int, list[str]] | None = None
        self._thinking = threading.Lock()
        self._keeping = threading.Lock()

    def ask(
        self,
        text: str,
        talk: Talk,
        *,
        session: str,
        owner: str,
        filters: Filters | None = None,
        turn: int | None = None,
    ) -> Iterator[Shown]:
        """Answer a question as the next exchange, or in place of exchange `turn` and all after it. Nothing changes
        where there is none, or while another is answered.
        """
        question, run = text.strip(), _Run()
        if not question or self._running.setdefault(session, run) is not run:
            yield Shown()  # where a generator yields nothing at all, Gradio empties all that it might have filled
            return
        talk = talk if turn is None else replace(talk, exchanges=talk.exchanges[:turn])
        number = len(talk.exchanges)
        unchanged = number and turn is None
        finished = None if unchanged else render.conversation_html(talk.exchanges, talk.id)
        exchange = Exchange(question, given=filters or Filters())
        try:
            yield Shown(talk, finished, render.live_html(question, number))
            exchange = yield from self._answered(exchange, talk, run)
        except CitewiseError as error:
            exchange = replace(exchange, problem=str(error))
        except Exception as error:  # the page's outermost edge: never a question without a reply
            logger.exception("a question failed")
            exchange = replace(
                exchange,
                problem=f"Something went wrong in Citewise ({type(error).__name__}: {error}); the terminal shows more.",
            )
        finally:
            if self._running.get(session) is run:
                del self._running[session]
        talk = replace(talk, exchanges=(*talk.exchanges, exchange))
        if not (run.left and talk.id and self.history.load(talk.id, owner=owner) is None):  # not deleted meanwhile
            talk = self.keep(talk, owner)
        if not run.left:
            yield Shown(talk, self.finished(talk), "")
        else:  # nor is a draft of it that was already on its way; what is shown last, Gradio shows once more
            yield Shown(live=None if session in self._running else "")

    def _answered(self, exchange: Exchange, talk: Talk, run: _Run) -> Iterator[Shown]:
        number, draft, shown = len(talk.exchanges), "", 0.0
        hits: Any = None
        with self.library.stream(exchange.question, filters=exchange.given, history=talk.history) as stream:
            run.begin(stream)
            try:
                for event in stream:
                    if isinstance(event, Finished):
                        return replace(exchange, answer=event.answer, cost=event.answer.cost)
                    if isinstance(event, Retrieved):
                        hits = event.hits
                    elif isinstance(event, Delta):
                        draft += event.text
                    if time.monotonic() - shown > _TICK:
                        # The first words do not wait for the next ones, which may be long in coming.
                        shown = 0.0 if isinstance(event, Retrieved) else time.monotonic()
                        yield Shown(live=render.live_html(exchange.question, number, draft=draft, hits=hits))
            except CitewiseError as error:
                return replace(exchange, problem=str(error), cost=stream.tally.cost)
        return replace(exchange, partial=draft, cost=stream.tally.cost)

    @property
    def busy(self) -> bool:
        """Whether an answer is under way."""
        return bool(self._running)

    def stop(self, session: str) -> None:
        """Stop what the session has running; what was written until then stays."""
        if run := self._running.get(session):
            run.stop()

    def leave(self, session: str) -> None:
        """Stop what the session has running for another conversation: what was written is kept, but no longer shown."""
        if run := self._running.pop(session, None):
            run.left = True
            run.stop()

    def keep(self, talk: Talk, owner: str) -> Talk:
        """Keep a conversation on disk, its last exchange new; one that cannot be kept goes on all the same."""
        try:
            with self._keeping:
                kept = (self.history.load(talk.id, owner=owner) if talk.id else None) or ()
                # An earlier answer may have been rated while this one was written.
                pairs = zip(talk.exchanges[:-1], kept, strict=False)
                rated = [replace(mine, rating=item.rating, remark=item.remark) for mine, item in pairs]
                exchanges = (*rated, *talk.exchanges[len(rated) :])
                return Talk(self.history.save(exchanges, owner=owner, conversation=talk.id), exchanges)
        except (sqlite3.Error, OSError) as error:
            logger.warning("the conversation cannot be kept: %s", error)
            return talk

    def judge(self, talk: Talk, place: int, owner: str, *, rating: int, remark: str = "") -> None:
        """Keep the rating of one exchange as feedback for evaluation, and with its conversation where that is kept.

        Raises UsageError where it cannot be kept.
        """
        item = replace(talk.exchanges[place], rating=rating, remark=remark)
        record = recorded((*talk.exchanges[:place], item), self.library.settings, first=place)
        try:
            with self._keeping:
                self.history.rate(talk.id or "", place, rating, remark, owner=owner)
            self.history.judge(item, record, key=f"{owner}/{talk.id}/{place}")
        except (sqlite3.Error, OSError) as error:
            raise UsageError(f"Your rating cannot be kept: {error}.") from error

    def finished(self, talk: Talk) -> str:
        """The finished exchanges."""
        return render.conversation_html(talk.exchanges, talk.id) if talk.exchanges else ""

    def welcome(self) -> str:
        """The first page, with example questions where they are known by now."""
        count = self.library.count()
        if not count:
            return render.welcome_html(0, {}, None)
        facets = self.library.facets()
        years = list(facets["years"])
        sources = [path.rpartition("/")[2] or path for path in facets["sources"]]
        more = f" and {len(sources) - 4} more" if len(sources) > 4 else ""
        facts = {
            "Papers": f"{count:,}",
            "Years": f"{years[0]}–{years[-1]}" if years else "",
            "Read from": ", ".join(sources[:4]) + more,
        }
        asked = self._examples[1] if self._examples else None
        return render.welcome_html(count, {name: value for name, value in facts.items() if value}, asked)

    def first_page(self) -> str:
        """The first page with example questions that were tried on the library as it is now."""
        with self._thinking:
            generation = self.library.generation()
            if self.library.count() and (self._examples is None or self._examples[0] != generation):
                self._examples = (generation, examples(self.library))
        return self.welcome()

    def warm_up(self) -> None:
        """Open the library and try the example questions in the background, so that the first visitor need not wait."""

        def work() -> None:
            try:
                self.first_page()
            except CitewiseError as error:  # the visitor is told when it matters
                logger.info("the library could not be opened yet: %s", error)

        # Not a daemon: a thread inside Chroma's native code must not be cut off when the process ends.
        threading.Thread(target=work, name="citewise-warm-up").start()

    def narrowed(self, filters: Filters, change: dict[str, Any]) -> Filters:
        """The filters after a change made on the page."""
        paper = str(change.get("paper", ""))
        match change.get("do"):
            case "only":
                return replace(filters, only=tuple(dict.fromkeys((*filters.only, paper))))
            case "exclude":
                return replace(filters, exclude=tuple(dict.fromkeys((*filters.exclude, paper))))
            case "drop":
                return dropped(filters, str(change.get("field")), str(change.get("value", "")))
            case "set":
                return replace(filters, **_set(change))
            case _:
                return Filters()

    def chips(self, filters: Filters) -> str:
        """The filters that are set, and how many papers they leave."""
        if not filters:
            return ""
        titles = {key: paper.title for key in (*filters.only, *filters.exclude) if (paper := self.library.paper(key))}
        left, total = self.library.matching(filters=filters), self.library.count()
        return render.chips_html(filters, left=left, total=total, titles=titles)

    def menu(self, filters: Filters) -> str:
        """The menu of filters."""
        if not self.library.count():
            return ""
        return render.menu_html(self.library.facets(), filters, self.library.matching(filters=Filters(has_code=True)))

    def unheard(self, exchange: Exchange, field: str, value: str) -> tuple[str, Filters]:
        """The question without the words that were heard as filters, and the filters without the one taken back."""
        used = exchange.answer.filters if exchange.answer else exchange.given
        return hear(exchange.question)[2], dropped(used, field, value)

    def similar(self, paper_id: str) -> str:
        """Papers like one paper."""
        paper = self.library.paper(paper_id)
        if paper is None:
            return render.problem_html("This paper is no longer in the library.")
        hits = self.library.search(f"{paper.title} {paper.abstract[:600]}", 8, filters=Filters(exclude=(paper_id,)))
        return render.similar_html(paper, hits)


def dropped(filters: Filters, field: str, value: str) -> Filters:
    """The filters without one of them."""
    if field == "years":
        return replace(filters, year_from=None, year_to=None)
    if field == "dates":
        return replace(filters, date_from=None, date_to=None)
    if field == "has_code":
        return replace(filters, has_code=None)
    if field in {"venues", "authors", "sources", "only", "exclude"}:
        return replace(filters, **{field: tuple(item for item in getattr(filters, field) if item != value)})
    return filters


def _set(change: dict[str, Any]) -> dict[str, Any]:
    """What the menu's form says. Its values come from a browser, so their types are not taken for granted."""
    years = {
        name: int(change[name]) if str(change.get(name, "")).isdigit() else None for name in ("year_from", "year_to")
    }
    lists = {name: tuple(str(item) for item in change.get(name) or ()) for name in ("venues", "sources")}
    return {**years, **lists, "has_code": True if change.get("has_code") else None}
