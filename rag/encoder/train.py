"""Train the encoder on a field's own abstracts: python -m rag.encoder.train PAPERS.jsonl[.gz] --out DIR.

Needs the extra `train` (PyTorch and the teacher's weights). Interrupted runs go on where they stopped when the same
command is given again; the weights are written to DIR when the minutes are used up.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rag.encoder.train_corpus import Split, evaluation_ids, ids_hash, read_papers, split
from rag.errors import CitewiseError, InputError, MissingExtra

if TYPE_CHECKING:
    from rag.encoder.static import StaticTables

HELD_OUT = 1500
SAVE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What to train on, where to, and for how long."""

    papers: Path
    out: Path
    minutes: float = 60.0
    seed: int = 0
    batch: int = 2048
    exclude_texts: list[Path] = field(default_factory=list[Path])
    exclude_ids: list[Path] = field(default_factory=list[Path])

    @property
    def work(self) -> Path:
        """Folder for checkpoints and for what takes long to compute again."""
        return self.out / "work"


def read_split(plan: TrainingPlan) -> Split:
    """The papers to train on; those of the plan's evaluation files are left out."""
    if not plan.papers.is_file():
        raise InputError(f"{plan.papers} is not a file; give a JSON Lines file of papers")
    texts = [path.read_text(encoding="utf-8") for path in plan.exclude_texts]
    ids = {identifier for path in plan.exclude_ids for identifier in evaluation_ids(path)}
    found = split(list(read_papers(plan.papers)), texts, ids)
    if len(found.papers) < 2 * HELD_OUT:
        raise InputError(f"{plan.papers} holds {len(found.papers)} papers to train on; {2 * HELD_OUT} are needed")
    return found


def run(plan: TrainingPlan) -> None:
    """Train and write model.safetensors, tokenizer.json, config.json and training.json to the plan's folder."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "train") from error
    from rag.encoder.train_loop import Loop, LoopOptions, Parameters, batches
    from rag.encoder.train_pairs import ASKING_WORDS, PairOptions, PairSampler, segment
    from rag.encoder.train_teacher import Teacher
    from rag.encoder.train_vocabulary import grow, initial_tables

    plan.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(plan.seed)
    found = read_split(plan)
    teacher = Teacher(fast=True)
    vocabulary = grow(found.papers, teacher.tokenizer)
    tables, weights = initial_tables(vocabulary, teacher)
    titles = title_vectors(plan, found, teacher)
    options = LoopOptions(minutes=plan.minutes, batch=plan.batch, seed=plan.seed)
    checkpoint = _kept(plan, found, "checkpoint", ".pt")
    logarithms = torch.from_numpy(np.log(weights))
    start = Parameters(torch.from_numpy(tables.vectors.copy()), logarithms, logarithms.clone())
    parameters = Parameters.load(checkpoint) if checkpoint.exists() else start
    segments = segment(found.papers, vocabulary.tokenizer, tables)
    asking = np.array(vocabulary.tokenizer.encode(ASKING_WORDS, add_special_tokens=False).ids)
    sampler = PairSampler(segments, asking, PairOptions(), plan.seed + parameters.step)
    loop = Loop(parameters, sampler, torch.from_numpy(titles), options)
    order = np.random.default_rng(plan.seed).permutation(segments.papers)
    stream = batches(order[HELD_OUT:], titles, options, after=parameters.step)
    measures = _train(loop, stream, options, checkpoint, order[:HELD_OUT])
    recipe = {"seed": plan.seed, "steps": parameters.step, "loop": asdict(options), "pairs": asdict(PairOptions())}
    _write(plan.out, tables, parameters, vocabulary.tokenizer.to_str(), recipe)
    write_text(plan.out / "training.json", {**found.manifest(), **recipe, "held_out": measures})


def _kept(plan: TrainingPlan, found: Split, name: str, suffix: str) -> Path:
    """Where something is kept that only fits these very training papers and this seed."""
    key = ids_hash([*(paper.id for paper in found.papers), f"seed {plan.seed}"])
    return plan.work / f"{name}-{key[:16]}{suffix}"


def title_vectors(plan: TrainingPlan, found: Split, teacher: Any) -> NDArray[np.float32]:
    """The teacher's vectors of all titles, kept in the work folder."""
    path = _kept(plan, found, "titles", ".npy")
    if not path.exists():
        np.save(path, teacher.encode([paper.title for paper in found.papers], batch=128))
    return np.load(path)


def _train(loop: Any, stream: Any, options: Any, checkpoint: Path, held_out: NDArray[np.int64]) -> dict[str, float]:
    from rich.progress import Progress

    from rag.encoder.train_loop import train

    saved = loop.parameters.seconds
    with Progress() as progress:
        bar = progress.add_task("training", total=1.0)

        def after_step(done: float, loss: float) -> None:
            nonlocal saved
            progress.update(bar, completed=done, description=f"step {loop.parameters.step}, loss {loss:.3f}")
            if loop.parameters.seconds - saved > SAVE_SECONDS:
                saved = loop.parameters.seconds
                loop.parameters.save(checkpoint)
                progress.console.log(f"held out: {loop.held_out(held_out)}")

        train(loop, stream, options, after_step=after_step)
    loop.parameters.save(checkpoint)
    return loop.held_out(held_out)


def _write(out: Path, tables: StaticTables, parameters: Any, tokenizer: str, recipe: dict[str, Any]) -> None:
    """Write the weights as int8 rows; every file appears whole or not at all."""
    from safetensors.numpy import save

    vectors = parameters.vectors.numpy()
    largest = np.abs(vectors).max(axis=1)
    scale = np.where(largest > 0, largest, 1.0) / 127
    tensors = {
        "vectors": np.rint(vectors / scale[:, None]).astype(np.int8),
        "scale": scale.astype(np.float32),
        "query_weights": parameters.query.exp().numpy(),
        "passage_weights": parameters.passage.exp().numpy(),
        "pair_keys": tables.pair_keys,
        "kept": tables.kept.astype(np.uint8),
    }
    sizes = {"dimension": vectors.shape[1], "tokens": len(tables.kept), "pairs": len(tables.pair_keys)}
    write_bytes(out / "model.safetensors", save(tensors))
    write_bytes(out / "tokenizer.json", tokenizer.encode())
    write_text(out / "config.json", {"format": 1, **sizes, "recipe": recipe})


def write_text(path: Path, value: dict[str, Any]) -> None:
    """Write `value` as JSON; the file appears whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def _plan(arguments: list[str] | None) -> TrainingPlan:
    parser = argparse.ArgumentParser(prog="python -m rag.encoder.train", description=__doc__.split("\n")[0])
    parser.add_argument("papers", type=Path, help="JSON Lines, optionally .gz, with id, title and abstract")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights; made when missing")
    parser.add_argument("--minutes", type=float, default=60.0, help="time spent on training steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=2048, help="pairs a step; memory grows with its square")
    parser.add_argument("--exclude-texts", type=Path, nargs="*", default=[], help="papers found in these stay out")
    parser.add_argument("--exclude-ids", type=Path, nargs="*", default=[], help='question files: "relevant" stays out')
    return TrainingPlan(**vars(parser.parse_args(arguments)))


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 when the weights are written, else the error's exit code with one line on standard error."""
    try:
        run(_plan(arguments))
    except CitewiseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
