"""Static token vectors: the built-in text encoder, numpy and tokenizers only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rag.encoder.words import WordTokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Side = Literal["query", "passage"]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

SHIPPED_WEIGHTS = Path(__file__).parent / "weights"
WEIGHT_FILES = ("model.safetensors", "tokenizer.json", "config.json")
_BATCH = 512


@dataclass(frozen=True, slots=True)
class StaticTables:
    """The numbers of an encoder with T tokens, P pairs and D dimensions.

    Rows of every table are the T tokens followed by the P pairs. A pair is two tokens that follow each other (after
    dropped tokens are taken out), such as "policy gradient"; its row is added to those of its tokens.
    """

    vectors: Floats
    """(T + P, D)."""
    query_weights: Floats
    """(T + P,): how much each row counts in a question."""
    passage_weights: Floats
    """(T + P,): how much each row counts in a passage or sentence."""
    pair_keys: Integers
    """(P,), ascending: left token id * T + right token id."""
    kept: NDArray[np.bool_]
    """(T,): False for tokens that say nothing, such as punctuation."""

    def rows(self, ids: Integers, owners: Integers) -> tuple[Integers, Integers]:
        """The rows of the kept token ids of several texts, and the text (`owners`, ascending) that each belongs to:
        the tokens, then the known pairs among them."""
        if len(ids) < 2 or not len(self.pair_keys):
            return ids, owners
        keys = ids[:-1] * len(self.kept) + ids[1:]
        places = np.minimum(np.searchsorted(self.pair_keys, keys), len(self.pair_keys) - 1)
        found = (self.pair_keys[places] == keys) & (owners[:-1] == owners[1:])
        pairs = places[found] + len(self.kept)
        return np.concatenate((ids, pairs)), np.concatenate((owners, owners[:-1][found]))


class StaticEncoder:
    """Turns texts into unit vectors: a weighted sum of one learned vector per token and known token pair.

    The method is static embedding distilled from a sentence transformer (model2vec) and then trained contrastively
    (sentence-transformers static-retrieval); repeated tokens count with the square root of their number. Word order
    beyond known pairs is ignored. MODEL_CARD.md says how the weights came about and what they are bad at.
    """

    def __init__(self, tokenizer: Tokenizer, tables: StaticTables, fingerprint: str) -> None:
        self._tokens = WordTokens(tokenizer, tables.kept.tolist().__getitem__)
        self._tables = tables
        self.fingerprint = fingerprint
        self.dimension = int(tables.vectors.shape[1])

    @classmethod
    def load(cls, folder: Path | None = None) -> StaticEncoder:
        """Read the weights in `folder`, or the shipped ones; FileNotFoundError names what is missing."""
        from tokenizers import Tokenizer

        folder = folder or SHIPPED_WEIGHTS
        missing = [name for name in WEIGHT_FILES if not (folder / name).is_file()]
        if missing:
            raise FileNotFoundError(f"no encoder in {folder}: {', '.join(missing)} missing")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return cls(tokenizer, _read_tables(folder / "model.safetensors", config), fingerprint(folder))

    def encode(self, texts: Sequence[str], *, side: Side = "passage") -> Floats:
        """Vectors of `texts`: float32 (len(texts), dimension), rows of length one, or zero for an empty text.

        `side` says whether the texts are questions or what is to be found; each has its own token weights. A text's
        vector never depends on the others in the call.
        """
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), _BATCH):
            self._fill(vectors[start : start + _BATCH], list(texts[start : start + _BATCH]), side)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, lengths, out=vectors, where=lengths > 0)

    def _fill(self, vectors: Floats, texts: list[str], side: Side) -> None:
        """Write the sums of a batch. Counting is done for all texts at once; each text is summed by itself, so that its
        vector is the same in any company."""
        tables, height = self._tables, len(self._tables.vectors)
        ids = self._tokens.ids(texts)
        owners = np.repeat(np.arange(len(ids)), [len(one) for one in ids])
        rows, owners = tables.rows(np.fromiter(chain.from_iterable(ids), np.int64, len(owners)), owners)
        keys, counts = np.unique(owners * height + rows, return_counts=True)
        owners, rows = np.divmod(keys, height)
        weights = tables.query_weights if side == "query" else tables.passage_weights
        strength = weights[rows] * np.sqrt(counts, dtype=np.float32)
        edges = np.searchsorted(owners, np.arange(len(ids) + 1)).tolist()
        for place, (start, end) in enumerate(pairwise(edges)):
            if end > start:
                vectors[place] = strength[start:end] @ tables.vectors[rows[start:end]]


def fingerprint(folder: Path, names: Sequence[str] = WEIGHT_FILES) -> str:
    """SHA-256 (hex) over the names and contents of weight files."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\n".encode())
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _read_tables(path: Path, config: dict[str, Any]) -> StaticTables:
    from safetensors.numpy import load_file

    tensors = load_file(path)
    # Each int8 row was divided by its largest absolute value over 127 ("scale") when it was written.
    vectors = tensors["vectors"].astype(np.float32)
    vectors *= tensors["scale"].astype(np.float32)[:, None]
    if vectors.shape[1] != config["dimension"]:
        raise ValueError(f"{path} holds {vectors.shape[1]} dimensions, config.json says {config['dimension']}")
    return StaticTables(
        vectors=vectors,
        query_weights=tensors["query_weights"].astype(np.float32),
        passage_weights=tensors["passage_weights"].astype(np.float32),
        pair_keys=tensors["pair_keys"].astype(np.int64),
        kept=tensors["kept"].astype(np.bool_),
    )
