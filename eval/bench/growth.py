"""What a library costs as it grows: rate, latency, recall, memory and disk at one size after the other.

    python -m eval.bench --part growth [--sizes 1000,10000,100000] [--kinds embedded,server,cluster] [--out FILE]

One library of each kind grows from size to size: `embedded` (all in a folder), `server` (vectors on a `chroma run` on
the same machine), `cluster` (the catalog in PostgreSQL besides; searches are those of a replica that joins when the
library is full). Every ingest and every look is a fresh process. Beside each ingest a plain LlamaIndex + Chroma script
ingests a few thousand papers, so that rates on a busy machine can be told as ratios; processor time is told besides.
Where the real papers of the collection end, made-up ones follow (`eval.bench.synthetic`).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import TYPE_CHECKING, Any

from eval.bench import synthetic

if TYPE_CHECKING:
    import numpy as np

    from rag import Library

KINDS = ("embedded", "server", "cluster")
PLAIN_PAPERS = 4_000
NEAREST = 50
_ROWS = 50_000  # vectors compared at once by exact search


def measure(
    corpus: Path,
    sizes: Sequence[int],
    kinds: Sequence[str],
    *,
    questions: int,
    folder: Path,
    out: Path | None,
) -> dict[str, Any]:
    """Let a library of each kind grow; {"10,000 papers, embedded": {measure: number}}, also written to `out`."""
    results: dict[str, Any] = {}
    steps = [(folder / f"papers-{size}.jsonl", size - before) for before, size in zip((0, *sizes), sizes, strict=False)]
    if not all(path.is_file() for path, _ in steps):
        synthetic.write(corpus, steps)
    for kind in kinds:
        seconds, vanished = 0.0, 0
        with ExitStack() as stack:
            place = stack.enter_context(_place(kind, folder))
            for (path, papers), size in zip(steps, sizes, strict=True):
                before = place.server_seconds()
                found = _step("fill", place, folder, papers=path)
                worked = found.pop("processor s") + place.server_seconds() - before
                plain = _step("plain", place, folder, papers=path)
                seconds += found["seconds"]
                vanished += papers - found.pop("added")
                found["merged papers"] = vanished
                found["ingest: processor ms a paper"] = worked / papers * 1000
                found["papers/s since the size before"] = papers / found.pop("seconds")
                found["papers/s since empty"] = size / seconds
                found["plain script papers/s"] = plain["rate"]
                found |= _step("look", place, folder, papers=steps[0][0], questions=questions)
                found |= place.server_side()
                results[f"{size:,} papers, {kind}"] = {name: round(value, 4) for name, value in found.items()}
                sys.stderr.write(f"{size:,} papers, {kind}: {json.dumps(found)}\n")
                if out:
                    out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results


class Place:
    """Where a library of some kind is, and the servers that it needs."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.overrides: dict[str, Any] = {}
        self.chroma: subprocess.Popen[bytes] | None = None
        self.database: Any = None

    def server_seconds(self) -> float:
        """Processor time that the Chroma server has taken so far."""
        if self.chroma is None:
            return 0.0
        user, system = Path(f"/proc/{self.chroma.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def server_side(self) -> dict[str, float]:
        """Memory and disk of the servers, in MB."""
        found: dict[str, float] = {}
        if self.chroma:
            found["chroma server: resident MB"] = _memory(self.chroma.pid)["resident MB"]
            found["chroma server: disk MB"] = _megabytes(self.folder / "chroma-server")
        if self.database:
            found["PostgreSQL: disk MB"] = self.database() / 1e6
        return found


@contextmanager
def _place(kind: str, folder: Path) -> Generator[Place]:
    """A library of a kind under the folder, with the servers that the tests start too."""
    from tests import chroma

    place = Place(kind, folder / kind)
    shutil.rmtree(place.folder, ignore_errors=True)
    place.folder.mkdir(parents=True)
    with ExitStack() as stack:
        if kind != "embedded":
            url = stack.enter_context(chroma.running(place.folder / "chroma-server"))
            place.chroma = chroma.process(place.folder / "chroma-server")
            place.overrides["dense"] = {"kind": "chroma-server", "url": url}
        if kind == "cluster":
            address, place.database = stack.enter_context(_postgres())
            place.overrides["catalog"] = {"kind": "postgres", "url": address}
        yield place


@contextmanager
def _postgres() -> Generator[tuple[str, Callable[[], int]]]:
    import psycopg

    from tests.postgres import Server, plain_user, programs

    found, user = programs(), plain_user()
    if found is None or user is None:
        sys.exit("the kind `cluster` needs PostgreSQL's server programs, and a user that may run them")
    server = Server(found, user)
    try:
        address = server.database()

        def size() -> int:
            with psycopg.connect(address) as connection:
                row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
                return row[0] if row else 0

        yield address, size
    finally:
        server.remove()


def _step(name: str, place: Place, folder: Path, *, papers: Path, questions: int = 0) -> dict[str, float]:
    """One step in a fresh process, so that none warms or fattens another."""
    command = [sys.executable, "-m", "eval.bench.growth", name, "--kind", place.kind, "--folder", str(folder)]
    command += ["--papers", str(papers), "--overrides", json.dumps(place.overrides), "--questions", str(questions)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def fill(options: argparse.Namespace) -> dict[str, float]:
    """Ingest one file more."""
    started = time.perf_counter()
    with _opened(options) as library:
        report = library.ingest([options.papers])
    seconds = time.perf_counter() - started
    own, writing = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "seconds": seconds,
        "processor s": sum(os.times()[:4]),
        "added": report.added,
        "ingest: peak MB": own.ru_maxrss / 1024,
        "ingest: peak MB of the process that writes vectors": writing.ru_maxrss / 1024,
    }


def plain(options: argparse.Namespace) -> dict[str, float]:
    """The plain script over the first papers of the same file."""
    from eval.bench.__main__ import plain as script

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "papers.jsonl").symlink_to(options.papers.resolve())
        return script(argparse.Namespace(folder=Path(folder), plain_papers=PLAIN_PAPERS))


