"""The built-in text encoder: learned token vectors, no network, no torch."""

from rag.encoder.static import StaticEncoder

__all__ = ["StaticEncoder"]
