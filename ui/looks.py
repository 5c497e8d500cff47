"""How the page looks: theme, style, fonts and script, none of them from another host."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

_ASSETS = Path(__file__).parent / "assets"


def looks() -> dict[str, Any]:
    """Theme, style and script for Gradio's launch. KaTeX and the sans come with Gradio, the serif is ours."""
    import gradio as gr

    frontend = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
    found = {kind: next(iter(sorted(frontend.glob(f"katex-*.{kind}"))), None) for kind in ("js", "css")}
    katex = "".join(f' data-{kind}="assets/{path.name}"' for kind, path in found.items() if path)
    script = (_ASSETS / "script.js").read_text(encoding="utf-8")
    return {
        "theme": gr.themes.Base(font=["Source Sans Pro", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        # Not `css`: Gradio would prefix every selector.
        "head": f'<meta name="citewise-katex"{katex}><style>{style()}</style><script>{script}</script>',
    }


@cache
def style() -> str:
    """The whole style sheet, with Source Serif 4 in it: the serif that comes with Gradio lacks the Latin letters."""
    faces = ""
    for weight, range_ in ((400, "400"), (600, "600 700")):
        data = base64.b64encode(
            (_ASSETS / "fonts" / f"source-serif-4-latin-{weight}-normal.woff2").read_bytes()
        ).decode()
        faces += (
            f'@font-face {{ font-family: "Source Serif 4"; font-weight: {range_}; font-display: swap;'
            f' src: url("data:font/woff2;base64,{data}") format("woff2"); }}'
        )
    return faces + (_ASSETS / "style.css").read_text(encoding="utf-8")
