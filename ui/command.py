"""The `chat` command; Gradio is imported only when the page is really opened."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import click

from rag.cli.options import cost_option, library_options, open_with, within_cost
from ui.server import check_free

if TYPE_CHECKING:
    from ui.closing import Doors


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="Port (default 7860; 0: any free one).")
@click.option("--browser/--no-browser", default=True, help="Open the page in a browser.")
@click.option("--starter", is_flag=True, help="Ingest the starter library first when there are no papers yet.")
@click.option("--mcp", is_flag=True, help="Also serve agents: MCP tools search_papers and ask_papers at /mcp.")
@cost_option
@library_options
def chat(
    port: int | None,
    browser: bool,
    starter: bool,
    mcp: bool,
    max_cost: float | None,
    folder: str | None,
    configs: tuple[str, ...],
) -> None:
    """Open the chat page on this machine.

    It may listen elsewhere (chat.host in a settings file) once CITEWISE_USER and CITEWISE_PASSWORD are set. When it is
    stopped, answers under way are finished, within chat.shutdown_seconds; stopped twice, it ends at once.
    """
    with open_with(folder, configs, **within_cost(max_cost)) as library:
        chosen = library.settings.chat.port if port is None else port
        check_free(library.settings.chat.host, chosen)
        if starter and library.count() == 0:
            from rag.starter import path

            click.echo("No papers yet: adding the starter library (64 landmark papers, in our own words).")
            library.ingest([path()])
        from ui.closing import Doors

        doors = Doors()
        _close_on_signals(doors)
        from ui.page import serve
        from ui.request_log import log_as_json

        if library.settings.chat.json_logs:
            log_as_json(sys.stderr)
        page = serve(library, port=chosen, browser=browser, mcp=mcp, doors=doors)
        try:
            click.echo(f"Citewise is open at {page.local_url} (Ctrl-C stops it).")
            if mcp:
                click.echo(f"MCP tools for agents: {page.local_url.rstrip('/')}/mcp")
            if page.metrics:
                click.echo(f"Metrics for Prometheus: {page.metrics.url}")
            while doors.open:  # not Event.wait: on Windows, Ctrl-C would not end it
                time.sleep(0.1)
            click.echo("Closing.")
        finally:
            page.finish(library.settings.chat.shutdown_seconds)


def _close_on_signals(doors: Doors) -> None:
    """Ctrl-C, and what service managers and container engines send to stop a process."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: doors.close())
