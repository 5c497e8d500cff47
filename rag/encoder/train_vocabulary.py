"""The vocabulary of a field: the teacher's word pieces, frequent whole words, and pairs of tokens."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from rag.encoder.static import StaticTables
from rag.encoder.train_corpus import TrainingPaper
from rag.encoder.train_teacher import Teacher

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

WORD_PAPERS = 12
PAIR_PAPERS = 20
PAIR_INFORMATION = 2.5
MOST_PAIRS = 20_000
_FUNCTION_WORDS = frozenset(
    "a an and are as at be been by can for from has have how however in into is it its may more most new not of on "
    "or our such than that the their them then these they this those through to two under use used using via was we "
    "well when where which while who will with within without based both also show propose proposed paper results "
    "between each one only other over s t e g i does do".split()
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """T tokens with their number of occurrences in the papers, and the pairs worth a row of their own."""

    words: list[str]
    tokenizer: Tokenizer
    frequencies: Integers
    """(T,)."""
    kept: NDArray[np.bool_]
    """(T,): False for tokens without a letter or digit."""
    pair_keys: Integers
    """(P,), ascending: left * T + right."""

    @property
    def rows(self) -> int:
        """T + P."""
        return len(self.words) + len(self.pair_keys)


def grow(papers: Sequence[TrainingPaper], teacher: Tokenizer, *, words: bool = True) -> Vocabulary:
    """Add the papers' frequent words, if wanted, to the teacher's ASCII word pieces; find telling pairs of tokens."""
    by_id = sorted(teacher.get_vocab().items(), key=lambda item: item[1])
    pieces = [word for word, _ in by_id if word == "[UNK]" or (word.isascii() and not re.match(r"\[\w", word))]
    tokens = pieces + (_frequent_words(papers, set(pieces)) if words else [])
    tokenizer = _tokenizer(tokens)
    kept = np.array([bool(re.search("[a-z0-9]", token)) for token in tokens])
    documents = list(_documents(papers, tokenizer, kept))
    frequencies = np.bincount(np.concatenate(documents), minlength=len(tokens)).astype(np.int64)
    return Vocabulary(tokens, tokenizer, frequencies, kept, _telling_pairs(documents, frequencies, tokens))


def initial_tables(vocabulary: Vocabulary, teacher: Teacher) -> tuple[StaticTables, Floats]:
    """Tables to start from, and the weights (T + P,): the teacher's vector of each token alone, centred, length one.

    Weights are the smooth inverse frequencies of Arora et al. (2017), a = 1e-4; pairs start at zero.
    """
    known = teacher.tokenizer.get_vocab()
    start, end = known["[CLS]"], known["[SEP]"]
    ids = [
        [start, known[word], end] if word in known else teacher.tokenizer.encode(word).ids for word in vocabulary.words
    ]
    tokens = teacher.encode_ids(ids, batch=512)
    share = (vocabulary.frequencies + 1) / vocabulary.frequencies.sum()
    tokens -= (tokens * share[:, None]).sum(axis=0) / share.sum()
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    vectors = np.zeros((vocabulary.rows, tokens.shape[1]), dtype=np.float32)
    vectors[: len(tokens)] = tokens
    weights = np.ones(vocabulary.rows, dtype=np.float32)
    weights[: len(tokens)] = np.maximum(1e-4 / (1e-4 + share), np.exp(-4))
    return StaticTables(vectors, weights, weights, vocabulary.pair_keys, vocabulary.kept), weights


def _frequent_words(papers: Sequence[TrainingPaper], known: set[str]) -> list[str]:
    counts: Counter[str] = Counter()
    for paper in papers:
        counts.update(set(re.findall(r"[a-z0-9]+", f"{paper.title} {paper.abstract}".lower())))
    frequent = [
        (-count, word)
        for word, count in counts.items()
        if count >= WORD_PAPERS and word not in known and 3 <= len(word) <= 24 and re.search("[a-z]{2}", word)
    ]
    return [word for _, word in sorted(frequent)]


def _tokenizer(words: Sequence[str]) -> Tokenizer:
    vocabulary = {word: at for at, word in enumerate(words)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def _documents(papers: Sequence[TrainingPaper], tokenizer: Tokenizer, kept: NDArray[np.bool_]) -> Iterator[Integers]:
    for start in range(0, len(papers), 2048):
        texts = [f"{paper.title}\n{paper.abstract}" for paper in papers[start : start + 2048]]
        for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
            ids = np.array(encoding.ids, dtype=np.int64)
            yield ids[kept[ids]]


def _telling_pairs(documents: Sequence[Integers], frequencies: Integers, words: Sequence[str]) -> Integers:
    """Keys of pairs in at least PAIR_PAPERS papers whose parts meet far more often than chance would have it."""
    size = len(words)
    each = [np.unique(ids[:-1] * size + ids[1:]) for ids in documents]
    keys, counts = np.unique(np.concatenate(each), return_counts=True)
    keys, counts = keys[counts >= PAIR_PAPERS], counts[counts >= PAIR_PAPERS]
    left, right = keys // size, keys % size
    information = np.log(counts * float(frequencies.sum()) / (frequencies[left] * frequencies[right].astype(float)))
    fit = np.array([word not in _FUNCTION_WORDS and len(word.replace("#", "")) > 1 for word in words])
    good = (information > PAIR_INFORMATION) & fit[left] & fit[right]
    best = np.argsort(-(counts * information)[good], kind="stable")[:MOST_PAIRS]
    return np.sort(keys[good][best])
