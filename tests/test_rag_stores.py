"""The rules that both indexes keep, and what is particular to each."""

from __future__ import annotations

import hashlib
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import chromadb.errors
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import LibraryDamaged, LibraryError, LibraryLocked, LibraryMismatch
from rag.papers import Passage
from rag.settings import DenseSettings
from rag.stores.chroma import explained
from rag.stores.chroma_http import ChromaServer
from rag.stores.chroma_server import ServerIndex
from rag.stores.dense import ChromaIndex
from rag.stores.exact import ExactSearch
from rag.stores.lexical import TantivyIndex
from rag.stores.sparse import SparseIndex
from rag.text import stems

ROOT = Path(__file__).parents[1]
DIMENSION = 32
TEXTS = {
    "w1#0": "whales sing in deep water",
    "w2#0": "whales dive in deep cold water",
    "b1#0": "birds sing at dawn near water",
    "r1#0": "rockets burn fuel far from water",
}
NAMES = {
    "g#0": "Language models are few-shot learners like GPT-4",
    "t#0": "Top2Vec: distributed representations of topics",
    "f#0": "We fine-tuned the naïve café model",
    "l#0": "GPT3 beats nothing",
}


def vector(text: str) -> np.ndarray:
    """A unit vector that is the same in every process: the sum of pseudo-random vectors of the words."""
    total = np.zeros(DIMENSION, dtype=np.float32)
    for word in text.split():
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
        total += np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return total / max(float(np.linalg.norm(total)), 1e-9)


class Dense:
    """The dense index, driven with texts."""

    kind = "dense"

    def __init__(self, folder):
        self.index = ChromaIndex(folder, dimension=DIMENSION)

    def put(self, texts):
        self.index.upsert(list(texts), np.array([vector(text) for text in texts.values()]))

    def find(self, text, k, only=None):
        return self.index.search(vector(text), k, only=only)

    def remove(self, ids):
        self.index.delete(ids)


class Server(Dense):
    """The dense index on a Chroma server."""

    kind = "server"

    def __init__(self, folder, **options):
        self.index = on_server(folder, **({"make": True} | options))


def on_server(folder, *, dimension=DIMENSION, batch_size=2000, **options):
    settings = DenseSettings(kind="chroma-server", url=os.environ[URL], batch_size=batch_size)
    name = f"test-{hashlib.sha256(str(folder).encode()).hexdigest()[:32]}"
    return ServerIndex(ChromaServer(settings), name, dimension=dimension, **options)


class Lexical:
    """The lexical index, driven with texts."""

    kind = "lexical"

    def __init__(self, folder):
        self.index = TantivyIndex(folder)

    def put(self, texts):
        self.index.upsert([Passage(key, key, 0, 0, len(text), text) for key, text in texts.items()])
        self.index.commit()

    def find(self, text, k, only=None):
        return self.index.search(text, k, only=only)

    def remove(self, ids):
        self.index.delete(ids)
        self.index.commit()


class Sparse(Lexical):
    """The lexical index beside the vectors on a server that has the Search API."""

    kind = "sparse"

    def __init__(self, folder):
        self.dense = Server(folder, words=True)
        self.index = SparseIndex(self.dense.index)

    def put(self, texts):
        self.dense.put(texts)
        super().put(texts)

    def remove(self, ids):
        self.dense.remove(ids)
        super().remove(ids)


KINDS = {"dense": Dense, "server": Server, "lexical": Lexical, "sparse": Sparse}
URL = "CITEWISE_TEST_CHROMA"
LOCAL = ["dense", "lexical"]
ON_SERVER = pytest.param("server", marks=pytest.mark.loopback)
WITH_SEARCH = pytest.param("sparse", marks=pytest.mark.loopback)


@pytest.fixture(params=["dense", ON_SERVER, "lexical", WITH_SEARCH])
def kind(request, monkeypatch):
    if request.param == "server":
        monkeypatch.setenv(URL, request.getfixturevalue("chroma_url"))
    if request.param == "sparse":
        monkeypatch.setenv(URL, request.getfixturevalue("search_url"))
    return KINDS[request.param]


@pytest.fixture
def opened(kind, tmp_path):
    driver = kind(tmp_path / "index")
    yield driver
    driver.index.close()


def found(driver, text, k, only=None):
    return [passage_id for passage_id, _ in driver.find(text, k, only)]


