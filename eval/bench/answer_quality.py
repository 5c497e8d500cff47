"""How good extractive answers are: facts found, words, cited papers; `--fit` learns the sentence model again.

Run: python -m eval.bench.answer_quality [--fit]. The cases are eval/cases/seeds.jsonl (over the seed files, in the
folder that CITEWISE_SHARED names) and eval/cases/starter.jsonl. The gate is off: this measures answers, not abstention.
`--fit` trains on the even cases, reports the odd ones, and writes rag/answerers/sentence_model.json from the even ones,
so that what is reported on "odd" is never what was trained on.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from rag import open_library
from rag.answerers.sentence_model import MODEL_FILE, kind_of, signs
from rag.answers import Answer
from rag.assemble import open_readers
from rag.library_parts import open_catalog
from rag.retrieval import Retrieval
from rag.settings import load_settings
from rag.starter import path as starter_path

CASES = Path(__file__).parents[1] / "cases"
SHARED = Path(os.environ.get("CITEWISE_SHARED", Path(__file__).parents[3] / "shared"))
_REGULARISATION = 0.02  # scikit-learn's C; 0.01 to 0.03 measured alike, larger ones worse on the odd cases


class Asked(NamedTuple):
    case: dict[str, Any]
    found: Retrieval
    answer: Answer


def asked(name: str, inputs: list[Path]) -> Iterator[Asked]:
    """Each answerable case of a set with what was found and answered, over a fresh library of `inputs`."""
    rows = [json.loads(line) for line in (CASES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    settings = load_settings(gate={"enabled": False})
    with tempfile.TemporaryDirectory() as folder:
        with open_library(folder) as library:
            library.ingest(inputs)
        catalog = open_catalog(Path(folder))
        readers = open_readers(Path(folder), settings, catalog)
        for case in rows:
            if case["answerable"] and case["facts"]:
                question = case["question"]
                yield Asked(case, readers.retriever.retrieve(question, k=8), readers.pipeline.ask(question))
        readers.close()
        catalog.close()


def share_of_facts(facts: list[list[str]], text: str) -> float:
    plain = _plain(text)
    return fmean(any(_plain(way) in plain for way in ways) for ways in facts)


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\s*\[\d+\]", "", text)).lower()


def measures(items: list[Asked]) -> dict[str, float]:
    """Means over cases; `whole_*` is the best paper's whole abstract given as the answer."""
    rows: list[dict[str, float]] = []
    for case, found, answer in items:
        relevant = set(case["relevant"])
        cited = {source.paper.title for source in answer.sources} if not answer.abstained else set()
        first = found.hits[0].paper if found.hits else None
        whole = f"{first.title} {first.abstract}" if first else ""
        rows.append(
            {
                "facts": share_of_facts(case["facts"], answer.text),
                "words": float(len(_plain(answer.text).split())),
                "sentences": float(len(answer.sentences)),
                "cited_right": len(cited & relevant) / len(cited) if cited else 0.0,
                "relevant_cited": len(cited & relevant) / len(relevant),
                "supported": fmean([float(item.supported) for item in answer.sentences] or [0.0]),
                "whole_facts": share_of_facts(case["facts"], whole),
                "whole_words": float(len(whole.split())),
            }
        )
    return {name: round(fmean(row[name] for row in rows), 3) for name in rows[0]}


def fit(items: list[Asked]) -> dict[str, Any]:
    """A logistic regression: which sentences of the right paper hold a fact that is asked for."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    rows: list[dict[str, float]] = []
    labels: list[bool] = []
    for case, found, _ in items:
        if found.understanding.several or not found.hits or found.hits[0].paper.title not in case["relevant"]:
            continue
        paper = found.hits[0].paper
        group = [item for item in found.sentences if item.paper_id == paper.id]
        kind = kind_of(case["question"], found.understanding)
        rows += signs(kind, found.understanding.topic, paper.title, group)
        labels += [share_of_facts(case["facts"], item.text) > 0 for item in group]
    names = list(rows[0])
    table = np.array([[row[name] for name in names] for row in rows])
    mean, spread = table.mean(0), table.std(0) + 1e-6
    model = LogisticRegression(C=_REGULARISATION, max_iter=3000).fit((table - mean) / spread, labels)
    weights = model.coef_[0] / spread
    bias = float(model.intercept_[0] - (weights * mean).sum())
    return {
        "bias": round(bias, 4),
        "weights": {name: round(float(w), 4) for name, w in zip(names, weights, strict=True)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true", help="learn rag/answerers/sentence_model.json again")
    given = parser.parse_args()
    sets = {"starter": list(asked("starter", [Path(starter_path())]))}
    if (SHARED / "seeds").is_dir():
        sets["seeds"] = list(asked("seeds", sorted((SHARED / "seeds").iterdir())))
    if given.fit:
        learned = fit([item for items in sets.values() for item in items[::2]])
        MODEL_FILE.write_text(json.dumps(learned, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {MODEL_FILE.name}; run again without --fit to measure it")
        return
    for name, items in sets.items():
        for half, part in (("even", items[::2]), ("odd", items[1::2]), ("all", items)):
            print(json.dumps({"set": name, "half": half, "n": len(part)} | measures(part)))


if __name__ == "__main__":
    main()
