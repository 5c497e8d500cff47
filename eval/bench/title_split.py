"""Trains the title splitter on (title, abstract) pairs and measures it on pairs that were held out.

    python -m eval.bench.title_split PAIRS.jsonl.gz [--exclude LISTING...] [--write]

A conditional log-linear model: softmax over the candidate boundaries of a text; the score of a boundary is the
sum of the weights of its own features plus the weights of every word before it ("reads like a title"). AdaGrad,
fixed seed: the same pairs give the same weights.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from rag.parsers.title_features import boundaries
from rag.text import normalised_title

BITS = 20


@dataclass
class Example:
    """Features folded to BITS bits; `gold` is the index of the true boundary among the candidates."""

    places: np.ndarray
    inside: np.ndarray
    words: np.ndarray
    gold: int


def pairs(path: Path) -> Iterator[tuple[str, str]]:
    """(title, abstract) with white space collapsed, in file order, both non-empty."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            title, abstract = (" ".join(str(row.get(key) or "").split()) for key in ("title", "abstract"))
            if title and abstract:
                yield title, abstract


def held_out(title: str, share: int = 10) -> bool:
    """Whether a paper is kept for measuring: decided by its normalised title, so copies stay together."""
    digest = blake2b(normalised_title(title).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % share == 0


def sentence_cased(title: str) -> str:
    """A Title Case title as arXiv authors often write it: later plain words in lower case."""
    words = title.split()
    keep = [True, *(word.endswith((":", "?")) for word in words[:-1])]
    return " ".join(
        word if stay or not (word[:1].isupper() and word[1:].replace("-", "").rstrip(":,?").islower()) else word.lower()
        for word, stay in zip(words, keep, strict=True)
    )


def style(title: str) -> str:
    """Title Case, sentence case, or too short to say."""
    words = [word for word in title.split()[1:] if len(word) > 3 and word[0].isalpha()]
    if len(words) < 2:
        return "short"
    share = sum(word[0].isupper() for word in words) / len(words)
    return "title case" if share > 0.6 else "sentence case" if share < 0.4 else "mixed"


def example(title: str, abstract: str) -> Example | None:
    found = boundaries(f"{title} {abstract}")
    if found is None or len(title) + 1 not in found.offsets:
        return None
    mask = (1 << BITS) - 1
    gold = found.offsets.index(len(title) + 1)
    return Example((found.places & mask).astype(np.int32), (found.inside & mask).astype(np.int32), found.words, gold)


@dataclass
class Batch:
    """Examples laid end to end, so that one gather scores them all."""

    places: np.ndarray
    inside: np.ndarray
    before: np.ndarray
    base: np.ndarray
    starts: np.ndarray
    gold: np.ndarray

    @classmethod
    def of(cls, examples: list[Example]) -> Batch:
        sizes = np.array([len(item.words) for item in examples])
        lengths = np.array([len(item.inside) for item in examples])
        starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        bases = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        return cls(
            np.concatenate([item.places for item in examples]),
            np.concatenate([item.inside for item in examples]),
            np.concatenate([item.words for item in examples]) + np.repeat(bases, sizes),
            np.repeat(bases, sizes),
            starts,
            starts + np.array([item.gold for item in examples]),
        )

    def scores(self, weights: np.ndarray) -> np.ndarray:
        running = np.concatenate(([0.0], np.cumsum(weights[self.inside].sum(axis=1))))
        return weights[self.places].sum(axis=1) + running[self.before] - running[self.base]

    def probabilities(self, weights: np.ndarray) -> np.ndarray:
        scores = self.scores(weights)
        sizes = np.diff(np.append(self.starts, len(scores)))
        spread = np.exp(scores - np.repeat(np.maximum.reduceat(scores, self.starts), sizes))
        return spread / np.repeat(np.add.reduceat(spread, self.starts), sizes)

    def gradient(self, weights: np.ndarray) -> tuple[np.ndarray, float]:
        error = self.probabilities(weights)
        loss = float(-np.log(np.maximum(error[self.gold], 1e-12)).mean())
        error[self.gold] -= 1.0
        total = np.bincount(self.places.ravel(), np.repeat(error, self.places.shape[1]), len(weights))
        lengths = len(self.inside)
        signal = np.bincount(self.before, error, lengths + 1) - np.bincount(self.base, error, lengths + 1)
        later = signal[::-1].cumsum()[::-1][1:]
        total += np.bincount(self.inside.ravel(), np.repeat(later, self.inside.shape[1]), len(weights))
        return total, loss


def train(examples: list[Example], *, epochs: int, seed: int, rate: float, batch: int, decay: float) -> np.ndarray:
    """Weights (2**BITS,), averaged over the last epoch's steps."""
    weights = np.zeros(1 << BITS)
    squares = np.full(1 << BITS, 1e-8)
    order = list(range(len(examples)))
    shuffler = random.Random(seed)
    mean, count = np.zeros_like(weights), 0
    for epoch in range(epochs):
        shuffler.shuffle(order)
        losses: list[float] = []
        step = rate * (1.0 - epoch / epochs)
        for start in range(0, len(order), batch):
            gradient, loss = Batch.of([examples[index] for index in order[start : start + batch]]).gradient(weights)
            gradient /= batch
            touched = np.flatnonzero(gradient)
            squares[touched] += gradient[touched] ** 2
            weights[touched] -= step * (gradient[touched] / np.sqrt(squares[touched]) + decay * weights[touched])
            losses.append(loss)
            if epoch == epochs - 1:
                mean += weights
                count += 1
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}", flush=True)
    return mean / max(count, 1)


