"""The papers that the growth bench makes up: like real ones, each its own, the same in every run."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from statistics import fmean

import pytest

from eval.bench import growth, synthetic
from tests.ingesting import ingest, write


@pytest.fixture(scope="module")
def real(shared) -> list[dict]:
    with gzip.open(shared / "corpora" / "ml-papers.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in islice(lines, 3000)]


def test_made_up_papers_are_as_long_as_real_ones_and_use_their_words(real):
    made = list(synthetic.Likeness(real).papers(0, 1000))
    lengths = [fmean(len(paper["abstract"]) for paper in papers) for papers in (made, real)]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.15)
    known = {word for paper in real for word in f"{paper['title']} {paper['abstract']}".split()}
    words = [word for paper in made for word in paper["abstract"].split()]
    assert sum(word in known for word in words) > 0.98 * len(words)


def test_none_is_taken_for_another_or_for_a_real_one(real, tmp_path):
    made = synthetic.Likeness(real).papers(0, 1200)
    mixed = write(tmp_path / "mixed.jsonl", [*real[:600], *made])
    alone = write(tmp_path / "alone.jsonl", real[:600])
    merged = [len(ingest(tmp_path / path.stem, path).duplicates) for path in (alone, mixed)]
    assert merged[1] == merged[0]


def test_a_paper_does_not_depend_on_where_the_reading_began(real):
    likeness = synthetic.Likeness(real)
    assert list(likeness.papers(40, 3)) == list(islice(synthetic.Likeness(real).papers(0, 50), 40, 43))
    assert likeness.paper(41) != synthetic.Likeness(real, seed=1).paper(41)


def test_exact_search_in_parts_is_exact_search():
    import numpy as np

    chance = np.random.default_rng(0)
    matrix, questions = chance.standard_normal((500, 8)), chance.standard_normal((3, 8))
    expected = np.argsort(-(questions @ matrix.T), axis=1)[:, : growth.NEAREST]
    assert (growth._exact(matrix, questions, at_once=70) == expected).all()


@pytest.mark.slow
@pytest.mark.loopback
def test_the_bench_measures_every_kind_at_every_size(shared, tmp_path, socket_enabled, postgres):
    found = growth.measure(
        shared / "corpora" / "ml-papers.jsonl.gz",
        [40, 120],
        growth.KINDS,
        questions=20,
        folder=tmp_path,
        out=tmp_path / "out.json",
    )
    assert json.loads((tmp_path / "out.json").read_text()) == found
    assert [values["papers"] for values in found.values()] == [40, 120] * 3
    assert all(values["recall@10 of exact search"] == 1.0 for name, values in found.items() if "120" in name)
