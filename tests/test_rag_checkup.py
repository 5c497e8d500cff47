"""What `citewise doctor` says of a library that somebody writes to, and where a check itself meets trouble."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from filelock import FileLock

from rag import open_library
from rag.starter import path as starter_path
from rag.stores.lock import WriterLock
from rag.stores.postgres import PostgresDatabase
from tests.ingesting import WordEncoder, ingest, record, write

STARTER = 64


def examined(folder: Path, **settings: object):
    with open_library(folder, **settings) as library:
        return {check.name: check for check in library.doctor()}


def troubles(checks) -> set[str]:
    return {check.name for check in checks.values() if not check.ok}


def test_what_a_running_ingest_has_still_to_do_is_not_wrong(tmp_path):
    folder = tmp_path / "library"
    with pytest.raises(ConnectionError):
        ingest(folder, write(tmp_path / "a.jsonl", [record(1)]), encoder=WordEncoder(fail_after=0))
    undone = {"pending work", "dense index", "mapped vectors", "lexical index"}
    assert troubles(examined(folder)) - {"fingerprint"} == undone
    with WriterLock(folder):
        checks = examined(folder)
    assert troubles(checks) == {"fingerprint"}
    for name in undone:
        assert f"process {os.getpid()} (`" in checks[name].message


def test_a_library_is_looked_at_while_a_process_writes_its_vectors(starter_copy):
    with FileLock(starter_copy / "chroma" / "offload.lock"):
        checks = examined(starter_copy)
    assert troubles(checks) == set()
    assert checks["dense index"].message == f"{STARTER} passages, as in the catalog"


def test_a_lock_that_cannot_be_taken_is_one_failed_check(starter_copy):
    for lock in (starter_copy / "chroma" / "access.lock", starter_copy / "writer.lock"):
        lock.unlink(missing_ok=True)
        lock.mkdir()
    (starter_copy / "writer.json").write_text(
        '{"pid": 1, "command": "citewise ingest", "since": "2026-01-01T00:00:00"}'
    )
    checks = examined(starter_copy)
    assert troubles(checks) == {"indexes"}
    assert "access.lock" in checks["indexes"].message
    assert checks["model server"].ok


def test_what_other_machines_have_still_to_do_is_not_wrong(postgres, tmp_path):
    url = postgres.database()
    cluster = {"config": "cluster", "catalog": {"url": url}}
    with open_library(tmp_path / "one", **cluster) as library:
        library.ingest([starter_path()])
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE papers SET pending = 1 WHERE id = 'bert'")
    assert troubles(examined(tmp_path / "one", **cluster)) == {"pending work"}
    with closing(PostgresDatabase(url)) as other, other.writing():
        checks = examined(tmp_path / "one", **cluster)
    assert troubles(checks) == set()
    assert f" {os.getpid()}@" in checks["pending work"].message


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://me:s3cret%zz@host/library", "not an address of PostgreSQL"),
        ("postgresql://me:s3cret@127.0.0.1:1/library", "nothing answers there"),
    ],
    ids=["no address", "nobody there"],
)
def test_a_wrong_database_is_one_failed_check_and_the_others_are_made(tmp_path, url, reason):
    checks = examined(tmp_path, catalog={"kind": "postgres", "url": url})
    assert troubles(checks) <= {"catalog", "indexes"}
    assert reason in checks["catalog"].message
    assert checks.keys() >= {"versions", "folder", "disk space", "lock", "OPENAI_API_KEY", "model server"}
    assert not any("s3cret" in str(check) for check in checks.values())


def test_a_check_that_the_system_refuses_says_what_it_can(starter_copy, monkeypatch):
    def refuse(_: object) -> None:
        raise OSError("not on this file system")

    monkeypatch.setattr("shutil.disk_usage", refuse)
    told = {check.message for check in examined(starter_copy).values() if not check.ok}
    assert told == {"cannot look at folder: not on this file system"}
