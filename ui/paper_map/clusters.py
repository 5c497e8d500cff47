"""Papers grouped by k-means, and each group named by the terms that set it apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import TYPE_CHECKING

from rag import Paper
from rag.text import STOP_WORDS, stem

if TYPE_CHECKING:
    import numpy as np

    from ui.paper_map.layout import Floats, Rows

_ROUNDS = 30
_STARTS = 4
_TERMS = 3
_PAIR = 0.3  # of a word's score that a pair with it needs to stand in its place
_LEAST_SHARE = 0.06  # of a group's papers that a term of its name stands in
_WORD = re.compile(r"[^\W\d_][\w+-]*[^\W_]")
# What abstracts of every subject say; contrast between groups does the rest.
_EMPTY = STOP_WORDS | frozenset(
    "abstract achieve achieves approach approaches available based beat beats best better cid code compared"
    " consider demonstrate demonstrates different effective existing experimental experiments extensive finally"
    " first framework given however important improve improved improves including introduce introduces large"
    " method methods model models multiple new novel number often outperforms paper perform performance"
    " performs present presents problem problems propose proposed proposes provide provides recent recently"
    " result results setting settings several shows significant significantly state-of-the-art study task tasks"
    " three two various well work works".split()
)
# Words that say something beside another one only: "reinforcement learning", not "learning".
_DULL = frozenset(
    "algorithm algorithms analysis data dataset datasets deep information learning machine network networks process"
    " system systems training".split()
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A group of papers: its name, and the rows of its papers, the most central first."""

    name: str
    rows: tuple[int, ...]


def clustered(vectors: Floats, papers: Sequence[Paper], *, seed: int = 0) -> list[Cluster]:
    """Groups of papers with near vectors (unit rows, one a paper), the largest first."""
    import numpy as np

    labels, centres = k_means(vectors, groups_for(len(papers)), np.random.default_rng(seed))
    nearness = np.einsum("ij,ij->i", vectors, centres[labels])
    members = [np.flatnonzero(labels == label) for label in range(len(centres))]
    ordered = [rows[np.argsort(-nearness[rows], kind="stable")].tolist() for rows in members if len(rows)]
    ordered.sort(key=len, reverse=True)
    names = named([[papers[row] for row in rows] for rows in ordered])
    return [Cluster(name, tuple(rows)) for name, rows in zip(names, ordered, strict=True)]


def groups_for(papers: int) -> int:
    """How many groups: few enough to read, more for more papers.

    >>> [groups_for(papers) for papers in (1, 10, 64, 1000, 5000)]
    [1, 3, 5, 14, 18]
    """
    return min(papers, 18, round(0.42 * papers**0.5 + 1.2))


def k_means(vectors: Floats, groups: int, random: np.random.Generator) -> tuple[Rows, Floats]:
    """Labels (n,) and unit centres (groups, dimension) of spherical k-means (Dhillon and Modha, 2001).

    The best of some starts by greedy k-means++ (Arthur and Vassilvitskii, 2007); a group that loses all its
    members keeps its centre.
    """
    import numpy as np

    groups = min(groups, len(vectors))
    found = [_settled(vectors, _seeded(vectors, groups, random)) for _ in range(_STARTS)]
    return max(found, key=lambda one: float(np.einsum("ij,ij->", vectors, one[1][one[0]])))


def _settled(vectors: Floats, centres: Floats) -> tuple[Rows, Floats]:
    """Labels and centres once they no longer change."""
    import numpy as np

    labels = np.full(len(vectors), -1)
    for _ in range(_ROUNDS):
        found = (vectors @ centres.T).argmax(axis=1)
        if (found == labels).all():
            break
        labels = found
        for label in range(len(centres)):
            own = vectors[labels == label]
            if len(own):
                middle = own.sum(axis=0)
                centres[label] = middle / max(float(np.linalg.norm(middle)), 1e-9)
    return labels, centres


def _seeded(vectors: Floats, groups: int, random: np.random.Generator) -> Floats:
    """Rows far from each other: of some drawn by k-means++, each time the one that leaves least to the next."""
    import numpy as np

    tries = 2 + int(log(groups + 1))
    chosen = [int(random.integers(len(vectors)))]
    far = (1.0 - vectors @ vectors[chosen[0]]).clip(min=0.0)
    while len(chosen) < groups:
        weights = far.astype(np.float64) ** 2 + 1e-12
        drawn = random.choice(len(vectors), size=tries, p=weights / weights.sum())
        left = np.minimum(far[:, None], 1.0 - vectors @ vectors[drawn].T).clip(min=0.0)
        best = int((left**2).sum(axis=0).argmin())
        chosen.append(int(drawn[best]))
        far = left[:, best]
    return vectors[chosen].copy()


def named(groups: Sequence[Sequence[Paper]]) -> list[str]:
    """A name for each group: the terms with the greatest share times its logarithm over the share in all papers.

    That is each term's part in the Kullback-Leibler divergence of the group from the library, which is tf-idf with the
    group as one document.
    """
    inside = [Counter(term for paper in group for term in _terms(paper)) for group in groups]
    everywhere = sum(inside, Counter[str]())
    total = sum(map(len, groups))
    names: list[str] = []
    for group, counts in zip(groups, inside, strict=True):
        least = max(2 if len(group) > 3 else 1, _LEAST_SHARE * len(group))
        scores = {
            term: (count / len(group)) * (log(count * total / (len(group) * everywhere[term])))
            for term, count in counts.items()
            if count >= least
        }
        names.append(", ".join(_chosen(scores)) or "other papers")
    return names


def _chosen(scores: dict[str, float]) -> list[str]:
    """The best terms, none of which repeats a word of a better one; a word gives way to a pair that holds it."""
    best = sorted(scores, key=lambda term: (-scores[term], term))
    taken: list[str] = []
    for term in best:
        pair = next((other for other in best[:60] if " " in other and term in other.split()), None)
        better = pair if pair and scores[pair] > _PAIR * scores[term] else term
        stems = {stem(word) for word in better.split()}
        if scores[better] > 0 and not any(stems & {stem(word) for word in other.split()} for other in taken):
            taken.append(better)
        if len(taken) == _TERMS:
            break
    return taken


def _terms(paper: Paper) -> Iterator[str]:
    """Words and pairs of neighbouring words in small letters, each once; those of the title twice."""
    yield from set(_words_and_pairs(paper.title))
    yield from {*_words_and_pairs(paper.title), *_words_and_pairs(paper.abstract)}


def _words_and_pairs(text: str) -> Iterator[str]:
    words = [word.lower() for word in _WORD.findall(text)]
    yield from (word for word in words if word not in _EMPTY and word not in _DULL and len(word) > 2)
    yield from (f"{one} {two}" for one, two in pairwise(words) if one not in _EMPTY and two not in _EMPTY)