def excluded_titles(paths: list[Path]) -> set[str]:
    """Every line of a listing as a normalised key, and each of its first 300 characters' prefixes by word."""
    keys: set[str] = set()
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.removeprefix("Subscribe").split()[:45]
            begin = 1 if words and (words[0] == "-" or words[0].isdigit()) else 0
            for first in {0, begin}:
                keys.update(normalised_title(" ".join(words[first:end])) for end in range(first + 2, len(words) + 1))
    return keys


def measure(weights: np.ndarray, cases: list[tuple[str, str]]) -> None:
    """Exact accuracy over all cases and by style; an unreachable boundary counts as wrong."""
    from rag.parsers.title_split import TitleSplitter

    splitter = TitleSplitter(weights)
    right: dict[str, list[int]] = defaultdict(list)
    began = time.perf_counter()
    for title, abstract in cases:
        hit = int(splitter.split(f"{title} {abstract}")[0] == title)
        right["all"].append(hit)
        right[style(title)].append(hit)
    seconds = time.perf_counter() - began
    for name, hits in right.items():
        print(f"{name:14s} exact {np.mean(hits):.4f}  n={len(hits)}")
    print(f"{len(cases) / seconds:,.0f} splits/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--exclude", type=Path, nargs="*", default=[])
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--decay", type=float, default=0.0)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--lowered", type=float, default=0.15, help="share of titles also seen in sentence case")
    parser.add_argument("--write", action="store_true", help="store the weights in the package")
    options = parser.parse_args()
    excluded = excluded_titles(options.exclude)
    known = [pair for pair in pairs(options.pairs) if normalised_title(pair[0]) not in excluded]
    tests = [pair for pair in known if held_out(pair[0])]
    examples: list[Example] = []
    chance = random.Random(options.seed)
    began = time.perf_counter()
    for title, abstract in [pair for pair in known if not held_out(pair[0])][: options.limit]:
        lowered = chance.random() < options.lowered
        made = example(sentence_cased(title) if lowered else title, abstract)
        if made is not None:
            examples.append(made)
    print(f"{len(examples)} examples in {time.perf_counter() - began:.0f} s; {len(tests)} held out", flush=True)
    weights = train(
        examples, epochs=options.epochs, seed=options.seed, rate=options.rate, batch=options.batch, decay=options.decay
    )
    if options.write:
        from rag.parsers.title_split import WEIGHTS, save_weights

        save_weights(weights, WEIGHTS)
        print(f"wrote {WEIGHTS.stat().st_size / 1e6:.2f} MB")
    measure(weights, tests)


if __name__ == "__main__":
    main()
