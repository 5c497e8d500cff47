"""LaTeX text as Unicode: accents, symbols, braces and escapes decoded, mathematics left as it is written."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_MAX_DECODED = 20_000
_CARET = "\uf8fe"  # stands for "^" while the rest is decoded: the decoder would make an accent of it
_ESCAPED = re.compile(r"(?<!\\)([%&#_$])")
_PLAIN_BRACES = re.compile(r"[{}]")
_MATH = re.compile(r"((?<!\\)\$\$?(?:[^$\\]|\\.)*\$\$?)", re.DOTALL)
# Symbols that the decoder does not know and would drop without a word. Zotero writes each "<" as {\textless}.
_SYMBOLS = {
    "textless": "<", "textgreater": ">", "textbar": "|", "textunderscore": r"\_", "textbraceleft": r"\{",
    "textbraceright": r"\}", "textasciicircum": _CARET,
    "textquotedbl": '"', "textminus": "−", "textinfinity": "∞", "textsurd": "√",
    "textperiodcentered": "·", "copyright": "©", "pounds": "£", "euro": "€", "S": "§", "P": "¶", "ddag": "‡",
    "lq": "‘", "rq": "’", "slash": "/",
}  # fmt: skip
_SYMBOL = re.compile(rf"\\({'|'.join(_SYMBOLS)})(?![A-Za-z])(?:\{{\}})?")
_GREEK = re.compile(
    r"\\text((?:alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|upsilon|phi"
    r"|chi|psi|omega)(?![A-Za-z]))",
    re.IGNORECASE,
)
_WRAPPER = re.compile(r"\\(?:mbox|texttt|textsf|textup|textmd)\s*(?=\{)")  # dropped with what they wrap
_LINK = re.compile(r"\\href\s*\{[^{}]*\}\s*(?=\{)")


def decoded(text: str) -> str:
    """LaTeX text as Unicode; a text that cannot be decoded as it is."""
    if "\\" not in text or len(text) > _MAX_DECODED:
        return "".join(
            part
            if part.startswith("$")
            else _PLAIN_BRACES.sub("", part).replace("~", " ").replace("---", "—").replace("--", "–")
            for part in _MATH.split(text)
        )
    prepared = "".join(part if part.startswith("$") else _prepared(part) for part in _MATH.split(text))
    try:
        return _decoder().latex_to_text(prepared).replace(_CARET, "^")
    except (ValueError, RecursionError, IndexError, KeyError, AttributeError, TypeError):
        return text


def _prepared(text: str) -> str:
    """Text outside mathematics, without what the decoder takes for something else or does not know."""
    text = _SYMBOL.sub(lambda match: _SYMBOLS[match[1]], text)
    text = _LINK.sub("", _WRAPPER.sub("", _GREEK.sub(r"\\\1", text)))
    # Exporters write %, & and _ as they are; to LaTeX they are a comment, a column and a subscript. So they do with a
    # "$" that opens no formula.
    return _ESCAPED.sub(r"\\\1", re.sub(r"(?<!\\)\^", _CARET, text))


@lru_cache(maxsize=1)
def _decoder() -> Any:
    """bibtexparser's own LaTeX decoder, made once: making it takes longer than reading an entry."""
    from bibtexparser.middlewares import LatexDecodingMiddleware

    return LatexDecodingMiddleware()._decoder  # pyright: ignore[reportPrivateUsage]
