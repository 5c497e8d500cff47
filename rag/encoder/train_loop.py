"""Contrastive training of static token vectors on the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from rag.encoder.train_pairs import Bags, PairBatch, PairSampler

# PyTorch comes with the extra `train` only; this module must import without it.
if TYPE_CHECKING:
    from torch import Tensor

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """How the loop learns."""

    minutes: float = 60.0
    batch: int = 2048
    vector_rate: float = 0.01
    weight_rate: float = 0.01
    scale: float = 20.0
    neighbours: int = 32
    """Papers on the same subject that share a batch: its hard negatives."""
    soft_titles: float = 0.0
    """Weight of the teacher's title-to-title similarities as soft targets."""
    teacher_questions: float = 0.5
    """Weight of matching passages with the teacher's own vectors of the titles."""
    align: float = 0.7
    """Weight of keeping the vector of each title near the teacher's vector of the same title."""
    prefixes: tuple[int, ...] = ()
    """Lengths to which vectors may be cut that are taught like the whole (Matryoshka, Kusupati et al. 2022)."""
    seed: int = 0


@dataclass
class Parameters:
    """What is learned: vectors (R, D) and the logarithms of both sides' weights (R,)."""

    vectors: Tensor
    query: Tensor
    passage: Tensor
    second_moments: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0
    seconds: float = 0.0

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        import torch

        partial = path.with_suffix(".partial")
        torch.save(self.__dict__, partial)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Parameters:
        """Read a checkpoint; only tensors and numbers are accepted."""
        import torch

        return cls(**torch.load(path, weights_only=True))


