"""An ingest whose reading and embedding other processes do makes the library that one process makes, whatever dies."""

from __future__ import annotations

import json
import os
import pickle
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag import Library, open_library
from rag.chosen_encoder import build_encoder, writing_encoder
from rag.cli import run
from rag.embeddings import FAST
from rag.errors import CitewiseError, WorkersUnavailable
from rag.ingest import CATALOG, Ingester
from rag.parsers import parse
from rag.ray_ingest import RayEncoder, RayWorkers, Worker, distributed
from rag.ray_pool import Promise
from rag.settings import EmbeddingSettings, IngestSettings, Settings
from rag.stores import manifest as manifests
from rag.stores.catalog import Catalog
from tests import chroma
from tests.ingesting import CHUNKING, abstract, opener, record, write
from tests.test_rag_offload import processes
from tests.waiting import eventually

ROOT = Path(__file__).parents[1]
TOKEN = {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
"""Without it Ray would write one to the home folder."""


def contents(folder: Path) -> dict[str, Any]:
    """All that a library in a folder holds: papers, records with their keys, merges, passages, and both indexes."""
    manifest = manifests.read(folder)
    assert manifest is not None
    with closing(Catalog(folder / CATALOG)) as catalog, closing(opener(folder)(manifest)) as indexes:
        ids = sorted(indexes.dense.ids())
        vectors = indexes.dense.vectors(ids)
        counts = catalog.counts()
        return {
            "papers": [paper.as_json() for paper in catalog.all_papers()],
            "records": catalog.database.read(
                "SELECT paper, resolved, line, hash, title_key, external_key, reason, keys, data, abstract"
                " FROM records JOIN sources ON sources.pk = source ORDER BY paper, resolved, line, hash"
            ),
            "keys": catalog.database.read("SELECT key, paper FROM keys ORDER BY key, paper"),
            "passages": list(catalog.all_passages()),
            "dense": ids,
            "vectors": [vectors[passage].tobytes() for passage in ids],
            "lexical": indexes.lexical.ids(),
            "left": (counts["pending"], counts["doomed"]),
        }


def told(report: Any) -> dict[str, Any]:
    """A report without its time."""
    return {name: value for name, value in report.as_json().items() if name != "seconds"}


def pile(folder: Path, papers: int = 300) -> list[Path]:
    """Files of several formats that share papers, with edits, broken records, a page and a file that is not there."""
    folder.mkdir()
    first = [record(at, id=f"p{at}", year=2000 + at % 20) for at in range(papers)]
    near = [record(at, abstract=abstract(at).replace("drift", "drifted")) for at in range(0, papers, 3)]
    write(folder / "a.jsonl", [*first, {"title": ""}, *near[:20]])
    write(folder / "b.jsonl.gz", [])
    write(folder / "b.jsonl", [*near, *(record(at, doi=f"10.1000/{at}") for at in range(papers, papers + 150))])
    rows = "".join(
        f'"{record(at)["title"]}","{abstract(at)}",10.1000/{at}\n' for at in range(papers + 100, papers + 200)
    )
    (folder / "c.csv").write_text(f"title,abstract,doi\n{rows}short row\n", encoding="utf-8")
    entries = "".join(
        f"@article{{k{at}, title={{{record(at)['title']}}}, doi={{10.1000/{at}}}}}\n" for at in range(200)
    )
    (folder / "d.bib").write_text(entries, encoding="utf-8")
    (folder / "e.txt").write_text("<html><body>no paper</body></html>", encoding="utf-8")
    missing = folder / "missing.jsonl"
    return [folder / "a.jsonl", missing, missing, *sorted(folder.iterdir()), folder / "a.jsonl"]


# Without Ray: what any workers give is what this process would have read.


class Inline:
    """A pool whose workers are called at once, with what would travel pickled."""

    def __init__(self, workers: int = 2, encoder: Any = None) -> None:
        self._worker = Worker(encoder)
        self._workers = workers
        self._answers: dict[int, bytes] = {}
        self._counting = threading.Lock()
        self.asked = 0
        self.most = 0
        self.closed = False

    def size(self) -> int:
        return self._workers

    def ask(self, method: str, argument: object = None) -> Promise:
        with self._counting:  # reading and encoding ask from threads of their own
            self.asked += 1
            number = self.asked
        answer = getattr(self._worker, method)(pickle.loads(pickle.dumps(argument)))
        self._answers[number] = pickle.dumps(answer)
        self.most = max(self.most, len(self._answers))
        return Promise(0, number)

    def answer(self, promise: Promise) -> Any:
        return pickle.loads(self._answers.pop(promise.reference))

    def close(self) -> None:
        self.closed = True


def ingest(folder: Path, *paths: Path, pool: Inline | None = None, **options: Any) -> dict[str, Any]:
    encoder = build_encoder(EmbeddingSettings())
    workers = None
    if pool:
        encoder, workers = RayEncoder(encoder, pool), RayWorkers(pool)  # type: ignore[arg-type]
    with Ingester(folder, encoder=encoder, chunking=CHUNKING, open_indexes=opener(folder), workers=workers) as ingester:
        return told(ingester.ingest(paths, **options))


def inline() -> Inline:
    return Inline(encoder=build_encoder(EmbeddingSettings()))


@pytest.mark.parametrize("seed", range(4))
def test_a_seed_pile_read_in_pieces_makes_the_same_library(shared, seed, tmp_path):
    path = sorted((shared / "seeds").iterdir())[seed]
    assert ingest(tmp_path / "pieces", path, pool=inline()) == ingest(tmp_path / "plain", path)
    assert contents(tmp_path / "pieces") == contents(tmp_path / "plain")


def test_a_mixed_pile_read_in_pieces_makes_the_same_library_also_when_edited_and_read_again(tmp_path):
    files = pile(tmp_path / "pile")
    edited = [record(at, id=f"p{at}", year=1999) for at in range(250)]
    for change in (lambda: None, lambda: None, lambda: write(files[0], edited)):
        change()
        report = ingest(tmp_path / "plain", *files, sync=True)
        assert ingest(tmp_path / "pieces", *files, pool=inline(), sync=True) == report
        assert contents(tmp_path / "pieces") == contents(tmp_path / "plain")
    assert report["updated"]
    assert report["removed"]


def test_an_ingest_that_is_stopped_stops_where_the_plain_one_does(tmp_path):
    files = [
        write(tmp_path / "a.jsonl", (record(at) for at in range(3000))),
        write(tmp_path / "b.jsonl", (record(at) for at in range(3000, 6000))),
    ]
    asked = {"plain": 0, "pieces": 0}

    def stop(name: str) -> bool:
        asked[name] += 1
        return asked[name] > 1

    for name, pool in (("plain", None), ("pieces", inline())):
        report = ingest(tmp_path / name, *files, pool=pool, should_stop=lambda name=name: stop(name))
        assert report["stopped"]
        assert report["parsed"] == 2048
    assert contents(tmp_path / "pieces") == contents(tmp_path / "plain")


def test_only_so_much_is_read_ahead_of_the_writer(tmp_path):
    paths = [write(tmp_path / f"{at}.jsonl", [record(at)]) for at in range(40)]
    pool = Inline(workers=3)
    for given in RayWorkers(pool).read(parse(path) for path in paths):  # type: ignore[arg-type]
        assert len(list(given)) == 2
    assert (pool.asked, pool.most) == (40, 6)


def test_few_passages_and_questions_are_not_sent_to_workers():
    pool = inline()
    encoder = RayEncoder(build_encoder(EmbeddingSettings()), pool)  # type: ignore[arg-type]
    plain = build_encoder(EmbeddingSettings())
    few, many = [abstract(at) for at in range(20)], [abstract(at) for at in range(500)]
    questions = [f"What is w{at}?" for at in range(200)]
    assert np.array_equal(encoder.encode(few), plain.encode(few))
    assert np.array_equal(encoder.encode(questions, side="query"), plain.encode(questions, side="query"))
    assert pool.asked == 0
    assert np.array_equal(encoder.encode(many), plain.encode(many))
    assert pool.asked == 2


@pytest.mark.parametrize("dimensions", [None, 64])
def test_the_encoder_of_a_worker_gives_the_same_vectors(dimensions):
    encoder = build_encoder(EmbeddingSettings(dimensions=dimensions))
    texts = [abstract(at) for at in range(9)]
    copy = pickle.loads(pickle.dumps(encoder))
    assert copy.fingerprint == encoder.fingerprint
    assert np.array_equal(copy.encode(texts), encoder.encode(texts))


def test_an_encoder_that_is_paid_for_stays_with_the_writer(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: .venv/bin/pip install -e '.[ray]'")
    paid = writing_encoder(tmp_path, Settings(embedding=EmbeddingSettings(kind="openai")))
    encoder, workers = distributed(IngestSettings(engine="ray"), paid)
    workers.close()
    assert encoder is paid


def test_help_and_settings_need_no_ray():
    code = "import sys; from rag.cli import run; run(['ingest', '--help']); sys.exit('ray' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "--engine [process|ray]" in shown


def test_without_ray_installed_the_line_to_install_it_is_shown(tmp_path):
    code = (
        "import sys; sys.modules['ray'] = None; from rag.cli import run;"
        "sys.exit(run(['ingest', '--starter', '--engine', 'ray', '--library', sys.argv[1]]))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        done.stderr.strip()
        == "citewise: Ray is not installed; in Citewise's folder run: .venv/bin/pip install -e '.[ray]'"
    )


def test_an_address_without_the_engine_is_refused(tmp_path, capsys):
    assert run(["ingest", "--starter", "--address", "127.0.0.1:1", "--library", str(tmp_path)]) == 2
    assert "are for --engine ray" in capsys.readouterr().err


# On Ray.


class Cluster:
    """A Ray cluster of two processors on this machine, which this process is connected to."""

    def __init__(self, folder: Path) -> None:
        import ray

        options = {"include_dashboard": False, "log_to_driver": False, "logging_level": "CRITICAL"}
        ray.init("local", num_cpus=2, _temp_dir=str(folder), **options)
        self.address = ray.get_runtime_context().gcs_address

    def workers(self) -> list[int]:
        """Process ids of the workers of this cluster that read for an ingest."""
        parents: dict[int, int] = {}
        titles: dict[int, bytes] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                titles[int(entry.name)] = (entry / "cmdline").read_bytes()
        named = [pid for pid, title in titles.items() if title.startswith(b"ray::CitewiseWorker")]
        return [pid for pid in named if os.getpid() in _ancestors(pid, parents)]

    def kill_worker(self) -> bool:
        """Kill one of the workers, if there is any."""
        for pid in self.workers()[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
        return False


def _ancestors(pid: int, parents: dict[int, int]) -> Iterator[int]:
    while pid := parents.get(pid, 0):
        yield pid


@pytest.fixture(scope="module")
def _cluster() -> Iterator[Cluster]:
    import ray

    os.environ |= TOKEN
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a short path: Ray's sockets are in it
    yield Cluster(folder)
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(socket_enabled: None, request: pytest.FixtureRequest) -> Cluster:
    pytest.importorskip("ray", reason="Ray is not installed: .venv/bin/pip install -e '.[ray]'")
    if not Path("/proc/self/stat").exists():
        pytest.skip("the workers' processes are found in /proc")
    return request.getfixturevalue("_cluster")


def on_ray(folder: Path, cluster: Cluster, encoder: str = "builtin") -> Library:
    ingest = {"engine": "ray", "address": cluster.address, "workers": 2}
    return open_library(folder, ingest=ingest, embedding={"kind": encoder})


def plain(folder: Path, *files: Path, encoder: str = "builtin") -> dict[str, Any]:
    with open_library(folder, embedding={"kind": encoder}) as library:
        return told(library.ingest(files))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Path]:
    """Files, and the library of an undisturbed ingest of them in one process, by the fast encoder: they are many."""
    folder = tmp_path_factory.mktemp("large")
    files = [
        write(folder / "a.jsonl", (record(at) for at in range(2500))),
        write(folder / "b.jsonl", (record(at, venue="ICML") for at in range(2000, 4000))),
    ]
    report = plain(folder / "plain", *files, encoder=FAST)
    assert (report["added"], len(report["duplicates"])) == (4000, 500)
    return files, folder / "plain"


@pytest.mark.loopback
def test_on_ray_the_seed_piles_make_the_same_library(cluster, shared, tmp_path):
    files = sorted((shared / "seeds").iterdir())
    with on_ray(tmp_path / "ray", cluster) as library:
        assert told(library.ingest(files)) == plain(tmp_path / "plain", *files)
        assert library.search("reinforcement learning", 5)
    assert contents(tmp_path / "ray") == contents(tmp_path / "plain")


@pytest.mark.loopback
def test_on_ray_a_mixed_pile_makes_the_same_library_and_again_changes_nothing(cluster, tmp_path):
    files = pile(tmp_path / "pile")
    expected = plain(tmp_path / "plain", *files)
    seen: list[Any] = []
    with on_ray(tmp_path / "ray", cluster) as library:
        assert told(library.ingest(files, progress=seen.append)) == expected
        again = library.ingest(files)
    assert seen[-1].done == expected["parsed"]
    assert (again.added, again.updated, again.removed) == (0, 0, 0)
    assert contents(tmp_path / "ray") == contents(tmp_path / "plain")


@pytest.mark.loopback
def test_a_killed_ingest_on_ray_goes_on_where_it_stopped(cluster, large, tmp_path):
    files, undisturbed = large
    options = ["--engine", "ray", "--address", cluster.address, "--workers", "2", "--library", tmp_path / "ray"]
    (config := tmp_path / "fast.yaml").write_text(f"embedding: {{kind: {FAST}}}")
    command = [sys.executable, "-m", "rag.cli", "ingest", *files, *options, "--config", config]
    with subprocess.Popen([str(part) for part in command], cwd=ROOT, stderr=subprocess.PIPE) as process:
        eventually(lambda: _papers(tmp_path / "ray") > 0 or process.poll() is not None, seconds=240)
        process.kill()
    # Its process for vectors ends by itself; one that it had only just started holds no lock yet that is waited for.
    assert eventually(lambda: not processes(tmp_path / "ray"))
    assert 0 < _papers(tmp_path / "ray") < 4000
    with on_ray(tmp_path / "ray", cluster, FAST) as library:
        report = library.ingest(files)
    assert report.unchanged
    assert contents(tmp_path / "ray") == contents(undisturbed)


@pytest.mark.loopback
def test_work_of_a_worker_that_dies_is_done_by_another(cluster, large, tmp_path):
    files, undisturbed = large
    killed: list[bool] = []

    def kill(_: object) -> None:
        if not any(killed):
            killed.append(cluster.kill_worker())

    with on_ray(tmp_path / "ray", cluster, FAST) as library:
        assert library.ingest(files, progress=kill).added == 4000
    assert any(killed)
    assert contents(tmp_path / "ray") == contents(undisturbed)


@pytest.mark.loopback
def test_when_workers_die_again_and_again_the_error_is_one_line_and_nothing_is_lost(cluster, large, tmp_path):
    files, undisturbed = large
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.05):
            cluster.kill_worker()

    with on_ray(tmp_path / "ray", cluster, FAST) as library:
        killer = threading.Thread(target=kill)

        def start(_: object) -> None:
            if not killer.ident:
                killer.start()

        with pytest.raises(WorkersUnavailable, match="run the command again to go on") as raised:
            library.ingest(files, progress=start)
        over.set()
        killer.join()
        assert "\n" not in str(raised.value)
        library.ingest(files)
    assert contents(tmp_path / "ray") == contents(undisturbed)


@pytest.mark.loopback
def test_no_cluster_at_the_address_is_said_in_one_line(socket_enabled, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: .venv/bin/pip install -e '.[ray]'")
    address = f"127.0.0.1:{chroma.free_port()}"
    command = [sys.executable, "-m", "rag.cli", "ingest", "--starter", "--engine", "ray", "--address", address]
    done = subprocess.run(
        [*command, "--library", str(tmp_path / "new")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"citewise: no Ray cluster answers at {address} (")


@pytest.mark.loopback
def test_without_an_address_the_command_has_workers_of_its_own_and_leaves_none_behind(socket_enabled, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: .venv/bin/pip install -e '.[ray]'")
    folder = tempfile.mkdtemp(prefix="ray-")  # a short path: Ray's sockets are in it
    command = [sys.executable, "-m", "rag.cli", "ingest", "--starter", "--json", "--engine", "ray", "--workers", "1"]
    command += ["--library", str(tmp_path / "new")]
    environment = {**os.environ, **TOKEN, "RAY_TMPDIR": folder}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["added"] == 64
    left = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    assert folder not in left
    shutil.rmtree(folder)


@pytest.mark.loopback
def test_on_ray_papers_go_to_a_shared_catalog_and_a_vector_server(cluster, postgres, chroma_url, tmp_path):
    files = pile(tmp_path / "pile")
    plain(tmp_path / "plain", *files)
    with (
        open_library(
            tmp_path / "ray",
            config=["cluster", "chroma-server"],
            catalog={"url": postgres.database()},
            dense={"url": chroma_url},
            ingest={"engine": "ray", "address": cluster.address, "workers": 2},
        ) as library,
        open_library(tmp_path / "plain") as expected,
    ):
        library.ingest(files)
        assert library.ingest(files).added == 0
        ids = expected.ids()
        assert [paper.as_json() for paper in library.papers()] == [paper.as_json() for paper in expected.papers()]
        found, wanted = library.vectors(ids), expected.vectors(ids)
        assert all(np.allclose(found[paper], wanted[paper], atol=1e-6) for paper in ids)


def _papers(folder: Path) -> int:
    if not (folder / CATALOG).is_file():
        return 0
    with suppress(CitewiseError), closing(Catalog(folder / CATALOG)) as catalog:
        return catalog.count()
    return 0
