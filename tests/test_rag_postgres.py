"""The catalog in PostgreSQL: its tables made once, writers in turn, and a clear line for everything that goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory

from rag.errors import LibraryError, LibraryLocked, SettingsError
from rag.stores import migrations
from rag.stores.catalog import Catalog
from rag.stores.postgres import PostgresDatabase
from tests.postgres import PASSWORD, kill
from tests.waiting import eventually

ROOT = Path(__file__).parents[1]


@pytest.fixture
def url(postgres) -> str:
    return postgres.database()


@pytest.fixture
def database(url):
    with closing(PostgresDatabase(url)) as opened:
        yield opened


@pytest.fixture
def in_another_process() -> Iterator[Callable[[str, str], subprocess.Popen[str]]]:
    """Starts a process that runs a body with `database` opened, which may print."""
    started: list[subprocess.Popen[str]] = []

    def start(url: str, body: str) -> subprocess.Popen[str]:
        program = "from rag.stores.postgres import PostgresDatabase\nimport sys, time\n"
        program += "database = PostgresDatabase(sys.argv[1])\n"
        command = [sys.executable, "-c", program + textwrap.dedent(body), url]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        started.append(
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
            )
        )
        return started[-1]

    yield start
    for process in started:
        kill(process)


def test_the_known_version_is_the_newest_migration():
    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_heads() == [migrations.HEAD]


def test_several_that_start_at_once_make_the_tables_once(postgres, in_another_process):
    postgres.admin("CREATE DATABASE bare")
    url = postgres.url("bare")
    both = [in_another_process(url, "print(database.read('SELECT count(*) FROM papers'))") for _ in range(3)]
    assert [process.communicate(timeout=60)[0] for process in both] == ["[(0,)]\n"] * 3


def test_two_libraries_share_a_database_in_schemas_of_their_own(postgres, url):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA other")
    with (
        closing(PostgresDatabase(url)) as one,
        closing(PostgresDatabase(f"{url}&options=-csearch_path%3Dother")) as two,
    ):
        with two.transaction() as writing, one.transaction() as other:  # they do not wait for each other
            writing.execute("INSERT INTO sources (path, resolved) VALUES ('a', 'a')")
            other.execute("INSERT INTO sources (path, resolved) VALUES ('b', 'b')")
        assert one.read("SELECT path FROM sources") == [("b",)]
        assert two.read("SELECT path FROM sources") == [("a",)]


def test_a_database_of_the_first_format_is_brought_to_this_one(url, database):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM meta WHERE name = 'dropped'")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    assert database.read("SELECT value FROM meta WHERE name = 'dropped'") == [(0,)]
    assert database.read("SELECT version_num FROM alembic_version") == [(migrations.HEAD,)]


def test_a_newer_format_is_refused_with_what_to_do(url, database):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LibraryError, match=r"newer Citewise.*update"):
        database.read("SELECT 1")


AWAY = {
    "refused": ("postgresql://citewise@127.0.0.1:1/library", "nothing answers there"),
    "no socket": ("postgresql://citewise@/library?host=/nowhere", "nothing answers there"),
}


@pytest.mark.parametrize(("url", "reason"), AWAY.values(), ids=AWAY)
def test_a_server_that_is_away_is_one_line(url, reason):
    with closing(Catalog(PostgresDatabase(url))) as catalog, pytest.raises(LibraryError, match=reason) as caught:
        catalog.count()
    assert "\n" not in str(caught.value)


def test_a_wrong_password_or_database_is_one_line_without_the_password(postgres):
    for address, reason in [
        (postgres.url("empty", password="wr0ng-secret"), "password is wrong; set PGPASSWORD"),
        (postgres.url("empty").replace(":a%20pass%25word", ""), "it wants a password; set PGPASSWORD"),
        (postgres.url("nothing"), "does not exist"),
    ]:
        database = PostgresDatabase(address)
        with closing(database), pytest.raises(LibraryError, match=reason) as caught:
            database.read("SELECT 1")
        said = f"{caught.value} {database!r}"
        assert "\n" not in said
        assert "wr0ng" not in said
        assert PASSWORD not in said


def test_the_password_may_come_from_the_environment(postgres, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with closing(PostgresDatabase(postgres.url("empty").replace(":a%20pass%25word", ""))) as database:
        assert database.read("SELECT count(*) FROM papers") == [(0,)]


def test_an_address_that_is_none_is_told_without_its_words():
    with pytest.raises(SettingsError, match=r"not an address of PostgreSQL") as caught:
        PostgresDatabase("postgresql://me:top%secret@host/library")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_reader_outlives_the_loss_of_its_connections(postgres, url, database):
    assert database.read("SELECT 1") == [(1,)]
    postgres.kill_connections(url)
    assert database.read("SELECT 1") == [(1,)]


def test_a_reading_under_way_when_its_connection_is_lost_is_done_again(postgres, url, database):
    found: list[list[tuple[int]]] = []
    reader = threading.Thread(target=lambda: found.append(database.read("SELECT 1 FROM pg_advisory_lock(77)")))
    with psycopg.connect(url, autocommit=True) as holder, psycopg.connect(url, autocommit=True) as watcher:
        holder.execute("SELECT pg_advisory_lock(77)")
        reader.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        assert eventually(lambda: watcher.execute(waiting).fetchone() != (0,))
        postgres.kill_connections(url)  # the holder's and the reader's
        reader.join()
    assert found == [[(1,)]]


def test_a_transaction_that_loses_its_connection_leaves_nothing(postgres, url, database):
    def write() -> None:
        with database.transaction() as connection:
            connection.execute("INSERT INTO sources (path, resolved) VALUES ('a', 'a')")
            postgres.kill_connections(url)
            connection.execute("INSERT INTO sources (path, resolved) VALUES ('b', 'b')")

    with pytest.raises(LibraryError, match="lost: run the command again") as caught:
        write()
    assert "\n" not in str(caught.value)
    assert database.read("SELECT count(*) FROM sources") == [(0,)]


def test_a_writer_that_lost_its_lock_does_not_write_on(postgres, url, database):
    def write() -> None:
        with database.lock(7):
            postgres.kill_connections(url)
            with database.transaction():
                pytest.fail("another writer may hold the lock by now")

    with pytest.raises(LibraryError, match="lost"):
        write()


def test_a_server_that_starts_again_is_waited_for(postgres, url):
    with closing(PostgresDatabase(url, patience=30)) as database:
        assert database.read("SELECT 1") == [(1,)]
        postgres.stop()
        starting = threading.Timer(1.0, postgres.start)
        starting.start()
        try:
            assert database.read("SELECT 2") == [(2,)]
        finally:
            starting.join()


def test_a_server_that_stays_away_is_told_after_a_while(postgres, url):
    with closing(PostgresDatabase(url, patience=1)) as database:
        assert database.read("SELECT 1") == [(1,)]
        postgres.stop()
        try:
            with pytest.raises(LibraryError, match=r"cannot reach PostgreSQL at .*: it does not answer"):
                database.read("SELECT 2")
        finally:
            postgres.start()


def test_a_server_that_goes_away_in_the_middle_is_one_line_on_the_terminal(postgres, url, in_another_process):
    process = in_another_process(
        url,
        """
        from rag.errors import LibraryError
        database = PostgresDatabase(sys.argv[1], patience=1)
        print(database.read("SELECT 1"), flush=True)
        input()
        try:
            database.read("SELECT 2")
        except LibraryError as error:
            print(error)
        """,
    )
    assert process.stdout
    assert process.stdout.readline() == "[(1,)]\n"
    postgres.stop()
    try:
        output, _ = process.communicate("\n", timeout=60)
    finally:
        postgres.start()
    assert output.startswith("cannot reach PostgreSQL at ")
    assert output.count("\n") == 1


def test_transactions_of_two_writers_follow_each_other(url, database):
    order: list[str] = []

    def second() -> None:
        with closing(PostgresDatabase(url)) as other, other.transaction():
            order.append("second")

    with database.transaction() as connection:
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        order.append("first")
        with database.transaction() as inner:  # a part of the outer one
            inner.execute("INSERT INTO sources (path, resolved) VALUES ('a', 'a')")
        assert database.read("SELECT count(*) FROM sources") == [(1,)]
        connection.execute("DELETE FROM sources")
    thread.join()
    assert order == ["first", "second"]


def test_however_many_threads_wait_for_a_lock_the_others_read_and_write(url):
    with (
        closing(PostgresDatabase(url, patience=2)) as database,
        closing(PostgresDatabase(url)) as other,
        psycopg.connect(url, autocommit=True) as watcher,
        ThreadPoolExecutor(12) as pool,
    ):

        def wait() -> None:
            with database.lock(7):
                pass

        with other.lock(7):
            waiting = [pool.submit(wait) for _ in range(12)]
            asking = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            assert eventually(lambda: watcher.execute(asking).fetchone() == (12,))
            with database.transaction() as connection:
                connection.execute("INSERT INTO sources (path, resolved) VALUES ('a', 'a')")
            assert database.read("SELECT count(*) FROM sources") == [(1,)]
        for one in waiting:
            one.result()


def test_many_may_write_and_one_alone_must_find_nobody(url, database):
    with closing(PostgresDatabase(url)) as other, database.writing():
        with other.writing():
            pass
        with pytest.raises(LibraryLocked, match=rf"{os.getpid()}@.* is writing"), other.writing(alone=True):
            pytest.fail("somebody writes")
        assert f"{os.getpid()}@" in (other.writer() or "")
    assert database.writer() is None
    lonely = PostgresDatabase(url)
    with closing(lonely), lonely.writing(alone=True), pytest.raises(LibraryLocked), database.writing():
        pytest.fail("somebody wants to be alone")


def test_the_locks_of_a_killed_writer_are_free_at_once(url, database, in_another_process):
    holder = in_another_process(
        url,
        """
        with database.writing(alone=True), database.lock(5):
            print("held", flush=True)
            time.sleep(60)
        """,
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(LibraryLocked), database.writing():
        pytest.fail("somebody wants to be alone")
    kill(holder)
    begin = time.monotonic()
    with database.lock(5):
        assert time.monotonic() - begin < 30, "its holder would have slept for 60 seconds"
    # Each of its connections ends by itself, so one lock may be free a moment before the other.
    assert eventually(lambda: database.writer() is None, seconds=30)
    with database.writing():
        pass