class _Side:
    """One side of a batch: sums its bags, and turns their gradients into gradients of rows and weights."""

    def __init__(self, bags: Bags, vectors: Tensor, log_weights: Tensor) -> None:
        import torch

        rows, places = np.unique(bags.row, return_inverse=True)
        self.rows = torch.from_numpy(rows)
        self._table = vectors[self.rows]
        strength = torch.from_numpy(bags.strength) * log_weights[self.rows].exp()[torch.from_numpy(places)]
        shape = (bags.size, len(rows))
        matrix = _compressed(bags.owner, places, strength, shape)
        order = np.argsort(places, kind="stable")
        self._transposed = _compressed(places[order], bags.owner[order], strength[torch.from_numpy(order)], shape[::-1])
        self.sums = (matrix @ self._table).requires_grad_()

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Of the vectors (rows, D) and of the log weights (rows,), once `sums` has its own."""
        vectors = self._transposed @ cast("Tensor", self.sums.grad)
        return vectors, (vectors * self._table).sum(1)


def _compressed(owners: Integers, places: Integers, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    import torch

    starts = torch.from_numpy(np.searchsorted(owners, np.arange(shape[0] + 1)))
    return torch.sparse_csr_tensor(starts, torch.from_numpy(places), values, shape, check_invariants=False)


class Loop:
    """Brings each question near its passage and away from the others of its batch (InfoNCE, both directions)."""

    def __init__(self, parameters: Parameters, sampler: PairSampler, teacher: Tensor, options: LoopOptions) -> None:
        """`teacher` holds the unit title vectors of all papers, float32 (papers, 384)."""
        self.parameters = parameters
        self._sampler = sampler
        self._teacher = teacher
        self._options = options

    def learn(self, batch: Integers, share: float) -> float:
        """One step on the papers in `batch`, with `share` of the full learning rate; the loss."""
        import torch
        from torch.nn.functional import normalize

        pairs = self._sampler.sample(batch)
        p = self.parameters
        questions, passages = _Side(pairs.questions, p.vectors, p.query), _Side(pairs.passages, p.vectors, p.passage)
        titles = _Side(self._sampler.titles(batch), p.vectors, p.passage)
        teacher = self._teacher[torch.from_numpy(batch)]
        loss, contrast = self._loss(questions.sums, passages.sums, pairs, teacher)
        (loss + self._options.align * self._symmetric(normalize(titles.sums, dim=1), teacher)).backward()
        p.step += 1
        for side, name in ((questions, "query"), (passages, "passage"), (titles, "passage")):
            vectors, weights = side.gradients()
            self._move("vectors", side.rows, vectors, share * self._options.vector_rate)
            self._move(name, side.rows, weights, share * self._options.weight_rate)
        return contrast

    def _loss(self, asked: Tensor, found: Tensor, pairs: PairBatch, teacher: Tensor) -> tuple[Tensor, float]:
        import torch
        from torch.nn.functional import cross_entropy, normalize

        options = self._options
        questions, passages = normalize(asked, dim=1), normalize(found, dim=1)
        loss = self._symmetric(questions, passages)
        contrast = loss.item()
        for length in options.prefixes:
            loss = loss + self._symmetric(normalize(asked[:, :length], dim=1), normalize(found[:, :length], dim=1))
        if options.soft_titles:
            scores = options.scale * questions @ passages.T
            soft = (options.scale * teacher @ teacher.T).softmax(1)
            loss = loss + options.soft_titles * (cross_entropy(scores, soft) + cross_entropy(scores.T, soft)) / 2
        if options.teacher_questions:
            titles = torch.from_numpy(pairs.from_title)
            asked_by_teacher = options.scale * teacher[titles] @ passages.T
            loss = loss + options.teacher_questions * cross_entropy(asked_by_teacher, titles.nonzero()[:, 0])
        return loss, contrast

    def _symmetric(self, ones: Tensor, others: Tensor) -> Tensor:
        """Cross entropy of picking the own partner among all, from either side."""
        import torch
        from torch.nn.functional import cross_entropy

        scores = self._options.scale * ones @ others.T
        gold = torch.arange(len(scores))
        return (cross_entropy(scores, gold) + cross_entropy(scores.T, gold)) / 2

    def _move(self, name: str, rows: Tensor, gradient: Tensor, rate: float) -> None:
        """Adam without momentum and with one second moment per row: a third of the memory traffic."""
        import torch

        value = getattr(self.parameters, name)
        moments = self.parameters.second_moments.setdefault(name, torch.zeros(len(value)))
        squares = gradient.square().mean(1) if gradient.dim() == 2 else gradient.square()
        # A row starts at the average moment: rare tokens then keep close to the teacher's vector.
        known = torch.where(moments[rows] == 0, squares.mean(), moments[rows])
        moments[rows] = 0.95 * known + 0.05 * squares
        size = rate / (moments[rows].sqrt() + 1e-10)
        value.index_add_(0, rows, -gradient * (size[:, None] if gradient.dim() == 2 else size))

    def held_out(self, papers: Integers) -> dict[str, float]:
        """Share of undisturbed questions about unseen papers whose own passage comes first."""
        import torch
        from torch.nn.functional import normalize

        found: dict[str, float] = {}
        p = self.parameters
        for kind in ("title", "sentence"):
            pairs = self._sampler.sample(papers, plain=kind)
            asked = normalize(_Side(pairs.questions, p.vectors, p.query).sums.detach(), dim=1)
            passages = normalize(_Side(pairs.passages, p.vectors, p.passage).sums.detach(), dim=1)
            best = (asked @ passages.T).argmax(1)
            found[kind] = round(float((best == torch.arange(len(best))).float().mean()), 4)
        return found


def batches(
    papers: Integers, vectors: NDArray[np.float32], options: LoopOptions, *, after: int = 0
) -> Iterator[Integers]:
    """Batches without end: each is made of groups of `neighbours` papers that are near each other in `vectors`.

    The groups come from halving the papers by random hyperplanes, so that every pass has other groups; `after` is the
    step that a resumed run goes on from, so that it does not see the same groups again.
    """
    generator = np.random.default_rng((options.seed, after))
    while True:
        groups = [generator.permutation(papers)]
        while len(groups[0]) >= 2 * options.neighbours > 2:
            groups = [half for group in groups for half in _halves(group, vectors, generator)]
        if options.neighbours > 1:
            groups = [groups[at] for at in generator.permutation(len(groups))]
        order = np.concatenate(groups)
        for start in range(0, len(order) - options.batch + 1, options.batch):
            yield order[start : start + options.batch]


def _halves(group: Integers, vectors: NDArray[np.float32], generator: np.random.Generator) -> list[Integers]:
    one, other = generator.choice(group, 2)
    order = np.argsort(vectors[group] @ (vectors[one] - vectors[other]))
    return [group[order[: len(group) // 2]], group[order[len(group) // 2 :]]]


def train(
    loop: Loop, stream: Iterator[Integers], options: LoopOptions, *, after_step: Callable[[float, float], None]
) -> None:
    """Run until the minutes are used up, the rate falling in a line to nothing; calls after_step(share done, loss)."""
    parameters = loop.parameters
    done = parameters.seconds / (60 * options.minutes)
    while done < 1:
        started = time.perf_counter()
        warm = min(1.0, (parameters.step + 1) / 20)
        loss = loop.learn(next(stream), warm * max(0.01, 1 - done))
        parameters.seconds += time.perf_counter() - started
        done = parameters.seconds / (60 * options.minutes)
        after_step(min(1.0, done), loss)
