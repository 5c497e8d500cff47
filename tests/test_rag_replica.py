"""Replicas of one library: what any writer ingests every replica finds, whoever is killed, without a shared disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rag.errors import LibraryLocked, LibraryMismatch
from rag.indexing import Elsewhere, Indexes
from rag.replica import Replica, ReplicaIngester
from rag.settings import ChunkingSettings, DenseSettings
from rag.stores import manifest as manifests
from rag.stores.catalog import Catalog
from rag.stores.journal import Journal
from rag.stores.lexical import TantivyIndex
from rag.stores.lock import WriterLock
from rag.stores.places import SEARCH, Places, kept
from rag.stores.postgres import PostgresDatabase
from rag.stores.sparse import SparseIndex
from tests.ingesting import CHUNKING, WordEncoder, abstract, opener, record, write
from tests.postgres import kill

ROOT = Path(__file__).parents[1]


@contextmanager
def replica(folder: Path, url: str, *, vectors: str | None = None, encoder: Any = None):
    """A replica in a folder; with the address of a Chroma server, all replicas share there what it can keep."""
    with closing(Catalog(PostgresDatabase(url))) as catalog:
        alone = Replica(
            folder,
            catalog,
            encoder or WordEncoder(),
            CHUNKING,
            open_shared=lambda _: Indexes(Elsewhere(), Elsewhere()),
            open_own=opener(folder),
        )
        if vectors is None:
            yield alone
            return
        settings = DenseSettings(kind="chroma-server", url=vectors)
        places, dense = Places(folder, settings, search_breadth=100), kept(settings)
        yield replace(
            alone,
            open_shared=lambda made: _shared(places, made),
            open_own=lambda made: Indexes(Elsewhere(), _own_words(folder, made)),
            dense=dense,
            sweep=places.sweep,
        )


def _shared(places: Places, made: manifests.Manifest) -> Indexes:
    dense = places.joint(made)
    return Indexes(dense, SparseIndex(dense) if made.dense == SEARCH else Elsewhere())


def _own_words(folder: Path, made: manifests.Manifest) -> Elsewhere | TantivyIndex:
    return Elsewhere() if made.dense == SEARCH else TantivyIndex(folder / made.folders["lexical"])


def ingest(folder: Path, url: str, *paths: Path, **options: Any):
    with replica(folder, url, **options) as found, ReplicaIngester(found) as writer:
        return writer.ingest(paths)


def remove(folder: Path, url: str, *ids: str, **options: Any) -> int:
    with replica(folder, url, **options) as found, ReplicaIngester(found) as writer:
        return writer.remove(ids)


def whole(folder: Path, url: str, *, vectors: str | None = None) -> dict[str, str]:
    """The papers by id, as abstracts, after checking that a replica that catches up holds all of them."""
    with replica(folder, url, vectors=vectors) as found:
        made = found.catch_up()
        assert made is not None
        passages = {item.id: item.text for item in found.catalog.all_passages()}
        own = found.open_own(made)
        shared = found.open_shared(made) if vectors else own
        dense, lexical = shared.dense, shared.lexical if made.dense == SEARCH else own.lexical
        with closing(own), closing(dense):
            assert lexical.ids() == set(passages)
            assert dense.ids() == set(passages)
            stored = dense.vectors(list(passages))
        expected = WordEncoder().encode(list(passages.values()))
        for passage_id, vector in zip(passages, expected, strict=True):
            assert abs(float(stored[passage_id] @ vector) - 1) < 1e-3, passage_id
        counts = found.catalog.counts()
        assert (counts["pending"], counts["doomed"]) == (0, 0)
        return {paper.id: paper.abstract for paper in found.catalog.all_papers()}


@pytest.fixture
def url(postgres) -> str:
    return postgres.database()


SHARED = {"shared vectors": "chroma_url", "shared vectors and words": "search_url"}


@pytest.fixture(params=["own vectors", *(pytest.param(name, marks=pytest.mark.loopback) for name in SHARED)])
def vectors(request) -> str | None:
    return request.getfixturevalue(SHARED[request.param]) if request.param in SHARED else None


def pile(folder: Path, name: str, numbers: range, **changes: Any) -> Path:
    return write(folder / f"{name}.jsonl", [record(at, id=f"p{at}", **changes) for at in numbers])


def test_what_one_ingests_changes_and_removes_another_finds(tmp_path, url, vectors):
    first = pile(tmp_path, "a", range(20))
    one, two = tmp_path / "one", tmp_path / "two"
    ingest(one, url, first, vectors=vectors)
    assert len(whole(two, url, vectors=vectors)) == 20
    write(first, [record(at, id=f"p{at}", abstract=abstract(at + 900)) for at in range(3)])
    assert ingest(two, url, first, vectors=vectors).updated == 3
    assert remove(two, url, "p7", "p8", vectors=vectors) == 2
    found = whole(one, url, vectors=vectors)
    assert len(found) == 18
    assert found["p1"] == abstract(901)
    pile(tmp_path, "a", range(9))
    ingest(one, url, first, vectors=vectors)  # the edits undone, and one of the removed papers back again
    assert whole(one, url, vectors=vectors) == whole(two, url, vectors=vectors)
    assert whole(two, url, vectors=vectors)["p8"] == abstract(8)


def test_a_paper_that_got_shorter_leaves_no_passage_behind(tmp_path, url, vectors):
    path = write(tmp_path / "a.jsonl", [record(1, id="p1", abstract=abstract(1, 60)), record(2, id="p2")])
    ingest(tmp_path / "one", url, path, vectors=vectors)
    whole(tmp_path / "two", url, vectors=vectors)
    write(path, [record(1, id="p1", abstract=abstract(1, 3)), record(2, id="p2")])
    ingest(tmp_path / "one", url, path, vectors=vectors)
    assert whole(tmp_path / "two", url, vectors=vectors)["p1"] == abstract(1, 3)


def test_catching_up_encodes_only_what_changed(tmp_path, url):
    ingest(tmp_path / "one", url, pile(tmp_path, "a", range(20)))
    encoder = WordEncoder()
    with replica(tmp_path / "two", url, encoder=encoder) as found:
        found.catch_up()
        assert len(encoder.texts) == 20
        found.catch_up()
        ingest(tmp_path / "one", url, pile(tmp_path, "b", range(18, 25)))
        found.catch_up()
        assert len(encoder.texts) == 25


def _log(url: str) -> list[str]:
    """The passages in the log of removals."""
    with psycopg.connect(url) as connection:
        return [
            passage for (passage,) in connection.execute("SELECT passage FROM removed ORDER BY generation, passage")
        ]


def test_the_log_of_removals_stays_short_and_whoever_was_away_longer_still_forgets_all(tmp_path, url):
    ingest(tmp_path / "one", url, pile(tmp_path, "a", range(20)))
    away, encoder = tmp_path / "away", WordEncoder()
    with replica(away, url, encoder=encoder) as found:
        found.catch_up()
    with replica(tmp_path / "one", url) as found:
        writer = ReplicaIngester(replace(found, removals=2))
        for at in range(5):
            writer.remove([f"p{at}"])
        writer.ingest([pile(tmp_path, "b", range(3, 4))])  # one of them is back
    assert _log(url) == ["p3#0", "p4#0"]
    with replica(away, url, encoder=encoder) as found:
        found.catch_up()
    assert len(encoder.texts) == 21  # nothing but what came back was made anew
    for name in ("one", "away", "new"):
        assert whole(tmp_path / name, url).keys() == {"p3", *(f"p{at}" for at in range(5, 20))}


def test_removals_that_are_dropped_while_they_are_read_are_not_taken_for_none(tmp_path, url):
    ingest(tmp_path / "one", url, pile(tmp_path, "a", range(3)))
    remove(tmp_path / "one", url, "p1")

    class Interrupted(PostgresDatabase):
        def read(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
            if "FROM removed" in sql:
                Journal(database).drop_removals(0)
            return super().read(sql, parameters)

    with closing(PostgresDatabase(url)) as database, closing(Interrupted(url)) as late:
        assert Journal(database).removals(0) == ["p1#0"]
        assert Journal(late).removals(0) is None


def test_a_replica_may_begin_as_a_copy_of_another(tmp_path, url):
    ingest(tmp_path / "one", url, pile(tmp_path, "a", range(20)))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    ingest(tmp_path / "one", url, pile(tmp_path, "b", range(20, 23)))
    encoder = WordEncoder()
    with replica(tmp_path / "two", url, encoder=encoder) as found:
        found.catch_up()
    assert len(encoder.texts) == 3
    assert whole(tmp_path / "two", url) == whole(tmp_path / "one", url)


def test_a_replica_that_was_stopped_in_the_middle_goes_on_where_it_was(tmp_path, url):
    ingest(tmp_path / "one", url, pile(tmp_path, "a", range(1200)))
    failing = WordEncoder(fail_after=600)
    with replica(tmp_path / "two", url, encoder=failing) as found, pytest.raises(ConnectionError):
        found.catch_up()
    assert len(whole(tmp_path / "two", url)) == 1200


@pytest.mark.parametrize("part", ["chroma-1/chroma.sqlite3", "lexical-1/meta.json", "manifest.json"])
def test_damaged_indexes_of_a_replica_are_made_anew(tmp_path, url, part):
    folder = tmp_path / "one"
    ingest(folder, url, pile(tmp_path, "a", range(5)))
    (folder / part).write_bytes(b"\0 no such thing")
    ingest(tmp_path / "two", url, pile(tmp_path, "b", range(5, 8)))
    assert len(whole(folder, url)) == 8
    assert len(list(folder.glob("lexical-*"))) == 1


def test_an_older_copy_of_the_database_makes_the_indexes_anew(tmp_path, url):
    ingest(tmp_path / "one", url, pile(tmp_path, "a", range(5)))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE meta SET value = 0 WHERE name = 'generation'")
        connection.execute("UPDATE papers SET generation = 0")
        connection.execute("UPDATE papers SET pending = 1")
    ingest(tmp_path / "two", url, pile(tmp_path, "a", range(5)))
    assert len(whole(tmp_path / "one", url)) == 5


def test_other_settings_are_refused_until_a_rebuild_and_then_every_replica_follows(tmp_path, url, vectors):
    path = write(tmp_path / "a.jsonl", [record(at, id=f"p{at}", abstract=abstract(at, 40)) for at in range(5)])
    ingest(tmp_path / "one", url, path, vectors=vectors)
    whole(tmp_path / "two", url, vectors=vectors)
    with replica(tmp_path / "one", url, vectors=vectors) as found:
        finer = replace(found, chunking=ChunkingSettings(max_tokens=64, overlap_sentences=0))
        with pytest.raises(LibraryMismatch, match="max_tokens was 512 and is now 64"):
            finer.catch_up()
        before = len(found.catalog.all_passage_ids())
        assert finer.rebuild() == 5
        assert len(found.catalog.all_passage_ids()) > 2 * before
        with pytest.raises(LibraryMismatch):
            found.catch_up()
        assert found.rebuild() == 5
    assert _log(url) == []  # all indexes were made anew, or will be
    assert len(whole(tmp_path / "two", url, vectors=vectors)) == 5


def test_what_a_rebuild_replaces_stays_until_the_questions_under_way_are_answered(tmp_path, url):
    ingest(tmp_path / "one", url, pile(tmp_path, "a", range(5)))
    whole(tmp_path / "two", url)
    with replica(tmp_path / "one", url) as found:
        found.rebuild()
    with replica(tmp_path / "two", url) as found:
        for folders in ({"chroma-1", "chroma-2"}, {"chroma-2"}):
            found.catch_up()
            assert {path.name for path in (tmp_path / "two").glob("chroma-*")} == folders
            ingest(tmp_path / "one", url, pile(tmp_path, "b", range(5, 6)))
    assert len(whole(tmp_path / "two", url)) == 6


def test_a_rebuild_waits_for_nobody_and_says_who_writes(tmp_path, url):
    other, told = PostgresDatabase(url), pytest.raises(LibraryLocked, match="is writing to the library")
    with replica(tmp_path / "one", url) as found, closing(other), other.writing(), told:
        found.rebuild()


def test_one_folder_is_caught_up_by_one_process_at_a_time(tmp_path, url):
    ingest(tmp_path / "one", url, pile(tmp_path, "a", range(5)))
    with replica(tmp_path / "two", url) as found:
        with WriterLock(tmp_path / "two"), pytest.raises(LibraryLocked):
            found.catch_up(patience=0.1)
        assert found.catch_up() == manifests.read(tmp_path / "two")


_WORKER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from tests.test_rag_replica import ingest
    url, folder, vectors, *files = sys.argv[1:]
    import tantivy, rag.parsers, psycopg_pool
    if not vectors:
        import chromadb
    print("started", flush=True)
    report = ingest(Path(folder), url, *map(Path, files), vectors=vectors or None)
    print(report.parsed, report.added, report.unchanged, len(report.duplicates), flush=True)
""")


