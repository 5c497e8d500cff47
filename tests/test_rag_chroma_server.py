"""A library whose vectors are on a Chroma server is as one that has them in its folder, and says so when it cannot."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest

from rag import Library, open_library
from rag.embeddings import FAST
from rag.errors import LibraryError, LibraryMismatch, LibraryUnavailable, SettingsError
from rag.settings import DenseSettings, load_settings
from rag.starter import path as starter_path
from rag.stores import manifest
from rag.stores.chroma_http import ChromaServer
from rag.stores.chroma_server import ServerIndex
from rag.stores.exact import ExactSearch
from tests import chroma
from tests.ingesting import record, write
from tests.waiting import eventually

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("socket_enabled")]

KEY = "ck-secret-1234567890abcdef"
QUESTIONS = [
    "How does LoRA adapt a large model?",
    "What is dropout?",
    "Which papers from 2019..2021 are about retrieval?",
]


def dense(url: str, **changes) -> dict:
    return {"kind": "chroma-server", "url": url, **changes}


def on_server(folder: Path, url: str, **changes) -> Library:
    return open_library(folder, dense=dense(url, **changes))


def collections(url: str, folder: Path) -> list[str]:
    found = manifest.read(folder)
    assert found
    with_id = ChromaServer(DenseSettings(**dense(url)))
    return [name for name in with_id.names() if found.id in name]


def answers(library: Library) -> list:
    found = [library.ask(question) for question in QUESTIONS]
    return [(answer.text, answer.citations, [source.paper for source in answer.sources]) for answer in found]


def troubles(library: Library) -> list[str]:
    return [f"{check.name}: {check.message}" for check in library.doctor() if not check.ok]


# A whole library.


def test_answers_are_those_of_a_library_in_a_folder(starter, chroma_url, tmp_path):
    with on_server(tmp_path, chroma_url) as library:
        library.ingest([starter_path()])
        assert answers(library) == answers(starter)
        assert troubles(library) == []
    assert not (tmp_path / "chroma").exists()


def test_a_library_moves_to_the_server_and_back_as_one_file_with_its_vectors(starter, chroma_url, tmp_path):
    starter.export_to(tmp_path / "there.citewise")
    with on_server(tmp_path / "served", chroma_url) as served:
        assert served.import_from(tmp_path / "there.citewise").notices == []
        assert answers(served) == answers(starter)
        served.export_to(tmp_path / "back.citewise")
    with open_library(tmp_path / "back") as back:
        assert back.import_from(tmp_path / "back.citewise").notices == []
        assert answers(back) == answers(starter)
        vectors = back.vectors(back.ids())
        for paper_id, vector in starter.vectors(starter.ids()).items():
            assert vectors[paper_id] == pytest.approx(vector, abs=1e-6)  # Chroma scales them to length 1


def test_two_libraries_on_one_server_do_not_mix(chroma_url, tmp_path):
    one = write(tmp_path / "one.jsonl", [record(at, id=f"p{at}") for at in range(20)])
    other = write(tmp_path / "other.jsonl", [record(at, id=f"p{at}") for at in range(100, 105)])
    with on_server(tmp_path / "1", chroma_url) as first, on_server(tmp_path / "2", chroma_url) as second:
        first.ingest([one])
        second.ingest([other])
        first.remove(["p3"])
        assert (troubles(first), troubles(second)) == ([], [])
        assert len(first.search(record(100)["abstract"], 50)) == 19
        assert {hit.paper.id for hit in second.search(record(5)["abstract"], 50)} == {
            f"p{at}" for at in range(100, 105)
        }


def test_what_another_process_ingests_is_found_at_the_next_question(chroma_url, tmp_path):
    with on_server(tmp_path / "l", chroma_url) as reader, on_server(tmp_path / "l", chroma_url) as writer:
        writer.ingest([write(tmp_path / "a.jsonl", [record(at, id=f"p{at}") for at in range(5)])])
        assert reader.search(record(3)["abstract"], 1)[0].paper.id == "p3"
        writer.ingest([write(tmp_path / "b.jsonl", [record(7, id="p7")])])
        assert reader.search(record(7)["abstract"], 1)[0].paper.id == "p7"
        writer.remove(["p7"])
        assert reader.search(record(7)["abstract"], 1)[0].paper.id != "p7"


def test_a_rebuild_leaves_one_collection_and_readers_follow(chroma_url, tmp_path):
    papers = write(tmp_path / "a.jsonl", [record(at, id=f"p{at}") for at in range(5)])
    with on_server(tmp_path / "l", chroma_url) as library, on_server(tmp_path / "l", chroma_url) as reader:
        library.ingest([papers])
        [first] = collections(chroma_url, tmp_path / "l")
        assert reader.search(record(3)["abstract"], 1)[0].paper.id == "p3"
        library.rebuild()
        assert reader.search(record(3)["abstract"], 1)[0].paper.id == "p3"
        assert first in collections(chroma_url, tmp_path / "l")  # for readers that had not noticed
        library.remove(["p4"])
        [second] = collections(chroma_url, tmp_path / "l")
        assert first != second
        assert troubles(library) == []


def test_a_rebuild_moves_a_library_to_the_server(starter_copy, starter, chroma_url):
    with on_server(starter_copy, chroma_url) as library:
        with pytest.raises(LibraryMismatch, match=r"kept by chroma, .*say chroma-server: run `citewise rebuild"):
            library.search("dropout")
        with pytest.raises(LibraryMismatch):
            library.ingest([starter_path()])
        assert library.rebuild() == 64
        assert answers(library) == answers(starter)
    with open_library(starter_copy) as library, pytest.raises(LibraryMismatch, match="kept by chroma-server"):
        library.search("dropout")


def test_a_rebuild_that_failed_is_begun_from_nothing(chroma_url, tmp_path):
    papers = write(tmp_path / "a.jsonl", [record(at, id=f"p{at}") for at in range(5)])
    with on_server(tmp_path / "l", chroma_url) as library:
        library.ingest([papers])
        [first] = collections(chroma_url, tmp_path / "l")
        half = ServerIndex(ChromaServer(DenseSettings(**dense(chroma_url))), f"{first[:-1]}2", dimension=384, make=True)
        half.upsert(["left over#0"], np.ones((1, 384), dtype=np.float32))
        library.rebuild()
        assert troubles(library) == []


def test_a_rebuild_where_the_index_folders_are_missing_takes_another_collection(chroma_url, tmp_path):
    with on_server(tmp_path / "l", chroma_url) as library:
        library.ingest([write(tmp_path / "a.jsonl", [record(at, id=f"p{at}") for at in range(5)])])
        library.rebuild()
    before = set(collections(chroma_url, tmp_path / "l"))
    shutil.rmtree(tmp_path / "l" / "lexical-2")
    with on_server(tmp_path / "l", chroma_url) as library:
        library.rebuild()
        assert set(collections(chroma_url, tmp_path / "l")) - before != set()
        assert troubles(library) == []


def test_a_collection_that_is_not_there_is_said_to_be_and_made_anew_by_a_rebuild_only(chroma_url, tmp_path):
    papers = write(tmp_path / "a.jsonl", [record(at, id=f"p{at}") for at in range(5)])
    with on_server(tmp_path / "l", chroma_url) as library:
        library.ingest([papers])
        [name] = collections(chroma_url, tmp_path / "l")
        ChromaServer(DenseSettings(**dense(chroma_url))).drop(name)
        for use in (lambda: library.search("whales"), lambda: library.ingest([papers])):
            with pytest.raises(LibraryMismatch, match=r"has no collection .*citewise rebuild"):
                use()
        assert any("has no collection" in trouble for trouble in troubles(library))
        library.rebuild()
        assert library.search(record(3)["abstract"], 1)[0].paper.id == "p3"
        assert troubles(library) == []


def test_an_ingest_that_lost_its_server_is_finished_when_it_is_back(tmp_path):
    papers = write(tmp_path / "a.jsonl", [record(at, id=f"p{at}") for at in range(300)])
    port, data = chroma.free_port(), tmp_path / "data"
    quick = {"retries": 0, "timeout": 5}
    with chroma.running(data, port) as url, on_server(tmp_path / "l", url) as library:
        library.ingest([write(tmp_path / "first.jsonl", [record(999, id="first")])])
    with on_server(tmp_path / "l", url, **quick) as library:
        with pytest.raises(LibraryUnavailable, match="does not answer"):
            library.ingest([papers])
        with pytest.raises(LibraryUnavailable):
            library.search("whales")
        failing = [check for check in library.doctor() if not check.ok]
        assert {check.name for check in failing} == {"indexes", "Chroma server"}
        assert "citewise rebuild" not in [check.remedy for check in failing]
    with chroma.running(data, port), on_server(tmp_path / "l", url) as library:
        library.ingest([papers])
        assert troubles(library) == []
        assert library.search(record(123)["abstract"], 1)[0].paper.id == "p123"


def test_a_server_killed_in_the_middle_of_an_ingest_costs_nothing_but_another_run(tmp_path):
    papers = write(tmp_path / "a.jsonl", [record(at, id=f"p{at}") for at in range(6000)])
    port, data = chroma.free_port(), tmp_path / "data"
    with (
        chroma.running(data, port) as url,
        open_library(tmp_path / "l", dense=dense(url, retries=0), embedding={"kind": FAST}) as library,
        pytest.raises(LibraryUnavailable),
    ):
        library.ingest([papers], progress=lambda step: chroma.kill(data) if step.done > 3000 else None)
    with chroma.running(data, port), on_server(tmp_path / "l", url) as library:
        library.ingest([papers])
        assert troubles(library) == []
        assert library.count() == 6000


# The index.


def index_of(url: str, name: str, dimension: int = 16, **changes) -> ServerIndex:
    return ServerIndex(ChromaServer(DenseSettings(**dense(url, **changes))), name, dimension=dimension, make=True)


def rows(size: int, dimension: int = 16) -> np.ndarray:
    drawn = np.random.default_rng(size).standard_normal((size, dimension)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_more_records_than_fit_one_request_are_all_written_read_and_removed(chroma_url):
    index = index_of(chroma_url, "test-paging", batch_size=7)
    ids = [f"p{at}" for at in range(40)]
    index.upsert(ids, rows(40))
    assert index.ids() == set(ids)
    assert index.vectors(ids)["p39"] == pytest.approx(rows(40)[39], abs=1e-6)
    index.delete(ids[:20])
    assert index.ids() == set(ids[20:])


def test_a_filtered_search_of_a_large_index_passes_over_ids_that_do_not_exist(chroma_url):
    index = index_of(chroma_url, "test-unknown")
    ids, vectors = [f"p{at}" for at in range(3000)], rows(3000)
    index.upsert(ids, vectors)
    only = [*ids[:1000], *(f"nobody{at}" for at in range(1000))]
    expected = ExactSearch.of(dict(zip(ids, vectors, strict=True))).search(vectors[5], 10, only=only)
    assert index.search(vectors[5], 10, only=only)[0][0] == "p5"
    assert {key for key, _ in index.search(vectors[5], 10, only=only)} <= set(ids[:1000])
    assert [score for _, score in index.search(vectors[5], 10, only=only)] == pytest.approx(
        [score for _, score in expected], abs=1e-4
    )
    assert index.search(vectors[5], 10, only=[f"nobody{at}" for at in range(1000)]) == []


def test_the_same_place_with_another_encoder_is_refused(chroma_url):
    index_of(chroma_url, "test-encoder").upsert(["a"], rows(1))
    server = ChromaServer(DenseSettings(**dense(chroma_url)))
    with pytest.raises(LibraryMismatch, match="another encoder"):
        ServerIndex(server, "test-encoder", dimension=16, fingerprint="other").count()
    with pytest.raises(LibraryMismatch, match="holds vectors of 16 dimensions"):
        ServerIndex(server, "test-encoder", dimension=8).count()


def test_a_database_that_does_not_exist_is_named(chroma_url, tmp_path):
    with (
        on_server(tmp_path / "l", chroma_url, database="nowhere") as library,
        pytest.raises(LibraryError, match="nowhere"),
    ):
        library.ingest([starter_path()])


def test_a_single_node_has_no_search_api_and_an_answer_to_it_is_one(chroma_url):
    index_of(chroma_url, "test-search-api")
    server = ChromaServer(DenseSettings(**dense(chroma_url)))
    collection = server.collection("test-search-api")
    assert collection
    assert not server.offers_search(collection)
    with scripted((200, b'{"ids":[]}')) as (url, _):
        assert ChromaServer(DenseSettings(**dense(url))).offers_search(collection)


# The connection, against a server that misbehaves.


@contextmanager
def scripted(*replies: tuple[int, bytes] | float, pause: float = 0.0) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that gives these replies in turn, the last for ever; a number is seconds of silence."""
    left = list(replies)
    headers: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers.append({name.lower(): value for name, value in self.headers.items()})
            reply = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(reply, float):
                time.sleep(reply)
                return
            time.sleep(pause)
            status, body = reply
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", headers
    finally:
        server.shutdown()
        server.server_close()


