"""How well papers and their sentences cover the words of a question: exactly, by meaning, by letters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from rag import text
from rag.evidence import ScoredSentence, Term, stem_set
from rag.interfaces import Encoder
from rag.papers import Paper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

# "In contrast to X" says nothing about contrastive learning.
_CONNECTIVE = re.compile(r"\b(?:in|by)\s+(?:sharp\s+|stark\s+)?contrast\b|\bon the other hand\b", re.IGNORECASE)
_MOST_WORDS = 50_000
_ALIKE = 0.9


@dataclass(frozen=True, slots=True)
class View:
    """One paper seen from a question of T terms. A paper's title counts as part of each of its S sentences.

    Coverage is 0..1: `hard` is 1 where the term's stem occurs, else 0; `soft` also counts the cosine of the nearest
    word, and words that differ only in an ending or a letter.
    """

    paper: Paper
    sentences: tuple[ScoredSentence, ...]
    hard: Vectors
    """(T,): by the whole paper."""
    soft: Vectors
    """(T,)."""
    sentence_hard: Vectors
    """(S, T)."""
    sentence_soft: Vectors
    """(S, T)."""


class Viewer:
    """Makes views; keeps a bounded memo of word vectors."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._words: dict[str, Vectors] = {}

    def view(self, paper: Paper, sentences: Sequence[ScoredSentence], terms: Sequence[Term]) -> View:
        """A paper with one or more scored sentences, seen from one or more terms."""
        import numpy as np

        title = "" if paper.untitled else paper.title
        told = [_CONNECTIVE.sub(" ", item.text) for item in sentences]
        bodies = [{*text.content_words(title), *text.content_words(body)} for body in told]
        words = sorted(set[str]().union(*bodies))
        place = {word: at for at, word in enumerate(words)}
        near = self._nearness(terms, words)
        nothing = np.zeros(len(terms), dtype=np.float32)
        soft = [near[:, [place[word] for word in body]].max(axis=1) if body else nothing for body in bodies]
        stems = [stem_set(body) | stem_set(title) for body in told]
        hard = np.array([[term.stem in found for term in terms] for found in stems], dtype=np.float32)
        best = np.maximum(np.stack(soft), hard).astype(np.float32)
        return View(paper, tuple(sentences), hard.max(axis=0), best.max(axis=0), hard, best)

    def _nearness(self, terms: Sequence[Term], words: Sequence[str]) -> Vectors:
        """(terms, words): cosine of the word vectors, or `_ALIKE` for words written nearly the same."""
        import numpy as np

        if not words:
            return np.zeros((len(terms), 0), dtype=np.float32)
        near = np.maximum(self._vectors([term.word for term in terms]) @ self._vectors(words).T, 0.0)
        begun: dict[str, list[int]] = {}
        for column, word in enumerate(words):
            begun.setdefault(word[:2], []).append(column)
        for row, term in enumerate(terms):
            for column in begun.get(term.word[:2], ()):
                if letters_alike(term.word, words[column]):
                    near[row, column] = max(near[row, column], _ALIKE)
        return near

    def _vectors(self, words: Sequence[str]) -> Vectors:
        import numpy as np

        new = [word for word in words if word not in self._words]
        if len(self._words) + len(new) > _MOST_WORDS:
            self._words, new = {}, list(words)
        if new:
            self._words.update(zip(new, self._encoder.encode(new, side="passage"), strict=True))
        return np.stack([self._words[word] for word in words])


def joined_views(one: View, other: View) -> View:
    """Two papers seen as if they were one, which goes by the name of the first."""
    import numpy as np

    return View(
        one.paper,
        (*one.sentences, *other.sentences),
        np.maximum(one.hard, other.hard),
        np.maximum(one.soft, other.soft),
        np.vstack([one.sentence_hard, other.sentence_hard]),
        np.vstack([one.sentence_soft, other.sentence_soft]),
    )


def letters_alike(one: str, other: str) -> bool:
    """Whether two words are one slip of the pen, or only an ending, apart.

    >>> [letters_alike("optimiser", word) for word in ("optimizer", "optimised", "optimum")]
    [True, True, False]
    """
    short, long = sorted((one, other), key=len)
    if len(short) < 5 or len(long) - len(short) > 3:
        return False
    same = _in_common(short, long)
    tail = _in_common(short[::-1], long[::-1])
    return same + tail >= len(long) - 1 or (same >= 5 and len(long) - same <= 3 and same >= 0.6 * len(long))


def _in_common(one: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def closest(views: Sequence[View], weights: Vectors, named: NDArray[np.bool_]) -> tuple[View, int]:
    """The view and the place of its sentence that say most of what was asked.

    Only papers that bear as many of the asked names as any other are considered: what another paper says does not
    answer. `weights` (T,) sum to one; `named` (T,) marks the terms that belong to names.
    """
    bearing = [float((view.hard * weights)[named].sum()) for view in views]
    most = max(bearing)
    ranked = [
        (float((view.sentence_soft[at] + view.soft) @ weights) / 2 + sentence.cosine, -order, -at)
        for order, view in enumerate(views)
        if bearing[order] >= most - 1e-6
        for at, sentence in enumerate(view.sentences)
    ]
    _, order, at = max(ranked)
    return views[-order], -at
