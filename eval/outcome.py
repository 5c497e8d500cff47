"""A finished run: one row a case, the summary over them, and its folder on disk."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

from eval.diagnosis import STAGES
from eval.measures import named
from eval.measures.base import Measure, Row
from eval.statistics import estimate
from rag.errors import InputError

SUMMARY, CASES, TIMINGS = "summary.json", "cases.jsonl", "timings.json"
_BY_TAG = (
    "correct",
    "ndcg@10",
    "success@1",
    "facts",
    "citation_recall",
    "citation_precision",
    "abstain_recall",
)


@dataclass(frozen=True)
class Run:
    """Rows in the order of the cases. `seconds` (by case id) is kept apart: all else repeats byte for byte."""

    name: str
    rows: tuple[dict[str, Any], ...]
    seconds: Mapping[str, float]
    seed: int = 0
    judge: str | None = None
    measures: Mapping[str, Measure] = field(default_factory=named)
    judging: Mapping[str, Any] | None = None  # what the judge says of itself
    agreement: Sequence[Mapping[str, Any]] = ()  # of judges with human labels

    @cached_property
    def summary(self) -> dict[str, Any]:
        """As summary.json holds it: every measure with its interval, over all cases and by tag."""
        return {
            "name": self.name,
            "n": len(self.rows),
            "failed": sum(row["error"] is not None for row in self.rows),
            "judge": self.judge,
            "seed": self.seed,
            "measures": self._estimates(self.rows, list(self.measures)),
            "tags": {tag: self._tagged(tag) for tag in self.tags},
            "diagnosis": self._diagnosis(),
            **({"judging": dict(self.judging)} if self.judging else {}),
            **({"agreement": [dict(item) for item in self.agreement]} if self.agreement else {}),
        }

    @property
    def tags(self) -> list[str]:
        """All tags, the commonest first."""
        counted = Counter(tag for row in self.rows for tag in row["tags"])
        return sorted(counted, key=lambda tag: (-counted[tag], tag))

    @cached_property
    def latency(self) -> dict[str, float]:
        """Seconds an answer: mean, median, 95th percentile."""
        values = list(self.seconds.values())
        cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
        names = ("latency_mean", "latency_p50", "latency_p95")
        numbers = (fmean(values), cuts[49], cuts[94]) if values else (0.0, 0.0, 0.0)
        return {name: round(number, 6) for name, number in zip(names, numbers, strict=True)}

    def value(self, name: str) -> float | None:
        """The value of one measure, latencies included; None where no case has it. Raises KeyError when
        unknown.
        """
        if name in self.latency:
            return self.latency[name]
        return self.summary["measures"][name]["mean"]

    def over(self, other: Run) -> Run:
        """This run over the cases that the other has too. Raises InputError where there are none."""
        shared = {row["id"] for row in other.rows}
        rows = tuple(row for row in self.rows if row["id"] in shared)
        if not rows:
            raise InputError(f"{self.name} and {other.name} have no case in common")
        return replace(self, rows=rows, seconds={row["id"]: self.seconds[row["id"]] for row in rows})

    def save(self, folder: Path) -> None:
        """Write summary.json, cases.jsonl and timings.json, each whole or not at all."""
        write_whole(folder / CASES, "".join(f"{_line(row)}\n" for row in self.rows))
        seconds = {case: round(value, 6) for case, value in self.seconds.items()}
        write_whole(folder / TIMINGS, f"{json.dumps({**self.latency, 'seconds': seconds}, indent=1)}\n")
        write_whole(folder / SUMMARY, f"{json.dumps(self.summary, indent=1, ensure_ascii=False)}\n")

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read a saved run. Raises InputError for a folder that holds none."""
        folder = Path(folder)
        try:
            summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
            rows = [json.loads(line) for line in (folder / CASES).read_text(encoding="utf-8").splitlines()]
            seconds = json.loads((folder / TIMINGS).read_text(encoding="utf-8"))["seconds"]
            measures = named(list(summary["measures"]))
            more = {"judging": summary.get("judging"), "agreement": tuple(summary.get("agreement", ()))}
            return cls(summary["name"], tuple(rows), seconds, summary["seed"], summary["judge"], measures, **more)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder} holds no finished run ({' '.join(str(error).split())}); make one with: citewise eval run"
            ) from error

    def columns(self, name: str, rows: Sequence[Row] | None = None) -> list[tuple[float, ...] | None]:
        """A measure's columns for each row, None where it does not apply."""
        rows, measure = self.rows if rows is None else rows, self.measures[name]
        return [measure.columns(row) for row in rows] if measure.applies(rows) else [None] * len(rows)

    def _estimates(self, rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
        return {
            name: estimate(
                self.measures[name].combine,
                [columns for columns in self.columns(name, rows) if columns is not None],
                seed=self.seed,
            ).as_json()
            for name in names
        }

    def _tagged(self, tag: str) -> dict[str, Any]:
        rows = [row for row in self.rows if tag in row["tags"]]
        names = [name for name in _BY_TAG if name in self.measures and any(self.columns(name, rows))]
        return {"n": len(rows), "measures": self._estimates(rows, names)}

    def _diagnosis(self) -> dict[str, int]:
        blamed = Counter(row["diagnosis"]["stage"] for row in self.rows if row["diagnosis"])
        return {stage: blamed[stage] for stage in STAGES if blamed[stage]}


def write_whole(path: Path, content: str) -> None:
    """Write a file, and the folder it is to lie in, so that a reader sees the old one or the new one, never a part.
    Raises InputError where it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        made_folder(path.parent)
        partial.write_text(content, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def made_folder(path: Path) -> Path:
    """The folder, made where it is not there. Raises InputError where it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {path}: {error.strerror or error}") from error
    return path


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False)
