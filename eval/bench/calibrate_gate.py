"""Train and calibrate the gate on the hand-written cases, report held-out errors, write rag/gate_model.json.

    python eval/bench/calibrate_gate.py [--dry-run] [--encoder FOLDER]

Cases: eval/cases/seeds.jsonl over the seed papers, eval/cases/starter.jsonl over the starter library. Every number
printed and written is held out: 10 folds, no paper in two of them, repeated with 3 splits. Needs scikit-learn. The
seed papers lie in the folder named by CITEWISE_SHARED, by default ../shared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from libraries import ROOT, build, encoder_in, read_cases, seed_papers, starter_papers
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from rag import text
from rag.embeddings import StaticTextEncoder, matched_tokens
from rag.gate import MODEL_FILE
from rag.gate_features import CLOSER, FEATURES, FeatureMaker, closer
from rag.retrieval import Retriever

SEED, FOLDS, REPEATS = 0, 10, 3
# Share of answerable questions that may be refused: the gate refuses as many as that allows, unless less is better.
MOST_WITHHELD = 0.05
TREES, DEPTH, RATE = 250, 2, 0.04
# Where the first forest is unsure, the second is asked: in a sixth of these questions. AUROC .929; the first alone
# .920, the second for every question .933.
UNSURE = (0.2, 0.6)
COLUMNS = (*FEATURES, *CLOSER)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """One case with its features, in the order of `COLUMNS`; `paper` is what it is about, for the folds."""

    id: str
    encoder: str
    source: str
    kind: str
    paper: str
    answerable: bool
    features: tuple[float, ...]


def judged_cases(encoder: StaticTextEncoder, fast: StaticTextEncoder) -> list[Judged]:
    """The features of every case that the gate is asked about, as this encoder finds papers: metadata and follow-ups
    go another way. `fast` stands by where the encoder is the deep one."""
    found: list[Judged] = []
    for name, papers in (("seeds", seed_papers()), ("starter", starter_papers())):
        with tempfile.TemporaryDirectory() as folder:
            catalog, dense, lexical = build(papers, encoder, Path(folder))
            retriever = Retriever(catalog, dense, lexical, encoder, reader=encoder.words)
            maker = FeatureMaker(encoder.words, lexical, fast if encoder.deep else None)
            for case in read_cases(name):
                retrieval = retriever.retrieve(case["question"], k=8)
                understanding = retrieval.understanding
                if understanding.metadata or understanding.heard or {"follow-up", "metadata"} & set(case["tags"]):
                    continue
                evidence = maker.evidence(retrieval.hits, retrieval.sentences, understanding)
                features = dict.fromkeys(CLOSER, 0.0) | evidence.features
                if evidence.closest:
                    features |= closer(understanding.topic, evidence.closest, matched_tokens)
                row = tuple(features[feature] for feature in COLUMNS)
                found.append(
                    Judged(case["id"], encoder.name, name, kind_of(case), about(case), case["answerable"], row)
                )
    return found


def kind_of(case: dict[str, Any]) -> str:
    if case["answerable"]:
        return "answerable"
    return "stranger" if case["id"].startswith("stranger") else "near"


def about(case: dict[str, Any]) -> str:
    titles = case["relevant"] or case.get("about") or [case["id"]]
    return text.normalised_title(titles[0])


def forest(seed: int) -> GradientBoostingClassifier:
    return GradientBoostingClassifier(
        n_estimators=TREES,
        max_depth=DEPTH,
        learning_rate=RATE,
        subsample=0.6,
        max_features=0.2,
        min_samples_leaf=30,  # fifteen cases, each as both encoders find papers for it
        random_state=seed,
    )


def folds(cases: Sequence[Judged], repeat: int) -> NDArray[np.int64]:
    """The fold of each case: by a hash of its paper, so that no paper is both trained on and tested."""
    keys = [hashlib.sha256(f"{repeat} {case.paper}".encode()).digest() for case in cases]
    return np.array([int.from_bytes(key[:4], "big") % FOLDS for key in keys])


def held_out(x: Floats, y: Floats, fold: NDArray[np.int64], make: Callable[[int], Any]) -> Floats:
    """The raw score of each case from a model that never saw its paper."""
    scores = np.zeros(len(y))
    for number in range(FOLDS):
        test = fold == number
        scores[test] = make(SEED).fit(x[~test], y[~test]).decision_function(x[test])
    return scores


def curve_of(x: Floats, y: Floats, cases: Sequence[Judged]) -> tuple[LogisticRegression, Floats]:
    """The logistic curve of a forest on these columns, fitted on held-out scores, and what it makes of them."""
    raw = np.mean([held_out(x, y, folds(cases, repeat), forest) for repeat in range(REPEATS)], axis=0)
    curve = LogisticRegression(C=1e6).fit(raw[:, None], y)
    return curve, curve.predict_proba(raw[:, None])[:, 1]


def as_forest(x: Floats, y: Floats, curve: LogisticRegression) -> dict[str, Any]:
    """A forest grown on all cases, with its curve, as `rag.gate.GateModel` reads it."""
    trees = as_trees(forest(SEED).fit(x, y), x)
    return {"slope": float(curve.coef_[0][0]), "intercept": float(curve.intercept_[0]), "trees": trees}


def threshold_for(p: Floats, y: Floats) -> float:
    """The threshold with the best F1 of abstention that withholds at most `MOST_WITHHELD` of the answerable."""
    options = [value for value in np.unique(p) if np.mean(p[y == 1] < value) <= MOST_WITHHELD]
    return float(max(options, key=lambda value: abstention(p, y, value)["f1"]))


def abstention(p: Floats, y: Floats, threshold: float) -> dict[str, float]:
    refused = p < threshold
    right = float((refused & (y == 0)).sum())
    precision = right / max(1.0, float(refused.sum()))
    recall = right / float((y == 0).sum())
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(1e-9, precision + recall),
        "withheld": float(np.mean(refused[y == 1])),
    }


def reliability(p: Floats, y: Floats) -> list[dict[str, float]]:
    """Five equal-sized bins: mean probability and share that was answerable."""
    bins = np.array_split(np.argsort(p), 5)
    return [{"n": len(rows), "predicted": float(p[rows].mean()), "observed": float(y[rows].mean())} for rows in bins]


def risk_coverage(p: Floats, y: Floats) -> list[dict[str, float]]:
    """Of the questions answered first, the most probable ones, the share that should not have been."""
    order = np.argsort(-p)
    shares = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
    return [{"coverage": s, "risk": float(1 - y[order[: max(1, round(s * len(y)))]].mean())} for s in shares]


def measured(cases: Sequence[Judged], p: Floats, y: Floats, threshold: float) -> dict[str, Any]:
    kind, source = (np.array([getattr(case, name) for case in cases]) for name in ("kind", "source"))
    refused = p < threshold
    result: dict[str, Any] = {
        "auroc": roc_auc_score(y, p),
        "auroc_near": roc_auc_score(y[kind != "stranger"], p[kind != "stranger"]),
        "auroc_stranger": roc_auc_score(y[kind != "near"], p[kind != "near"]),
        **abstention(p, y, threshold),
        "near_refused": float(refused[kind == "near"].mean()),
        "strangers_refused": float(refused[kind == "stranger"].mean()),
        "reliability": reliability(p, y),
        "risk_coverage": risk_coverage(p, y),
    }
    for name in ("seeds", "starter"):
        rows = source == name
        result[name] = {"auroc": roc_auc_score(y[rows], p[rows]), **abstention(p[rows], y[rows], threshold)}
    return rounded(result)


def transfer(cases: Sequence[Judged], x: Floats, y: Floats) -> dict[str, float]:
    """AUROC on one library of a model trained on the other alone."""
    source = np.array([case.source for case in cases])
    result = {}
    for one, other in (("seeds", "starter"), ("starter", "seeds")):
        model = forest(SEED).fit(x[source == one], y[source == one])
        test = source == other
        result[f"{one} to {other}"] = float(roc_auc_score(y[test], model.decision_function(x[test])))
    return rounded(result)


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(float(value), 4) if isinstance(value, float) else value


def as_trees(model: GradientBoostingClassifier, x: Floats) -> list[Any]:
    """The model as nested lists (see `rag.gate.Tree`); the first is a leaf with the prior."""
    prior = float(model.decision_function(x[:1])[0])
    grown = [as_tree(tree[0].tree_) for tree in model.estimators_]
    prior -= sum(leaf_of(tree, dict(zip(COLUMNS, x[0], strict=False))) for tree in grown)
    return [prior, *grown]


def as_tree(tree: Any, node: int = 0) -> Any:
    if tree.children_left[node] == -1:
        return round(RATE * float(tree.value[node][0][0]), 6)
    left, right = (as_tree(tree, int(child[node])) for child in (tree.children_left, tree.children_right))
    # scikit-learn compares float32 values; the threshold is kept exact.
    return [COLUMNS[tree.feature[node]], float(tree.threshold[node]), left, right]


def leaf_of(tree: Any, features: dict[str, float]) -> float:
    while not isinstance(tree, float):
        tree = tree[2] if features[tree[0]] <= tree[1] else tree[3]
    return tree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="report only")
    parser.add_argument("--encoder", type=Path, help="folder of encoder weights; the shipped ones by default")
    options = parser.parse_args()
    encoders = [encoder_in(options.encoder, deep=deep) for deep in (False, True)]
    cases = [case for encoder in encoders for case in judged_cases(encoder, encoders[0])]
    # float32 as scikit-learn sees them, so that the written trees decide alike
    x = np.array([case.features for case in cases], dtype=np.float32).astype(np.float64)
    y = np.array([float(case.answerable) for case in cases])
    plain = x[:, : len(FEATURES)]
    first, alone = curve_of(plain, y, cases)
    second, looked = curve_of(x, y, cases)
    unsure = (alone > UNSURE[0]) & (alone < UNSURE[1])
    p = np.where(unsure, looked, alone)
    threshold = threshold_for(p, y)
    kinds = [case.kind for case in cases]
    report = {
        "date": date.today().isoformat(),
        "encoders": {encoder.name: encoder.fingerprint for encoder in encoders},
        "sets": {
            name: {
                kind: len({case.id for case in cases if (case.source, case.kind) == (name, kind)})
                for kind in sorted(set(kinds))
            }
            for name in ("seeds", "starter")
        },
        "seed": SEED,
        "folds": FOLDS,
        "held_out": {
            encoder.name: measured([cases[at] for at in rows], p[rows], y[rows], threshold)
            for encoder in encoders
            if (rows := [at for at, case in enumerate(cases) if case.encoder == encoder.name])
        },
        "transfer_auroc": transfer(cases, x, y),
        "unsure": {
            "share": rounded(float(unsure.mean())),
            "first forest alone": abstention(alone, y, threshold_for(alone, y)) | {"auroc": roc_auc_score(y, alone)},
        },
    }
    print(json.dumps(report, indent=1))
    if not options.dry_run:
        written = {
            "about": "written by eval/bench/calibrate_gate.py",
            "measured": report,
            "threshold": threshold,
            "unsure": UNSURE,
            "first": as_forest(plain, y, first),
            "second": as_forest(x, y, second),
        }
        MODEL_FILE.write_text(json.dumps(written, separators=(",", ":")) + "\n", encoding="utf-8")
        print(f"wrote {MODEL_FILE.relative_to(ROOT)}, {MODEL_FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
