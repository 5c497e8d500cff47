"""The `chat` command; Gradio is imported only when the page is really opened."""

from __future__ import annotations

import click

from rag.cli.options import library_options, open_with


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="Port (default 7860; 0: any free one).")
@click.option("--browser/--no-browser", default=True, help="Open the page in a browser.")
@click.option("--starter", is_flag=True, help="Ingest the starter library first when there are no papers yet.")
@library_options
def chat(port: int | None, browser: bool, starter: bool, folder: str | None, configs: tuple[str, ...]) -> None:
    """Open the chat page on this machine.

    It may listen elsewhere (chat.host in a settings file) once CITEWISE_USER and CITEWISE_PASSWORD are set.
    """
    with open_with(folder, configs) as library:
        if starter and library.count() == 0:
            from rag.starter import path

            click.echo("No papers yet: adding the starter library (64 landmark papers, in our own words).")
            library.ingest([path()])
        from ui.page import serve

        serve(library, port=library.settings.chat.port if port is None else port, browser=browser)
