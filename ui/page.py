"""The Gradio page: its components, and which event changes which of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import gradio as gr

from rag import Filters
from rag.errors import UsageError
from rag.parsers import SUFFIXES
from ui import render
from ui.closing import Doorkeeper, Doors, Served
from ui.endpoints import Endpoints
from ui.exchange import Talk
from ui.handlers import Handlers, told
from ui.health import Health
from ui.limits import Bounded
from ui.looks import looks
from ui.metrics import CountedRequests, Metrics, MetricsServer
from ui.request_log import RequestLog
from ui.server import SafeHeaders, credentials, is_loopback, taken
from ui.sign_in import SignIn

if TYPE_CHECKING:
    from rag.library import Library

_AT_ONCE = 32
# Every button that is drawn as HTML reaches Python through one of these events of a component that nobody sees.
_BRIDGE = """
window.citewiseSend = (name, data) => trigger(name, data);
['ask', 'halt', 'restart', 'filter', 'similar', 'rate', 'export', 'kept', 'open', 'alter',
 'paper', 'remove', 'browse', 'cancel', 'report', 'draw', 'place'];
"""


def serve(
    library: Library, *, port: int, browser: bool = False, mcp: bool = False, doors: Doors | None = None
) -> Served:
    """Open the page, with `mcp` also the tools for agents at /mcp; it is served until `finish` or `close` is called on
    the result. Whoever closes `doors` lets no new requests in.

    Raises SettingsError where others could come in unasked, UsageError where the port is taken.
    """
    host = library.settings.chat.host
    auth = credentials(host)
    doors = doors or Doors()
    handlers = Handlers(library, local=is_loopback(host) and auth is None)
    metrics = Metrics(library) if library.settings.metrics.port is not None else None
    page = build(handlers)
    try:
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
            mcp_server=False,
            app_kwargs=_application(library, auth, doors, mcp=mcp, metrics=metrics),
            prevent_thread_lock=True,
            quiet=True,
            _frontend=False,  # it is there: this leaves out a look at the page that gives up after three seconds
            **looks(),
        )
    except OSError as error:
        raise taken(host, port) from error
    library.follow(library.settings.chat.catch_up_seconds)
    served = Served(page, handlers, doors)
    try:
        served.metrics = MetricsServer(metrics, library.settings.metrics) if metrics else None
    except UsageError:
        served.close()
        raise
    handlers.chat.warm_up()
    return served


def _application(
    library: Library, auth: tuple[str, str] | None, doors: Doors, *, mcp: bool, metrics: Metrics | None
) -> dict[str, Any]:
    """What is laid around Gradio's application: safe headers, health, doors that close and, where wanted, a log,
    metrics and tools for agents."""
    from starlette.middleware import Middleware

    watching = [Middleware(RequestLog)] if library.settings.chat.json_logs else []
    watching += [Middleware(CountedRequests, metrics=metrics)] if metrics else []
    layers = [*watching, Middleware(SafeHeaders, local=auth is None), Middleware(Health, library=library, doors=doors)]
    layers += [Middleware(Bounded), Middleware(Doorkeeper, doors=doors), *([Middleware(SignIn)] if auth else [])]
    if not mcp:
        return {"middleware": layers}
    from ui.agents import Tools, lifespan, tools_server

    server = tools_server(library, host=library.settings.chat.host)
    return {"middleware": [*layers, Middleware(Tools, server=server, auth=auth)], "lifespan": lifespan(server)}


def build(handlers: Handlers) -> gr.Blocks:
    """The page. Each browser tab has its own conversation."""
    at = SimpleNamespace()  # the components, by name
    with gr.Blocks(title="Citewise", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)) as page:
        at.bridge = gr.HTML("", elem_id="bridge", js_on_load=_BRIDGE, visible="hidden")
        at.talk, at.filters = gr.State(Talk()), gr.State(Filters())
        with gr.Row(elem_id="top"):
            gr.HTML(render.top_html(), elem_id="brand")
            at.summary = gr.HTML(elem_id="summary")
        with gr.Row(elem_id="ask-view"):
            with gr.Column(elem_id="left"):
                with gr.Column(elem_id="conversation"):
                    at.welcome = gr.HTML(elem_id="welcome")
                    at.finished, at.live = gr.HTML("", elem_id="finished"), gr.HTML("", elem_id="live")
                with gr.Column(elem_id="asking"):
                    with gr.Row(elem_id="narrowing"):
                        at.menu, at.chips = gr.HTML(elem_id="menu"), gr.HTML(elem_id="chips")
                    with gr.Row(elem_id="box"):
                        at.question = gr.Textbox(
                            elem_id="question", label="Question", show_label=False, container=False, autofocus=True,
                            placeholder="Ask the abstracts…", lines=1, max_lines=8, scale=5,
                        )  # fmt: skip
                        at.go = gr.Button("Ask", elem_id="go", variant="primary", scale=0, min_width=72)
            gr.HTML(render.side_html(), elem_id="side")
        at.order, at.taken = gr.State("added"), gr.State(None)
        at.similar = gr.HTML("", elem_id="similar", visible="hidden")
        at.saved = gr.JSON({}, elem_id="saved", visible="hidden")
        with gr.Row(elem_id="library-view"):
            with gr.Column(elem_id="papers", scale=3):
                gr.HTML(render.to_add_html(), elem_id="to-add")
                at.words = gr.Textbox(
                    elem_id="words", label="Search titles", placeholder="Search titles…", container=False
                )
                at.table = gr.HTML(elem_id="table")
            with gr.Column(elem_id="shelf", scale=2, min_width=320):
                at.detail = gr.HTML("", elem_id="detail")
                gr.HTML('<h2 id="adding">Add papers</h2>')
                at.files = gr.File(
                    label="Files",
                    file_count="multiple",
                    file_types=[*sorted(SUFFIXES), ".gz"],
                    height=120,
                    elem_id="files",
                )
                at.pasted = gr.Textbox(label="Or pasted text", lines=3, max_lines=10, elem_id="pasted")
                at.path = gr.Textbox(label="Or a file, folder or address", visible=handlers.shelf.local, elem_id="path")
                at.newer = gr.Checkbox(
                    label="Newer versions of files added before: drop what they no longer hold", elem_id="newer"
                )
                at.add = gr.Button("Add to the library", elem_id="add")
                at.report = gr.HTML("", elem_id="report")
        with gr.Row(elem_id="map-view"):
            with gr.Column(elem_id="map-main", scale=3):
                at.map_notice = gr.HTML("", elem_id="map-notice")
                at.map = gr.Plot(elem_id="map", show_label=False, container=False, buttons=[])
            with gr.Column(elem_id="map-side", scale=1, min_width=320):
                at.map_paper, at.topics = gr.HTML("", elem_id="map-paper"), gr.HTML("", elem_id="topics")
        with gr.Column(elem_id="drawer"):
            at.looked_for = gr.Textbox(
                elem_id="looked-for", label="Search conversations", placeholder="Search conversations…", container=False
            )
            at.kept = gr.HTML(elem_id="kept")
        calls = Endpoints(handlers.library)
        gr.api(told(calls.ask), api_name="ask")  # first: later events of the same name get a number
        gr.api(told(calls.search), api_name="search")
        _wire_conversation(page, at, handlers)
        _wire_library(at, handlers)
    return page


_HEARD = "() => window.citewiseHeard()"
_SAVE = "(file) => window.citewiseSave(file)"
_KEPT = "() => window.citewiseSay('Your rating is kept')"
_PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_EACH: dict[str, Any] = {**_PRIVATE, "trigger_mode": "multiple"}  # a click is not lost while one is under way
# Quick clicks that build on each other: none is dropped, and each sees what the one before it did.
_IN_TURN: dict[str, Any] = {**_PRIVATE, "trigger_mode": "multiple", "concurrency_limit": 1}


def _wire_conversation(page: gr.Blocks, at: SimpleNamespace, on: Handlers) -> None:
    conversation = [at.talk, at.finished, at.live]
    asked: dict[str, Any] = {
        "fn": on.ask,
        "inputs": [at.question, at.talk, at.filters],
        "outputs": conversation,
    }
    at.question.submit(**asked, **_EACH)
    at.go.click(**asked, **_EACH)
    at.bridge.ask(on.ask_by, [at.talk, at.filters], [*conversation, at.filters, at.chips], **_EACH)
    at.bridge.halt(on.stop, None, None, queue=False, **_EACH)
    opening: dict[str, Any] = {**_IN_TURN, "concurrency_id": "conversation"}
    _heard(at.bridge.restart(on.new, None, [*conversation, at.welcome], **opening))
    _heard(at.bridge.open(on.open_by, None, conversation, **opening))
    _heard(at.bridge.filter(on.narrow, [at.filters], [at.filters, at.chips], **_IN_TURN))
    at.bridge.similar(on.similar, None, at.similar, **_IN_TURN)
    at.bridge.rate(on.rate, [at.talk], None, **_IN_TURN).success(None, None, None, js=_KEPT)
    at.bridge.export(on.export, [at.talk], at.saved, **_IN_TURN).then(None, at.saved, None, js=_SAVE)
    # One after the other, so that what was typed last is what is listed.
    listing: dict[str, Any] = {**_PRIVATE, "concurrency_id": "kept", "concurrency_limit": 1}
    at.bridge.kept(on.listed, [at.looked_for, at.talk], at.kept, trigger_mode="multiple", **listing)
    at.looked_for.change(on.listed, [at.looked_for, at.talk], at.kept, trigger_mode="always_last", **listing)
    altered = [at.kept, *conversation]
    _heard(at.bridge.alter(on.alter, [at.looked_for, at.talk], altered, trigger_mode="multiple", **listing))
    arriving = page.load(on.arrive, None, [*conversation, at.welcome, at.summary, at.menu, at.table], **_PRIVATE)
    _heard(arriving)
    arriving.then(on.first_page, None, at.welcome, **_PRIVATE)


def _heard(event: Any) -> None:
    """Tell the page that the server has done what a question may have to wait for; also where it failed."""
    event.then(None, None, None, js=_HEARD)
    event.failure(None, None, None, js=_HEARD)  # which Gradio's page does not count as an end


def _wire_library(at: SimpleNamespace, on: Handlers) -> None:
    at.bridge.cancel(on.cancel, None, None, queue=False, **_PRIVATE)
    at.bridge.draw(on.map, [at.talk], [at.map, at.map_notice, at.topics], trigger_mode="always_last", **_PRIVATE)
    at.bridge.place(on.paper, None, at.map_paper, **_IN_TURN)
    at.bridge.paper(on.paper, None, at.detail, **_IN_TURN)
    tabled: dict[str, Any] = {**_PRIVATE, "concurrency_id": "table", "concurrency_limit": 1}  # the last wish is shown
    at.bridge.browse(on.browse, [at.words], [at.table, at.order], trigger_mode="multiple", **tabled)
    searched: dict[str, Any] = {"fn": on.search, "inputs": [at.words, at.order], "outputs": at.table, **tabled}
    searched["trigger_mode"] = "always_last"
    at.words.change(**searched)
    # What takes a while ends with the table and the menu as they are wanted then: searched, sorted, narrowed meanwhile.
    at.bridge.remove(on.remove, None, [at.detail, at.summary], **_EACH).then(**searched)
    given = [at.files, at.pasted, at.path, at.newer]
    added = at.add.click(on.add_papers, given, [at.report, at.summary, at.welcome, at.taken], **_PRIVATE)
    added.success(on.emptied, [*given, at.taken], given, **_PRIVATE)
    added.then(**searched)
    added.then(on.chat.menu, [at.filters], at.menu, **_PRIVATE)
    at.bridge.report(on.report, None, at.saved, **_PRIVATE).then(None, at.saved, None, js=_SAVE)
