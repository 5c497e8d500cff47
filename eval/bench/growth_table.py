"""The growth bench's JSON as a Markdown table a kind of library: python -m eval.bench.growth_table FILE."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

_ROWS = {
    "ingest, papers/s since the size before": "papers/s since the size before",
    "… / plain script's first 4,000": "papers/s since the size before / plain script papers/s",
    "… processor ms a paper": "ingest: processor ms a paper",
    "ingest, peak memory, MB": "ingest: peak MB",
    "… of the process that writes vectors": "ingest: peak MB of the process that writes vectors",
    "search, p50 / p95, ms": "search: p50 ms / search: p95 ms",
    "… p50 of processor": "search: p50 ms of processor",
    "… … vectors alone": "vectors alone: p50 ms of processor",
    "… … words alone": "words alone: p50 ms of processor",
    "search of one year, p50, ms": "search of one year: p50 ms",
    "… p50 of processor ": "search of one year: p50 ms of processor",
    "answer, p50 / p95, ms": "answer: p50 ms / answer: p95 ms",
    "… p50 of processor  ": "answer: p50 ms of processor",
    "first search after the start, s": "first search s",
    "recall of exact search @10": "recall@10 of exact search",
    "recall of exact search @50": "recall@50 of exact search",
    "memory of the asking process, MB": "asking: resident MB",
    "… PSS without mapped files": "asking: PSS without files MB",
    "memory of the Chroma server, MB": "chroma server: resident MB",
    "disk: catalog, MB": "disk: catalog MB",
    "disk: PostgreSQL, MB": "PostgreSQL: disk MB",
    "disk: graph and metadata of Chroma, MB": "disk: vector graph MB + disk: rest of chroma MB",
    "disk: vectors for exact search, MB": "disk: vectors for exact search MB",
    "disk: Chroma server, MB": "chroma server: disk MB",
    "disk: words, MB": "disk: words MB",
}
_RATIO = "… / plain script's first 4,000"


def markdown(results: Mapping[str, Mapping[str, float]]) -> str:
    """A table for each kind: sizes are columns, and rows without any number are left out."""
    kinds = list(dict.fromkeys(name.rpartition(", ")[2] for name in results))
    return "\n".join(_table(kind, results) for kind in kinds)


def _table(kind: str, results: Mapping[str, Mapping[str, float]]) -> str:
    chosen = {name.partition(" ")[0]: values for name, values in results.items() if name.endswith(f", {kind}")}
    lines = [f"| {kind} | {' | '.join(chosen)} |", f"|---|{'---|' * len(chosen)}"]
    for label, formula in _ROWS.items():
        cells = [_cell(label, formula, values) for values in chosen.values()]
        if any(cell not in {"", "–"} for cell in cells):
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(label: str, formula: str, values: Mapping[str, float]) -> str:
    joined = " + " if " + " in formula else " / "
    numbers = [values.get(name) for name in formula.split(joined)]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        return ""
    if label == _RATIO:
        return _shown(known[0] / known[1])
    return _shown(sum(known)) if joined == " + " else joined.join(_shown(number) for number in known)


def _shown(number: float) -> str:
    """Three digits that count."""
    if not number:
        return "–"
    places = 0 if number >= 100 else 1 if number >= 10 else 2 if number > 1 else 3
    return f"{number:,.{places}f}"


if __name__ == "__main__":
    sys.stdout.write(markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
