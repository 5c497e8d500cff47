"""The whole cluster on loopback: three replicas behind nginx, two writers, PostgreSQL and Chroma; any may be killed.

Everything is real: the processes that `citewise chat` and `citewise ingest` start, and the shipped nginx.conf with
other addresses in it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import pytest_socket
import yaml

from rag.settings import DenseSettings, load_settings
from rag.starter import path as starter_path
from rag.stores import manifest as manifests
from rag.stores import shared as shared_manifest
from rag.stores.catalog import Catalog
from rag.stores.lexical import TantivyIndex
from rag.stores.places import Places
from rag.stores.postgres import PostgresDatabase
from tests import chroma
from tests.ingesting import record, write
from tests.postgres import kill
from tests.waiting import Clock, eventually

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

ROOT = Path(__file__).parents[1]
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
QUESTIONS = ["low-rank adaptation", "dropout", "masked language models", "residual connections", "dense retrieval"]
WITHIN_SECONDS = 5.0
_PATIENCE_SECONDS = 180


class Cluster:
    """The processes, each of which may be killed and started again."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self._port = chroma.free_port()
        self.vectors = f"http://127.0.0.1:{self._port}"
        self._stack = ExitStack()
        self.settings = folder / "cluster.yaml"
        self.settings.write_text(
            yaml.safe_dump({
                "catalog": {"kind": "postgres", "url": url, "patience": 30.0},
                "dense": {"kind": "chroma-server", "url": self.vectors, "retries": 6},
            })
        )  # fmt: skip
        self.ports = [chroma.free_port() for _ in range(3)]
        self.running: dict[str, subprocess.Popen[str]] = {}
        self.front = ""

    def chroma(self) -> None:
        """The Chroma server, at the same address as before."""
        self._stack.enter_context(chroma.running(self.folder / "vectors", self._port))

    def citewise(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """A command as on a machine of its own: its library is a folder of that name."""
        options = ["--config", str(self.settings), "--library", str(self.folder / name)]
        log = (self.folder / f"{name}.log").open("a")
        process = subprocess.Popen(
            [sys.executable, "-m", "rag.cli", *arguments, *options],
            cwd=ROOT, stdout=log, stderr=log, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.running[name] = process
        return process

    def ingest(self, name: str, *files: Path) -> subprocess.Popen[str]:
        return self.citewise(name, "ingest", *map(str, files))

    def finished(self, process: subprocess.Popen[str]) -> None:
        assert process.wait(timeout=_PATIENCE_SECONDS) == 0, self.logs()

    def replica(self, number: int) -> None:
        self.citewise(f"chat{number}", "chat", "--port", str(self.ports[number]), "--no-browser", "--mcp")

    def ready(self, number: int) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.ports[number]}/ready", timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    def nginx(self) -> None:
        """The shipped configuration, with addresses and folders of this test."""
        assert NGINX
        made = (ROOT / "configs" / "deploy" / "nginx.conf").read_text()
        for number, port in enumerate(self.ports, 1):
            assert f"chat-{number}:7860" in made
            made = made.replace(f"chat-{number}:7860", f"127.0.0.1:{port}")
        own = chroma.free_port()
        made = re.sub(r"listen 8080", f"listen 127.0.0.1:{own}", made).replace(" /tmp/", f" {self.folder}/")
        made = made.replace("/dev/stdout", str(self.folder / "access.log"))
        conf = self.folder / "nginx.conf"
        conf.write_text(made)
        user = "user root; " if os.geteuid() == 0 else ""
        log = (self.folder / "nginx.log").open("a")
        command = [NGINX, "-p", str(self.folder), "-c", str(conf), "-g", f"{user}daemon off;"]
        self.running["nginx"] = subprocess.Popen(command, stdout=log, stderr=log, text=True)
        self.front = f"http://127.0.0.1:{own}"

    def generations(self) -> tuple[int, list[int]]:
        """Of the catalog, and of each replica's indexes."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT value FROM meta WHERE name = 'generation'").fetchone()
        assert row
        own = [manifests.read(self.folder / f"chat{number}") for number in range(3)]
        return row[0], [made.generation if made else 0 for made in own]

    def level(self) -> bool:
        """Whether all replicas have caught up."""
        catalog, own = self.generations()
        return own == [catalog] * 3

    def written(self, since: int) -> None:
        """Wait until more is in the catalog than at that generation."""
        self.wait_for(lambda: self.generations()[0] > since, "nothing is written")

    def wait_for(self, claim: Callable[[], bool], otherwise: str) -> None:
        assert eventually(claim, seconds=_PATIENCE_SECONDS), f"{otherwise}\n{self.logs()}"

    def answered_by(self) -> Counter[str]:
        """Requests that each replica answered, as nginx logged them."""
        lines = (self.folder / "access.log").read_text().splitlines()
        entries = [json.loads(line) for line in lines]
        return Counter(entry["replica"].rpartition(", ")[2] for entry in entries if entry["status"] == 200)

    def logs(self) -> str:
        logs = (path for path in sorted(self.folder.glob("*.log")) if path.stem != "access")
        return "\n".join(path.read_text()[-1500:] for path in logs)

    def stop(self) -> None:
        with self._stack:  # the Chroma server
            for process in self.running.values():
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM if process is self.running.get("nginx") else signal.SIGKILL)
            for process in self.running.values():
                process.wait(timeout=_PATIENCE_SECONDS)


def asked(address: str, question: str, tool: str = "search_papers") -> dict[str, Any]:
    """What the tool of a replica, or of whichever nginx chooses for a new visitor, answers; AssertionError for less."""
    arguments = {"query": question} if tool == "search_papers" else {"question": question}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    headers = {"accept": "application/json, text/event-stream", "cookie": f"citewise_replica={uuid4().hex}"}
    reply = httpx.post(f"{address}/mcp", json=body, headers=headers, timeout=60)
    assert reply.status_code == 200, reply.text[:300]
    result = reply.json()["result"]
    assert not result["isError"], result
    return result["structuredContent"]


class Clients:
    """Visitors that ask all the time; what went wrong for them."""

    def __init__(self, address: str, count: int = 2) -> None:
        self._address = address
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(count)]
        self.answers = 0
        self.slowest = 0.0
        self.errors: list[str] = []

    def _work(self, number: int) -> None:
        at = number
        while not self._done.is_set():
            at += 1
            begin = time.monotonic()
            try:
                found = asked(self._address, QUESTIONS[at % 5], "ask_papers" if at % 4 == 0 else "search_papers")
                assert found.get("hits") or found.get("text"), found
            except (AssertionError, httpx.HTTPError) as error:
                self.errors.append(f"{type(error).__name__}: {error}")
                time.sleep(0.2)
            self.answers += 1
            self.slowest = max(self.slowest, time.monotonic() - begin)
            time.sleep(0.05)

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, postgres) -> Iterator[Cluster]:
    """Three replicas of the starter library behind nginx."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    pytest_socket.enable_socket()
    made = Cluster(tmp_path_factory.mktemp("cluster"), postgres.database())
    try:
        made.chroma()
        made.finished(made.ingest("maker", Path(str(starter_path()))))
        for number in range(3):
            made.replica(number)
        made.nginx()
        for number in range(3):
            made.wait_for(lambda number=number: made.ready(number), f"replica {number} is not ready")
        yield made
    finally:
        made.stop()


def files(folder: Path, size: int, *, first: int) -> tuple[list[Path], dict[str, Counter[tuple[str, int]]]]:
    """Three overlapping files of `size` papers numbered from `first`, and what each paper's sources are to be."""
    ranges = {"a": range(first, first + size), "b": range(first + size // 2, first + size + size // 2)}
    ranges["c"] = range(first + size // 4, first + size // 4 + size)
    expected: dict[str, Counter[tuple[str, int]]] = {}
    for name, numbers in ranges.items():
        for line, number in enumerate(numbers, 1):
            expected.setdefault(f"p{number}", Counter())[(f"{name}{first}.jsonl", line)] += 1
    made = [write(folder / f"{name}{first}.jsonl", [record(at, id=f"p{at}") for at in numbers])
            for name, numbers in ranges.items()]  # fmt: skip
    return made, expected


def check_whole(cluster: Cluster, expected: dict[str, Counter[tuple[str, int]]]) -> None:
    """Each paper once in the catalog, each passage once in the collection and in every replica's word index."""
    cluster.wait_for(cluster.level, "the replicas do not catch up")
    with closing(Catalog(PostgresDatabase(cluster.url))) as catalog:
        found = {
            paper.id: Counter((Path(source.path).name, source.line) for source in paper.sources)
            for paper in catalog.all_papers()
        }
        passages = {item.id for item in catalog.all_passages()}
        counts, agreed = catalog.counts(), shared_manifest.read(catalog.database)
    assert {name: sources for name, sources in found.items() if name in expected} == expected
    assert len(found) == counts["papers"]
    assert (counts["pending"], counts["doomed"]) == (0, 0)
    assert agreed
    settings = DenseSettings(kind="chroma-server", url=cluster.vectors)
    with closing(Places(cluster.folder, settings, search_breadth=100).reader(agreed)) as dense:
        assert dense.ids() == passages
    for number in range(3):
        own = manifests.read(cluster.folder / f"chat{number}")
        assert own
        with closing(TantivyIndex(cluster.folder / f"chat{number}" / own.folders["lexical"])) as words:
            assert words.ids() == passages


def check_seen_in_time(cluster: Cluster, name: str) -> float:
    """Ingest one paper more; seconds from its commit until the last replica has it, without being asked."""
    assert load_settings([cluster.settings]).chat.catch_up_seconds <= WITHIN_SECONDS / 5
    before, _ = cluster.generations()
    title = f"The {name} of hops in brewing"
    paper = {"id": name, "title": title, "abstract": f"Hops keep beer, says {name}. " * 6}
    with Clock() as clock:
        writer = cluster.ingest(f"writer-{name}", write(cluster.folder / f"{name}.jsonl", [paper]))
        cluster.written(before)
        committed = clock.seconds
        cluster.wait_for(cluster.level, "the replicas do not catch up")
        seconds = clock.seconds - committed
    cluster.finished(writer)
    for port in cluster.ports:
        assert asked(f"http://127.0.0.1:{port}", title)["hits"][0]["paper_id"] == name
    return seconds


def test_while_two_write_nobody_sees_an_error_nothing_is_lost_and_all_is_seen_in_time(cluster):
    (a, b, c), expected = files(cluster.folder, 300, first=0)
    with Clients(cluster.front) as clients:
        for writer in [cluster.ingest("one", a, c), cluster.ingest("two", b, c)]:
            cluster.finished(writer)
        seconds = check_seen_in_time(cluster, "zymurgy")
    assert clients.errors == []
    assert clients.answers > 5
    assert seconds < WITHIN_SECONDS
    assert cluster.answered_by().keys() == {f"127.0.0.1:{port}" for port in cluster.ports}
    check_whole(cluster, expected)


def test_a_killed_replica_and_a_killed_writer_hold_nobody_up(cluster):
    (a, b, c), expected = files(cluster.folder, 300, first=10_000)
    with Clients(cluster.front) as clients:
        one, two = cluster.ingest("one", a, c), cluster.ingest("two", b, c)
        cluster.written(cluster.generations()[0])
        kill(two)
        kill(cluster.running["chat1"])
        cluster.finished(one)
        cluster.finished(cluster.ingest("two", b, c))
        at = clients.answers
        cluster.wait_for(lambda: clients.answers > at + 5, "nobody answers")
    assert clients.errors == []
    cluster.replica(1)
    cluster.wait_for(lambda: cluster.ready(1), "the replica is not ready again")
    check_whole(cluster, expected)


def _kill_chroma(cluster: Cluster) -> None:
    chroma.kill(cluster.folder / "vectors")
    time.sleep(1)
    cluster.chroma()  # as what watches over containers does


def _kill_postgres_backend(cluster: Cluster) -> None:
    """PostgreSQL ends all its connections when one of its processes is killed, and recovers."""
    with psycopg.connect(cluster.url) as connection:
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row
    os.kill(row[0], signal.SIGKILL)


def _kill_nginx_worker(cluster: Cluster) -> None:
    parent = cluster.running["nginx"].pid
    [worker, *_] = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    os.kill(int(worker), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "excused"),
    [
        pytest.param(_kill_chroma, 0, id="the Chroma server, started again"),
        pytest.param(_kill_postgres_backend, 0, id="a process of PostgreSQL"),
        pytest.param(_kill_nginx_worker, 3, id="a worker of nginx, with the requests that it held"),
    ],
)
def test_whichever_server_is_killed_the_rest_go_on(cluster, request, victim, excused):
    first = 20_000 + 5_000 * (request.node.callspec.indices["victim"] + 1)
    (a, b, c), expected = files(cluster.folder, 400, first=first)
    with Clients(cluster.front, 3) as clients:
        writers = [cluster.ingest("one", a, c), cluster.ingest("two", b, c)]
        cluster.written(cluster.generations()[0])
        victim(cluster)
        for writer in writers:
            writer.wait(timeout=_PATIENCE_SECONDS)
        for writer in [cluster.ingest("one", a, c), cluster.ingest("two", b, c)]:  # what a lost connection ended
            cluster.finished(writer)
        at = clients.answers
        cluster.wait_for(lambda: clients.answers > at + 5, "nobody answers")
    assert len(clients.errors) <= excused, clients.errors
    assert all(cluster.running[f"chat{number}"].poll() is None for number in range(3))
    check_whole(cluster, expected)


@pytest.mark.slow
def test_a_long_ingest_by_two_writers(cluster):
    (a, b, c), expected = files(cluster.folder, 4000, first=100_000)
    with Clients(cluster.front, 3) as clients:
        for writer in [cluster.ingest("one", a, c), cluster.ingest("two", b, c)]:
            assert writer.wait(timeout=1200) == 0
        seconds = check_seen_in_time(cluster, "oenology")
    assert clients.errors == []
    assert seconds < WITHIN_SECONDS
    check_whole(cluster, expected)
    print(f"{clients.answers} answers, the slowest in {clients.slowest:.2f} s; seen after {seconds:.2f} s")
