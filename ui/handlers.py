"""Gradio's events as plain calls: what the browser sent goes in, what each component shows comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components.plot import PlotData

from rag import CitewiseError, Filters
from ui import render
from ui.conversation import Chat, Shown
from ui.exchange import Talk
from ui.exports import KINDS, exported, file_name
from ui.library_view import Given, Shelf
from ui.paper_map import Cartographer

if TYPE_CHECKING:
    from rag.library import Library


class Handlers:
    """One method for each event of the page over one library."""

    def __init__(self, library: Library, *, local: bool) -> None:
        self.library = library
        self.chat = Chat(library)
        self.maps = Cartographer(library)
        self.shelf = Shelf(library, local=local)

    @property
    def busy(self) -> bool:
        """Whether an answer or an ingest is under way."""
        return self.chat.busy or self.shelf.ingests > 0

    def ask(self, text: str, now: Talk, filters: Filters, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Ask what is in the box, which the page itself empties."""
        for shown in self.chat.ask(text, now, filters=filters, session=_session(request), owner=_owner(request)):
            yield _drawn(shown)

    def ask_by(
        self, event: gr.EventData, now: Talk, filters: Filters, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Ask what a button says: an example, a retry, an edited question, one without a heard filter."""
        data, session, owner = _data(event), _session(request), _owner(request)
        turn = _number(data.get("turn"), None)
        turn = turn if turn is not None and turn >= 0 else None
        text = str(data.get("text", ""))
        if turn is not None and turn < len(now.exchanges) and not text:
            text = now.exchanges[turn].question
        if data.get("do") == "unhear" and turn is not None and turn < len(now.exchanges):
            text, filters = self.chat.unheard(now.exchanges[turn], str(data.get("field")), str(data.get("value", "")))
            turn = None
            yield *_drawn(Shown()), filters, self.chat.chips(filters)
        for shown in self.chat.ask(text, now, filters=filters, session=session, owner=owner, turn=turn):
            yield *_drawn(shown), gr.skip(), gr.skip()

    def narrow(self, event: gr.EventData, filters: Filters) -> tuple[Filters, str]:
        """Change the filters; the page itself keeps the menu in step with the chips."""
        filters = self.chat.narrowed(filters, _data(event))
        return filters, self.chat.chips(filters)

    def rate(self, event: gr.EventData, now: Talk, request: gr.Request) -> None:
        """Keep what somebody thinks of an answer: rating 1, -1 or 0 for none, and a remark."""
        data = _data(event)
        place, rating = _number(data.get("turn"), -1), _number(data.get("rating"), 0)
        if 0 <= place < len(now.exchanges) and rating in {-1, 0, 1}:
            judge = told(self.chat.judge)
            judge(now, place, _owner(request), rating=rating, remark=str(data.get("remark", ""))[:2000])

    def export(self, event: gr.EventData, now: Talk) -> dict[str, str]:
        """An answer, or the whole conversation, as a file for the browser to save."""
        data = _data(event)
        kind = str(data.get("format"))
        place = _number(data.get("turn"), None)
        if kind not in KINDS or (place is not None and not 0 <= place < len(now.exchanges)):
            return {}
        first, kept = (0, now.exchanges) if place is None else (place, now.exchanges[: place + 1])
        text = exported(kept, kind, self.library.settings, first=first)
        return {"name": file_name(kept[first:], kind), "type": KINDS[kind], "text": text}

    def listed(self, text: str, now: Talk, request: gr.Request) -> str:
        """The kept conversations that hold the words."""
        found = self.chat.history.listed(text, owner=_owner(request))
        return render.conversations_html(found, now.id, searching=bool(text.strip()))

    def alter(self, event: gr.EventData, text: str, now: Talk, request: gr.Request) -> tuple[Any, ...]:
        """Rename or delete a kept conversation; with the open one gone, a new one begins."""
        data, owner = _data(event), _owner(request)
        chosen, shown = str(data.get("conversation")), (gr.skip(),) * 3
        if data.get("do") == "delete":
            if chosen == now.id:
                self.chat.leave(_session(request))
            self.chat.history.delete(chosen, owner=owner)
            if chosen == now.id:
                now = Talk()
                shown = (now, "", "")
        elif data.get("do") == "rename":
            self.chat.history.rename(chosen, str(data.get("title", "")), owner=owner)
        return self.listed(text, now, request), *shown

    def opened(self, conversation: str, request: gr.Request) -> tuple[Talk, str, str]:
        """A kept conversation; a new one where there is none with that id."""
        self.chat.leave(_session(request))
        exchanges = self.chat.history.load(conversation, owner=_owner(request)) if conversation else None
        now = Talk(conversation, exchanges) if exchanges else Talk()
        return now, self.chat.finished(now), ""

    def open_by(self, event: gr.EventData, request: gr.Request) -> tuple[Talk, str, str]:
        """Open the conversation that was chosen."""
        return self.opened(str(_data(event).get("conversation", "")), request)

    def arrive(self, request: gr.Request) -> tuple[Any, ...]:
        """Everything that a fresh browser tab shows; of a damaged library, what is wrong with it."""
        try:
            shown = self.opened(request.query_params.get("c", ""), request)
            return (
                *shown,
                self.chat.welcome(),
                self.summary(),
                self.chat.menu(Filters()),
                self.shelf.table("", "added", 0),
            )
        except CitewiseError as error:
            return Talk(), "", "", render.broken_html(str(error)), "", "", render.problem_html(str(error))

    def add_papers(
        self, chosen: list[str] | None, text: str, where: str, newer: bool, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Add papers, with progress; last, what was taken of the boxes: nothing, where something stood in the way."""
        told, given = "", Given(chosen or (), text, where, newer)
        for told in self.shelf.add(given, session=_session(request)):
            yield told, *[gr.skip()] * 3
        yield gr.skip(), self.summary(), self.first_page(), given if 'class="report"' in told else None

    def emptied(
        self, chosen: list[str] | None, text: str, where: str, newer: bool, taken: Given | None
    ) -> tuple[Any, ...]:
        """The boxes without what was taken of them; what was put in meanwhile stays for the next time."""
        if taken is None:
            return (gr.skip(),) * 4
        boxes = zip(Given(chosen or (), text, where, newer), taken, (None, "", "", False), strict=True)
        return tuple(empty if now == then else gr.skip() for now, then, empty in boxes)

    def report(self, request: gr.Request) -> dict[str, str]:
        """The last report as a file for the browser to save."""
        text = self.shelf.report(_session(request))
        return {} if text is None else {"name": "ingest-report.json", "type": "application/json", "text": text}

    def browse(self, event: gr.EventData, text: str) -> tuple[str, str]:
        """Another page or order of the table, and that order."""
        data = _data(event)
        order = str(data.get("order", "added"))
        return self.shelf.table(text, order, max(0, _number(data.get("offset"), 0))), order

    def remove(self, event: gr.EventData) -> tuple[str, str]:
        """Remove a paper."""
        return self.shelf.remove(str(_data(event).get("paper", ""))), self.summary()

    def new(self, request: gr.Request) -> tuple[Talk, str, str, str]:
        """A conversation that has not begun; the filters stay."""
        return *self.opened("", request), self.chat.welcome()

    def first_page(self) -> str:
        """The first page with its example questions, which may take a second to try."""
        try:
            return self.chat.first_page()
        except CitewiseError as error:
            return render.broken_html(str(error))

    def stop(self, request: gr.Request) -> None:
        """Stop the answer that is being written."""
        self.chat.stop(_session(request))

    def cancel(self, request: gr.Request) -> None:
        """Stop the ingest that is under way."""
        self.shelf.cancel(_session(request))

    def similar(self, event: gr.EventData) -> str:
        """Papers like the chosen one."""
        return self.chat.similar(str(_data(event).get("paper", "")))

    def paper(self, event: gr.EventData) -> str:
        """The chosen paper in full."""
        return self.shelf.paper(str(_data(event).get("paper", "")))

    def map(self, now: Talk) -> tuple[Any, str, str]:
        """The map of the library with the last answer's sources marked, the line above it, its topics."""
        try:
            shown = self.maps.map()
        except CitewiseError as error:
            return None, render.problem_html(str(error)), ""
        answer = next((item.answer for item in reversed(now.exchanges) if item.answer), None)
        places = shown.placed([source.paper.id for source in answer.sources], self.library) if answer else {}
        figure = PlotData(type="plotly", plot=render.figure_json(shown, answer, places)) if shown.papers else None
        return figure, render.map_notice_html(shown, len(places)), render.topics_html(shown)

    def search(self, text: str, order: str) -> str:
        """The first page of the papers with these words."""
        return self.shelf.table(text, order, 0)

    def summary(self) -> str:
        """One line on the library."""
        return render.summary_html(self.library.count(), self.library.years(), str(self.library.folder))


def told(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, with errors that are meant for users told to the script that made it."""

    @wraps(call)
    def telling(*given: Any, **named: Any) -> Any:
        try:
            return call(*given, **named)
        except CitewiseError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return telling


def _drawn(shown: Shown) -> tuple[Any, ...]:
    return tuple(gr.skip() if part is None else part for part in shown)


def _data(event: gr.EventData) -> dict[str, Any]:
    data = event._data  # what the browser sent; Gradio offers it by attribute only, and names may collide
    return data if isinstance(data, dict) else {}


def _number(value: Any, otherwise: Any) -> Any:
    """A whole number from what a browser sent."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return otherwise


def _session(request: gr.Request) -> str:
    return request.session_hash or ""


def _owner(request: gr.Request) -> str:
    return request.username or ""
