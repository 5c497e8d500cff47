"""A small transformer in numpy: what questions and titles mean beyond their single words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
_Group = tuple[Integers, NDArray[Any]]  # places of texts, and what there is of each

MODEL_FILE, TOKENIZER_FILE = "context.safetensors", "context_tokenizer.json"
_START, _END = "[CLS]", "[SEP]"
_BATCH = 256
_TOGETHER = 16  # texts in a product: what is computed of more does not stay in the processor's cache
_HEAD = 32  # numbers a head of attention, as in the teacher
_EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class Linear:
    """x @ weight + bias; `weight` is (inputs, outputs)."""

    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        """(N, inputs) to (N, outputs)."""
        found = x @ self.weight
        found += self.bias
        return found


@dataclass(frozen=True, slots=True)
class Norm:
    """Layer normalisation over the last axis."""

    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        """(N, D) to (N, D)."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.einsum("td,td->t", centred, centred) / x.shape[-1]
        centred *= (1 / np.sqrt(variance + _EPSILON))[:, None]
        centred *= self.weight
        centred += self.bias
        return centred


@dataclass(frozen=True, slots=True)
class Block:
    """One transformer layer with the normalisation after each part, as in BERT (Devlin et al. 2019)."""

    attend: Linear
    merge: Linear
    widen: Linear
    narrow: Linear
    attended: Norm
    done: Norm
    heads: int

    def __call__(self, x: Floats, lengths: Sequence[int]) -> Floats:
        """`x` is (sum of lengths, D): texts laid end to end, each of which attends to itself alone."""
        x = self.attended(x + self.merge(self._mixed(self.attend(x), lengths)))
        return self.done(x + self.narrow(_gelu(self.widen(x))))

    def _mixed(self, x: Floats, lengths: Sequence[int]) -> Floats:
        """(sum of lengths, 3 * D) to (sum of lengths, D); texts of one length share their products."""
        if len(set(lengths)) == 1:
            return self._within(x, len(lengths))
        parts = np.split(x, np.cumsum(lengths)[:-1])
        return np.concatenate([self._within(part, 1) for part in parts])

    def _within(self, x: Floats, texts: int) -> Floats:
        size = x.shape[1] // 3 // self.heads
        query, key, value = x.reshape(texts, -1, 3, self.heads, size).transpose(2, 0, 3, 1, 4)
        weights = query @ key.swapaxes(-1, -2)
        weights *= np.float32(size**-0.5)
        weights -= weights.max(axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=-1, keepdims=True)
        return (weights @ value).transpose(0, 2, 1, 3).reshape(len(x), -1)


def _gelu(x: Floats) -> Floats:
    """The Gaussian error linear unit in its tanh form, with which the weights were trained."""
    inner = x * x
    inner *= np.float32(0.044715 * 0.7978845608)
    inner += np.float32(0.7978845608)
    inner *= x
    np.tanh(inner, out=inner)
    inner += 1
    inner *= x
    inner *= np.float32(0.5)
    return inner


