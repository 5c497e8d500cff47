"""Retrieval quality of each stage: dense, BM25, fused, + exact names, + rerank; nDCG@10 and hit@1.

    python eval/bench/retrieval_quality.py [--sets questions,cases,starter,cacm,scifact208,tldr] [--weights .3,.5,.7]
                                           [--json FILE] [--folder FOLDER] [--encoders fast,deep,minilm]

All systems run on the same candidates in one run, with 95 % bootstrap intervals over the questions; encoders are
compared question by question, with a randomisation test. MiniLM needs the extra `train`. `tldr` uses the
whole corpus of 87,246 papers when --whole is given, else the gold papers among 8,000. The outside sets lie in the
folder named by CITEWISE_SHARED, by default ../shared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from encoder_quality import minilm_encoder
from libraries import SHARED, build, encoder_in, read_cases, read_lines, seed_papers, starter_papers

from eval.statistics import paired
from rag import text
from rag.embeddings import StaticTextEncoder, builtin_encoder
from rag.papers import Paper
from rag.retrieval import Retriever
from rag.settings import RerankSettings, RetrievalSettings

if TYPE_CHECKING:
    from rag.interfaces import Side, Vectors

DEPTH, RESAMPLES, SEED = 10, 2000, 0
TLDR_PAPERS, TLDR_QUESTIONS = 8000, 400


@dataclass(frozen=True)
class QuestionSet:
    """Papers, and questions with the ids of their relevant papers."""

    name: str
    papers: list[Paper]
    questions: list[tuple[str, frozenset[str]]]


def titled_set(name: str, papers: list[Paper], cases: Sequence[dict[str, Any]]) -> QuestionSet:
    ids = {text.normalised_title(paper.title): paper.id for paper in papers}
    questions = [
        (
            case["question"],
            frozenset(ids[key] for title in case["relevant"] if (key := text.normalised_title(title)) in ids),
        )
        for case in cases
        if "follow-up" not in case.get("tags", ())
    ]
    return QuestionSet(name, papers, [(question, relevant) for question, relevant in questions if relevant])


def plain_papers(records: Sequence[dict[str, Any]]) -> list[Paper]:
    return [Paper(str(row["id"]), row["title"] or row["abstract"][:60], row["abstract"]) for row in records]


def outside_set(name: str) -> QuestionSet:
    folder = SHARED / "bench" / name
    rows = read_lines(folder / "queries.jsonl")
    return QuestionSet(
        name, plain_papers(read_lines(folder / "corpus.jsonl")), [(r["query"], frozenset(r["relevant"])) for r in rows]
    )


def tldr_set(whole: bool) -> QuestionSet:
    rows = read_lines(SHARED / "bench" / "tldr-dev.jsonl")[:TLDR_QUESTIONS]
    corpus = read_lines(SHARED / "corpora" / "ml-papers.jsonl.gz")
    gold = {one for row in rows for one in row["relevant"]}
    rest = sorted((r["id"] for r in corpus if r["id"] not in gold), key=lambda i: hashlib.sha256(i.encode()).digest())
    kept = gold | set(rest[: None if whole else TLDR_PAPERS - len(gold)])
    papers = plain_papers([row for row in corpus if row["id"] in kept])
    return QuestionSet("tldr", papers, [(row["query"], frozenset(row["relevant"])) for row in rows])


def load(name: str, *, whole: bool) -> QuestionSet:
    match name:
        case "questions":
            return titled_set(name, seed_papers(), read_cases("seeds_questions"))
        case "cases":
            return titled_set(name, seed_papers(), read_cases("seeds"))
        case "starter":
            return titled_set(name, starter_papers(), read_cases("starter"))
        case "tldr":
            return tldr_set(whole)
        case _:
            return outside_set(name)


def ndcg(ranked: Sequence[str], relevant: frozenset[str]) -> float:
    """nDCG@10 with relevance 0 or 1 (Järvelin and Kekäläinen 2002)."""
    gain = sum(1 / math.log2(at + 2) for at, key in enumerate(ranked[:DEPTH]) if key in relevant)
    return gain / sum(1 / math.log2(at + 2) for at in range(min(DEPTH, len(relevant))))


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and the 95 % percentile bootstrap interval."""
    array = np.array(values)
    means = array[np.random.default_rng(SEED).integers(0, len(array), (RESAMPLES, len(array)))].mean(axis=1)
    return float(array.mean()), float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


class MiniLM:
    """The yardstick in the place of an encoder of ours; sentences are compared by our token vectors all the same."""

    name, dimension, fingerprint = "minilm", 384, "minilm"

    def __init__(self) -> None:
        self.words = builtin_encoder().words
        self._encode = minilm_encoder()

    def encode(self, texts: Sequence[str], *, side: Side = "passage") -> Vectors:
        """As an `Encoder` does; many texts at once are kept for the next run."""
        return self._encode(texts, side) if len(texts) > 1 else self._asked.encode(texts)

    @cached_property
    def _asked(self) -> Any:
        from rag.encoder.train_teacher import Teacher

        return Teacher()


