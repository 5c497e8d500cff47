"""Hashes that are the same in every process, for keys that are stored."""

from __future__ import annotations

from hashlib import blake2b

from rag.text import normalised_title


def hashed(text: str) -> int:
    """A signed 64-bit hash of a text (what an SQLite integer holds)."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def title_key(title: str) -> int | None:
    """The key under which titles that differ in case, accents and punctuation meet; None for an empty one."""
    normalised = normalised_title(title)
    return hashed(f"title:{normalised}") if normalised else None