def in_another_process(kind, folder, body, **options):
    """Start a process with `driver` opened on the folder; it shares this file's drivers."""
    code = f"""
        import sys
        sys.path.insert(0, {str(ROOT / "tests")!r})
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        import test_rag_stores as here
        driver = here.KINDS[{kind.kind!r}](Path({str(folder)!r}))
    """
    program = textwrap.dedent(code) + textwrap.dedent(body)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, **options)


def test_empty_index_finds_and_counts_nothing(opened):
    assert opened.find("whales", 5) == []
    assert opened.find("whales", 5, ["w1#0"]) == []
    assert opened.index.count() == 0
    assert opened.index.ids() == set()
    opened.remove(["w1#0"])


def test_best_match_comes_first_with_falling_scores(opened):
    opened.put(TEXTS)
    hits = opened.find("whales sing in deep water", 4)
    assert hits[0][0] == "w1#0"
    scores = [score for _, score in hits]
    assert scores == sorted(scores, reverse=True)


def test_k_may_exceed_what_there_is(opened):
    opened.put(TEXTS)
    assert set(found(opened, "water", 1000)) == set(TEXTS)
    assert opened.find("water", 0) == []


def test_adding_an_id_again_replaces_it(opened):
    opened.put(TEXTS)
    opened.put({"w1#0": "rockets burn fuel far from water"})
    assert opened.index.count() == len(TEXTS)
    assert set(found(opened, "rockets burn fuel far from water", 2)) == {"w1#0", "r1#0"}


def test_of_an_id_given_twice_the_last_counts(kind, tmp_path):
    if issubclass(kind, Dense):
        index = kind(tmp_path).index
        index.upsert(["a", "a"], np.array([vector("whales"), vector("birds")]))
        assert index.search(vector("birds"), 1)[0][1] == pytest.approx(1.0, abs=1e-5)
    else:
        driver = kind(tmp_path)
        driver.put({"a": "fishes"})
        index = driver.index
        index.upsert([Passage("a", "a", 0, 0, 0, text) for text in ("whales", "birds")])
        index.commit()
        assert [hit for hit, _ in index.search("birds", 5)] == ["a"]
        assert index.search("whales", 5) == []
    assert index.count() == 1
    index.close()


def test_removed_ids_are_found_no_more_and_unknown_ones_are_passed_over(opened):
    opened.put(TEXTS)
    opened.remove(["w1#0", "never seen", "b1#0"])
    assert opened.index.ids() == {"w2#0", "r1#0"}
    assert opened.index.count() == 2
    assert set(found(opened, "whales sing water", 10)) == {"w2#0", "r1#0"}


def test_any_string_is_an_id(opened):
    ids = ["a#0", "doi:10.1/x#1", "arXiv:2101.00001v2#0", "ünï → 論文#0", "x" * 200, "a b", 'q"\\', "A#0", "-1", "*"]
    opened.put(dict.fromkeys(ids, "whales in water"))
    assert opened.index.ids() == set(ids)
    assert set(found(opened, "whales", 50)) == set(ids)
    for passage_id in ids:
        assert found(opened, "whales", 5, [passage_id]) == [passage_id]
    opened.remove(ids[:5])
    assert opened.index.ids() == set(ids[5:])


def test_only_restricts_and_ignores_unknown_ids(opened):
    opened.put(TEXTS)
    assert found(opened, "whales water", 10, ["b1#0", "nobody", "r1#0", "b1#0"]) != []
    assert set(found(opened, "whales water", 10, ["b1#0", "nobody", "r1#0", "b1#0"])) == {"b1#0", "r1#0"}
    assert opened.find("whales", 10, []) == []
    assert opened.find("whales", 10, ["nobody"]) == []


@pytest.mark.parametrize("allowed", [1, 7, 300, 900, 5200])
def test_filtered_search_is_the_unfiltered_one_without_the_others(opened, allowed):
    words = "alpha beta gamma delta epsilon zeta eta theta iota kappa".split()
    chance = random.Random(allowed)
    size = 6000
    opened.put({f"p{n}#0": "water " + " ".join(chance.choices(words, k=8)) for n in range(size)})
    only = [f"p{n}#0" for n in chance.sample(range(size), allowed)]
    question = "water alpha beta gamma"
    if isinstance(opened, Dense):
        everything = opened.index.vectors([f"p{n}#0" for n in range(size)])
        expected = ExactSearch.of(everything).search(vector(question), 20, only=only)
        search_until_exact(opened, question, only)
    else:
        rest = opened.find(question, size)
        expected = [hit for hit in rest if hit[0] in set(only)][:20]
    hits = opened.find(question, 20, only)
    assert [score for _, score in hits] == pytest.approx([score for _, score in expected], abs=1e-4)
    assert {hit for hit, _ in hits} <= set(only)
    assert len(hits) == min(20, allowed)


