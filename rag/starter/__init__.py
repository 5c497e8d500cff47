"""The starter library: landmark papers of machine learning and retrieval, summarised in our own words."""

from __future__ import annotations

from pathlib import Path


def path() -> Path:
    """The JSON Lines file of the starter library, one paper a line; its README says what the fields hold."""
    return Path(__file__).with_name("papers.jsonl")
