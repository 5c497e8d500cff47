"""Questions and passages made from papers: what the encoder learns to bring together."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from rag.encoder.static import StaticTables
from rag.encoder.train_corpus import TrainingPaper

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9$(])")
# Words that people put around what they ask; mixed in so that the question side learns to pass over them.
ASKING_WORDS = (
    "how what which why when where who does do did can could should is are was there any paper papers work works "
    "method methods approach research study find explain tell me about used use using a an the of to in for with "
    "without from by be it its this that these we i you one and or ways way make made best help possible good better"
)


@dataclass(frozen=True, slots=True)
class Segments:
    """Every title, keyword list and sentence as table rows, laid end to end.

    Paper p owns segments starts[p] .. starts[p + 1]: its title, its keywords (maybe empty), then its sentences.
    Segment s is rows[offsets[s] : offsets[s + 1]].
    """

    rows: NDArray[np.int32]
    offsets: Integers
    starts: Integers

    @property
    def papers(self) -> int:
        """How many papers there are."""
        return len(self.starts) - 1

    def gather(self, segments: Sequence[int], owners: Sequence[int]) -> tuple[Integers, Integers]:
        """The rows of `segments`, and for each row the owner of its segment."""
        chosen = np.asarray(segments, dtype=np.int64)
        starts, lengths = self.offsets[chosen], self.offsets[chosen + 1] - self.offsets[chosen]
        shifts = np.repeat(starts - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths)
        rows = self.rows[np.arange(int(lengths.sum())) + shifts].astype(np.int64)
        return rows, np.repeat(np.asarray(owners, dtype=np.int64), lengths)


def segment(papers: Sequence[TrainingPaper], tokenizer: Tokenizer, tables: StaticTables) -> Segments:
    """Cut every paper into segments and look their rows up."""
    texts: list[str] = []
    starts = [0]
    for paper in papers:
        texts += [paper.title, "; ".join(paper.keywords), *SENTENCE_END.split(paper.abstract)]
        starts.append(len(texts))
    rows: list[NDArray[np.int32]] = []
    for start in range(0, len(texts), 8192):
        for encoding in tokenizer.encode_batch_fast(texts[start : start + 8192], add_special_tokens=False):
            ids = np.array(encoding.ids, dtype=np.int64)
            ids = ids[tables.kept[ids]]
            rows.append(tables.rows(ids, np.zeros_like(ids))[0].astype(np.int32))
    offsets = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
    return Segments(np.concatenate(rows), offsets.astype(np.int64), np.array(starts, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Bags:
    """B texts as bags of rows: text owner[i] holds row[i] with strength[i], the square root of its count."""

    owner: Integers
    row: Integers
    strength: Floats
    size: int

    @classmethod
    def count(cls, owners: Integers, rows: Integers, size: int) -> Bags:
        """Count repeated rows of each text."""
        width = int(rows.max(initial=0)) + 1
        keys, counts = np.unique(owners * width + rows, return_counts=True)
        return cls(keys // width, keys % width, np.sqrt(counts).astype(np.float32), size)


@dataclass(frozen=True, slots=True)
class PairBatch:
    """B questions and the B passages that they belong to, in the same order."""

    questions: Bags
    passages: Bags
    from_title: NDArray[np.bool_]
    """(B,): the question is the paper's title."""


@dataclass(frozen=True, slots=True)
class PairOptions:
    """How pairs are made; every number is a probability."""

    title: float = 0.3
    keywords: float = 0.05
    two_sentences: float = 0.1
    short_passage: float = 0.15
    drop_sentence: float = 0.2
    drop_words: float = 0.8
    asking: float = 0.5