def look(options: argparse.Namespace) -> dict[str, float]:
    """Ask the library, and see what it takes; the questions are the same at every size and of every kind."""
    from rag import Filters

    with options.papers.open(encoding="utf-8") as lines:
        asked = [json.loads(line)["title"] for _, line in zip(range(options.questions), lines, strict=False)]
    year = Filters(year_from=2021, year_to=2021)
    with _opened(options, joining=True) as library:
        started = time.perf_counter()
        library.search("warm up", 10)
        found = {"first search s": time.perf_counter() - started}
        found |= _timed("search", lambda text: library.search(text, 10), asked)
        found |= _timed("answer", library.ask, asked)
        found |= _parts(library, asked)
        found |= {f"asking: {name}": value for name, value in _memory(os.getpid()).items()}
        found |= _timed("search of one year", lambda text: library.search(text, 10, filters=year), asked[:50])
        found["asking: resident MB after filters"] = _memory(os.getpid())["resident MB"]
        found |= _recall(library, options, asked)
        found["papers"] = library.count()
    return found | _disk(options.folder / options.kind)


def _opened(options: argparse.Namespace, *, joining: bool = False) -> Library:
    """The library; with `joining` that of a replica that has not been there before, where there are replicas."""
    from rag import open_library

    name = f"replica-{os.getpid()}" if joining and options.kind == "cluster" else "library"
    return open_library(options.folder / options.kind / name, **json.loads(options.overrides))


def _parts(library: Library, asked: Sequence[str]) -> dict[str, float]:
    """The two searches inside one, as the retriever makes them."""
    from rag.chosen_encoder import build_encoder

    readers = library._current()  # the bench looks inside
    encoder, settings = build_encoder(library.settings.embedding), library.settings.retrieval
    vectors = [encoder.encode([text], side="query")[0] for text in asked]
    dense = _timed("vectors alone", lambda vector: readers.dense.search(vector, settings.candidates), vectors)
    return dense | _timed("words alone", lambda text: readers.lexical.search(text, settings.candidates), asked)


