"""The Gradio page: components, and which event changes which of them. What happens is in `conversation` and `library_view`."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from rag import Filters
from ui import render
from ui.conversation import Chat, Shown
from ui.exchange import Talk
from ui.exports import KINDS, exported
from ui.library_view import Shelf
from ui.server import SafeHeaders, credentials, is_loopback

if TYPE_CHECKING:
    from rag.library import Library

_ASSETS = Path(__file__).parent / "assets"
_ACCEPTED = [".txt", ".md", ".json", ".jsonl", ".csv", ".tsv", ".bib", ".ris", ".xml", ".gz"]
_AT_ONCE = 32
# Every button that is drawn as HTML reaches Python through one of these events of a component that nobody sees.
_BRIDGE = """
window.citewiseSend = (name, data) => trigger(name, data);
['ask', 'halt', 'restart', 'filter', 'similar', 'rate', 'export', 'kept', 'open', 'alter', 'paper', 'remove', 'browse', 'cancel'];
"""


def serve(library: Library, *, port: int, browser: bool, block: bool = True) -> gr.Blocks:
    """Open the page, by default until it is stopped. Raises SettingsError where others could come in unasked."""
    from starlette.middleware import Middleware

    host = library.settings.chat.host
    auth = credentials(host)
    page = build(library)
    page.queue(default_concurrency_limit=_AT_ONCE).launch(
        server_name=host,
        server_port=port or None,
        inbrowser=browser,
        share=False,
        auth=auth,
        show_error=False,
        max_file_size=f"{library.settings.chat.max_upload_mb}mb",
        footer_links=[],
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        app_kwargs={"middleware": [Middleware(SafeHeaders)]},
        prevent_thread_lock=not block,
        quiet=not block,
        **looks(),
    )
    return page


def looks() -> dict[str, Any]:
    """Theme, style and script. KaTeX and the sans are those that Gradio ships, the serif is ours: nothing from another host."""
    frontend = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
    found = {kind: next(iter(sorted(frontend.glob(f"katex-*.{kind}"))), None) for kind in ("js", "css")}
    katex = "".join(f' data-{kind}="assets/{path.name}"' for kind, path in found.items() if path)
    style = (_ASSETS / "style.css").read_text(encoding="utf-8")  # not `css`: Gradio would prefix every selector
    script = (_ASSETS / "script.js").read_text(encoding="utf-8")
    return {
        "theme": gr.themes.Base(font=["Source Sans Pro", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        "head": f'<meta name="citewise-katex"{katex}><style>{_serif()}{style}</style><script>{script}</script>',
    }


def _serif() -> str:
    """Source Serif 4 as part of the page: Gradio serves no folder of ours, and its own serif lacks the Latin letters."""
    faces = ""
    for weight, range_ in ((400, "400"), (600, "600 700")):
        data = base64.b64encode(
            (_ASSETS / "fonts" / f"source-serif-4-latin-{weight}-normal.woff2").read_bytes()
        ).decode()
        faces += (
            f'@font-face {{ font-family: "Source Serif 4"; font-weight: {range_}; font-display: swap;'
            f' src: url("data:font/woff2;base64,{data}") format("woff2"); }}'
        )
    return faces


def build(library: Library) -> gr.Blocks:
    """The page over one library. Each browser tab has its own conversation."""
    chat, shelf = Chat(library), Shelf(library, local=is_loopback(library.settings.chat.host))
    with gr.Blocks(title="Citewise", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)) as page:
        bridge = gr.HTML("", elem_id="bridge", js_on_load=_BRIDGE, visible="hidden")
        talk = gr.State(Talk())
        with gr.Row(elem_id="top"):
            gr.HTML(render.top_html(), elem_id="brand")
            summary = gr.HTML(elem_id="summary")
        with gr.Row(elem_id="ask-view"):
            with gr.Column(elem_id="left"):
                with gr.Column(elem_id="conversation"):
                    finished, live = gr.HTML(elem_id="finished"), gr.HTML("", elem_id="live")
                with gr.Column(elem_id="asking"):
                    with gr.Row(elem_id="narrowing"):
                        menu, chips = gr.HTML(elem_id="menu"), gr.HTML(elem_id="chips")
                    with gr.Row(elem_id="box"):
                        question = gr.Textbox(
                            elem_id="question", label="Question", show_label=False, container=False, autofocus=True,
                            placeholder="Ask the abstracts…", lines=1, max_lines=8, scale=5,
                        )  # fmt: skip
                        go = gr.Button("Ask", elem_id="go", variant="primary", scale=0, min_width=72)
            gr.HTML(render.side_html(), elem_id="side")
        similar = gr.HTML("", elem_id="similar", visible="hidden")
        saved = gr.JSON({}, elem_id="saved", visible="hidden")
        with gr.Row(elem_id="library-view"):
            with gr.Column(elem_id="papers", scale=3):
                words = gr.Textbox(
                    elem_id="words", label="Search titles", placeholder="Search titles…", container=False
                )
                table = gr.HTML(elem_id="table")
            with gr.Column(elem_id="shelf", scale=2, min_width=320):
                detail = gr.HTML("", elem_id="detail")
                gr.HTML("<h2>Add papers</h2>")
                files = gr.File(label="Files", file_count="multiple", file_types=_ACCEPTED, height=120, elem_id="files")
                pasted = gr.Textbox(label="Or pasted text", lines=3, max_lines=10, elem_id="pasted")
                path = gr.Textbox(label="Or a file, folder or address", visible=shelf.local, elem_id="path")
                add = gr.Button("Add to the library", elem_id="add")
                report = gr.HTML("", elem_id="report")
        with gr.Column(elem_id="drawer"):
            looked_for = gr.Textbox(
                elem_id="looked-for", label="Search conversations", placeholder="Search conversations…", container=False
            )
            kept = gr.HTML(elem_id="kept")

        def ask(text: str, now: Talk, request: gr.Request) -> Iterator[tuple[Any, ...]]:
            for shown in chat.ask(text, now, session=_session(request), owner=_owner(request)):
                yield "", *_drawn(shown)

        def ask_by(event: gr.EventData, now: Talk, request: gr.Request) -> Iterator[tuple[Any, ...]]:
            data = _data(event)
            turn = int(data["turn"]) if str(data.get("turn", "")).isdigit() else None
            text = str(data.get("text", ""))
            if turn is not None and turn < len(now.exchanges) and not text:
                text = now.exchanges[turn].question
            if data.get("do") == "unhear" and turn is not None and turn < len(now.exchanges):
                text, filters = chat.unheard(now.exchanges[turn], str(data.get("field")), str(data.get("value", "")))
                now, turn = replace(now, filters=filters), None
            for shown in chat.ask(text, now, session=_session(request), owner=_owner(request), turn=turn):
                yield *_drawn(shown), chat.chips(now.filters)

        def narrow(event: gr.EventData, now: Talk) -> tuple[Any, ...]:
            data = _data(event)
            filters = chat.narrowed(now.filters, data)
            kept_menu = gr.skip() if data.get("do") == "set" else chat.menu(filters)
            return replace(now, filters=filters), chat.chips(filters), kept_menu

        def rate(event: gr.EventData, now: Talk, request: gr.Request) -> Talk:
            data = _data(event)
            place = int(data.get("turn", -1))
            if not 0 <= place < len(now.exchanges):
                return now
            rated = replace(
                now.exchanges[place], rating=int(data.get("rating", 0)), remark=str(data.get("remark", ""))[:2000]
            )
            exchanges = (*now.exchanges[:place], rated, *now.exchanges[place + 1 :])
            return chat.keep(replace(now, exchanges=exchanges), _owner(request))

        def export(event: gr.EventData, now: Talk) -> dict[str, str]:
            data = _data(event)
            kind = str(data.get("format"))
            if kind not in KINDS:
                return {}
            place = data.get("turn")
            chosen = now.exchanges if place is None else now.exchanges[int(place) : int(place) + 1]
            settings = library.settings.model_dump(mode="json", exclude={"library", "chat"})
            return {"name": f"citewise.{kind}", "type": KINDS[kind], "text": exported(chosen, kind, settings)}

        def listed(text: str, now: Talk, request: gr.Request) -> str:
            found = chat.history.listed(text, owner=_owner(request))
            return render.conversations_html(found, now.id, searching=bool(text.strip()))

        def alter(event: gr.EventData, text: str, now: Talk, request: gr.Request) -> str:
            data, owner = _data(event), _owner(request)
            if data.get("do") == "delete":
                chat.history.delete(str(data.get("conversation")), owner=owner)
            elif data.get("do") == "rename":
                chat.history.rename(str(data.get("conversation")), str(data.get("title", "")), owner=owner)
            return listed(text, now, request)

        def opened(conversation: str, now: Talk, request: gr.Request) -> tuple[Any, ...]:
            exchanges = chat.history.load(conversation, owner=_owner(request)) if conversation else None
            now = Talk(conversation, exchanges, now.filters) if exchanges else Talk(filters=now.filters)
            return now, chat.finished(now), ""

        def open_by(event: gr.EventData, now: Talk, request: gr.Request) -> tuple[Any, ...]:
            return opened(str(_data(event).get("conversation", "")), now, request)

        def arrive(now: Talk, request: gr.Request) -> tuple[Any, ...]:
            shown = opened(request.query_params.get("c", ""), now, request)
            return *shown, _summary(library), chat.menu(Filters()), shelf.table("", "added", 0)

        def add_papers(
            chosen: list[str] | None, text: str, where: str, request: gr.Request
        ) -> Iterator[tuple[Any, ...]]:
            for told in shelf.add(chosen or [], text, where, session=_session(request)):
                yield told, gr.skip(), gr.skip(), gr.skip()
            yield gr.skip(), _summary(library), chat.menu(Filters()), shelf.table("", "added", 0)

        def browse(event: gr.EventData, text: str) -> str:
            data = _data(event)
            offset = int(data["offset"]) if str(data.get("offset", "")).isdigit() else 0
            return shelf.table(text, str(data.get("order", "added")), offset)

        def remove(event: gr.EventData, text: str) -> tuple[str, str, str]:
            return shelf.remove(str(_data(event).get("paper", ""))), _summary(library), shelf.table(text, "added", 0)

        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        conversation = [talk, finished, live]
        asked: dict[str, Any] = {"fn": ask, "inputs": [question, talk], "outputs": [question, *conversation]}
        question.submit(**asked, **private)
        go.click(**asked, **private)
        bridge.ask(ask_by, [talk], [*conversation, chips], **private)
        bridge.halt(_with_session(chat.stop), None, None, queue=False, **private)
        bridge.cancel(_with_session(shelf.cancel), None, None, queue=False, **private)
        bridge.restart(lambda now: opened_new(chat, now), [talk], conversation, **private)
        bridge.filter(narrow, [talk], [talk, chips, menu], **private)
        bridge.similar(_with_data(lambda data: chat.similar(str(data.get("paper", "")))), None, similar, **private)
        bridge.paper(_with_data(lambda data: shelf.paper(str(data.get("paper", "")))), None, detail, **private)
        bridge.rate(rate, [talk], [talk], **private)
        bridge.export(export, [talk], saved, **private).then(
            None, saved, None, js="(file) => window.citewiseSave(file)"
        )
        bridge.kept(listed, [looked_for, talk], kept, **private)
        looked_for.input(listed, [looked_for, talk], kept, trigger_mode="always_last", **private)
        bridge.alter(alter, [looked_for, talk], kept, **private)
        bridge.open(open_by, [talk], conversation, **private)
        bridge.browse(browse, [words], table, **private)
        words.input(lambda text: shelf.table(text, "added", 0), words, table, trigger_mode="always_last", **private)
        bridge.remove(remove, [words], [detail, summary, table], **private)
        add.click(add_papers, [files, pasted, path], [report, summary, menu, table], **private)
        page.load(arrive, [talk], [*conversation, summary, menu, table], **private).then(
            lambda now: gr.skip() if now.exchanges else chat.first_page(), [talk], finished, **private
        )

        def ask_endpoint(question: str) -> dict[str, Any]:
            """Answer a question from the abstracts; each sentence of the text is cited to a sentence of an abstract."""
            return library.ask(question).as_json()

        def search_endpoint(question: str, k: int = 10) -> dict[str, Any]:
            """The papers nearest to a question, best first, each with its nearest sentence."""
            hits = library.search(question, max(1, min(100, k)))
            return {
                "question": question,
                "hits": [
                    {"rank": hit.rank, "paper_id": hit.paper.id, "title": hit.paper.title, "score": hit.score, "quote": hit.quote.text}
                    for hit in hits
                ],
            }  # fmt: skip

        gr.api(ask_endpoint, api_name="ask")
        gr.api(search_endpoint, api_name="search")
    return page


def opened_new(chat: Chat, now: Talk) -> tuple[Talk, str, str]:
    """A conversation that has not begun; the filters stay."""
    fresh = Talk(filters=now.filters)
    return fresh, chat.finished(fresh), ""


def _drawn(shown: Shown) -> tuple[Any, ...]:
    return tuple(gr.skip() if part is None else part for part in shown)


def _with_session(act: Any) -> Any:
    def handler(request: gr.Request) -> None:
        act(_session(request))

    return handler


def _with_data(act: Any) -> Any:
    def handler(event: gr.EventData) -> Any:
        return act(_data(event))

    return handler


def _data(event: gr.EventData) -> dict[str, Any]:
    data = event._data  # what the browser sent; Gradio offers it by attribute only, and names may collide
    return data if isinstance(data, dict) else {}


def _session(request: gr.Request) -> str:
    return request.session_hash or ""


def _owner(request: gr.Request) -> str:
    return request.username or ""


def _summary(library: Library) -> str:
    return render.summary_html(library.count(), library.years(), str(library.folder))
