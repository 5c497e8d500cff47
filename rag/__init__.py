"""Question answering over research-paper abstracts: `from rag import ask, open_library, Answer`."""

from rag.answers import (
    Answer,
    Citation,
    Delta,
    Event,
    Filters,
    Finished,
    Hit,
    Quote,
    Retrieved,
    Sentence,
    Source,
    Turn,
)
from rag.errors import CitewiseError
from rag.library import Library, ask, open_library
from rag.papers import Paper, Record, Reject

__all__ = [
    "Answer",
    "Citation",
    "CitewiseError",
    "Delta",
    "Event",
    "Filters",
    "Finished",
    "Hit",
    "Library",
    "Paper",
    "Quote",
    "Record",
    "Reject",
    "Retrieved",
    "Sentence",
    "Source",
    "Turn",
    "ask",
    "open_library",
]
