"""On a Chroma server with the Search API hybrid retrieval is the server's; elsewhere words stay with the replica."""

from __future__ import annotations

import json
from contextlib import closing
from math import log
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from rag import Library, open_library
from rag.errors import LibraryError, LibraryMismatch
from rag.papers import Passage
from rag.settings import DenseSettings
from rag.starter import path as starter_path
from rag.stores import manifest
from rag.stores.chroma_http import SPARSE_KEY, ChromaRefused, ChromaServer
from rag.stores.chroma_server import ServerIndex
from rag.stores.sparse import SparseIndex, sparse_vector
from tests.chroma_search import searching
from tests.ingesting import record, write

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("socket_enabled")]

CASES = Path(__file__).parents[1] / "eval" / "cases" / "starter.jsonl"
TEXTS = {"w#0": "whales sing to whales", "b#0": "birds sing at dawn near cold water", "r#0": "rockets burn fuel"}


def on_server(folder: Path, url: str, **changes: Any) -> Library:
    return open_library(folder, dense={"kind": "chroma-server", "url": url, "words": "auto", **changes})


def server(url: str) -> ChromaServer:
    return ChromaServer(DenseSettings(kind="chroma-server", url=url))


def index_of(url: str, texts: dict[str, str] = TEXTS) -> SparseIndex:
    dense = ServerIndex(server(url), "test", dimension=4, words=True, make=True)
    dense.upsert(list(texts), np.eye(len(texts), 4, dtype=np.float32))
    index = SparseIndex(dense)
    index.upsert([Passage(key, key, 0, 0, len(text), text) for key, text in texts.items()])
    return index


def place(folder: Path) -> str:
    found = manifest.read(folder)
    assert found
    return found.dense


# Which server searches words.


def test_a_single_node_is_asked_once_and_the_replica_keeps_its_own_words(tmp_path):
    with searching(single_node=True) as (url, node), on_server(tmp_path, url) as library:
        library.ingest([starter_path()])
        assert library.search("dropout", 1)[0].lexical
        library.ingest([write(tmp_path / "a.jsonl", [record(1, id="p1")])])
        library.search("dropout")
        assert len([body for body in node.asked("collections") if body and "schema" in body]) == 1
        assert node.asked("search") == []
        assert (place(tmp_path), (tmp_path / "lexical").is_dir()) == ("chroma-server", True)


def test_chroma_run_refuses_sparse_vectors_and_keeps_nothing_of_the_question(chroma_url, tmp_path):
    with closing(server(chroma_url)) as node:
        before = set(node.names())
        with pytest.raises(ChromaRefused, match="Sparse vector indexing is not enabled in local"):
            node.make_sparse("test-refused", {"dimension": 4})
        assert not node.ranks_words()
        assert set(node.names()) == before
    with on_server(tmp_path, chroma_url) as library:
        library.ingest([write(tmp_path / "a.jsonl", [record(1, id="p1")])])
        assert library.search(record(1)["abstract"], 1)[0].lexical
    assert (place(tmp_path), (tmp_path / "lexical").is_dir()) == ("chroma-server", True)


def test_words_on_a_single_node_are_refused_with_the_setting_to_change(chroma_url, tmp_path):
    with (
        on_server(tmp_path, chroma_url, words="server") as library,
        pytest.raises(LibraryError, match=r"not enabled in local.*dense\.words: local"),
    ):
        library.ingest([starter_path()])


def test_a_server_with_search_keeps_the_words_and_the_folder_none(search_url, tmp_path):
    with on_server(tmp_path, search_url) as library:
        library.ingest([starter_path()])
        assert [check for check in library.doctor() if not check.ok] == []
    assert place(tmp_path) == "chroma-search"
    assert not (tmp_path / "lexical").exists()
    with closing(server(search_url)) as node:
        assert len(list(node.names())) == 1  # none of the question is left


