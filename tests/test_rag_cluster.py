"""The whole product with `--config cluster`: commands, questions and upkeep on a catalog in PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from rag import Library, open_library
from rag.errors import SettingsError, UsageError
from rag.settings import load_settings
from rag.starter import path as starter_path
from rag.stores import manifest as manifests
from rag.stores.lock import WriterLock
from tests.ingesting import record, write
from tests.postgres import PASSWORD
from tests.waiting import eventually

ROOT = Path(__file__).parents[1]


@pytest.fixture
def url(postgres) -> str:
    return postgres.database()


def opened(folder: Path, url: str, **more: object) -> Library:
    return open_library(folder, config="cluster", catalog={"url": url}, **more)


def citewise(postgres, url: str, *arguments: str, library: Path) -> subprocess.CompletedProcess[str]:
    """A command as on another machine: the address and the password come from its environment."""
    database = url.partition("@/")[2].partition("?")[0]
    address = {"PGHOST": str(postgres.folder), "PGUSER": "citewise", "PGDATABASE": database, "PGPASSWORD": PASSWORD}
    command = [sys.executable, "-m", "rag.cli", *arguments, "--config", "cluster", "--library", str(library)]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **address}, capture_output=True, text=True, timeout=240, check=False
    )


def test_commands_of_two_machines_share_one_library(postgres, url, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    report = json.loads(citewise(postgres, url, "ingest", "--starter", "--json", library=one).stdout)
    assert (report["added"], report["rejected"]) == (64, [])
    answer = json.loads(citewise(postgres, url, "ask", "What is dropout?", "--json", library=two).stdout)
    assert answer["abstained"] is None
    assert answer["citations"]
    assert len(citewise(postgres, url, "papers", "--json", library=two).stdout.splitlines()) == 64
    assert citewise(postgres, url, "remove", answer["citations"][0]["paper_id"], library=two).returncode == 0
    assert len(citewise(postgres, url, "papers", "--json", library=one).stdout.splitlines()) == 63
    for folder in (one, two):
        done = citewise(postgres, url, "doctor", library=folder)
        assert done.returncode == 0, done.stdout


def test_a_replica_that_nobody_asked_yet_is_in_order(url, tmp_path):
    with opened(tmp_path / "one", url) as writer, opened(tmp_path / "two", url) as replica:
        writer.ingest([write(tmp_path / "a.jsonl", [record(1)])])
        assert all(check.ok for check in replica.doctor())


def test_a_replica_answers_as_a_library_in_a_folder_does(starter, url, tmp_path):
    as_there = {"kind": "builtin-deep"}  # which a folder gets by itself for so few papers
    with opened(tmp_path / "one", url, embedding=as_there) as writer, opened(tmp_path / "two", url) as replica:
        writer.ingest([starter_path()])
        for question in ("How does LoRA adapt a large model?", "Which papers from 2019..2021 are about retrieval?"):
            expected, found = starter.ask(question), replica.ask(question)
            assert (found.text, found.citations, found.sources) == (expected.text, expected.citations, expected.sources)


def test_an_open_replica_sees_what_another_ingests_and_removes(url, tmp_path):
    with opened(tmp_path / "one", url) as writer, opened(tmp_path / "two", url) as replica:
        writer.ingest([starter_path()])
        assert replica.search("zymurgy of hops", 1)[0].paper.id != "beer"
        paper = {"id": "beer", "title": "The zymurgy of hops", "abstract": "Hops keep beer. " * 9}
        writer.ingest([write(tmp_path / "a.jsonl", [paper])])
        assert eventually(lambda: replica.search("zymurgy of hops", 1)[0].paper.id == "beer")
        replica.remove(["beer"])
        assert eventually(lambda: "beer" not in {hit.paper.id for hit in writer.search("zymurgy of hops", 10)})


def test_a_question_does_not_wait_long_for_catching_up(url, tmp_path):
    with opened(tmp_path / "one", url) as writer, opened(tmp_path / "two", url) as replica:
        writer.ingest([starter_path()])
        assert replica.ask("What is dropout?").citations
        writer.ingest([write(tmp_path / "a.jsonl", [record(1, id="new")])])
        with psycopg.connect(url) as slow:
            slow.execute("LOCK TABLE removed IN ACCESS EXCLUSIVE MODE")  # which only catching up reads
            begin = time.monotonic()
            assert replica.ask("What is dropout?").citations
            assert time.monotonic() - begin < 30
        assert eventually(lambda: replica.search(record(1)["title"], 1)[0].paper.id == "new")


def _caught_up(folder: Path, generation: int, **within: float) -> bool:
    """Whether a replica's indexes reach a generation in time, as their folder tells."""

    def reached() -> bool:
        made = manifests.read(folder)
        return made is not None and made.generation >= generation

    return eventually(reached, **within)


