"""What shorter or coarser vectors cost in retrieval and save in memory.

    python -m eval.bench.shorter_vectors [--sets questions,cases,starter,scifact208,cacm,tldr] [--json FILE]
    python -m eval.bench.shorter_vectors --memory

The built-in encoder's vectors are cut as they are, cut after a random rotation, and cut after the rotation to their
principal components (fitted on papers of the collection in CITEWISE_SHARED); `int8` keeps a byte a number with one
scale a vector. nDCG@10 by the dense side alone and through the whole retrieval, differences to the full vectors with
95 % bootstrap intervals over the questions of all sets. `--memory`: what a process that searches keeps of each vector.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rag.embeddings import StaticTextEncoder
    from rag.interfaces import Side, Vectors

DIMENSIONS = (384, 256, 192, 128, 64)
FITTED_ON = 20_000
MEMORY_ROWS = (2_000, 22_000)


class Shortened:
    """An encoder whose vectors are changed; the sentence reader of the retrieval stays as it is."""

    def __init__(self, encoder: StaticTextEncoder, change: Callable[[Vectors], Vectors]) -> None:
        self._encoder = encoder
        self._change = change
        self.name = "shortened"
        self.fingerprint = ""
        self.dimension = self.encode(["word"]).shape[1]

    def encode(self, texts: Sequence[str], *, side: Side = "passage") -> Vectors:
        return self._change(self._encoder.encode(texts, side=side))


def changes(fitted: Vectors) -> dict[str, Callable[[Vectors], Vectors]]:
    """Ways to shorten vectors, by name."""
    size = fitted.shape[1]
    chance = np.random.default_rng(0)
    turned = np.linalg.qr(chance.standard_normal((size, size)))[0].astype(np.float32)
    # Not centred: cosines are about the origin.
    _, found = np.linalg.eigh(fitted.T.astype(np.float64) @ fitted)
    principal = found[:, ::-1].astype(np.float32)
    made: dict[str, Callable[[Vectors], Vectors]] = {"384": lambda vectors: vectors}
    for name, basis in (("cut", np.eye(size, dtype=np.float32)), ("random", turned), ("principal", principal)):
        for count in DIMENSIONS[1:] if name != "random" else (192,):
            made[f"{name} {count}"] = _projected(basis[:, :count])
    made["384 int8"] = coarse
    for count in DIMENSIONS[1:3]:
        made[f"principal {count} int8"] = _then(made[f"principal {count}"], coarse)
    return made


def coarse(vectors: Vectors) -> Vectors:
    """The vectors after storage as int8 with one scale each."""
    scale = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-12) / 127
    return unit(np.round(vectors / scale).astype(np.int8).astype(np.float32) * scale)


def unit(vectors: Vectors) -> Vectors:
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def _projected(basis: Vectors) -> Callable[[Vectors], Vectors]:
    return lambda vectors: unit(vectors @ basis)


def _then(first: Callable[[Vectors], Vectors], second: Callable[[Vectors], Vectors]) -> Callable[[Vectors], Vectors]:
    return lambda vectors: second(first(vectors))


def quality(sets: Sequence[str]) -> dict[str, Any]:
    """nDCG@10 by way of shortening and by set, and over all questions the difference to the full vectors."""
    sys.path.insert(0, str(Path(__file__).parent))
    from retrieval_quality import DEPTH, interval, load, ndcg

    from eval.bench.libraries import SHARED, build, read_lines
    from eval.bench.memory import MemoryDense
    from rag.embeddings import builtin_encoder
    from rag.retrieval import Retriever
    from rag.settings import RerankSettings, RetrievalSettings

    encoder = builtin_encoder()
    corpus = read_lines(SHARED / "corpora" / "ml-papers.jsonl.gz")
    sample = np.random.default_rng(0).choice(len(corpus), FITTED_ON, replace=False)
    ways = changes(encoder.encode([f"{corpus[at]['title']}\n{corpus[at]['abstract']}" for at in sample]))
    del corpus
    gains: dict[str, dict[str, dict[str, list[float]]]] = {}
    for name in sets:
        chosen = load(name, whole=False)
        with tempfile.TemporaryDirectory() as folder:
            catalog, dense, lexical = build(chosen.papers, encoder, Path(folder))
            ids = sorted(dense.ids())
            full = np.stack(list(dense.vectors(ids).values()))
            for way, change in ways.items():
                short, changed = Shortened(encoder, change), MemoryDense(ids, change(full))
                retriever = Retriever(
                    catalog, changed, lexical, short,
                    reader=encoder.words, settings=RetrievalSettings(), rerank=RerankSettings(),
                )  # fmt: skip
                for question, relevant in chosen.questions:
                    vector = short.encode([question], side="query")[0]
                    alone = [key.rpartition("#")[0] for key, _ in changed.search(vector, DEPTH)]
                    whole = [hit.paper.id for hit in retriever.retrieve(question, k=DEPTH).hits]
                    kept = gains.setdefault(way, {}).setdefault(name, {"dense": [], "retrieval": []})
                    kept["dense"].append(ndcg(alone, relevant))
                    kept["retrieval"].append(ndcg(whole, relevant))
                _say(name, way, gains[way][name])
    return {
        way: {
            **{name: {side: float(np.mean(values)) for side, values in sides.items()} for name, sides in found.items()},
            "difference": {
                side: interval(
                    np.concatenate([found[name][side] for name in sets])
                    - np.concatenate([gains["384"][name][side] for name in sets])
                )
                for side in ("dense", "retrieval")
            },
        }
        for way, found in gains.items()
    }


def _say(name: str, way: str, sides: dict[str, list[float]]) -> None:
    told = "  ".join(f"{side} {np.mean(values):.4f}" for side, values in sides.items())
    print(f"{name:12} {way:20} {told}", flush=True)


def memory() -> dict[str, float]:
    """Bytes that a searching process holds for each more vector, by dimensions: resident memory of fresh processes."""
    found: dict[str, float] = {}
    for count in DIMENSIONS:
        used: list[int] = []
        for rows in MEMORY_ROWS:
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-m", "eval.bench.shorter_vectors", "--hold", folder, str(count), str(rows)]
                for step in ("write", "read"):
                    done = subprocess.run([*command, step], check=True, capture_output=True, text=True)
                used.append(int(done.stdout))
        found[str(count)] = (used[1] - used[0]) * 1024 / (MEMORY_ROWS[1] - MEMORY_ROWS[0])
        print(f"{count} dimensions: {found[str(count)]:.0f} bytes a vector in the graph", flush=True)
    return found


def hold(folder: str, dimension: str, rows: str, step: str) -> None:
    """Write a graph, or read one and say how much memory that takes, in kB."""
    from rag.stores.chroma import Session

    session = Session(Path(folder) / "chroma", 350)
    if step == "write":
        vectors = unit(np.random.default_rng(0).standard_normal((int(rows), int(dimension))).astype(np.float32))
        for start in range(0, len(vectors), 2_000):
            part = vectors[start : start + 2_000]
            session.put([f"paper-{at}#0" for at in range(start, start + len(part))], part)
        session.stop()
        return
    for _ in range(20):
        session.query(np.ones(int(dimension), dtype=np.float32), 10)
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    print(next(line.split()[1] for line in lines if line.startswith("Pss_Anon")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default="questions,cases,starter,scifact208,cacm,tldr")
    parser.add_argument("--memory", action="store_true", help="the memory of Chroma's graph instead")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--hold", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hold:
        hold(*options.hold)
        return
    results = memory() if options.memory else quality(options.sets.split(","))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