def test_words_stay_with_the_replica_where_the_settings_say_so(tmp_path):
    with searching() as (url, node), on_server(tmp_path, url, words="local") as library:
        library.ingest([starter_path()])
        assert library.search("dropout", 1)[0].lexical
        assert (node.asked("search"), place(tmp_path)) == ([], "chroma-server")


def test_a_rebuild_moves_the_words_to_the_server_and_back(starter, search_url, tmp_path):
    with on_server(tmp_path, search_url, words="local") as library:
        library.ingest([starter_path()])
    with on_server(tmp_path, search_url, words="server") as library:
        with pytest.raises(LibraryMismatch, match=r"kept by chroma-server, .*say chroma-search: run `citewise rebuild"):
            library.search("dropout")
        library.rebuild()
        assert library.ask("What is dropout?").text == starter.ask("What is dropout?").text
    with on_server(tmp_path, search_url, words="local") as library:
        library.rebuild()
        assert library.ask("What is dropout?").text == starter.ask("What is dropout?").text


# What it finds.


def test_hits_and_answers_are_those_of_a_library_in_a_folder(starter, search_url, tmp_path):
    cases = [json.loads(line)["question"] for line in CASES.read_text(encoding="utf-8").splitlines()]
    with on_server(tmp_path, search_url) as library:
        library.ingest([starter_path()])
        shared: list[float] = []
        for question in cases[::12]:
            own, there = ({hit.paper.id for hit in asked.search(question, 20)} for asked in (starter, library))
            shared.append(len(own & there) / max(1, len(own)))
        assert sum(shared) / len(shared) > 0.97
        for question in ("How does LoRA adapt a large model?", "What is dropout?"):
            assert library.ask(question).text == starter.ask(question).text


def test_a_question_is_one_search_of_both_and_its_words_are_asked_about_once(tmp_path):
    with searching() as (url, node), on_server(tmp_path, url) as library:
        library.ingest([starter_path()])
        library.search("dropout in networks")
        node.requests.clear()
        library.search("dropout in networks")
        [body] = node.asked("search")
        assert [search["rank"]["$knn"]["key"] for search in body["searches"]] == ["#embedding", SPARSE_KEY]


def test_the_frequency_of_every_word_is_told_exactly_by_the_scores(starter, search_url, tmp_path):
    words = sorted({word for paper in starter.papers() for word in f"{paper.title} {paper.abstract}".lower().split()})
    words += ["neverheardof", "the", "GPT-4"]
    with on_server(tmp_path, search_url) as library:
        library.ingest([starter_path()])
        there, own = library._current().lexical, starter._current().lexical
        assert there.document_frequency(words) == own.document_frequency(words)
        assert there.count() == own.count()


def test_scores_are_bm25(search_url):
    index = index_of(search_url)
    rarity = log(1 + (3 - 2 + 0.5) / (2 + 0.5)), log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    norm = 1.2 * (1 - 0.75 + 0.75 * 3 / 107)
    expected = rarity[0] * 2.2 / (1 + norm) + rarity[1] * 2 * 2.2 / (2 + norm)
    assert index.search("Whales that sing", 5)[0] == ("w#0", pytest.approx(expected, abs=1e-4))
    assert [key for key, _ in index.search("sing", 5)] == ["w#0", "b#0"]  # the shorter one first
    assert index.search("submarines", 5) == index.search("the of", 5) == []


def test_another_spelling_of_a_compound_is_found(search_url):
    index = index_of(search_url, {"g#0": "models like GPT-4", "f#0": "we fine-tuned it", "l#0": "GPT3 beats nothing"})
    assert [key for key, _ in index.search("GPT4", 5)] == ["g#0"]
    assert [key for key, _ in index.search("finetuned", 5)] == ["f#0"]
    assert "l#0" in dict(index.search("GPT-3", 5))


def test_what_was_edited_and_removed_is_found_so(search_url, tmp_path):
    papers = [record(at, id=f"p{at}") for at in range(5)]
    with on_server(tmp_path / "l", search_url) as library:
        library.ingest([write(tmp_path / "a.jsonl", papers)])
        papers[2]["abstract"] = "Submarines are quiet below the waves. Nobody hears their engines at night."
        library.ingest([write(tmp_path / "a.jsonl", papers)])
        assert library.search("submarines", 1)[0].paper.id == "p2"
        library.remove(["p2"])
        assert all(hit.paper.id != "p2" for hit in library.search("submarines", 9))
        assert [check for check in library.doctor() if not check.ok] == []