class PairSampler:
    """Draws a fresh question and passage for each paper: never twice the same."""

    def __init__(self, segments: Segments, asking: Integers, options: PairOptions, seed: int) -> None:
        """`asking` holds the rows of ASKING_WORDS."""
        self._segments = segments
        self._asking = asking
        self._options = options
        self._random = random.Random(seed)  # noqa: S311  not a secret
        self._generator = np.random.default_rng(seed)

    def sample(self, papers: Integers, *, plain: str = "") -> PairBatch:
        """One pair per paper; `plain` ("title" or "sentence") asks for undisturbed ones, for measuring."""
        asked: tuple[list[int], list[int]] = ([], [])
        found: tuple[list[int], list[int]] = ([], [])
        titles = np.zeros(len(papers), dtype=np.bool_)
        for owner, paper in enumerate(papers.tolist()):
            question, passage, titles[owner] = self._choose(paper, plain)
            for (segments, owners), chosen in ((asked, question), (found, passage)):
                segments += chosen
                owners += [owner] * len(chosen)
        question_rows, question_owners = self._segments.gather(*asked)
        if not plain:
            question_rows, question_owners = self._disturb(question_rows, question_owners, titles)
        passage_rows, passage_owners = self._segments.gather(*found)
        return PairBatch(
            Bags.count(question_owners, question_rows, len(papers)),
            Bags.count(passage_owners, passage_rows, len(papers)),
            titles,
        )

    def titles(self, papers: Integers) -> Bags:
        """The whole titles of `papers`."""
        rows, owners = self._segments.gather(self._segments.starts[papers].tolist(), range(len(papers)))
        return Bags.count(owners, rows, len(papers))

    def _choose(self, paper: int, plain: str) -> tuple[list[int], list[int], bool]:
        """Segments of the question and of the passage, and whether the question is the title."""
        first, end = self._segments.starts[paper : paper + 2].tolist()
        title, keywords, sentences = first, first + 1, list(range(first + 2, end))
        kind = plain or self._kind(len(sentences))
        if kind == "title" or len(sentences) < 2:
            return [title], self._thin(sentences, plain), True
        if kind == "keywords" and self._segments.offsets[keywords + 1] - self._segments.offsets[keywords] > 1:
            return [keywords], self._thin([title, *sentences], plain), False
        picked = self._random.sample(sentences, 2 if kind == "two" and len(sentences) > 3 else 1)
        rest = [one for one in sentences if one not in picked]
        if plain or self._random.random() < 0.7:
            rest = [title, *rest]
        return picked, self._thin(rest, plain), False

    def _kind(self, sentences: int) -> str:
        draw = self._random.random()
        options = self._options
        for kind, share in (("title", options.title), ("keywords", options.keywords), ("two", options.two_sentences)):
            if draw < share:
                return kind
            draw -= share
        return "sentence" if sentences else "title"

    def _thin(self, segments: list[int], plain: str) -> list[int]:
        """Leave sentences out, so that no passage is learned by heart; at times leave just one or two."""
        if plain or len(segments) < 2:
            return segments
        if self._random.random() < self._options.short_passage:
            start = self._random.randrange(len(segments)) if self._random.random() < 0.5 else 0
            return segments[start : start + self._random.choice((1, 1, 2))]
        kept = [one for one in segments if self._random.random() > self._options.drop_sentence]
        return kept or segments

    def _disturb(self, rows: Integers, owners: Integers, titles: NDArray[np.bool_]) -> tuple[Integers, Integers]:
        """Drop words of the questions and mix asking words in."""
        generator = self._generator
        highest = np.where(titles, self._options.drop_words / 2, self._options.drop_words)
        share = generator.random(len(titles)) * highest
        kept = generator.random(len(rows)) >= share[owners]
        kept[np.unique(owners, return_index=True)[1]] = True
        count = np.where(generator.random(len(titles)) < self._options.asking, generator.integers(2, 7, len(titles)), 0)
        extra_owners = np.repeat(np.arange(len(titles)), count)
        extra = generator.choice(self._asking, len(extra_owners))
        return np.concatenate((rows[kept], extra)), np.concatenate((owners[kept], extra_owners))
