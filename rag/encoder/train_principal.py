"""Fit what shortens an encoder's vectors: python -m rag.encoder.train_principal PAPERS.jsonl[.gz] --folder FOLDER.

Writes principal.safetensors beside the encoder's weights, from the passages of papers that are not in its list of
papers left out of training (training.json, where there is one).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

from rag.encoder.principal import PRINCIPAL_FILE, fitted
from rag.encoder.static import StaticEncoder
from rag.encoder.train_corpus import TrainingPaper, read_papers

MOST = 40_000


def sample(papers: Path, folder: Path, most: int = MOST) -> list[TrainingPaper]:
    """Papers to fit on, chosen by the hash of their ids."""
    told = folder / "training.json"
    left_out = json.loads(told.read_text(encoding="utf-8"))["excluded"] if told.is_file() else {}
    found = [paper for paper in read_papers(papers) if paper.id not in left_out]
    return sorted(found, key=lambda paper: hashlib.sha256(paper.id.encode()).digest())[:most]


def fit(papers: Path, folder: Path) -> Path:
    """Fit and write the components for the encoder in a folder; the file."""
    from safetensors.numpy import save_file

    chosen = sample(papers, folder)
    vectors = StaticEncoder.load(folder).encode([f"{paper.title}\n{paper.abstract}" for paper in chosen])
    target = folder / PRINCIPAL_FILE
    # float16 as the weights are rounded too: what counts is that all read the same numbers.
    save_file({"basis": np.ascontiguousarray(fitted(vectors).astype(np.float16))}, target)
    return target


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("papers", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="the encoder's weights")
    options = parser.parse_args()
    fit(options.papers, options.folder)


if __name__ == "__main__":
    main()
