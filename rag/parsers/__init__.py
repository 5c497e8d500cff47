"""Reads papers out of any file, folder, address or pasted text."""

from __future__ import annotations

from rag.parsers.api import FORMATS, SUFFIXES, Parse, expand, parse, parse_text
from rag.parsers.base import Item, Notice

__all__ = ["FORMATS", "SUFFIXES", "Item", "Notice", "Parse", "expand", "parse", "parse_text"]
