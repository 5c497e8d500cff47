"""`python -m ui.terminal_picture`: remakes the README's picture of the terminal from the starter library."""

from __future__ import annotations

import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from rag import open_library
from rag.cli.terminal import show_answer
from rag.starter import path

PICTURE = Path(__file__).parent / "screenshots" / "terminal.svg"
QUESTION = "How does LoRA adapt a large model?"
# Rich's own frame, without the fonts that it would load from another host.
_FRAME = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px;
line-height: {line_height}px; }} {styles}</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>{lines}</defs>{chrome}<g transform="translate({terminal_x}, {terminal_y})"
clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def main() -> None:
    """Ask one question of a fresh starter library and save what the terminal shows."""
    console = Console(record=True, width=96, file=StringIO(), force_terminal=True, highlight=False)
    with tempfile.TemporaryDirectory() as folder, open_library(Path(folder) / "library") as library:
        library.ingest([path()])
        console.print(Text(f'$ citewise ask --quotes "{QUESTION}"', style="bold green"))
        show_answer(library.ask(QUESTION), quotes=True, console=console)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(console.export_svg(title="citewise", code_format=_FRAME, unique_id="citewise"), encoding="utf-8")


if __name__ == "__main__":
    main()