class Writers:
    """Processes that ingest at once, each as a replica of its own."""

    def __init__(self, tmp_path: Path, url: str, vectors: str | None) -> None:
        self._tmp_path, self._url, self._vectors = tmp_path, url, vectors
        self._started: list[subprocess.Popen[str]] = []

    def start(self, name: str, *files: Path) -> subprocess.Popen[str]:
        options = [self._url, str(self._tmp_path / name), str(self._vectors or ""), *map(str, files)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, *options], stdout=subprocess.PIPE, text=True, env=environment
        )
        self._started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "started\n"
        return process

    def finished(self, process: subprocess.Popen[str]) -> list[int]:
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0
        return [int(number) for number in output.split()]

    def stop(self) -> None:
        for process in self._started:
            kill(process)


@pytest.fixture
def writers(tmp_path, url, vectors) -> Iterator[Writers]:
    made = Writers(tmp_path, url, vectors)
    yield made
    made.stop()


def _sources(url: str) -> dict[str, Counter[tuple[str, int]]]:
    with closing(Catalog(PostgresDatabase(url))) as catalog:
        return {
            paper.id: Counter((Path(source.path).name, source.line) for source in paper.sources)
            for paper in catalog.all_papers()
        }


def _expected(files: dict[str, range]) -> dict[str, Counter[tuple[str, int]]]:
    expected: dict[str, Counter[tuple[str, int]]] = {}
    for name, numbers in files.items():
        for line, number in enumerate(numbers, 1):
            expected.setdefault(f"p{number}", Counter())[(f"{name}.jsonl", line)] += 1
    return expected