def test_a_replica_that_follows_has_caught_up_before_anybody_asks(url, tmp_path):
    with opened(tmp_path / "one", url) as writer, opened(tmp_path / "two", url) as replica:
        replica.follow(0.05)  # while there is no library yet
        writer.ingest([starter_path()])
        assert _caught_up(tmp_path / "two", writer.generation())
        writer.ingest([write(tmp_path / "a.jsonl", [record(1, id="new")])])
        assert _caught_up(tmp_path / "two", writer.generation())
        with psycopg.connect(url) as slow:
            slow.execute("LOCK TABLE removed IN ACCESS EXCLUSIVE MODE")  # so that no question can be what catches up
            assert replica.search(record(1)["title"], 1)[0].paper.id == "new"


def test_a_replica_follows_on_after_its_database_was_away(postgres, url, tmp_path, caplog):
    patient = {"url": url, "patience": 0.2}
    with opened(tmp_path / "one", url) as writer:
        writer.ingest([starter_path()])
        with open_library(tmp_path / "two", config="cluster", catalog=patient) as replica:
            replica.follow(0.05)
            assert _caught_up(tmp_path / "two", writer.generation())
            postgres.stop()
            assert eventually(lambda: "not caught up" in caplog.text)
            time.sleep(0.5)  # in which it looks ten times more
            postgres.start()
            told = [record for record in caplog.records if "not caught up" in record.message]
            assert 1 <= len(told) <= 3  # one for each reason, not one for each look
            writer.ingest([write(tmp_path / "a.jsonl", [record(1, id="new")])])
            assert _caught_up(tmp_path / "two", writer.generation())


def test_a_replica_that_does_not_follow_waits_for_a_question(url, tmp_path):
    with opened(tmp_path / "one", url) as writer, opened(tmp_path / "two", url) as replica:
        replica.follow(0)
        writer.ingest([starter_path()])
        assert not _caught_up(tmp_path / "two", 1, seconds=0.5)
        assert replica.ask("What is dropout?").citations


def test_while_another_process_of_the_folder_catches_up_answers_come_from_what_there_is(url, tmp_path):
    with opened(tmp_path / "one", url) as writer, opened(tmp_path / "two", url) as replica:
        writer.ingest([starter_path()])
        assert replica.ask("What is dropout?").citations
        writer.ingest([write(tmp_path / "a.jsonl", [record(1, id="new")])])
        with WriterLock(tmp_path / "two"):
            assert replica.search(record(1)["title"], 1)[0].paper.id != "new"
        assert eventually(lambda: replica.search(record(1)["title"], 1)[0].paper.id == "new")


def test_rebuild_export_and_import_work_on_a_replica(url, postgres, tmp_path):
    with opened(tmp_path / "one", url) as library:
        library.ingest([starter_path()])
        assert library.rebuild() == 64
        exported = library.export_to(tmp_path / "all.citewise")
        assert exported.papers == 64
        answer = library.ask("What is dropout?")
    with opened(tmp_path / "two", postgres.database()) as copy:
        assert copy.import_from(tmp_path / "all.citewise").added == 64
        assert copy.ask("What is dropout?").text == answer.text
        assert all(check.ok for check in copy.doctor())


def test_a_new_database_is_a_library_without_papers(url, tmp_path):
    with opened(tmp_path / "one", url) as library:
        assert (library.count(), library.generation(), library.years(), list(library.papers())) == (0, 0, None, [])
        with pytest.raises(UsageError, match="no papers yet"):
            library.ask("What is dropout?")


def test_a_database_that_is_away_is_one_line_for_every_command(tmp_path):
    nowhere = write(tmp_path / "cluster.yaml", [])
    nowhere.write_text("catalog: {kind: postgres, url: 'postgresql://me:s3cret@127.0.0.1:1/library'}", encoding="utf-8")
    for command in (["ask", "What?"], ["papers"], ["ingest", "--starter"], ["rebuild"], ["remove", "bert"]):
        options = ["--config", str(nowhere), "--library", str(tmp_path / "library")]
        done = subprocess.run(
            [sys.executable, "-m", "rag.cli", *command, *options], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert "127.0.0.1:1/library: nothing answers there" in done.stderr
        assert "s3cret" not in done.stderr


def test_the_password_is_shown_by_no_settings():
    settings = load_settings(["cluster"], catalog={"url": "postgresql://me:s3cret@host/library"})
    assert settings.catalog.kind == "postgres"
    assert "s3cret" not in f"{settings!r} {settings} {settings.model_dump(mode='json')} {settings.model_dump_json()}"
    with pytest.raises(SettingsError) as caught:
        load_settings(["cluster"], catalog={"url": 5, "kind": "s3cret"})
    assert "s3cret" not in str(caught.value)