def _recall(library: Library, options: argparse.Namespace, asked: Sequence[str]) -> dict[str, float]:
    """Share of the nearest passages by exact search that the approximate index finds.

    Exact search is over the embedded library's vectors, which are those of the others too.
    """
    from rag.chosen_encoder import build_encoder
    from rag.stores import manifest as manifests
    from rag.stores.vectors import VectorLog

    manifest = manifests.read(options.folder / "embedded" / "library")
    if manifest is None:
        return {}
    log = VectorLog(options.folder / "embedded" / "library" / manifest.folders["dense"], manifest.dimension)
    stored, dense = log.read(), library._current().dense
    if stored is None or len(stored.ids) != dense.count():
        return {}
    questions = build_encoder(library.settings.embedding).encode(list(asked), side="query")
    exact = _exact(stored.matrix, questions)
    shares: dict[int, list[float]] = {10: [], NEAREST: []}
    for question, rows in zip(questions, exact, strict=True):
        found = [name for name, _ in dense.search(question, library.settings.retrieval.candidates)]
        for depth, values in shares.items():
            best = {stored.ids[row] for row in rows[:depth]}
            values.append(len(best & set(found[:depth])) / len(best))
    return {f"recall@{depth} of exact search": fmean(values) for depth, values in shares.items()}


def _exact(matrix: np.ndarray, questions: np.ndarray, *, at_once: int = _ROWS) -> np.ndarray:
    """The rows of the NEAREST vectors, best first, a part of the matrix at a time."""
    import numpy as np

    scores = np.full((len(questions), 0), 0.0, dtype=np.float32)
    rows = np.zeros((len(questions), 0), dtype=np.int64)
    for start in range(0, len(matrix), at_once):
        part = questions @ np.asarray(matrix[start : start + at_once]).T
        scores = np.concatenate((scores, part), axis=1)
        rows = np.concatenate((rows, np.broadcast_to(np.arange(start, start + part.shape[1]), part.shape)), axis=1)
        kept = np.argsort(-scores, axis=1, kind="stable")[:, :NEAREST]
        scores, rows = np.take_along_axis(scores, kept, axis=1), np.take_along_axis(rows, kept, axis=1)
    return rows


def _timed(name: str, call: Callable[[Any], object], items: Iterable[Any]) -> dict[str, float]:
    times: list[float] = []
    worked: list[float] = []
    for item in items:
        started, processor = time.perf_counter(), time.process_time()
        call(item)
        times.append((time.perf_counter() - started) * 1000)
        worked.append((time.process_time() - processor) * 1000)
    p95 = quantiles(times, n=20)[-1]
    return {f"{name}: p50 ms": median(times), f"{name}: p95 ms": p95, f"{name}: p50 ms of processor": median(worked)}


def _memory(pid: int) -> dict[str, float]:
    """Resident memory; PSS is its share by what other processes map too, and the part that is mapped files."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {"resident MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    sizes = {name: int(rest.split()[0]) / 1024 for name, _, rest in (line.partition(":") for line in lines)}
    return {"resident MB": sizes["Rss"], "PSS MB": sizes["Pss"], "PSS without files MB": sizes.get("Pss_Anon", 0.0)}


def _disk(folder: Path) -> dict[str, float]:
    """Megabytes of the library's parts."""
    replicas = sorted(folder.glob("replica-*"), key=lambda path: path.stat().st_mtime)
    library = replicas[-1] if replicas else folder / "library"
    chroma = [path for path in library.glob("chroma*/**/*") if path.is_file()]
    graph = sum(path.stat().st_size for path in chroma if path.suffix == ".bin") / 1e6
    exact = sum(path.stat().st_size for path in chroma if path.name.startswith("vectors.")) / 1e6
    parts = {
        "catalog": sum(path.stat().st_size for path in library.glob("catalog.sqlite*")) / 1e6,
        "vector graph": graph,
        "vectors for exact search": exact,
        "rest of chroma": sum(path.stat().st_size for path in chroma) / 1e6 - graph - exact,
        "words": sum(_megabytes(path) for path in library.glob("lexical*")),
    }
    return {f"disk: {name} MB": size for name, size in parts.items()}


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    """One step, for `_step`."""
    parser = argparse.ArgumentParser(description="One step of the growth bench; python -m eval.bench runs them all")
    parser.add_argument("step", choices=("fill", "plain", "look"))
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--papers", type=Path, required=True)
    parser.add_argument("--overrides", default="{}")
    parser.add_argument("--questions", type=int, default=200)
    options = parser.parse_args()
    print(json.dumps({"fill": fill, "plain": plain, "look": look}[options.step](options)))


if __name__ == "__main__":
    main()