def version(url: str, **changes) -> str:
    return ChromaServer(DenseSettings(**dense(url, **changes))).version()


BUSY = (503, b'{"error":"Unavailable","message":"starting"}')


@pytest.mark.parametrize("first", [BUSY, (429, b""), (502, b"<html>bad gateway</html>")])
def test_a_busy_server_is_asked_again(first):
    with scripted(first, first, (200, b'"1.0.0"')) as (url, asked):
        assert version(url) == "1.0.0"
        assert len(asked) == 3


def test_a_server_that_stays_busy_is_an_error_that_says_what_it_said():
    with scripted(BUSY) as (url, asked), pytest.raises(LibraryUnavailable, match="status 503, starting"):
        version(url, retries=1)
    assert len(asked) == 2


def test_a_server_that_is_silent_is_not_waited_for_without_end():
    start = time.monotonic()
    with scripted(60.0) as (url, _), pytest.raises(LibraryUnavailable, match="no answer in time"):
        version(url, retries=1, timeout=0.3)
    assert time.monotonic() - start < 30


def test_a_server_that_is_not_there_is_one_clear_line():
    url = f"http://127.0.0.1:{chroma.free_port()}"
    with pytest.raises(LibraryUnavailable, match=r"does not answer .*start it, or correct") as raised:
        version(url, retries=0)
    assert "\n" not in str(raised.value)


