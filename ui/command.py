"""The `chat` command; Gradio is imported only when the page is really opened."""

from __future__ import annotations

import sys
import time

import click

from rag.cli.options import cost_option, library_options, open_with, within_cost


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

    It may listen elsewhere (chat.host in a settings file) once CITEWISE_USER and CITEWISE_PASSWORD are set.
    """
    with open_with(folder, configs, **within_cost(max_cost)) as library:
        if starter and library.count() == 0:
            from rag.starter import path

            click.echo("No papers yet: adding the starter library (64 landmark papers, in our own words).")
            library.ingest([path()])
        from ui.page import serve
        from ui.request_log import log_as_json

        if library.settings.chat.json_logs:
            log_as_json(sys.stderr)
        page = serve(library, port=library.settings.chat.port if port is None else port, browser=browser, mcp=mcp)
        click.echo(f"Citewise is open at {page.local_url} (Ctrl-C stops it).")
        if mcp:
            click.echo(f"MCP tools for agents: {page.local_url.rstrip('/')}/mcp")
        try:
            while True:  # not Event.wait: on Windows, Ctrl-C would not end it
                time.sleep(1)
        except KeyboardInterrupt:
            click.echo("Closing.")
        finally:
            page.close(verbose=False)
