"""The Gradio page: a conversation, its sources, and a place to add papers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from rag import Answer, CitewiseError, Delta, Finished, Retrieved, Turn
from ui import render

if TYPE_CHECKING:
    from rag.library import Library

_ASSETS = Path(__file__).parent / "assets"
_MATHEMATICS = [{"left": "$", "right": "$", "display": False}]
_ACCEPTED = [".txt", ".md", ".json", ".jsonl", ".csv", ".tsv", ".bib", ".ris", ".xml", ".gz"]
Messages = list[dict[str, Any]]


def serve(library: Library, *, port: int, browser: bool) -> None:
    """Open the page and block until it is stopped. Binds to the address in the settings, 127.0.0.1 by default."""
    page = build(library)
    page.queue(default_concurrency_limit=8).launch(
        server_name=library.settings.chat.host,
        server_port=port or None,
        inbrowser=browser,
        share=False,
        show_error=False,
        max_file_size=f"{library.settings.chat.max_upload_mb}mb",
        footer_links=[],
        ssr_mode=False,
        run_history=False,
        **looks(),
    )


def looks() -> dict[str, Any]:
    """Theme, style and script: system fonts only, nothing from another host."""
    sans = ["ui-sans-serif", "system-ui", "sans-serif"]
    return {
        "theme": gr.themes.Base(
            primary_hue="teal", neutral_hue="stone", font=sans, font_mono=["ui-monospace", "monospace"]
        ),
        "css": (_ASSETS / "style.css").read_text(encoding="utf-8"),
        "head": f"<script>{(_ASSETS / 'script.js').read_text(encoding='utf-8')}</script>",
    }


def build(library: Library) -> gr.Blocks:
    """The page over one library. Each browser tab has its own conversation."""
    with gr.Blocks(title="Citewise", analytics_enabled=False, fill_height=True) as page:
        turns = gr.State([])
        with gr.Row(elem_id="top"):
            gr.HTML("<h1>Citewise</h1>")
            summary = gr.HTML(lambda: _summary(library))
            clear = gr.Button("New conversation", size="sm", scale=0, min_width=150)
        with gr.Row(elem_id="middle"):
            with gr.Column(scale=3, min_width=320):
                conversation = gr.Chatbot(
                    elem_id="conversation",
                    show_label=False,
                    container=False,
                    height="calc(100dvh - 190px)",
                    layout="panel",
                    buttons=["copy"],
                    feedback_options=None,
                    latex_delimiters=_MATHEMATICS,
                    placeholder=_welcome(library),
                )
                with gr.Row(elem_id="asking"):
                    question = gr.Textbox(
                        elem_id="question",
                        placeholder="Ask the abstracts…",
                        label="Question",
                        show_label=False,
                        lines=1,
                        max_lines=6,
                        autofocus=True,
                        scale=5,
                        container=False,
                    )
                    ask = gr.Button("Ask", variant="primary", scale=0, min_width=80)
                    stop = gr.Button("Stop", scale=0, min_width=80, visible=False)
                gr.Examples(_examples(library), inputs=question, label="For example", elem_id="examples")
            with gr.Column(scale=2, min_width=320, elem_id="side"):
                sources = gr.HTML("", elem_id="sources")
                with gr.Accordion("Add papers", open=library.count() == 0, elem_id="add"):
                    files = gr.File(label="Files", file_count="multiple", file_types=_ACCEPTED, height=110)
                    pasted = gr.Textbox(label="Or pasted text", lines=3, max_lines=10)
                    add = gr.Button("Add to the library")
                    report = gr.HTML("")

        def respond(text: str, shown: Messages, history: list[Turn]) -> Iterator[tuple[Any, ...]]:
            yield from _respond(library, text, shown, history)

        def take_in(
            paths: list[str] | None, text: str, progress: gr.Progress = gr.Progress()  # noqa: B008 - Gradio's way
        ) -> tuple[str, str, None, str]:
            outcome = _take_in(library, paths or [], text, progress)
            return outcome, _summary(library), None, ""

        busy = [question.submit, ask.click]
        events = [
            trigger(
                respond,
                inputs=[question, conversation, turns],
                outputs=[question, conversation, sources, turns, ask, stop],
                show_progress="hidden",
                api_name=False,
            )
            for trigger in busy
        ]
        stop.click(_stopped, outputs=[ask, stop], cancels=events, api_name=False)
        clear.click(lambda: ([], "", []), outputs=[conversation, sources, turns], cancels=events, api_name=False)
        add.click(take_in, inputs=[files, pasted], outputs=[report, summary, files, pasted], api_name=False)
    return page


def _respond(
    library: Library, text: str, shown: Messages, history: list[Turn]
) -> Iterator[tuple[Any, ...]]:
    question = text.strip()
    if not question:
        yield "", shown, gr.skip(), history, gr.skip(), gr.skip()
        return
    turn = len(history)
    shown = [*shown, {"role": "user", "content": render.question_html(question)}]
    busy, idle = (gr.update(visible=False), gr.update(visible=True)), (gr.update(visible=True), gr.update(visible=False))
    yield "", _with_reply(shown, "…"), gr.skip(), history, *busy
    try:
        with library.stream(question, history=history) as stream:
            draft = ""
            for event in stream:
                if isinstance(event, Retrieved):
                    yield gr.skip(), gr.skip(), render.found_html(event.hits), gr.skip(), *busy
                elif isinstance(event, Delta):
                    draft += event.text
                    yield gr.skip(), _with_reply(shown, render.draft_html(draft)), gr.skip(), gr.skip(), *busy
                elif isinstance(event, Finished):
                    history = [*history, Turn(question, event.answer)]
                    yield gr.skip(), *_shown(shown, event.answer, turn), history, *idle
    except CitewiseError as error:
        yield gr.skip(), _with_reply(shown, render.error_html(str(error))), "", history, *idle


def _shown(shown: Messages, answer: Answer, turn: int) -> tuple[Messages, str]:
    return _with_reply(shown, render.answer_html(answer, turn=turn)), render.sources_html(answer, turn=turn)


def _with_reply(shown: Messages, html: str) -> Messages:
    return [*shown, {"role": "assistant", "content": html}]


def _stopped() -> tuple[Any, Any]:
    return gr.update(visible=True), gr.update(visible=False)


def _take_in(library: Library, paths: list[str], text: str, progress: gr.Progress) -> str:
    if not paths and not text.strip():
        return render.error_html("Choose one or more files, or paste some abstracts.")
    try:
        report = library.ingest(
            paths,
            text=text.strip() or None,
            progress=lambda step: progress((step.completed, step.total), desc=f"{step.stage}: {step.done:,} papers"),
        )
    except CitewiseError as error:
        return render.error_html(str(error))
    return render.report_html(report.as_json())


def _summary(library: Library) -> str:
    return render.library_html(library.count(), library.years(), str(library.folder))


def _welcome(library: Library) -> str:
    return render.empty_html() if library.count() == 0 else "### Ask the abstracts\nEvery sentence of an answer names its source."


def _examples(library: Library) -> list[list[str]]:
    """Up to four questions made from the library's own titles, so that each of them has an answer."""
    named = [paper for paper, _ in zip(library.papers(), range(400), strict=False) if ":" in paper.title]
    names = [paper.title.split(":")[0] for paper in named if 2 < len(paper.title.split(":")[0]) < 30]
    picked = names[:: max(1, len(names) // 3)][:3]
    return [[f"What is {name}?"] for name in picked] or [["Which papers have code?"]]