def search_until_exact(driver, question, only):
    """Filtered searches read all vectors in the background from the second one on; wait for that."""
    for _ in range(2):
        assert {hit for hit, _ in driver.find(question, 20, only)} <= set(only)
    for thread in threading.enumerate():
        if thread.name == "citewise-vectors":
            thread.join()


def test_filtered_search_sees_what_is_written_after_it(opened):
    opened.put({f"p{n}#0": f"water number {n}" for n in range(500)})
    everyone = [f"p{n}#0" for n in range(500)]
    if isinstance(opened, Dense):
        search_until_exact(opened, "whales water", everyone)
    opened.put({"p7#0": "whales sing"})
    opened.remove(["p8#0"])
    assert found(opened, "whales sing", 1, everyone) == ["p7#0"]
    assert "p8#0" not in found(opened, "water number", 500, everyone)


def test_what_was_written_is_there_after_reopening(kind, tmp_path):
    first = kind(tmp_path)
    first.put(TEXTS)
    first.index.close()
    second = kind(tmp_path)
    assert second.index.ids() == set(TEXTS)
    assert found(second, "rockets burn fuel", 1) == ["r1#0"]
    second.index.close()


def test_another_process_is_seen_after_reopen(opened, kind, tmp_path):
    opened.put(TEXTS)
    opened.index.close()
    opened.__init__(tmp_path / "index")
    assert found(opened, "submarines", 1) != ["s1#0"]
    writer = in_another_process(kind, tmp_path / "index", "driver.put({'s1#0': 'submarines'}); driver.index.close()")
    assert writer.wait(60) == 0
    opened.index.reopen()
    assert found(opened, "submarines", 1) == ["s1#0"]
    assert opened.index.count() == len(TEXTS) + 1


def test_closed_index_says_so_and_closes_twice(opened):
    opened.put(TEXTS)
    opened.index.close()
    opened.index.close()
    with pytest.raises(LibraryError, match="closed"):
        opened.find("whales", 1)
    with pytest.raises(LibraryError, match="closed"):
        opened.index.reopen() if opened.kind == "lexical" else opened.index.count()


def test_indexes_in_other_folders_are_not_disturbed(kind, tmp_path):
    one, other = kind(tmp_path / "one"), kind(tmp_path / "other")
    one.put(TEXTS)
    other.put({"x#0": "whales"})
    one.index.reopen()
    one.index.close()
    assert found(other, "whales", 5) == ["x#0"]
    other.put({"y#0": "whales whales"})
    assert other.index.count() == 2
    other.index.close()


def test_searches_go_on_while_one_thread_writes_and_reopens(opened):
    opened.put(TEXTS)
    failures: list[BaseException] = []
    stop = threading.Event()

    def search():
        try:
            while not stop.is_set():
                assert found(opened, "rockets burn fuel", 1) == ["r1#0"]
                assert found(opened, "whales", 3, ["w1#0", "b1#0"])[0] == "w1#0"
        except BaseException as error:  # noqa: BLE001 - shown by the main thread
            failures.append(error)

    readers = [threading.Thread(target=search) for _ in range(3)]
    for reader in readers:
        reader.start()
    for round_ in range(5):
        opened.put({f"n{round_}-{n}#0": f"stones {n}" for n in range(100)})
        opened.index.reopen()
    stop.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert opened.index.count() == len(TEXTS) + 500


