"""What each part of the token vectors' training is worth: one short training per variant, measured the same way.

    python eval/bench/encoder_variants.py PAPERS.jsonl[.gz] --out DIR [--only NAME,...] [--steps 200]
                                          [--exclude-texts FILE ...] [--exclude-ids FILE ...]

Needs the extra `train` and what encoder_quality.py needs. Every variant starts from the same vectors and sees as many
pairs as the recipe does in `--steps` batches of 1,024; only what its name says differs. Finished ones are kept in DIR.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
for place in (ROOT, ROOT / "eval" / "bench"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from encoder_quality import bm25_scores, load_set, measure  # noqa: E402

from rag.encoder.static import StaticEncoder, StaticTables  # noqa: E402
from rag.encoder.train import HELD_OUT, TrainingPlan, read_split, title_vectors  # noqa: E402
from rag.encoder.train_corpus import TrainingPaper  # noqa: E402
from rag.encoder.train_loop import Loop, LoopOptions, Parameters, batches  # noqa: E402
from rag.encoder.train_pairs import (  # noqa: E402
    ASKING_WORDS,
    Bags,
    PairBatch,
    PairOptions,
    PairSampler,
    Segments,
    segment,
)
from rag.encoder.train_teacher import Teacher  # noqa: E402
from rag.encoder.train_vocabulary import Vocabulary, grow, initial_tables  # noqa: E402

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
SETS = ("seeds", "scifact208", "cacm")
PAIRS_A_STEP = 1024


@dataclass(frozen=True)
class Variant:
    """What differs from the recipe. `negatives` says how a batch is put together, `weights` and `tables` what the two
    sides share, `after` what is done to the finished vectors."""

    loop: dict[str, Any] = field(default_factory=dict[str, Any])
    pairs: dict[str, float] = field(default_factory=dict[str, float])
    vocabulary: str = "grown"
    negatives: str = "teacher"
    weights: str = "two"
    tables: str = "one"
    after: str = ""
    cut: int = 384
    train: bool = True


VARIANTS = {
    "recipe": Variant(),
    "not trained": Variant(train=False),
    "not trained, whitened by frequency": Variant(train=False, after="zipf"),
    "random negatives": Variant(loop={"neighbours": 1}),
    "negatives mined with BM25": Variant(negatives="bm25"),
    "negatives mined with the model": Variant(negatives="own"),
    "batches of 256": Variant(loop={"batch": 256}),
    "batches of 4,096": Variant(loop={"batch": 4096}),
    "titles as questions only": Variant(pairs={"title": 1.0}),
    "sentences as questions only": Variant(pairs={"title": 0.0, "keywords": 0.0}),
    "no teacher": Variant(loop={"align": 0.0, "teacher_questions": 0.0}),
    "teacher's similarities of titles": Variant(loop={"soft_titles": 0.5, "teacher_questions": 0.0}),
    "no pairs of words": Variant(vocabulary="no pairs"),
    "teacher's word pieces only": Variant(vocabulary="pieces"),
    "one weight for both sides": Variant(weights="one"),
    "weights by frequency": Variant(weights="fixed"),
    "a table for each side": Variant(tables="two"),
    "whitened by frequency": Variant(after="zipf"),
    "centred": Variant(after="centre"),
    "cut to 192": Variant(cut=192),
    "cut to 96": Variant(cut=96),
    "Matryoshka": Variant(loop={"prefixes": (192, 96)}),
    "Matryoshka, cut to 192": Variant(loop={"prefixes": (192, 96)}, cut=192),
    "Matryoshka, cut to 96": Variant(loop={"prefixes": (192, 96)}, cut=96),
}


class Bench:
    """What all variants share: papers, teacher, start vectors and sets."""

    def __init__(self, plan: TrainingPlan, steps: int) -> None:
        plan.work.mkdir(parents=True, exist_ok=True)
        self.plan, self.steps = plan, steps
        found = read_split(plan)
        self.papers: list[TrainingPaper] = found.papers
        self.teacher = Teacher(fast=True)
        self.titles = title_vectors(plan, found, self.teacher)
        # Axes in the order of what they tell, so that a cut keeps the most; at full length nothing changes.
        self.axes = np.linalg.eigh(self.titles.T @ self.titles)[1][:, ::-1].astype(np.float32)
        self.sets = [load_set(name) for name in SETS]
        self.lexical = [bm25_scores(one.texts, one.questions) for one in self.sets]
        self._vocabularies: dict[str, tuple[Vocabulary, StaticTables, Segments]] = {}
        self._trained: tuple[str, Parameters] | None = None

    def vocabulary(self, kind: str) -> tuple[Vocabulary, StaticTables, Segments]:
        """Vocabulary, tables to start from and the papers cut with it."""
        if kind not in self._vocabularies:
            made = grow(self.papers, self.teacher.tokenizer, words=kind != "pieces")
            if kind == "no pairs":
                made = replace(made, pair_keys=made.pair_keys[:0])
            tables = initial_tables(made, self.teacher)[0]
            tables = replace(tables, vectors=tables.vectors @ self.axes)
            self._vocabularies = {kind: (made, tables, segment(self.papers, made.tokenizer, tables))}
        return self._vocabularies[kind]

    def measured(self, variant: Variant) -> dict[str, list[float]]:
        """nDCG@10 dense and fused at .5 and .7 on each set."""
        vocabulary, tables, _ = self.vocabulary(variant.vocabulary)
        sides = self._sides(variant, vocabulary, tables)
        query, passage = (StaticEncoder(vocabulary.tokenizer, side, "") for side in sides)
        found: dict[str, list[float]] = {}
        for one, lexical in zip(self.sets, self.lexical, strict=True):
            dense = query.encode(one.questions, side="query") @ passage.encode(one.texts).T
            values = measure(one, dense, lexical)
            found[one.name] = [float(np.mean(values[way])) for way in ("dense", "fused 0.5", "fused 0.7")]
        return found

    def _sides(self, variant: Variant, vocabulary: Vocabulary, start: StaticTables) -> list[StaticTables]:
        if not variant.train:
            vectors, query, passage = [start.vectors] * 2, start.query_weights, start.passage_weights
        else:
            p = self._parameters(variant)
            height = vocabulary.rows
            table = p.vectors.numpy()
            vectors = [table[-height:], table[:height]]
            query, passage = p.query.exp().numpy()[-height:], p.passage.exp().numpy()[:height]
        done = [_after(one, variant, vocabulary)[:, : variant.cut] for one in vectors]
        return [replace(start, vectors=one, query_weights=query, passage_weights=passage) for one in done]

    def _parameters(self, variant: Variant) -> Parameters:
        """The trained numbers; those of variants that differ only in what is done afterwards are trained once."""
        key = str(replace(variant, after="", cut=384))
        if self._trained is None or self._trained[0] != key:
            self._trained = (key, self._train(variant))
        return self._trained[1]

    def _train(self, variant: Variant) -> Parameters:
        import torch

        torch.manual_seed(0)
        vocabulary, tables, segments = self.vocabulary(variant.vocabulary)
        options = replace(LoopOptions(batch=PAIRS_A_STEP), **variant.loop)
        steps = self.steps * PAIRS_A_STEP // options.batch
        copies = 2 if variant.tables == "two" else 1
        vectors = torch.from_numpy(np.concatenate([tables.vectors] * copies))
        logarithms = torch.from_numpy(np.log(np.concatenate([tables.query_weights] * copies)))
        parameters = Parameters(vectors, logarithms, logarithms if variant.weights == "one" else logarithms.clone())
        if variant.weights == "fixed":
            options = replace(options, weight_rate=0.0)
        asking = np.array(vocabulary.tokenizer.encode(ASKING_WORDS, add_special_tokens=False).ids)
        sampler = PairSampler(segments, asking, PairOptions(**variant.pairs), 0)
        if copies == 2:
            sampler.sample = _shifted(sampler.sample, vocabulary.rows)
        loop = Loop(parameters, sampler, torch.from_numpy(self.titles @ self.axes), options)
        order = np.random.default_rng(0).permutation(segments.papers)[HELD_OUT:]
        stream = self._stream(variant, order, options, parameters, sampler)
        for step in range(steps):
            loop.learn(next(stream), min(1.0, (step + 1) / 20) * max(0.01, 1 - step / steps))
        return parameters

    def _stream(
        self, variant: Variant, order: Integers, options: LoopOptions, parameters: Parameters, sampler: PairSampler
    ) -> Iterator[Integers]:
        match variant.negatives:
            case "bm25":
                return self._by_words(order, options)
            case "own":
                return self._by_model(order, options, parameters, sampler)
            case _:
                return batches(order, self.titles, options)

    def _by_words(self, order: Integers, options: LoopOptions) -> Iterator[Integers]:
        """Groups of a paper and those that BM25 finds for its title."""
        import bm25s

        index = bm25s.BM25()
        texts = [f"{self.papers[at].title} {self.papers[at].abstract}" for at in order]
        index.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)
        generator = np.random.default_rng(0)
        while True:
            asked = generator.choice(len(order), options.batch // options.neighbours, replace=False)
            words = bm25s.tokenize(
                [self.papers[order[at]].title for at in asked], stopwords="en", return_ids=False, show_progress=False
            )
            found = index.retrieve(words, k=options.neighbours, show_progress=False)[0]
            batch = np.unique(np.concatenate([asked, found.ravel()]))
            missing = max(0, options.batch - len(batch))
            others = generator.choice(len(order), missing + len(batch), replace=False)
            batch = np.concatenate([batch, np.setdiff1d(others, batch)[:missing]])[: options.batch]
            yield order[batch]

    def _by_model(
        self, order: Integers, options: LoopOptions, parameters: Parameters, sampler: PairSampler
    ) -> Iterator[Integers]:
        """Groups of papers whose titles are near by the vectors as they are by now, found anew every 50 steps."""
        while True:
            vectors = np.zeros_like(self.titles)
            for start in range(0, len(vectors), 4096):
                bags = sampler.titles(np.arange(start, min(start + 4096, len(vectors))))
                weights = bags.strength * np.exp(parameters.passage.numpy()[bags.row])
                rows = parameters.vectors.numpy()[bags.row] * weights[:, None]
                starts = np.searchsorted(bags.owner, np.arange(bags.size))
                vectors[start : start + bags.size] = np.add.reduceat(rows, starts, axis=0)
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
            stream = batches(order, vectors, options, after=parameters.step)
            for _ in range(50):
                yield next(stream)


def _shifted(sample: Callable[..., PairBatch], height: int) -> Callable[..., PairBatch]:
    """Questions look their rows up in the second table."""

    def shifted(papers: Integers, *, plain: str = "") -> PairBatch:
        found = sample(papers, plain=plain)
        asked: Bags = found.questions
        return replace(found, questions=replace(asked, row=asked.row + height))

    return shifted


def _after(vectors: Floats, variant: Variant, vocabulary: Vocabulary) -> Floats:
    """Centred, or whitened, by how often tokens occur (Zipfian whitening, Yokoi et al. 2024); pairs are left."""
    if not variant.after:
        return vectors
    tokens = len(vocabulary.words)
    share = (vocabulary.frequencies / vocabulary.frequencies.sum()).astype(np.float32)
    centred = vectors[:tokens] - share @ vectors[:tokens]
    if variant.after == "zipf":
        values, axes = np.linalg.eigh((centred * share[:, None]).T @ centred)
        centred = centred @ (axes / np.sqrt(np.maximum(values, 1e-6)))
    rest = vectors[tokens:]
    if variant.after == "zipf":
        rest = rest @ (axes / np.sqrt(np.maximum(values, 1e-6)))
    return np.concatenate([centred, rest]).astype(np.float32)


def main() -> None:
    """Measure the variants that are not measured yet and print the table."""
    parser = argparse.ArgumentParser(description="what each part of the training is worth")
    parser.add_argument("papers", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--only", default="")
    parser.add_argument("--exclude-texts", type=Path, nargs="*", default=[])
    parser.add_argument("--exclude-ids", type=Path, nargs="*", default=[])
    given = vars(parser.parse_args())
    steps, only = given.pop("steps"), given.pop("only")
    kept = given["out"] / f"variants-{steps}.json"
    found: dict[str, dict[str, list[float]]] = json.loads(kept.read_text()) if kept.exists() else {}
    bench: Bench | None = None
    for name in only.split(",") if only else VARIANTS:
        if name not in found:
            bench = bench or Bench(TrainingPlan(**given), steps)
            found[name] = bench.measured(VARIANTS[name])
            kept.write_text(json.dumps(found, indent=1))
        cells = [" / ".join(f"{value:.3f}"[1:] for value in found[name][one]) for one in SETS]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