class ContextEncoder:
    """Turns short texts into unit vectors that depend on word order and context: the mean of a transformer's outputs.

    Weights are stored as int8 with a scale per output and computed in float32, so that vectors are the same on any
    processor but for rounding. Texts of one length share a matrix product; nothing is padded or masked.
    """

    def __init__(self, tokenizer: Tokenizer, tensors: Mapping[str, NDArray[np.generic]]) -> None:
        """`tensors` as in the weights file; ValueError when the tokenizer and the vectors differ in number. `rare` says
        of each token whether it is rare in the papers of the training; in a file without it, none is."""
        self._tokenizer = tokenizer
        self._words = np.asarray(tensors["words"], dtype=np.int8)
        self._scale = np.asarray(tensors["words.scale"], dtype=np.float32)
        self._rare = np.asarray(tensors.get("rare", np.zeros(len(self._words))), dtype=np.bool_)
        self._positions = np.asarray(tensors["positions"], dtype=np.float32)
        self._first = Norm(*_pair(tensors, "first"))
        layers = sum(name.endswith(".attend") for name in tensors)
        heads = self._words.shape[1] // _HEAD
        self._blocks = [_block(tensors, at, heads) for at in range(layers)]
        start, end = tokenizer.token_to_id(_START), tokenizer.token_to_id(_END)
        if len(self._words) != tokenizer.get_vocab_size() or start is None or end is None:
            raise ValueError(f"{MODEL_FILE} and {TOKENIZER_FILE} do not belong together")
        self._ends = (start, end)

    @classmethod
    def load(cls, folder: Path) -> ContextEncoder | None:
        """Read the two files in `folder`, None where it has neither; FileNotFoundError where one is missing."""
        missing = [name for name in (MODEL_FILE, TOKENIZER_FILE) if not (folder / name).is_file()]
        if len(missing) == 2:
            return None
        if missing:
            raise FileNotFoundError(f"no {missing[0]} in {folder}")
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(tokenizer, load_file(folder / MODEL_FILE))

    @property
    def longest(self) -> int:
        """Tokens that are looked at, with the two at the ends."""
        return len(self._positions)

    def encode(self, texts: Sequence[str], *, longest: int | None = None) -> Floats:
        """Vectors of the first `longest` tokens of `texts`: float32 (len(texts), D), rows of length one, or zero
        for a text without words."""
        vectors = np.zeros((len(texts), self._words.shape[1]), dtype=np.float32)
        for start in range(0, len(texts), _BATCH):
            groups = _by_length(self._ids(texts[start : start + _BATCH], longest), self._ends)
            for places, means in _each(lambda group: (group[0], self._forward(group[1])), groups):
                vectors[places + start] = means
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, lengths, out=vectors, where=lengths > 0)

    def rare_share(self, texts: Sequence[str], *, longest: int | None = None) -> Floats:
        """How much of what `encode` reads of `texts` is rare in the papers of the training: float32 (len(texts),), the
        share of tokens, 0 to 1; 0 for a text without words."""
        shares = [self._rare[ids].mean() if ids else 0.0 for ids in self._ids(texts, longest)]
        return np.array(shares, dtype=np.float32)

    def matched(self, question: str, texts: Sequence[str]) -> Floats:
        """How near each token of a question comes to its nearest among the tokens of `texts`, all in their context:
        float32 (L,), cosines; what MaxSim sums (Khattab and Zaharia 2020). Empty for a question without words, zero
        for texts without any."""
        asked, *told = self._ids([question, *texts], None)
        told = [ids for ids in told if ids]
        if not asked or not told:
            return np.zeros(len(asked), dtype=np.float32)
        lengths = [len(ids) + 2 for ids in (asked, *told)]
        start, end = self._ends
        ids = np.array([token for one in (asked, *told) for token in (start, *one, end)])
        x = self._through(ids, np.concatenate([np.arange(length) for length in lengths]), lengths)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        ends = np.cumsum(lengths)
        inner = np.arange(len(ids)) >= ends[0]
        inner[ends[:-1]] = inner[ends - 1] = False
        return (x[1 : lengths[0] - 1] @ x[inner].T).max(axis=1)

    def _ids(self, texts: Sequence[str], longest: int | None) -> list[list[int]]:
        """The tokens that are read of each text, without the two at the ends."""
        limit = min(longest or self.longest, self.longest) - 2
        return [one.ids[:limit] for one in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def _forward(self, ids: Integers) -> Floats:
        """The mean output of each row of `ids` (N, L): float32 (N, D)."""
        texts, length = ids.shape
        x = self._through(ids.ravel(), np.tile(np.arange(length), texts), [length] * texts)
        return x.reshape(texts, length, -1).mean(axis=1)

    def _through(self, ids: Integers, places: Integers, lengths: Sequence[int]) -> Floats:
        """The outputs (N, D) for the tokens `ids` (N,), laid end to end, each with its place in its text."""
        x = self._words[ids].astype(np.float32)
        x *= self._scale[ids][:, None]
        x += self._positions[places]
        x = self._first(x)
        for block in self._blocks:
            x = block(x, lengths)
        return x


def _by_length(ids: Sequence[Sequence[int]], ends: tuple[int, int]) -> list[tuple[Integers, Integers]]:
    """Some texts with as many tokens together: their places (N,) and ids (N, L) with both ends; empty ones left out."""
    groups: dict[int, list[int]] = {}
    for place, one in enumerate(ids):
        if one:
            groups.setdefault(len(one), []).append(place)
    chosen = [at[start : start + _TOGETHER] for at in groups.values() for start in range(0, len(at), _TOGETHER)]
    return [(np.array(at), np.array([[ends[0], *ids[place], ends[1]] for place in at])) for at in chosen]


def _each(work: Callable[[_Group], _Group], groups: Sequence[_Group]) -> Iterator[_Group]:
    """What the work makes of each, on all processors: numpy computes without the interpreter's lock."""
    threads = min(os.cpu_count() or 1, len(groups))
    if threads < 2:
        yield from map(work, groups)
        return
    with ThreadPoolExecutor(threads, "citewise-encode") as pool:
        yield from pool.map(work, groups)


def _block(tensors: Mapping[str, NDArray[np.generic]], at: int, heads: int) -> Block:
    def linear(name: str) -> Linear:
        stored = tensors[f"{at}.{name}"].astype(np.float32) * tensors[f"{at}.{name}.scale"].astype(np.float32)[:, None]
        return Linear(np.ascontiguousarray(stored.T), tensors[f"{at}.{name}.bias"].astype(np.float32))

    return Block(
        attend=linear("attend"),
        merge=linear("merge"),
        widen=linear("widen"),
        narrow=linear("narrow"),
        attended=Norm(*_pair(tensors, f"{at}.attended")),
        done=Norm(*_pair(tensors, f"{at}.done")),
        heads=heads,
    )


def _pair(tensors: Mapping[str, NDArray[np.generic]], name: str) -> tuple[Floats, Floats]:
    weight, bias = tensors[name].astype(np.float32)
    return weight, bias
