"""Reading the papers to train on, and keeping the evaluation papers out of them."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PREFIX_CHARACTERS = 80
_SHORTEST_TITLE = 12
_SHINGLE_WORDS = 8
_NEAR_DUPLICATE_SHARE = 0.2
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class TrainingPaper:
    """One title and abstract to learn from."""

    id: str
    title: str
    abstract: str
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """The papers to train on, and why each of the others was left out (id -> reason)."""

    papers: list[TrainingPaper]
    excluded: dict[str, str] = field(default_factory=dict[str, str])

    def manifest(self) -> dict[str, Any]:
        """Counts, the excluded ids and the SHA-256 of the sorted training ids, one a line."""
        return {
            "training_papers": len(self.papers),
            "training_ids_sha256": ids_hash(paper.id for paper in self.papers),
            "excluded_papers": len(self.excluded),
            "excluded": dict(sorted(self.excluded.items())),
        }


def ids_hash(ids: Iterable[str]) -> str:
    """SHA-256 (hex) of the sorted ids, each followed by a line break."""
    digest = hashlib.sha256()
    for identifier in sorted(ids):
        digest.update(f"{identifier}\n".encode())
    return digest.hexdigest()


def normalise(text: str) -> str:
    """Lower-case letters and digits only, so that layout and punctuation never hide a match."""
    return _NOT_ALPHANUMERIC.sub("", text.lower())


def read_papers(path: Path) -> Iterator[TrainingPaper]:
    """Records of a JSON Lines file (optionally .gz) with "title" and "abstract"; others are skipped."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            record = json.loads(line)
            title, abstract = (str(record.get(name) or "").strip() for name in ("title", "abstract"))
            if title and abstract:
                keywords = tuple(word.strip() for word in str(record.get("keywords") or "").split(";"))
                yield TrainingPaper(str(record.get("id", number)), title, abstract, keywords)


def evaluation_ids(path: Path) -> set[str]:
    """Every id in the "relevant" lists of a JSON Lines question file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {str(identifier) for line in lines if line.strip() for identifier in json.loads(line)["relevant"]}


def split(papers: Sequence[TrainingPaper], protected_texts: Sequence[str], protected_ids: set[str]) -> Split:
    """Keep every paper that is none of the protected ones.

    A paper is left out when its id is protected, when its title or the first 80 letters and digits of its abstract
    occur in a protected text, when it shares a protected paper's title, or when a fifth of its eight-word runs
    occur in a protected text or abstract (a near duplicate).
    """
    guard = _Guard(papers, protected_texts, protected_ids)
    kept: list[TrainingPaper] = []
    excluded: dict[str, str] = {}
    for paper in papers:
        reason = guard.reason(paper)
        if reason:
            excluded[paper.id] = reason
        else:
            kept.append(paper)
    return Split(kept, excluded)


class _Guard:
    """What the evaluation sets hold, indexed for look-up."""

    def __init__(self, papers: Sequence[TrainingPaper], texts: Sequence[str], ids: set[str]) -> None:
        protected = [paper for paper in papers if paper.id in ids]
        self._ids = ids
        self._titles = {normalise(paper.title) for paper in protected}
        self._text = "\n".join(normalise(text) for text in texts)
        self._shingles = {run for text in texts for run in _shingles(text)}
        self._shingles |= {run for paper in protected for run in _shingles(paper.abstract)}

    def reason(self, paper: TrainingPaper) -> str | None:
        title = normalise(paper.title)
        if paper.id in self._ids:
            return "evaluation id"
        if title in self._titles or (len(title) >= _SHORTEST_TITLE and title in self._text):
            return "evaluation title"
        if normalise(paper.abstract)[:_PREFIX_CHARACTERS] in self._text:
            return "evaluation abstract"
        return "near duplicate" if self._is_near_duplicate(paper.abstract) else None

    def _is_near_duplicate(self, abstract: str) -> bool:
        runs = _shingles(abstract)
        return bool(runs) and len(runs & self._shingles) >= _NEAR_DUPLICATE_SHARE * len(runs)


def _shingles(text: str) -> set[int]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    return {hash(tuple(words[at : at + _SHINGLE_WORDS])) for at in range(len(words) - _SHINGLE_WORDS + 1)}
