"""Sweeps: a system measured at every point of a grid of settings, and which points are worth choosing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from eval.comparing import SIGNIFICANT
from eval.measures import named
from eval.outcome import Run
from eval.statistics import paired
from rag.errors import InputError, UsageError

_MOST_POINTS = 200
_NEED_A_NEW_LIBRARY = ("embedding", "chunking", "library")


@dataclass(frozen=True, slots=True)
class Grid:
    """Values to try for each setting ("retrieval.dense_weight"), and the measure that says which are good."""

    settings: Mapping[str, tuple[Any, ...]]
    quality: str

    def points(self) -> list[dict[str, Any]]:
        """Every combination, as values by setting, in the order of the file."""
        return [dict(zip(self.settings, values, strict=True)) for values in product(*self.settings.values())]


@dataclass(frozen=True, slots=True)
class Point:
    """One combination measured: the quality with its interval, the median seconds an answer.

    `on_front`: no other point is at least as good and as fast, and better in one of the two. `like_best`: the
    paired randomisation test does not tell its quality from that of the best (p > 0.05, not corrected).
    """

    values: Mapping[str, Any]
    quality: float
    low: float
    high: float
    seconds: float
    on_front: bool
    like_best: bool

    @property
    def name(self) -> str:
        """Its values in words."""
        return point_name(self.values)


@dataclass(frozen=True, slots=True)
class Sweep:
    """All points of a grid, best first."""

    quality: str
    n: int
    points: tuple[Point, ...]

    @property
    def best(self) -> Point:
        """The one of the highest quality."""
        return self.points[0]

    @property
    def choice(self) -> Point:
        """The fastest on the front whose quality is not told from the best."""
        return min(
            (point for point in self.points if point.on_front and point.like_best), key=lambda item: item.seconds
        )

    def as_json(self) -> dict[str, Any]:
        """As sweep.json holds it."""
        rows = [
            {
                "settings": dict(point.values),
                self.quality: point.quality,
                "low": point.low,
                "high": point.high,
                "latency_p50": point.seconds,
                "on_front": point.on_front,
                "like_best": point.like_best,
            }
            for point in self.points
        ]
        return {"quality": self.quality, "n": self.n, "choice": dict(self.choice.values), "points": rows}


def read_grid(path: str | Path) -> Grid:
    """A grid from YAML: `quality: MEASURE` and `settings: {SECTION.KEY: [values]}`. Raises InputError."""
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot read the grid {path}: {' '.join(str(error).split())}") from error
    settings = content.get("settings") if isinstance(content, dict) else None
    if not isinstance(settings, dict) or not settings or set(content) - {"settings", "quality"}:
        raise InputError(
            f"{path}: expected the keys quality and settings, the second with a list of values for each setting"
        )
    for key, values in settings.items():
        _check_setting(str(key), values, path)
    grid = Grid({str(key): tuple(values) for key, values in settings.items()}, str(content.get("quality", "facts")))
    named([grid.quality])
    if len(grid.points()) > _MOST_POINTS:
        raise InputError(f"{path}: {len(grid.points())} combinations; at most {_MOST_POINTS} are run in one sweep")
    return grid


def sweep(grid: Grid, measured: Callable[[Mapping[str, Any]], Run], *, seed: int = 0) -> Sweep:
    """Measure every point by `measured` (from its values to a run over the same cases)."""
    points = grid.points()
    runs: list[Run] = []
    for values in points:
        runs.append(measured(values))
        if runs[-1].value(grid.quality) is None:
            raise UsageError(f"no case has the measure {grid.quality!r}; name another as quality")
    estimates = [run.summary["measures"][grid.quality] for run in runs]
    better = 1 if runs[0].measures[grid.quality].higher_is_better else -1
    scores = [(better * item["mean"], -run.latency["latency_p50"]) for item, run in zip(estimates, runs, strict=True)]
    best = max(range(len(points)), key=lambda place: scores[place])
    made = [
        Point(
            values=values,
            quality=item["mean"],
            low=item["low"],
            high=item["high"],
            seconds=run.latency["latency_p50"],
            on_front=not any(_dominates(other, score) for other in scores),
            like_best=_alike(runs[best], run, grid.quality, seed),
        )
        for values, item, run, score in zip(points, estimates, runs, scores, strict=True)
    ]
    made.sort(key=lambda point: (-better * point.quality, point.seconds))
    return Sweep(grid.quality, len(runs[0].rows), tuple(made))


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted key as sections.

    >>> nested({"retrieval.papers": 5, "retrieval.dense_weight": 0.4, "gate.enabled": False})
    {'retrieval': {'papers': 5, 'dense_weight': 0.4}, 'gate': {'enabled': False}}
    """
    sections: dict[str, Any] = {}
    for key, value in values.items():
        *outer, last = key.split(".")
        inner = sections
        for part in outer:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return sections


def point_name(values: Mapping[str, Any]) -> str:
    """Values in words: "dense_weight=0.4 papers=5", with the section where two settings would be called the same.

    >>> point_name({"rerank.kind": "none", "llm.kind": "openai", "retrieval.papers": 5})
    'rerank.kind=none llm.kind=openai papers=5'
    """
    short = [key.rpartition(".")[2] for key in values]
    return " ".join(
        f"{last if short.count(last) == 1 else key}={value}"
        for last, (key, value) in zip(short, values.items(), strict=True)
    )


def _check_setting(key: str, values: Any, path: str | Path) -> None:
    if not isinstance(values, list) or not values:
        raise InputError(f"{path}: {key}: expected a list of values, such as [0.3, 0.5]")
    if key.split(".")[0] in _NEED_A_NEW_LIBRARY:
        raise InputError(
            f"{path}: {key}: a library is made with one value of it; ingest a library for each, then --config"
        )
    if "." not in key:
        raise InputError(f"{path}: {key}: write SECTION.KEY, such as retrieval.papers")


def _dominates(first: Sequence[float], second: Sequence[float]) -> bool:
    return first != second and all(mine >= other for mine, other in zip(first, second, strict=True))


def _alike(best: Run, other: Run, quality: str, seed: int) -> bool:
    columns = zip(best.columns(quality), other.columns(quality), strict=True)
    both = [(mine, theirs) for mine, theirs in columns if mine is not None and theirs is not None]
    if not both:
        return False
    before, after = zip(*both, strict=True)
    return paired(best.measures[quality].combine, before, after, seed=seed).p > SIGNIFICANT
