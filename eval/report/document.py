"""The frame of every page: one file, everything inline, nothing loaded."""

from __future__ import annotations

from importlib.resources import files

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def document(heading: str, lead: str, content: str, *, script: bool = False) -> str:
    """A whole HTML page; `heading`, `lead` and `content` are HTML already."""
    resources = files("eval.report")
    style = resources.joinpath("style.css").read_text(encoding="utf-8")
    running = f"<script>{resources.joinpath('script.js').read_text(encoding='utf-8')}</script>" if script else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title><style>{style}</style></head><body>"
        f"<header><h1>{heading}</h1><p>{lead}</p></header>"
        f"<main>{content}</main>{running}</body></html>\n"
    )