@pytest.mark.parametrize("kind", LOCAL, indirect=True)
def test_damaged_folder_is_named_with_the_command_that_mends_it(kind, tmp_path):
    driver = kind(tmp_path)
    driver.put({f"p{n}#0": f"water {n}" for n in range(1200)})
    driver.index.close()
    for path in sorted(tmp_path.rglob("*")):
        if path.is_file() and path.suffix not in {".lock"}:
            path.write_bytes(b"damaged " * max(1, path.stat().st_size // 8))
    with pytest.raises(LibraryDamaged, match="citewise rebuild"):
        found(kind(tmp_path), "water", 1)


def killed_while_writing(kind, folder, delay):
    """Kill a process `delay` seconds after its first batch; returns how many batches it said were written."""
    body = """
        for batch in range(10_000):
            driver.put({f"p{batch}-{n}#0": f"water batch{batch} row{n}" for n in range(300)})
            print(batch, flush=True)
    """
    process = in_another_process(kind, folder, body)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return len(process.communicate()[0].split("\n"))


@pytest.mark.parametrize("delay", [0.05, 0.6])
def test_killed_writer_leaves_all_it_wrote_or_a_clear_error(kind, tmp_path, delay):
    check_kill(kind, tmp_path, delay)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(15))
def test_killed_writer_leaves_all_it_wrote_or_a_clear_error_at_any_moment(kind, tmp_path, seed):
    check_kill(kind, tmp_path, random.Random(seed).uniform(0.0, 3.0))


def check_kill(kind, folder, delay):
    batches = killed_while_writing(kind, folder, delay)
    try:
        driver = kind(folder)
    except LibraryDamaged:
        if kind is Dense:  # Chroma was just saving its graph, which it does in place
            return
        raise
    ids = driver.index.ids()
    assert {f"p{batch}-{n}#0" for batch in range(batches) for n in range(300)} <= ids
    held = driver.dense.index.ids() if kind is Sparse else ids  # whose passages' vectors were written before
    assert ids <= held
    assert driver.index.count() == len(held)
    assert found(driver, "water batch0 row17", 1) == ["p0-17#0"]
    assert len(found(driver, "water", 100)) == 100
    driver.put({"after#0": "rockets"})
    # Of more than 2,000 vectors the server's graph may lose one that is far from all others.
    only = ["after#0", "p0-17#0"] if kind is Server and driver.index.count() > 2000 else None
    assert found(driver, "rockets", 1, only) == ["after#0"]
    driver.index.close()


# The dense index alone.


@pytest.fixture(params=["embedded", ON_SERVER])
def dense(request, monkeypatch):
    """Opens a dense index: (folder, *, dimension, search_breadth)."""
    if request.param == "embedded":
        return ChromaIndex
    monkeypatch.setenv(URL, request.getfixturevalue("chroma_url"))
    return partial(on_server, make=True)


def test_vectors_of_another_dimension_are_refused(dense, tmp_path):
    index = dense(tmp_path, dimension=DIMENSION)
    index.upsert(["a"], vector("whales").reshape(1, -1))
    with pytest.raises(LibraryMismatch, match="16 dimensions"):
        index.upsert(["b"], np.zeros((1, 16), dtype=np.float32))
    with pytest.raises(LibraryMismatch, match="16 dimensions"):
        index.search(np.zeros(16, dtype=np.float32), 1)
    index.close()
    with pytest.raises(LibraryMismatch, match="citewise rebuild"):
        dense(tmp_path, dimension=16)


def test_vectors_come_back_as_they_were_given(dense, tmp_path):
    index = dense(tmp_path, dimension=DIMENSION)
    index.upsert(["a", "b"], np.array([vector("whales"), vector("birds")]))
    vectors = index.vectors(["b", "nobody", "b"])
    assert list(vectors) == ["b"]
    np.testing.assert_allclose(vectors["b"], vector("birds"), atol=1e-6)
    assert index.vectors([]) == {}
    index.close()


def test_text_without_a_vector_is_stored_and_like_nothing(dense, tmp_path):
    index = dense(tmp_path, dimension=DIMENSION)
    index.upsert(["empty", "a"], np.array([np.zeros(DIMENSION, dtype=np.float32), vector("whales")]))
    assert index.search(vector("whales"), 2) == [
        ("a", pytest.approx(1.0, abs=1e-5)),
        ("empty", pytest.approx(0.0, abs=1e-5)),
    ]
    with pytest.raises(ValueError, match="NaN"):
        index.upsert(["b"], np.full((1, DIMENSION), np.nan, dtype=np.float32))
    index.close()


def test_scores_are_cosines(dense, tmp_path):
    index = dense(tmp_path, dimension=DIMENSION)
    index.upsert(list(TEXTS), np.array([vector(text) for text in TEXTS.values()]))
    question = vector("whales near water")
    for passage_id, score in index.search(question, 4):
        assert score == pytest.approx(float(question @ vector(TEXTS[passage_id])), abs=1e-5)
    index.close()


@pytest.mark.parametrize("dense", ["embedded"], indirect=True)  # a running server keeps to the first one
def test_search_breadth_of_an_existing_index_can_be_changed(dense, tmp_path):
    rows = np.random.default_rng(1).standard_normal((3050, 128)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows, questions = rows[:3000], rows[3000:]
    exact = [{str(n) for n in np.argsort(-(rows @ question))[:10]} for question in questions]
    recall = {}
    for breadth in (10, 1000):
        index = dense(tmp_path, dimension=128, search_breadth=breadth)
        if not index.count():
            index.upsert([str(n) for n in range(len(rows))], rows)
        hits = [{hit for hit, _ in index.search(question, 10)} for question in questions]
        index.close()
        recall[breadth] = np.mean([len(got & best) / 10 for got, best in zip(hits, exact, strict=True)])
    assert recall[10] < 0.9 < 0.99 <= recall[1000]


@pytest.mark.parametrize(("breadth", "least", "most"), [(10, 0.0, 0.9), (1000, 0.99, 1.0)])
def test_search_breadth_is_what_finds_the_nearest(dense, tmp_path, breadth, least, most):
    rows = np.random.default_rng(1).standard_normal((3050, 128)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows, questions = rows[:3000], rows[3000:]
    index = dense(tmp_path, dimension=128, search_breadth=breadth)
    index.upsert([str(n) for n in range(len(rows))], rows)
    recalls = [
        len({hit for hit, _ in index.search(question, 10)} & {str(n) for n in np.argsort(-(rows @ question))[:10]}) / 10
        for question in questions
    ]
    index.close()
    assert least <= np.mean(recalls) <= most


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_exact_search_is_a_sort_by_cosine(size, k, seed):
    chance = np.random.default_rng(seed)
    rows = chance.standard_normal((size, 4)).astype(np.float32)
    only = [str(n) for n in chance.choice(size * 2, size=size, replace=False)]
    question = chance.standard_normal(4).astype(np.float32)
    search = ExactSearch.of({str(n): row for n, row in enumerate(rows)})
    cosines = (rows @ question) / np.linalg.norm(rows, axis=1) / np.linalg.norm(question)
    expected = sorted((float(cosines[int(n)]) for n in only if int(n) < size), reverse=True)[:k]
    assert [score for _, score in search.search(question, k, only=only)] == pytest.approx(expected, abs=1e-5)


# The lexical index alone.


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    driver = Lexical(tmp_path_factory.mktemp("lexical"))
    driver.put(TEXTS | NAMES)
    yield driver
    driver.index.close()


@given(st.text(max_size=200))
def test_any_text_is_a_valid_question(library, text):
    for passage_id, score in library.find(text, 5):
        assert passage_id in library.index.ids()
        assert score > 0


@pytest.mark.parametrize(
    "question", ["", "   ", "AND OR NOT", 'body:"water"', "+water -whales", "(((", "[a TO z]", "\\", "\x00", "^2~?*"]
)
def test_there_is_no_query_syntax(library, question):
    plain = re.sub(r"[^\w\s]", " ", question)
    assert library.find(question, 10) == library.find(plain, 10)


def test_a_very_long_question_is_answered(library):
    assert library.find("water " * 50_000 + "x" * 100_000, 1)[0][0] in TEXTS


@pytest.mark.parametrize(
    ("question", "paper"),
    [
        ("GPT-4", "g#0"),
        ("gpt4", "g#0"),
        ("GPT 3", "l#0"),
        ("top2vec", "t#0"),
        ("Top2Vec?", "t#0"),
        ("finetuned", "f#0"),
        ("fine tuning", "f#0"),
        ("naive cafe", "f#0"),
        ("TOPIC", "t#0"),
    ],
)
def test_names_are_found_however_they_are_spelled(library, question, paper):
    assert found(library, question, 1) == [paper]


def test_scores_are_plain_bm25(library):
    question = "whales sing in deep water water"
    expected = bm25(TEXTS | NAMES, question)
    hits = library.find(question, 100)
    assert dict(hits) == pytest.approx(expected, rel=1e-4)


def bm25(texts, question, k1=1.2, b=0.75):
    """Robertson and Zaragoza (2009), with the idf that Lucene uses."""
    words = {key: stems(text) for key, text in texts.items()}
    mean = sum(map(len, words.values())) / len(words)
    scores = Counter()
    for term in stems(question):
        holders = [key for key in words if term in words[key]]
        idf = math.log(1 + (len(words) - len(holders) + 0.5) / (len(holders) + 0.5))
        for key in holders:
            count = words[key].count(term)
            scores[key] += idf * count * (k1 + 1) / (count + k1 * (1 - b + b * len(words[key]) / mean))
    return dict(scores)


def test_document_frequencies_are_counted_after_stemming(library):
    counts = library.index.document_frequency(["whale", "Water", "sings", "the", "GPT-4", "zebra", "…", ""])
    assert counts == {"whale": 2, "Water": 4, "sings": 2, "the": 0, "GPT-4": 1, "zebra": 0, "…": 0, "": 0}


def test_nothing_is_seen_before_commit(tmp_path):
    index = TantivyIndex(tmp_path)
    index.upsert([Passage("a", "a", 0, 0, 0, "whales")])
    assert index.count() == 0
    index.commit()
    assert index.count() == 1
    index.delete(["a"])
    assert index.count() == 1
    index.commit()
    assert index.count() == 0
    index.close()


def test_what_is_not_committed_is_dropped_by_close(tmp_path):
    index = TantivyIndex(tmp_path)
    index.upsert([Passage("a", "a", 0, 0, 0, "whales")])
    index.close()
    again = TantivyIndex(tmp_path)
    assert again.count() == 0
    again.close()


def test_second_writer_is_refused_until_the_first_lets_go(tmp_path):
    first, second = TantivyIndex(tmp_path), TantivyIndex(tmp_path)
    first.upsert([Passage("a", "a", 0, 0, 0, "whales")])
    first.commit()
    with pytest.raises(LibraryLocked, match="another process is writing"):
        second.upsert([Passage("b", "b", 0, 0, 0, "birds")])
    first.close()
    second.upsert([Passage("b", "b", 0, 0, 0, "birds")])
    second.commit()
    assert second.ids() == {"a", "b"}
    second.close()


# The dense index beside other processes.


def test_two_that_write_in_turn_lose_nothing_of_each_other(tmp_path):
    one, other = Dense(tmp_path), Dense(tmp_path)
    for turn, driver in enumerate((one, other, one, other)):
        driver.put({f"t{turn}-{n}#0": f"water turn{turn} row{n}" for n in range(1300)})
    one.index.reopen()
    assert one.index.count() == 5200
    for turn in range(4):
        for row in (0, 700, 1299):
            assert found(one, f"water turn{turn} row{row}", 1) == [f"t{turn}-{row}#0"]
    one.index.close()
    other.index.close()


def test_index_can_be_opened_while_another_process_writes(tmp_path):
    body = """
        for batch in range(12):
            driver.put({f"p{batch}-{n}#0": f"water batch{batch} row{n}" for n in range(700)})
            print(batch, flush=True)
        driver.index.close()
    """
    writer = in_another_process(Dense, tmp_path, body)
    assert writer.stdout is not None
    writer.stdout.readline()
    while writer.poll() is None:
        reader = Dense(tmp_path)
        assert found(reader, "water batch0 row17", 1) == ["p0-17#0"]
        reader.index.close()
    assert writer.returncode == 0
    reader = Dense(tmp_path)
    assert reader.index.count() == 8400
    for batch in range(12):
        assert found(reader, f"water batch{batch} row17", 1) == [f"p{batch}-17#0"]
    reader.index.close()


@pytest.mark.parametrize("name", ["header.bin", "length.bin", "data_level0.bin", "link_lists.bin"])
def test_graph_files_cut_short_are_noticed(tmp_path, name):
    driver = Dense(tmp_path)
    driver.put({f"p{n}#0": f"water row{n}" for n in range(2500)})
    driver.index.close()
    [file] = tmp_path.glob(f"*/{name}")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(LibraryDamaged, match="citewise rebuild"):
        Dense(tmp_path)


def test_a_reader_of_a_folder_that_is_gone_says_so_and_makes_none(tmp_path):
    folder = tmp_path / "chroma"
    index = ChromaIndex(folder, dimension=DIMENSION)
    index.upsert(["w1#0"], vector(TEXTS["w1#0"]).reshape(1, -1))
    index.close()
    unread, read = (ChromaIndex(folder, dimension=DIMENSION, lazy=True) for _ in range(2))
    assert read.count() == 1
    shutil.rmtree(folder)
    with pytest.raises(LibraryDamaged, match=r"is gone: ask again.*citewise rebuild"):
        unread.search(vector("whales"), 1)
    assert not folder.exists()
    with pytest.raises(LibraryDamaged, match="is gone"), explained(folder):
        raise chromadb.errors.InternalError("unable to open database file")  # as Chroma may say of one it has open
    for one in (unread, read):
        one.close()