# The wire.


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list) else value


def without_functions(schema: Any) -> Any:
    """A schema without the embedding functions that chromadb notes in it for itself."""
    if isinstance(schema, dict):
        return {key: without_functions(item) for key, item in schema.items() if key != "embedding_function"}
    return schema


def by_chromas_client(url: str) -> dict[str, Any]:
    """What `index_of` and a hybrid search do, done by Chroma's own client; its answer."""
    from chromadb import HttpClient, K, Knn, Schema, Search, SparseVectorIndexConfig, VectorIndexConfig
    from chromadb.base_types import SparseVector

    def sparse(*words: str) -> SparseVector:
        vector = sparse_vector(words)
        return SparseVector(vector["indices"], vector["values"])

    schema = Schema().create_index(VectorIndexConfig(space="cosine"))
    schema = schema.create_index(SparseVectorIndexConfig(bm25=True), key=SPARSE_KEY)
    client = HttpClient(host="127.0.0.1", port=urlsplit(url).port or 0)
    made = client.get_or_create_collection(
        "test", schema=schema, metadata={"dimension": 4, "fingerprint": ""}, embedding_function=None
    )
    made.update(
        list(TEXTS),
        metadatas=[
            {SPARSE_KEY: sparse("whale", "sing", "whale")},
            {SPARSE_KEY: sparse("bird", "sing", "dawn", "near", "cold", "water")},
            {SPARSE_KEY: sparse("rocket", "burn", "fuel")},
        ],
    )
    search = Search().where(K.ID.is_in(["w#0", "b#0"])).select(K.SCORE)
    by_words = Knn(SparseVector(sparse("whale").indices, [1.0]), key=SPARSE_KEY, limit=3)
    return made.search([search.rank(Knn([1.0, 0.0, 0.0, 0.0], limit=7)).limit(7), search.rank(by_words).limit(3)])


def test_what_is_sent_is_what_chromas_own_client_sends():
    with searching() as (url, node):
        found = index_of(url).search_both([np.float32([1, 0, 0, 0])], [("whales", 3)], 7, only=["w#0", "b#0"])
        making, *ours = [node.asked(what)[-1] for what in ("collections", "update", "search")]
        node.requests.clear()
        answer = by_chromas_client(url)
        made, *theirs = [without_none(node.asked(what)[-1]) for what in ("collections", "update", "search")]
        assert without_functions(making) == without_functions(made)
        assert [without_none(body) for body in ours] == theirs
        assert [[key for key, _ in rows] for rows in (*found[0], *found[1])] == [["w#0", "b#0"], ["w#0"]]
        assert answer["ids"] == [["w#0", "b#0"], ["w#0", "b#0"]]  # the last holds no word, and so is no answer of ours


def test_chroma_run_understands_every_request_before_it_refuses_it(chroma_url):
    with searching() as (url, node):
        index_of(url).search_both([np.float32([1, 0, 0, 0])], [("whales", 3)], 7, only=["w#0", "b#0"])
        update, search = node.asked("update")[-1], node.asked("search")[-1]
    with closing(server(chroma_url)) as single:
        made = single.make("test-understood", {}, {"dimension": 4})
        by_vector = search | {"searches": search["searches"][:1]}
        for what, body, reason in (
            ("update", update, "Sparse vector is not supported for local chroma: words"),
            ("search", search, "key 'words' with type 'SparseVector' because indexing is disabled"),
            ("search", by_vector, "Search operation is not implemented for local executor"),
        ):
            with pytest.raises(ChromaRefused, match=reason):
                single.ask(made, what, body)
        single.ask(made, "update", {"ids": ["gone"], "metadatas": [{SPARSE_KEY: None}]})
