"""Gradio's events as plain calls: what the browser sent goes in, what each component shows comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from rag import Filters
from ui import render
from ui.conversation import Chat, Shown
from ui.exchange import Talk
from ui.exports import KINDS, exported
from ui.library_view import Shelf
from ui.server import is_loopback

if TYPE_CHECKING:
    from rag.library import Library


class Handlers:
    """One method for each event of the page over one library."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.chat = Chat(library)
        self.shelf = Shelf(library, local=is_loopback(library.settings.chat.host))

    def ask(self, text: str, now: Talk, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Ask what is in the box."""
        for shown in self.chat.ask(text, now, session=_session(request), owner=_owner(request)):
            yield "", *_drawn(shown)

    def ask_by(self, event: gr.EventData, now: Talk, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Ask what a button says: an example, a retry, an edited question, one without a heard filter."""
        data = _data(event)
        turn = int(data["turn"]) if str(data.get("turn", "")).isdigit() else None
        text = str(data.get("text", ""))
        if turn is not None and turn < len(now.exchanges) and not text:
            text = now.exchanges[turn].question
        if data.get("do") == "unhear" and turn is not None and turn < len(now.exchanges):
            text, filters = self.chat.unheard(now.exchanges[turn], str(data.get("field")), str(data.get("value", "")))
            now, turn = replace(now, filters=filters), None
        for shown in self.chat.ask(text, now, session=_session(request), owner=_owner(request), turn=turn):
            yield *_drawn(shown), self.chat.chips(now.filters)

    def narrow(self, event: gr.EventData, now: Talk) -> tuple[Any, ...]:
        """Change the filters."""
        data = _data(event)
        filters = self.chat.narrowed(now.filters, data)
        kept_menu = gr.skip() if data.get("do") == "set" else self.chat.menu(filters)
        return replace(now, filters=filters), self.chat.chips(filters), kept_menu

    def rate(self, event: gr.EventData, now: Talk, request: gr.Request) -> Talk:
        """Keep what somebody thinks of an answer."""
        data = _data(event)
        place = int(data.get("turn", -1))
        if not 0 <= place < len(now.exchanges):
            return now
        rated = replace(
            now.exchanges[place], rating=int(data.get("rating", 0)), remark=str(data.get("remark", ""))[:2000]
        )
        exchanges = (*now.exchanges[:place], rated, *now.exchanges[place + 1 :])
        return self.chat.keep(replace(now, exchanges=exchanges), _owner(request))

    def export(self, event: gr.EventData, now: Talk) -> dict[str, str]:
        """An answer, or the whole conversation, as a file for the browser to save."""
        data = _data(event)
        kind = str(data.get("format"))
        if kind not in KINDS:
            return {}
        place = data.get("turn")
        chosen = now.exchanges if place is None else now.exchanges[int(place) : int(place) + 1]
        settings = self.library.settings.model_dump(mode="json", exclude={"library", "chat"})
        return {"name": f"citewise.{kind}", "type": KINDS[kind], "text": exported(chosen, kind, settings)}

    def listed(self, text: str, now: Talk, request: gr.Request) -> str:
        """The kept conversations that hold the words."""
        found = self.chat.history.listed(text, owner=_owner(request))
        return render.conversations_html(found, now.id, searching=bool(text.strip()))

    def alter(self, event: gr.EventData, text: str, now: Talk, request: gr.Request) -> str:
        """Rename or delete a kept conversation."""
        data, owner = _data(event), _owner(request)
        if data.get("do") == "delete":
            self.chat.history.delete(str(data.get("conversation")), owner=owner)
        elif data.get("do") == "rename":
            self.chat.history.rename(str(data.get("conversation")), str(data.get("title", "")), owner=owner)
        return self.listed(text, now, request)

    def opened(self, conversation: str, now: Talk, request: gr.Request) -> tuple[Any, ...]:
        """A kept conversation; a new one where there is none with that id."""
        exchanges = self.chat.history.load(conversation, owner=_owner(request)) if conversation else None
        now = Talk(conversation, exchanges, now.filters) if exchanges else Talk(filters=now.filters)
        return now, self.chat.finished(now), ""

    def open_by(self, event: gr.EventData, now: Talk, request: gr.Request) -> tuple[Any, ...]:
        """Open the conversation that was chosen."""
        return self.opened(str(_data(event).get("conversation", "")), now, request)

    def arrive(self, now: Talk, request: gr.Request) -> tuple[Any, ...]:
        """Everything that a fresh browser tab shows."""
        shown = self.opened(request.query_params.get("c", ""), now, request)
        return *shown, self.summary(), self.chat.menu(Filters()), self.shelf.table("", "added", 0)

    def add_papers(
        self, chosen: list[str] | None, text: str, where: str, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Add papers, with progress."""
        for told in self.shelf.add(chosen or [], text, where, session=_session(request)):
            yield told, gr.skip(), gr.skip(), gr.skip()
        yield gr.skip(), self.summary(), self.chat.menu(Filters()), self.shelf.table("", "added", 0)

    def browse(self, event: gr.EventData, text: str) -> str:
        """Another page or order of the table."""
        data = _data(event)
        offset = int(data["offset"]) if str(data.get("offset", "")).isdigit() else 0
        return self.shelf.table(text, str(data.get("order", "added")), offset)

    def remove(self, event: gr.EventData, text: str) -> tuple[str, str, str]:
        """Remove a paper."""
        return self.shelf.remove(str(_data(event).get("paper", ""))), self.summary(), self.shelf.table(text, "added", 0)

    def new(self, now: Talk) -> tuple[Talk, str, str]:
        """A conversation that has not begun; the filters stay."""
        fresh = Talk(filters=now.filters)
        return fresh, self.chat.finished(fresh), ""

    def first_page(self, now: Talk) -> Any:
        """The first page with its example questions, which may take a second to try."""
        return gr.skip() if now.exchanges else self.chat.first_page()

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

    def search(self, text: str) -> str:
        """The first page of the papers with these words."""
        return self.shelf.table(text, "added", 0)

    def summary(self) -> str:
        """One line on the library."""
        return render.summary_html(self.library.count(), self.library.years(), str(self.library.folder))

    def ask_endpoint(self, question: str) -> dict[str, Any]:
        """Answer a question from the abstracts; each sentence of the text is cited to a sentence of an abstract."""
        return self.library.ask(question).as_json()

    def search_endpoint(self, question: str, k: int = 10) -> dict[str, Any]:
        """The papers nearest to a question, best first, each with its nearest sentence."""
        hits = self.library.search(question, max(1, min(100, k)))
        return {
            "question": question,
            "hits": [
                {
                        "rank": hit.rank,
                        "paper_id": hit.paper.id,
                        "title": hit.paper.title,
                        "score": hit.score,
                        "quote": hit.quote.text,
                    }
                for hit in hits
            ],
        }  # fmt: skip


def _drawn(shown: Shown) -> tuple[Any, ...]:
    return tuple(gr.skip() if part is None else part for part in shown)


def _data(event: gr.EventData) -> dict[str, Any]:
    data = event._data  # what the browser sent; Gradio offers it by attribute only, and names may collide
    return data if isinstance(data, dict) else {}


def _session(request: gr.Request) -> str:
    return request.session_hash or ""


def _owner(request: gr.Request) -> str:
    return request.username or ""
