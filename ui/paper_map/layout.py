"""Vectors laid out in the plane so that near papers lie near: UMAP's method, in numpy.

McInnes, Healy and Melville, "UMAP: Uniform Manifold Approximation and Projection for Dimension Reduction" (2018):
exact nearest neighbours, their fuzzy graph, and stochastic gradient descent with negative samples, here for all edges
of an epoch at once. It starts from the first two principal components (Kobak and Linderman, 2021), so that the same
vectors always give the same map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Rows = NDArray[np.int64]

NEIGHBOURS = 15
_FEWEST = 4  # of a small library, few papers are really near
_EPOCHS = 300
_NEGATIVES = 5
_A, _B = 1.577, 0.895  # UMAP's curve 1 / (1 + a d^2b) for min_dist = 0.1
_STEP = 4.0  # the longest move of one point by one edge
_BLOCK = 1024


def laid_out(vectors: Floats, *, neighbours: int | None = None, epochs: int = _EPOCHS, seed: int = 0) -> Floats:
    """Positions, float32 (n, 2), centred, the longer way across, for unit vectors, float32 (n, dimension).

    `neighbours` is UMAP's n_neighbors: 15, fewer for less than 120 papers."""
    import numpy as np

    count = len(vectors)
    if count < 4:
        return np.array([[0, 0], [1, 0], [0, 1]], dtype=np.float32)[:count]
    neighbours = min(neighbours or max(_FEWEST, min(NEIGHBOURS, count // 8)), count - 1)
    near, cosines = nearest(vectors, vectors, neighbours, itself=False)
    heads, tails, weights = _fuzzy(near, 1.0 - cosines)
    start = _principal(vectors)
    positions = _descended(start, heads, tails, weights, epochs=epochs, random=np.random.default_rng(seed))
    return _turned(positions)


def nearest(queries: Floats, vectors: Floats, k: int, *, itself: bool = True) -> tuple[Rows, Floats]:
    """The k nearest rows of `vectors` for each of `queries`, and their cosines, nearest first, both (q, k).

    Without `itself`, row i is never a neighbour of query i.
    """
    import numpy as np

    rows: list[Rows] = []
    cosines: list[Floats] = []
    for begin in range(0, len(queries), _BLOCK):
        scores = queries[begin : begin + _BLOCK] @ vectors.T
        if not itself:
            own = np.arange(len(scores))
            scores[own, begin + own] = -np.inf
        found = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(scores, found, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        rows.append(np.take_along_axis(found, order, axis=1))
        cosines.append(np.take_along_axis(values, order, axis=1))
    return np.concatenate(rows), np.concatenate(cosines).clip(-1.0, 1.0)


def _fuzzy(near: Rows, far: Floats) -> tuple[Rows, Rows, Floats]:
    """Edges of the fuzzy graph as heads, tails and weights in 0..1; each pair stands there once.

    The weight of a neighbour falls off from the nearest one, with a width that gives log2(k) in sum (UMAP, section 3).
    """
    import numpy as np

    count, k = near.shape
    offset = far - far[:, :1]
    low, high = np.full((count, 1), 1e-5), np.full((count, 1), 10.0)
    for _ in range(24):
        width = (low + high) / 2
        much = np.exp(-offset / width).sum(axis=1, keepdims=True) > np.log2(max(k, 2))
        low, high = np.where(much, low, width), np.where(much, width, high)
    own = np.exp(-offset / ((low + high) / 2)).ravel()
    one, other = np.repeat(np.arange(count), k), near.ravel()
    pairs = np.minimum(one, other) * count + np.maximum(one, other)
    unique, place = np.unique(pairs, return_inverse=True)
    # The union of both directions, a + b - ab, by the product of what is missing in each.
    missing = np.exp(np.bincount(place, weights=np.log1p(-own.clip(0, 1 - 1e-6))))
    return unique // count, unique % count, (1.0 - missing).astype(np.float32)


def _principal(vectors: Floats) -> Floats:
    """The first two principal components, scaled to a spread of 10, each with a fixed sign."""
    import numpy as np

    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    flat = centred @ axes[:, -1:-3:-1]
    flat = flat * np.sign(flat[np.abs(flat).argmax(axis=0), [0, 1]])
    noise = np.random.default_rng(1).normal(scale=1e-3, size=flat.shape)  # copies of one abstract come apart
    return (10.0 * flat / max(float(np.abs(flat).max()), 1e-9) + noise).astype(np.float32)


def _turned(positions: Floats) -> Floats:
    """Positions about their mean, the longer way across."""
    import numpy as np

    centred = positions - positions.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1]
    return centred @ (axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]]))


def _descended(
    positions: Floats, heads: Rows, tails: Rows, weights: Floats, *, epochs: int, random: np.random.Generator
) -> Floats:
    """Positions after `epochs` rounds: an edge of weight w pulls in w of the rounds and pushes off negative samples."""
    import numpy as np

    count = len(positions)
    x, y = positions[:, 0].astype(np.float64), positions[:, 1].astype(np.float64)
    for epoch in range(epochs):
        rate = 1.0 - epoch / epochs
        drawn = random.random(len(weights)) < weights
        one, other = heads[drawn], tails[drawn]
        dx, dy = x[one] - x[other], y[one] - y[other]
        pull = _pull(dx * dx + dy * dy)
        px, py = (pull * dx).clip(-_STEP, _STEP), (pull * dy).clip(-_STEP, _STEP)
        both = np.concatenate([one, other])
        moved = np.repeat(both, _NEGATIVES)
        off = random.integers(0, count, len(moved))
        dx, dy = x[moved] - x[off], y[moved] - y[off]
        push = _push(dx * dx + dy * dy)
        nx, ny = (push * dx).clip(-_STEP, _STEP), (push * dy).clip(-_STEP, _STEP)
        at = np.concatenate([both, moved])
        x += rate * np.bincount(at, np.concatenate([px, -px, nx]), minlength=count)
        y += rate * np.bincount(at, np.concatenate([py, -py, ny]), minlength=count)
    return np.stack([x, y], axis=1).astype(np.float32)


def _pull(squared: np.ndarray) -> np.ndarray:
    """Gradient of an edge's attraction over the difference, for squared distances."""
    power = squared**_B
    return -2.0 * _A * _B * power / ((squared + 1e-9) * (1.0 + _A * power))


def _push(squared: np.ndarray) -> np.ndarray:
    """Gradient of a negative sample's repulsion over the difference, for squared distances."""
    return 2.0 * _B / ((0.001 + squared) * (1.0 + _A * squared**_B))