def test_closing_lets_a_call_under_way_finish_and_refuses_the_next():
    with scripted((200, b'"1.0.0"'), pause=0.5) as (url, asked):
        server = ChromaServer(DenseSettings(**dense(url)))
        found: list[str] = []
        caller = threading.Thread(target=lambda: found.append(server.version()))
        caller.start()
        assert eventually(lambda: bool(asked))
        server.close()
        caller.join()
        assert found == ["1.0.0"]
        with pytest.raises(LibraryError, match="closed"):
            server.version()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((401, b"{}"), "asks for a key: set CHROMA_API_KEY"),
        ((403, b"no"), "asks for a key: set CHROMA_API_KEY"),
        ((404, b"<html>nginx</html>"), "no Chroma server of version 1"),
        ((410, b'{"error":"Unimplemented","message":"v1"}'), "no Chroma server of version 1"),
        ((200, b"<html>hello</html>"), "is no Chroma server"),
        ((413, b""), "lower dense.batch_size"),
        ((422, b'{"error":"Quota","message":"quota\\n exceeded"}'), "refused: status 422, quota exceeded"),
        ((301, b""), "status 301"),
    ],
)
def test_what_a_server_refuses_is_one_clear_line_and_not_asked_again(reply, said):
    with scripted(reply) as (url, asked), pytest.raises(LibraryError, match=said) as raised:
        version(url)
    assert len(asked) == 1
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("header", "sent"), [("x-chroma-token", KEY), ("authorization", f"Bearer {KEY}")])
def test_the_key_comes_from_the_environment_and_is_in_no_message(monkeypatch, header, sent):
    monkeypatch.setenv("CHROMA_API_KEY", KEY)
    with scripted((403, b"")) as (url, asked), pytest.raises(LibraryError, match="does not accept") as raised:
        version(url, auth_header=header)
    assert asked[0][header] == sent
    assert KEY not in str(raised.value)


def test_without_a_key_none_is_sent():
    with scripted((200, b'"1.0.0"')) as (url, asked):
        version(url)
    assert not {"x-chroma-token", "authorization"} & asked[0].keys()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://user:secret@host", "http://host?key=1", ""])
def test_an_address_that_is_none_or_holds_a_password_is_a_settings_error(url):
    with pytest.raises(SettingsError, match=r"dense\.url"):
        load_settings(dense=dense(url))


def test_the_shipped_settings_name_a_server():
    assert load_settings(["chroma-server"]).dense.kind == "chroma-server"


def test_the_api_is_the_one_that_a_real_server_documents(chroma_url):
    described = json.dumps(httpx.get(f"{chroma_url}/openapi.json", timeout=60).json())
    for part in ("get_or_create", "query_embeddings", "n_results", "base64 encoded strings"):
        assert part in described
