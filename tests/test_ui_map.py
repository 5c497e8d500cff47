"""The map of a library: near papers lie near, groups are named by their terms, nothing in a title is live."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from rag import Answer, Library, Paper, Source
from ui import render
from ui.paper_map import Cartographer, PaperMap, drawn
from ui.paper_map.clusters import Cluster, clustered, groups_for, k_means, named
from ui.paper_map.layout import laid_out, nearest

HOSTILE = '<a href="javascript:alert(1)">x</a><img src=x onerror=alert(2)><script>alert(3)</script>'


def blobs(groups: int, each: int, dimension: int = 32, spread: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around random centres, and which centre each belongs to."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(groups), each)
    vectors = random.normal(size=(groups, dimension))[labels] + spread * random.normal(size=(groups * each, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def share_of_own(positions: np.ndarray, labels: np.ndarray, k: int = 10) -> float:
    """How many of a point's k nearest points in the plane are of its own group."""
    far = ((positions[:, None] - positions[None]) ** 2).sum(-1)
    np.fill_diagonal(far, np.inf)
    return float((labels[np.argsort(far, axis=1)[:, :k]] == labels[:, None]).mean())


def test_near_vectors_lie_near_in_the_plane_better_than_in_principal_components():
    vectors, labels = blobs(12, 40, 64, spread=0.8)
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    assert share_of_own(laid_out(vectors), labels) > 0.9 > 0.8 > share_of_own(centred @ axes[:, -2:], labels)


def test_the_same_vectors_always_give_the_same_map():
    vectors, _ = blobs(3, 20)
    assert np.array_equal(laid_out(vectors), laid_out(vectors))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 17])
def test_a_few_papers_and_copies_of_one_make_a_map_too(count: int):
    positions = laid_out(np.ones((count, 8), dtype=np.float32) / np.float32(8**0.5))
    assert positions.shape == (count, 2)
    assert np.isfinite(positions).all()


def test_the_nearest_rows_are_the_ones_with_the_greatest_cosine():
    vectors, _ = blobs(4, 300, 8)
    rows, cosines = nearest(vectors, vectors, 5, itself=False)
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    assert np.allclose(cosines, np.sort(scores, axis=1)[:, ::-1][:, :5], atol=1e-6)
    assert not (rows == np.arange(len(rows))[:, None]).any()


def test_groups_are_found_again():
    vectors, labels = blobs(5, 30)
    found, _ = k_means(vectors, 5, np.random.default_rng(0))
    assert len({(one, other) for one, other in zip(labels.tolist(), found.tolist(), strict=True)}) == 5


def test_a_group_is_named_by_what_its_papers_say_and_others_do_not():
    tides = [Paper(f"t{n}", f"Ocean tides {n}", "We propose a method for tides of the ocean.") for n in range(6)]
    birds = [Paper(f"b{n}", f"Bird song {n}", "We propose a method for the song of a bird.") for n in range(6)]
    first, second = named([tides, birds])
    assert "tides" in first
    assert "bird" in second
    assert "method" not in f"{first} {second}"


def test_every_paper_is_in_one_group(starter: Library):
    shown = drawn(starter, 1)
    rows = sorted(row for group in shown.clusters for row in group.rows)
    assert rows == list(range(64))
    assert len(shown.clusters) == groups_for(64)
    assert all(group.name for group in shown.clusters)


def test_a_paper_lies_among_its_like_on_the_starter_map(starter: Library):
    shown = drawn(starter, 1)
    at = {paper.title: shown.positions[row] for row, paper in enumerate(shown.papers)}

    def far(one: str, other: str) -> float:
        [first] = [place for title, place in at.items() if title.startswith(one)]
        [second] = [place for title, place in at.items() if title.startswith(other)]
        return float(np.linalg.norm(first - second))

    assert far("BERT", "RoBERTa") < far("BERT", "Denoising Diffusion")


def test_above_the_limit_a_sample_is_shown_with_a_notice_and_sources_outside_it_are_placed(starter: Library):
    shown = drawn(starter, 1, most=20)
    assert (len(shown.papers), shown.total) == (20, 64)
    assert "sample of 20 of 64 papers" in render.map_notice_html(shown, 0)
    inside = {paper.id for paper in shown.papers}
    outside = [key for key in starter.ids() if key not in inside][:2]
    placed = shown.placed([*outside, "no-such-paper", shown.papers[0].id], starter)
    assert list(placed) == [*outside, shown.papers[0].id]
    low, high = shown.positions.min(axis=0), shown.positions.max(axis=0)
    assert all((low <= np.array(place)).all() and (np.array(place) <= high).all() for place in placed.values())
    assert drawn(starter, 1, most=20).papers == shown.papers, "the same sample each time"


def test_the_map_is_made_once_a_generation(starter_copy):
    from rag import open_library

    with open_library(starter_copy) as library:
        maps = Cartographer(library)
        first = maps.map()
        assert maps.map() is first
        library.remove([first.papers[0].id])
        second = maps.map()
        assert len(second.papers) == 63
        assert first.papers[0].id not in {paper.id for paper in second.papers}


def test_an_empty_library_has_an_empty_map(tmp_path):
    from rag import open_library

    with open_library(tmp_path / "none") as library:
        shown = Cartographer(library).map()
    assert shown.papers == ()
    assert "once there are papers" in render.map_notice_html(shown, 0)
    assert render.topics_html(shown) == ""


def one_paper_map(paper: Paper, name: str) -> PaperMap:
    place = np.zeros((1, 2), dtype=np.float32)
    return PaperMap(1, (paper,), place, np.ones((1, 1), dtype=np.float32), (Cluster(name, (0,)),), 1)


def test_nothing_in_a_title_is_live_on_the_map():
    paper = Paper(id=HOSTILE, title=HOSTILE, abstract="A.")
    shown = one_paper_map(paper, HOSTILE)
    answer = Answer("q", "t", sources=(Source(1, paper, 1.0),))
    figure = json.loads(render.figure_json(shown, answer, {HOSTILE: (0.0, 0.0)}))
    labels = [trace[key] for trace in figure["data"] for key in ("text", "hovertext", "name") if key in trace]
    labels.append([item["text"].removeprefix("<b>").removesuffix("</b>") for item in figure["layout"]["annotations"]])
    for text in (part for label in labels for part in (label if isinstance(label, list) else [label])):
        assert "<" not in text
    assert "<script" not in render.topics_html(shown)
    assert "<img" not in render.topics_html(shown)


def test_the_sources_of_the_last_answer_are_a_trace_of_their_own():
    paper = Paper(id="p1", title="Ember", abstract="A.", year=2020)
    answer = Answer("q", "t", sources=(Source(1, paper, 1.0),))
    figure = json.loads(render.figure_json(one_paper_map(paper, "ember"), answer, {"p1": (0.25, 0.5)}))
    marked = figure["data"][-1]
    assert (marked["x"], marked["y"], marked["text"], marked["customdata"]) == ([0.25], [0.5], ["1"], ["p1"])
    assert marked["hovertext"] == ["[1] Ember (2020)"]


def test_five_thousand_papers_are_laid_out_and_grouped_in_seconds():
    vectors, _ = blobs(20, 250, 128)
    papers = [Paper(f"p{n}", f"Title {n % 20} of group{n % 20}", "Words of an abstract. " * 8) for n in range(5000)]
    began = time.process_time()
    positions, groups = laid_out(vectors), clustered(vectors, papers)
    assert time.process_time() - began < 20  # processor time, so that a busy machine is no failure
    assert positions.shape == (5000, 2)
    assert sum(len(group.rows) for group in groups) == 5000
