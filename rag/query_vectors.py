"""The vectors that a question is searched with, and what happens where their model's server is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.errors import ModelError

if TYPE_CHECKING:
    from rag.interfaces import Encoder, Vectors
    from rag.model_search import Expansion


class QueryVectors:
    """Vectors for the phrasings of one question. Once the encoder's model has failed there are none, where `fall_back`
    allows that, and `notes` say so: the words alone are searched then."""

    def __init__(self, encoder: Encoder, *, fall_back: bool) -> None:
        self._encoder = encoder
        self._fall_back = fall_back
        self.notes: list[str] = []

    def of(self, topic: str, more: Expansion) -> list[Vectors]:
        """One unit vector, float32 (dimension,), a phrasing; an imagined passage is averaged with the topic. Raises
        ModelError where the model fails and nothing falls back."""
        if self.notes:
            return []
        try:
            return self._encoded(topic, more)
        except ModelError as error:
            if not self._fall_back:
                raise
            self.notes.append(f"The papers were searched by words alone, without the embedding model ({error}).")
            return []

    def _encoded(self, topic: str, more: Expansion) -> list[Vectors]:
        rows = list(self._encoder.encode([topic, *more.queries], side="query"))
        if more.imagined:
            total = rows[0] + self._encoder.encode(more.imagined, side="passage").sum(axis=0)
            rows[0] = total / (float((total @ total) ** 0.5) or 1.0)
        return [row for row in rows if row.any()]
