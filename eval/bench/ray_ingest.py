"""What an ingest on Ray costs and gains against one process, by papers and workers: wall seconds of the command."""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path


def main() -> None:
    """Print a Markdown table. CORPUS: JSON Lines of papers, gzipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--papers", type=int, nargs="+", default=[1000, 20_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--encoder", default="builtin-fast", help="embedding.kind (default builtin-fast)")
    given = parser.parse_args()
    print("| papers | engine | command, s | ingest itself, s | papers/s |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for papers in given.papers:
            path = _cut(given.corpus, papers, Path(folder) / f"{papers}.jsonl")
            settings = Path(folder) / "encoder.yaml"
            settings.write_text(f"embedding: {{kind: {given.encoder}}}\n", encoding="utf-8")
            chosen = ["--config", str(settings)]
            _row(path, papers, "process", chosen)
            for workers in given.workers:
                _row(path, papers, f"ray, {workers}", [*chosen, "--engine", "ray", "--workers", str(workers)])


def _cut(corpus: Path, papers: int, target: Path) -> Path:
    with gzip.open(corpus, "rt", encoding="utf-8") as source, target.open("w", encoding="utf-8") as cut:
        cut.writelines(islice(source, papers))
    return target


def _row(path: Path, papers: int, name: str, options: list[str]) -> None:
    with tempfile.TemporaryDirectory() as library:
        command = [sys.executable, "-m", "rag.cli", "ingest", str(path), "--json", "--library", library, *options]
        begin = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - begin
    report = json.loads(done.stdout)
    print(f"| {papers:,} | {name} | {seconds:.1f} | {report['seconds']:.1f} | {papers / seconds:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
