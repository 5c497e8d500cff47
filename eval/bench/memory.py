"""A library held in memory with exact search on both sides: for measurements that must not depend on the
stores.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rag import text
from rag.answers import Filters
from rag.interfaces import Encoder
from rag.papers import Paper, Passage

if TYPE_CHECKING:
    from rag.interfaces import Vectors


class MemoryCatalog:
    """A catalog of papers, one passage each."""

    def __init__(self, papers: Sequence[Paper]) -> None:
        self._papers = {paper.id: paper for paper in papers}
        self.changes = 1

    def replace(self, paper: Paper) -> None:
        """Change one paper's record."""
        self._papers[paper.id] = paper
        self.changes += 1

    def generation(self) -> int:
        return self.changes

    def count(self) -> int:
        return len(self._papers)

    def papers(self, ids: Sequence[str]) -> dict[str, Paper]:
        return {key: self._papers[key] for key in ids if key in self._papers}

    def all_papers(self) -> Iterator[Paper]:
        return iter(self._papers.values())

    def passages(self, ids: Sequence[str]) -> dict[str, Passage]:
        papers = self.papers([key.rpartition("#")[0] for key in ids])
        return {f"{key}#0": whole(paper) for key, paper in papers.items()}

    def passage_ids(self, paper_ids: Sequence[str]) -> list[str]:
        return [f"{key}#0" for key in paper_ids if key in self._papers]

    def titled(self, titles: Sequence[str]) -> dict[str, list[str]]:
        by_title = defaultdict(list)
        for paper in self._papers.values():
            by_title[text.normalised_title(paper.title)].append(paper.id)
        return {title: by_title[title] for title in titles if title in by_title}

    def select(self, filters: Filters) -> list[str]:
        return [paper.id for paper in self._papers.values() if _passes(paper, filters)]


class MemoryDense:
    """Exact cosine search."""

    def __init__(self, ids: Sequence[str], vectors: Vectors) -> None:
        self._ids, self._vectors = list(ids), vectors
        self._row = {key: row for row, key in enumerate(self._ids)}

    def search(self, vector: Vectors, k: int, *, only: Sequence[str] | None = None) -> list[tuple[str, float]]:
        keep = list(range(len(self._ids))) if only is None else [self._row[key] for key in only if key in self._row]
        scores = self._vectors[keep] @ vector if keep else np.zeros(0)
        best = np.argsort(-scores, kind="stable")[:k]
        return [(self._ids[keep[at]], float(scores[at])) for at in best]

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        return {key: self._vectors[self._row[key]] for key in ids if key in self._row}

    def ids(self) -> set[str]:
        return set(self._ids)

    def count(self) -> int:
        return len(self._ids)

    def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        raise NotImplementedError("a memory library is made once")

    def delete(self, ids: Sequence[str]) -> None:
        raise NotImplementedError("a memory library is made once")

    def close(self) -> None:
        self._ids = []


class MemoryLexical:
    """Exact BM25 (k1 = 1.2, b = 0.75) over stems; also the word statistics."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._ids = [passage.id for passage in passages]
        counts = [Counter(text.stems(passage.text)) for passage in passages]
        self._lengths = np.array([sum(count.values()) for count in counts], dtype=np.float64)
        postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for row, count in enumerate(counts):
            for stem, number in count.items():
                postings[stem].append((row, number))
        self._postings = {stem: np.array(pairs).T for stem, pairs in postings.items()}

    def search(self, query: str, k: int, *, only: Sequence[str] | None = None) -> list[tuple[str, float]]:
        scores = np.zeros(len(self._ids))
        norm = 1.2 * (0.25 + 0.75 * self._lengths / max(1.0, self._lengths.mean() if len(self._lengths) else 1.0))
        for stem in set(text.stems(query)):
            if stem in self._postings:
                rows, numbers = self._postings[stem]
                df = len(rows)
                weight = math.log(1 + (len(self._ids) - df + 0.5) / (df + 0.5))
                scores[rows] += weight * numbers * 2.2 / (numbers + norm[rows])
        allowed = None if only is None else set(only)
        order = (int(row) for row in np.argsort(-scores, kind="stable") if scores[row] > 0)
        found = ((self._ids[row], float(scores[row])) for row in order)
        return [
            pair for pair, _ in zip((p for p in found if allowed is None or p[0] in allowed), range(k), strict=False)
        ]

    def document_frequency(self, words: Sequence[str]) -> dict[str, int]:
        """As tantivy does for one word: the rarest part counts for a compound."""
        found = {}
        for word in words:
            parts = [len(self._postings[s][0]) if s in self._postings else 0 for s in text.stems(word)]
            found[word] = min(parts, default=0)
        return found

    def ids(self) -> set[str]:
        return set(self._ids)

    def count(self) -> int:
        return len(self._ids)

    def upsert(self, passages: Sequence[Passage]) -> None:
        raise NotImplementedError("a memory library is made once")

    def delete(self, ids: Sequence[str]) -> None:
        raise NotImplementedError("a memory library is made once")

    def commit(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        self._ids = []


def whole(paper: Paper) -> Passage:
    """A paper as one passage, as `rag.chunking` makes it when the abstract fits."""
    shown = "" if paper.untitled else paper.title
    body = f"{shown}\n{paper.abstract}" if shown and paper.abstract else shown or paper.abstract
    return Passage(f"{paper.id}#0", paper.id, 0, 0, len(paper.abstract), body)


def memory_parts(papers: Sequence[Paper], encoder: Encoder) -> tuple[MemoryCatalog, MemoryDense, MemoryLexical]:
    """Catalog, dense and lexical index of some papers."""
    passages = [whole(paper) for paper in papers]
    vectors = (
        encoder.encode([passage.text for passage in passages])
        if passages
        else np.zeros((0, encoder.dimension), np.float32)
    )
    return MemoryCatalog(papers), MemoryDense([p.id for p in passages], vectors), MemoryLexical(passages)


def _passes(paper: Paper, wanted: Filters) -> bool:
    date = paper.date or ""
    return (
        (wanted.year_from is None or (paper.year is not None and paper.year >= wanted.year_from))
        and (wanted.year_to is None or (paper.year is not None and paper.year <= wanted.year_to))
        and (wanted.date_from is None or date >= wanted.date_from)
        and (wanted.date_to is None or (bool(date) and date <= wanted.date_to))
        and _has_any(wanted.venues, [paper.venue or ""])
        and _has_any(wanted.authors, paper.authors)
        and _has_any(wanted.sources, [source.path for source in paper.sources])
        and (wanted.has_code is None or bool(paper.code_urls) == wanted.has_code)
        and (not wanted.only or paper.id in wanted.only)
        and paper.id not in wanted.exclude
    )


def _has_any(names: Sequence[str], values: Sequence[str]) -> bool:
    return not names or any(name.lower() in value.lower() for name in names for value in values)