def encoder_called(name: str, folder: Path | None) -> StaticTextEncoder | MiniLM:
    return MiniLM() if name == "minilm" else encoder_in(folder, deep=name == "deep")


def systems(
    parts: tuple[Any, ...], encoder: StaticTextEncoder | MiniLM, weights: Sequence[float]
) -> dict[str, Callable[[str], list[str]]]:
    _, dense, lexical = parts

    def first(found: list[tuple[str, float]]) -> list[str]:
        return [key.rpartition("#")[0] for key, _ in found]

    def retriever(rerank: RerankSettings, **settings: float) -> Callable[[str], list[str]]:
        made = Retriever(*parts, encoder, reader=encoder.words, settings=RetrievalSettings(**settings), rerank=rerank)
        return lambda question: [hit.paper.id for hit in made.retrieve(question, k=DEPTH).hits]

    none = RerankSettings(kind="none")
    asked = lru_cache(maxsize=None)(lambda question: encoder.encode([question], side="query")[0])
    found: dict[str, Callable[[str], list[str]]] = {
        "dense": lambda question: first(dense.search(asked(question), DEPTH)),
        "BM25": lambda question: first(lexical.search(question, DEPTH)),
    }
    for weight in weights:
        found[f"pipeline {weight}"] = retriever(none, dense_weight=weight, diversity=0.0)
    for share, top in ((0.2, 10), (0.2, 30), (0.4, 30)):
        rerank = RerankSettings(kind="sentences", weight=share, top=top)
        found[f"0.6 + sentences {share} of {top}"] = retriever(rerank, dense_weight=0.6, diversity=0.0)
    found["default"] = retriever(RerankSettings())
    return found


def measure(chosen: QuestionSet, encoder: StaticTextEncoder | MiniLM, weights: Sequence[float]) -> dict[str, Any]:
    """For each system the gains of all questions, and the means with their intervals, which are printed."""
    with tempfile.TemporaryDirectory() as folder:
        parts = build(chosen.papers, encoder, Path(folder))
        result: dict[str, Any] = {"papers": len(chosen.papers), "questions": len(chosen.questions)}
        print(f"\n{chosen.name}, {encoder.name}: {len(chosen.questions)} questions, {len(chosen.papers)} papers")
        for name, rank in systems(parts, encoder, weights).items():
            ranked = [(rank(question), relevant) for question, relevant in chosen.questions]
            every = [ndcg(ids, relevant) for ids, relevant in ranked]
            gains = interval(every)
            firsts = interval([float(bool(ids) and ids[0] in relevant) for ids, relevant in ranked])
            result[name] = {"ndcg@10": gains, "hit@1": firsts, "each": every}
            print(
                f"  {name:28s} nDCG@10 {gains[0]:.3f} [{gains[1]:.3f}, {gains[2]:.3f}]"
                f"  hit@1 {firsts[0]:.3f} [{firsts[1]:.3f}, {firsts[2]:.3f}]",
                flush=True,
            )
        return result


def average(weights: Any, columns: Any) -> Any:
    """Weighted means of one column, as `paired` wants them."""
    return (weights @ columns[:, 0]) / weights.sum(axis=1)


def compare(found: dict[str, dict[str, Any]]) -> None:
    """Print how the encoders differ on one set, system by system."""
    for first, second in combinations(found, 2):
        for name in (one for one in found[first] if one.startswith("pipeline")):
            sides = [[[gain] for gain in found[encoder][name]["each"]] for encoder in (first, second)]
            told = paired(average, *sides, seed=SEED)
            between = f"[{told.low:+.3f}, {told.high:+.3f}]"
            print(f"  {name:28s} {second} - {first}: {told.difference:+.3f} {between} p {told.p:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default="questions,cases,starter,scifact208,cacm,tldr")
    parser.add_argument("--weights", default="0.3,0.4,0.5,0.6,0.7")
    parser.add_argument("--whole", action="store_true", help="tldr over the whole corpus")
    parser.add_argument("--folder", type=Path, help="weights of fast and deep, those that ship by default")
    parser.add_argument("--encoders", default="fast", help="fast, deep, minilm, with commas")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    encoders = {name: encoder_called(name, options.folder) for name in options.encoders.split(",")}
    weights = [float(weight) for weight in options.weights.split(",")]
    results: dict[str, dict[str, Any]] = {}
    for one in (load(name, whole=options.whole) for name in options.sets.split(",")):
        results[one.name] = {name: measure(one, encoder, weights) for name, encoder in encoders.items()}
        compare(results[one.name])
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
