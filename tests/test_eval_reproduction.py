"""Known collections give known figures: our index and the harness's own measures against bm25s and pytrec_eval."""

import json
import re
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
_DEEP = 50


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


def bm25s_ranking(papers: list[Paper], cases: list[Case]) -> dict[str, dict[str, float]]:
    """Scores by paper by case, of Robertson and Zaragoza 2009 with Lucene's idf, k1 = 1.2, b = 0.75."""
    import bm25s

    retriever = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    retriever.index([words(f"{paper.title}\n{paper.abstract}") for paper in papers], show_progress=False)
    found = {}
    for case in cases:
        places, scores = retriever.retrieve([words(case.question)], k=_DEEP, show_progress=False)
        found[case.id] = {papers[at].id: float(score) for at, score in zip(places[0], scores[0], strict=True)}
    return found


def pytrec_ndcg(ranking: dict[str, dict[str, float]], cases: list[Case]) -> float:
    import pytrec_eval

    judged = {case.id: dict.fromkeys(case.relevant, 1) for case in cases}
    by_case = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut_10"}).evaluate(ranking)
    return sum(found["ndcg_cut_10"] for found in by_case.values()) / len(cases)


def ours_ndcg(answer: object, cases: list[Case]) -> float:
    value = run(FunctionSystem(answer), cases, measures=["ndcg@10"]).value("ndcg@10")
    assert value is not None
    return value


@pytest.mark.parametrize(("name", "about"), [("cacm", 0.49), ("scifact208", 0.91)])
def test_bm25_through_our_index_is_within_a_hundredth_of_an_independent_one(
    shared: Path, tmp_path: Path, name: str, about: float
):
    papers, cases = collection(shared, name)
    index = TantivyIndex(tmp_path / "lexical")
    index.upsert([Passage(p.id, p.id, 0, 0, len(p.abstract), f"{p.title}\n{p.abstract}") for p in papers])
    index.commit()
    ours = ours_ndcg(lambda q: Reply(retrieved=tuple(found for found, _ in index.search(q, _DEEP))), cases)
    index.close()
    ranking = bm25s_ranking(papers, cases)
    theirs = pytrec_ndcg(ranking, cases)
    assert theirs == pytest.approx(about, abs=0.01)
    assert ours == pytest.approx(theirs, abs=0.01)
    by_question = {case.question: sorted(ranking[case.id], key=ranking[case.id].get, reverse=True) for case in cases}
    same_run = ours_ndcg(lambda q: Reply(retrieved=tuple(by_question[q])), cases)
    assert same_run == pytest.approx(theirs, abs=0.002)  # the two break ties of equal scores in other ways
