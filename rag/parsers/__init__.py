"""Reads papers out of any file, folder, address or pasted text: `parse`, `parse_text`, `expand`, `FORMATS`."""

from __future__ import annotations

from rag.parsers.api import FORMATS, Parse, expand, parse, parse_text
from rag.parsers.base import Item, Notice

__all__ = ["FORMATS", "Item", "Notice", "Parse", "expand", "parse", "parse_text"]
