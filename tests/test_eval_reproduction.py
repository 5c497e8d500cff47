"""Known collections give known figures: our lexical index against a BM25 written out here, by the harness's own
measures.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import Stemmer

from eval import Case, FunctionSystem, Reply, run
from rag.papers import Paper, Passage
from rag.stores.lexical import TantivyIndex
from rag.text import STOP_WORDS

pytest.importorskip("ir_measures")
_STEM = Stemmer.Stemmer("english").stemWord
# nDCG@10 of bm25s 0.3.16 (method "lucene", k1 1.2, b 0.75, PyStemmer, the same stop words), scored by pytrec_eval.
BM25S = {"cacm": 0.4876, "scifact208": 0.9112}


def rows(path: Path) -> Iterator[dict]:
    return (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def collection(shared: Path, name: str) -> tuple[list[Paper], list[Case]]:
    folder = shared / "bench" / name
    papers = [Paper(row["id"], row["title"], row["abstract"]) for row in rows(folder / "corpus.jsonl")]
    cases = [
        Case(id=row["id"], question=row["query"], relevant=tuple(row["relevant"]))
        for row in rows(folder / "queries.jsonl")
        if row["relevant"]
    ]
    return papers, cases


def words(text: str) -> list[str]:
    return [_STEM(word) for word in re.findall(r"\w+", text.lower()) if word not in STOP_WORDS]


class PlainBM25:
    """Robertson and Zaragoza 2009 with Lucene's idf, k1 = 1.2, b = 0.75."""

    def __init__(self, papers: list[Paper]) -> None:
        self.counts = {paper.id: Counter(words(f"{paper.title}\n{paper.abstract}")) for paper in papers}
        self.lengths = {name: sum(count.values()) for name, count in self.counts.items()}
        self.mean = sum(self.lengths.values()) / len(papers)
        self.holders: dict[str, list[str]] = {}
        for name, count in self.counts.items():
            for word in count:
                self.holders.setdefault(word, []).append(name)

    def __call__(self, question: str) -> Reply:
        scores: Counter[str] = Counter()
        for word in words(question):
            held = self.holders.get(word, [])
            weight = math.log(1 + (len(self.counts) - len(held) + 0.5) / (len(held) + 0.5))
            for name in held:
                count = self.counts[name][word]
                scores[name] += weight * count / (count + 1.2 * (0.25 + 0.75 * self.lengths[name] / self.mean))
        return Reply(retrieved=tuple(name for name, _ in scores.most_common(50)))


def ndcg(answer: object, cases: list[Case]) -> float:
    value = run(FunctionSystem(answer), cases, measures=["ndcg@10"]).value("ndcg@10")
    assert value is not None
    return value


@pytest.mark.parametrize("name", ["cacm", "scifact208"])
def test_bm25_through_our_index_is_within_a_hundredth_of_an_independent_one(shared: Path, tmp_path: Path, name: str):
    papers, cases = collection(shared, name)
    index = TantivyIndex(tmp_path / "lexical")
    index.upsert([Passage(p.id, p.id, 0, 0, len(p.abstract), f"{p.title}\n{p.abstract}") for p in papers])
    index.commit()
    ours = ndcg(lambda q: Reply(retrieved=tuple(found for found, _ in index.search(q, 50))), cases)
    index.close()
    assert ours == pytest.approx(ndcg(PlainBM25(papers), cases), abs=0.01)
    assert ours == pytest.approx(BM25S[name], abs=0.01)
