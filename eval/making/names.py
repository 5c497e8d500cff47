"""What a paper's method is called, as far as its title says it, and which papers speak of a name."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rag.papers import Paper

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*(?: [\w.+-]+){0,2}")
_NAME_LIKE = re.compile(r"[A-Z].*[A-Z]|\d|^[A-Z][a-z]+$")
_INNER = re.compile(r"\w[A-Z]|\d")


def title_name(paper: Paper) -> str | None:
    """The name in front of a title's colon that the abstract uses too: "GloVe" of "GloVe: Global Vectors…". A name of
    several plain words must keep its capitals there: "Representation Learning" is a field, not a method.
    """
    head, colon, _ = paper.title.partition(":")
    head = head.strip()
    if not colon or paper.untitled or not _NAME.fullmatch(head) or not _NAME_LIKE.search(head):
        return None
    if " " in head and not _INNER.search(head) and head not in paper.abstract:
        return None
    return head if mentions(paper.abstract, head) else None


def mentions(text: str, name: str) -> bool:
    """Whether the text holds the name as a word of its own, in any case."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None


class Texts:
    """The titles and abstracts of a library, searched for names and words."""

    def __init__(self, papers: Iterable[Paper]) -> None:
        self._texts = {paper.id: f"{paper.title}\n{paper.abstract}" for paper in papers}

    def holding(self, name: str) -> list[str]:
        """Ids of the papers that mention the name."""
        return [paper for paper, text in self._texts.items() if mentions(text, name)]

    def lack(self, papers: Iterable[str], beginnings: Iterable[str]) -> bool:
        """Whether no word in any of these papers begins so (any case)."""
        pattern = re.compile("|".join(rf"(?<!\w){re.escape(word)}" for word in beginnings), re.IGNORECASE)
        return not any(pattern.search(self._texts[paper]) for paper in papers)