FILES = {"a": range(1100), "b": range(700, 1800), "c": range(400, 1500)}
"""Each of more than one batch; all three hold papers of the others."""


def test_any_number_of_ingests_in_one_process_share_its_connections(tmp_path, url):
    files = [pile(tmp_path, f"f{at}", range(100 * at, 100 * at + 130)) for at in range(6)]

    with replica(tmp_path / "one", url) as found:
        quick = replace(found, open_own=found.open_shared)  # no indexes: whoever comes later makes them

        def added(file: Path) -> int:
            return ReplicaIngester(replace(quick, folder=tmp_path / file.stem)).ingest([file]).added

        with ThreadPoolExecutor(len(files)) as pool:
            assert sum(pool.map(added, files)) == 630
    assert len(whole(tmp_path / "two", url)) == 630


def test_two_writers_of_overlapping_files_lose_and_double_nothing(tmp_path, url, vectors, writers):
    a, b, c = (pile(tmp_path, name, numbers) for name, numbers in FILES.items())
    both = [writers.start("one", a, c), writers.start("two", b, c)]
    (_, added, *_), (_, more, *_) = [writers.finished(process) for process in both]
    assert added + more == 1800
    assert _sources(url) == _expected(FILES)
    papers = {f"p{at}": abstract(at) for at in range(1800)}
    for name in ("one", "two", "three"):
        assert whole(tmp_path / name, url, vectors=vectors) == papers


_MOMENTS = [0.8, *(pytest.param(at / 4, marks=pytest.mark.slow) for at in range(1, 13))]


@pytest.mark.parametrize("after", _MOMENTS)
def test_a_writer_that_is_killed_holds_nobody_up_and_loses_nothing_when_run_again(
    tmp_path, url, vectors, writers, after
):
    a, b, c = (pile(tmp_path, name, numbers) for name, numbers in FILES.items())
    victim, other = writers.start("one", a, c), writers.start("two", b, c)
    time.sleep(after)
    kill(victim)
    assert writers.finished(other)[0] == 2200
    present = whole(tmp_path / "two", url, vectors=vectors)
    assert present.items() >= {f"p{at}": abstract(at) for at in range(400, 1800)}.items()
    writers.finished(writers.start("one", a, c))
    assert _sources(url) == _expected(FILES)
    for name in ("one", "two"):
        assert whole(tmp_path / name, url, vectors=vectors) == {f"p{at}": abstract(at) for at in range(1800)}
