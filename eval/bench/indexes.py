"""Speed and recall of both indexes: python -m eval.bench.indexes PAPERS.jsonl.gz [--size N] [--breadth N]."""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from rag.chunking import chunk
from rag.embeddings import load_encoder
from rag.papers import Paper, Passage
from rag.settings import ChunkingSettings, EmbeddingSettings
from rag.stores.dense import ChromaIndex
from rag.stores.lexical import TantivyIndex

Item = TypeVar("Item")
Made = TypeVar("Made")
Question = TypeVar("Question")
Hits = TypeVar("Hits")

K = 100
RECALL_AT = 50
BATCH = 4096
QUERIES = 300
ALLOWED = (1, 100, 1_000, 5_000, 20_000)
SHARE = 0.6


def main() -> None:
    arguments = _arguments()
    papers = _papers(arguments.papers, arguments.size)
    passages = _timed_rate("chunking", papers, lambda part: [chunk(paper, ChunkingSettings())[0] for paper in part])
    encoder = load_encoder(EmbeddingSettings())
    parts = _timed_rate("encoding", passages, lambda part: [encoder.encode([passage.text for passage in part])])
    vectors = np.concatenate(parts)
    chance = random.Random(1)
    # The first sentence of an abstract stands in for a question: real words, a known neighbourhood.
    asked = [paper.abstract.split(". ")[0][:200] for paper in chance.sample(papers, min(QUERIES, len(papers)))]
    with tempfile.TemporaryDirectory() as folder:
        dense(Path(folder) / "dense", passages, vectors, encoder.encode(asked, side="query"), arguments.breadth)
        lexical(Path(folder) / "lexical", passages, asked)
    _say("peak memory", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def dense(folder: Path, passages: Sequence[Passage], vectors: np.ndarray, questions: np.ndarray, breadth: int) -> None:
    ids = [passage.id for passage in passages]
    index = ChromaIndex(folder, dimension=vectors.shape[1], search_breadth=breadth)
    rows = list(range(len(ids)))
    _timed_rate("dense: upsert", rows, lambda part: index.upsert([ids[row] for row in part], vectors[part]) or [])
    index.close()
    _say("dense: disk", _disk(folder))
    start = time.perf_counter()
    index = ChromaIndex(folder, dimension=vectors.shape[1], search_breadth=breadth)
    _say("dense: open", f"{time.perf_counter() - start:.2f} s")
    exact = [{ids[row] for row in np.argsort(-(vectors @ question))[:RECALL_AT]} for question in questions]
    found = _timed_queries("dense: search", questions, lambda question: index.search(question, K))
    pairs = zip(found, exact, strict=True)
    overlaps = [len({hit for hit, _ in hits[:RECALL_AT]} & best) / len(best) for hits, best in pairs]
    _say(f"dense: overlap@{RECALL_AT} with exact search", f"{np.mean(overlaps):.4f} (search breadth {breadth})")
    sets = _allowed(ids)
    big = max(sets.values(), key=len)
    _timed_queries("dense: first filtered searches", questions[:2], _among(index.search, big))
    start = time.perf_counter()
    while index.loading():
        time.sleep(0.05)
    _say("dense: reading all vectors into memory", f"{time.perf_counter() - start:.1f} s in the background")
    for name, only in sets.items():
        _timed_queries(f"dense: search among {name}", questions[:50], _among(index.search, only))
    start = time.perf_counter()
    index.upsert(ids[:10], vectors[:10])
    _say("dense: replacing 10", f"{time.perf_counter() - start:.2f} s")
    index.close()


def lexical(folder: Path, passages: Sequence[Passage], questions: Sequence[str]) -> None:
    index = TantivyIndex(folder)
    _timed_rate("lexical: upsert", passages, lambda part: index.upsert(part) or [])
    start = time.perf_counter()
    index.commit()
    _say("lexical: commit", f"{time.perf_counter() - start:.2f} s")
    _say("lexical: disk", _disk(folder))
    _timed_queries("lexical: search", questions, lambda question: index.search(question, K))
    for name, only in _allowed([passage.id for passage in passages]).items():
        _timed_queries(f"lexical: search among {name}", questions[:50], _among(index.search, only))
    index.close()


def _among(search: Callable[..., Hits], only: Sequence[str]) -> Callable[..., Hits]:
    return lambda question: search(question, K, only=only)


def _allowed(ids: Sequence[str]) -> dict[str, list[str]]:
    chance = random.Random(2)
    sizes = [size for size in ALLOWED if size < len(ids) * SHARE] + [int(len(ids) * SHARE)]
    return {f"{size:,}": chance.sample(list(ids), size) for size in sizes}


def _timed_rate(name: str, items: Sequence[Item], work: Callable[[Sequence[Item]], Iterable[Made]]) -> list[Made]:
    start, processor = time.perf_counter(), time.process_time()
    made = [one for at in range(0, len(items), BATCH) for one in work(items[at : at + BATCH])]
    seconds = time.perf_counter() - start
    _say(name, f"{len(items) / seconds:,.0f}/s, {seconds:.1f} s ({time.process_time() - processor:.1f} s of processor)")
    return made


def _timed_queries(name: str, questions: Iterable[Question], search: Callable[[Question], Hits]) -> list[Hits]:
    found, seconds, processor = [], [], []
    for question in questions:
        start, used = time.perf_counter(), time.process_time()
        found.append(search(question))
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    p50, p95 = np.percentile(seconds, [50, 95]) * 1e3
    _say(name, f"p50 {p50:.1f} ms, p95 {p95:.1f} ms (p50 {np.median(processor) * 1e3:.1f} ms of processor)")
    return found


def _papers(path: Path, size: int) -> list[Paper]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        rows = map(json.loads, islice(lines, size))
        return [Paper(id=f"p{at}", title=row["title"], abstract=row["abstract"]) for at, row in enumerate(rows)]


def _disk(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 2**20:.0f} MB"


def _say(what: str, value: str) -> None:
    sys.stdout.write(f"{what:48} {value}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("papers", type=Path, help="JSON Lines with title and abstract, plain or .gz")
    parser.add_argument("--size", type=int, default=100_000, help="read no more papers than this")
    parser.add_argument("--breadth", type=int, default=500, help="HNSW ef_search")
    return parser.parse_args()


if __name__ == "__main__":
    main()
