"""Retrieval quality of encoders alone and fused with BM25: nDCG@10 with 95 % bootstrap intervals.

    python eval/bench/encoder_quality.py [FOLDER ...] [--minilm] [--sets seeds,cacm,...] [--json FILE]

FOLDER holds encoder weights, whose token vectors are measured (none: those that ship, and both built-in encoders).
Needs bm25s and PyStemmer; --minilm also needs the extra `train`. The sets lie in the folder named by CITEWISE_SHARED,
by default ../shared.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import itertools
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
SHARED = Path(os.environ.get("CITEWISE_SHARED", ROOT / "shared"))
if not SHARED.exists():
    SHARED = ROOT.parent / "shared"
QUESTIONS = ROOT / "eval" / "cases" / "seeds_questions.jsonl"
DENSE_WEIGHTS = (0.3, 0.5, 0.6, 0.7)
CANDIDATES = 100
RESAMPLES = 2000
TLDR_SMALL = 5000

Floats = NDArray[np.float32]
Encode = Callable[[Sequence[str], str], Floats]


@dataclass(frozen=True)
class RetrievalSet:
    """Texts ("title\\nabstract"), questions, and for each question the places of its relevant texts."""

    name: str
    texts: list[str]
    questions: list[str]
    relevant: list[set[int]]


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def normalise(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def with_ids(name: str, corpus: Sequence[dict[str, Any]], queries: Iterable[dict[str, Any]]) -> RetrievalSet:
    places = {str(record["id"]): at for at, record in enumerate(corpus)}
    kept = [query for query in queries if any(str(one) in places for one in query["relevant"])]
    return RetrievalSet(
        name,
        [f"{record['title']}\n{record['abstract']}" for record in corpus],
        [query["query"] for query in kept],
        [{places[str(one)] for one in query["relevant"] if str(one) in places} for query in kept],
    )


def folder_set(name: str) -> RetrievalSet:
    folder = SHARED / "bench" / name
    return with_ids(name, read_jsonl(folder / "corpus.jsonl"), read_jsonl(folder / "queries.jsonl"))


def tldr_set(size: int | None) -> RetrievalSet:
    """The one-line summaries against all papers, or against the gold papers and others up to `size`."""
    queries = read_jsonl(SHARED / "bench" / "tldr-dev.jsonl")
    papers = read_jsonl(SHARED / "corpora" / "ml-papers.jsonl.gz")
    if size is None:
        return with_ids("tldr-all", papers, queries)
    gold = {one for query in queries for one in query["relevant"]}
    others = sorted((p["id"] for p in papers if p["id"] not in gold), key=lambda i: hashlib.sha256(i.encode()).digest())
    chosen = gold | set(others[: size - len(gold)])
    return with_ids(f"tldr-{size // 1000}k", [p for p in papers if p["id"] in chosen], queries)


def seed_texts() -> list[str]:
    """The seed papers, parsed roughly: enough to measure retrieval, not how Citewise ingests them."""
    texts: dict[str, str] = {}
    for path in sorted((SHARED / "seeds").glob("00*.txt")):
        lines = [line.strip().removeprefix("Subscribe") for line in path.read_text("utf-8").splitlines()]
        lines = [line for line in lines if line]
        if path.name.startswith(("001", "002")):
            pairs = itertools.pairwise(lines)
            found = [f"{title}\n{body}" for title, body in pairs if len(title) < 260 and len(body) > 300]
        else:
            found = [re.sub(r"^(- |\d+ )", "", line) for line in lines if len(line) > 300]
        for text in found:
            texts.setdefault(normalise(text)[:60], text)
    return list(texts.values())


def seeds_set() -> RetrievalSet:
    texts = seed_texts()
    starts = [normalise(text) for text in texts]
    cases = read_jsonl(QUESTIONS)
    relevant = [
        {at for at, start in enumerate(starts) for title in case["relevant"] if start.startswith(normalise(title))}
        for case in cases
    ]
    return RetrievalSet("seeds", texts, [case["question"] for case in cases], relevant)


def load_set(name: str) -> RetrievalSet:
    match name:
        case "seeds":
            return seeds_set()
        case "tldr":
            return tldr_set(TLDR_SMALL)
        case "tldr-all":
            return tldr_set(None)
        case _:
            return folder_set(name)


def ndcg(ranking: Sequence[int], relevant: set[int], depth: int = 10) -> float:
    """nDCG at `depth` with gains of one."""
    gains = sum(1 / np.log2(rank + 2) for rank, place in enumerate(ranking[:depth]) if place in relevant)
    ideal = sum(1 / np.log2(rank + 2) for rank in range(min(depth, len(relevant))))
    return float(gains / ideal)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % percentile bootstrap interval."""
    generator = np.random.default_rng(0)
    sample = np.asarray(values)
    means = sample[generator.integers(0, len(sample), (RESAMPLES, len(sample)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(sample.mean()), float(low), float(high)


def bm25_scores(texts: Sequence[str], questions: Sequence[str]) -> Floats:
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    tokens = bm25s.tokenize(list(texts), stopwords="en", stemmer=stemmer, show_progress=False)
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    asked = bm25s.tokenize(list(questions), stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False)
    return np.stack([index.get_scores(words) if words else np.zeros(len(texts)) for words in asked]).astype("f4")


def top(scores: Floats, count: int) -> NDArray[np.int64]:
    count = min(count, len(scores))
    chosen = np.argpartition(-scores, count - 1)[:count]
    return chosen[np.argsort(-scores[chosen], kind="stable")]


def standard(scores: Floats) -> Floats:
    return (scores - scores.mean()) / (scores.std() + 1e-9)


def fused(dense: Floats, lexical: Floats, weight: float) -> NDArray[np.int64]:
    """Ranking by weighted z-scores over the union of both top lists."""
    union = np.union1d(top(dense, CANDIDATES), top(lexical, CANDIDATES))
    mixed = weight * standard(dense[union]) + (1 - weight) * standard(lexical[union])
    return union[np.argsort(-mixed, kind="stable")]


def measure(found: RetrievalSet, dense: Floats | None, lexical: Floats) -> dict[str, list[float]]:
    """nDCG@10 of every question, by way of ranking."""
    measured: dict[str, list[float]] = {}
    for at, relevant in enumerate(found.relevant):
        rankings = {"bm25": top(lexical[at], 10)}
        if dense is not None:
            rankings = {"dense": top(dense[at], 10)}
            rankings |= {f"fused {w}": fused(dense[at], lexical[at], w) for w in DENSE_WEIGHTS}
        for name, ranking in rankings.items():
            measured.setdefault(name, []).append(ndcg(ranking.tolist(), relevant))
    return measured


def static_encoder(folder: Path | None) -> Encode:
    from rag.encoder.static import StaticEncoder

    encoder = StaticEncoder.load(folder)
    return lambda texts, side: encoder.encode(texts, side="query" if side == "query" else "passage")


def builtin(*, deep: bool) -> Encode:
    from rag.embeddings import builtin_encoder

    encoder = builtin_encoder(deep=deep)
    return lambda texts, side: encoder.encode(texts, side="query" if side == "query" else "passage")


def minilm_encoder() -> Encode:
    """MiniLM with its vectors kept in the temporary folder: they take minutes."""
    from rag.encoder.train_teacher import Teacher

    def encode(texts: Sequence[str], _side: str) -> Floats:
        key = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
        kept = Path(tempfile.gettempdir()) / f"citewise-minilm-{key}.npy"
        if not kept.exists():
            np.save(kept, Teacher().encode(texts))
        return np.load(kept)

    return encode


def report(set_name: str, system: str, measured: dict[str, list[float]], seconds: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for way, values in measured.items():
        mean, low, high = interval(values)
        rows.append({"set": set_name, "system": system, "way": way, "ndcg@10": mean, "low": low, "high": high})
        print(f"{set_name:12} {system:28} {way:10} {mean:.3f} [{low:.3f}, {high:.3f}] n={len(values)} {seconds:.1f}s")
    return rows


def run(found: RetrievalSet, systems: dict[str, Encode]) -> list[dict[str, Any]]:
    lexical = bm25_scores(found.texts, found.questions)
    rows = report(found.name, "BM25", measure(found, None, lexical), 0.0)
    for name, encode in systems.items():
        started = time.perf_counter()
        passages = encode(found.texts, "passage")
        seconds = time.perf_counter() - started
        dense = encode(found.questions, "query") @ passages.T
        rows += report(found.name, name, measure(found, dense, lexical), seconds)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="nDCG@10 of encoders alone and fused with BM25")
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--minilm", action="store_true")
    parser.add_argument("--sets", default="seeds,cacm,scifact208,tldr")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    systems = {folder.name: static_encoder(folder) for folder in arguments.folders} or {
        "token vectors": static_encoder(None),
        "builtin-fast": builtin(deep=False),
        "builtin-deep": builtin(deep=True),
    }
    if arguments.minilm:
        systems["MiniLM"] = minilm_encoder()
    rows = [row for name in arguments.sets.split(",") for row in run(load_set(name), systems)]
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
