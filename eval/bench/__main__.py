"""`make bench`: ingest, search and answer at full size beside a plain LlamaIndex + Chroma script, in one run."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eval.bench import growth

SHARED = Path(os.environ.get("CITEWISE_SHARED", Path(__file__).parents[3] / "shared"))
CORPUS = SHARED / "corpora" / "ml-papers.jsonl.gz"


def main() -> None:
    """Run all parts in fresh processes, so that none warms or fattens another."""
    options = _options()
    if options.part:
        print(json.dumps(PARTS[options.part](options)))
        return
    if not CORPUS.is_file():
        sys.exit(f"make bench needs the paper collection at {CORPUS}; set CITEWISE_SHARED to its folder")
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "papers.jsonl"
        _write_sample(sample, options.papers)
        print(f"Citewise at {options.papers:,} papers")
        results: dict[str, dict[str, Any]] = {}
        for name in PARTS:
            results[name] = _in_process(name, folder, options)
            _report(name, results[name])
            if name == "plain":
                _compare(results["ingest"], results["plain"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--papers", type=int, default=87_246, help="papers to ingest (default all 87,246)")
    parser.add_argument("--plain-papers", type=int, default=20_000, help="papers for the plain script")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where a single part works; growth keeps its papers and libraries")
    parser.add_argument("--part", choices=PARTS)
    parser.add_argument("--sizes", default="1000,10000,100000", help="growth: papers at which a library is looked at")
    parser.add_argument("--kinds", default="embedded,server", help=f"growth: some of {', '.join(growth.KINDS)}")
    parser.add_argument("--out", type=Path, help="growth: a JSON file that is written after each size")
    return parser.parse_args()


def _in_process(name: str, folder: str, options: argparse.Namespace) -> dict[str, Any]:
    print(f"… {name}", file=sys.stderr, flush=True)
    arguments = ["--part", name, "--folder", folder, "--papers", str(options.papers)]
    arguments += ["--plain-papers", str(options.plain_papers), "--questions", str(options.questions)]
    arguments += ["--sizes", options.sizes, "--kinds", options.kinds]
    arguments += ["--out", str(options.out)] if options.out else []
    done = subprocess.run([sys.executable, "-m", "eval.bench", *arguments], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _write_sample(target: Path, papers: int) -> None:
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines, target.open("w", encoding="utf-8") as out:
        for _, line in zip(range(papers), lines, strict=False):
            out.write(line)


def ingest(options: argparse.Namespace) -> dict[str, Any]:
    """All papers into an empty library."""
    from rag import open_library

    marks: list[tuple[int, float]] = []
    started = time.perf_counter()
    with open_library(options.folder / "library") as library:
        library.ingest(
            [options.folder / "papers.jsonl"],
            progress=lambda step: marks.append((step.done, time.perf_counter() - started)),
        )
        count = library.count()
    seconds = time.perf_counter() - started
    first, last = _rate(marks, 0.0, 0.25), _rate(marks, 0.75, 1.0)
    return {
        "seconds": seconds,
        "papers": count,
        "rate": count / seconds,
        "rate, last quarter / first quarter": last / first if first else 0.0,
        "memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "memory of the process that writes vectors MB": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "disk MB per 1,000": _size(options.folder / "library") / 1e6 / count * 1000,
    }


def plain(options: argparse.Namespace) -> dict[str, Any]:
    """The script that one would write in an afternoon: Documents, SentenceSplitter, ChromaVectorStore."""
    import chromadb
    from llama_index.core import Document, StorageContext, VectorStoreIndex
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.vector_stores.chroma import ChromaVectorStore

    from rag.chosen_encoder import build_encoder
    from rag.embeddings import as_llama_embedding
    from rag.settings import load_settings

    embedding = as_llama_embedding(build_encoder(load_settings().embedding))
    with (options.folder / "papers.jsonl").open(encoding="utf-8") as lines:
        papers = [json.loads(line) for _, line in zip(range(options.plain_papers), lines, strict=False)]
    started = time.perf_counter()
    client = chromadb.PersistentClient(str(options.folder / "plain"))
    store = ChromaVectorStore(client.get_or_create_collection("papers", embedding_function=None))
    documents = [
        Document(
            text=f"{paper['title']}\n{paper['abstract']}", metadata={"title": paper["title"], "year": paper["year"]}
        )
        for paper in papers
    ]
    VectorStoreIndex.from_documents(
        documents,
        storage_context=StorageContext.from_defaults(vector_store=store),
        embed_model=embedding,
        transformations=[SentenceSplitter(chunk_size=512)],
    )
    seconds = time.perf_counter() - started
    size = _size(options.folder / "plain") / 1e6 / len(papers) * 1000
    return {"seconds": seconds, "rate": len(papers) / seconds, "disk MB per 1,000": size}


def search(options: argparse.Namespace) -> dict[str, Any]:
    """Warm searches: plain, filtered by year, and whether the approximate index agrees with exact search."""
    from rag import Filters, open_library

    questions = _questions(options)
    with open_library(options.folder / "library") as library:
        library.search("warm up", 10)
        plain_times = _timed(lambda text: library.search(text, 10), questions)
        year = Filters(year_from=2021, year_to=2021)
        narrow_times = _timed(lambda text: library.search(text, 10, filters=year), questions)
        answer_times = _timed(library.ask, questions)
    return {
        "search ms": _percentiles(plain_times),
        "filtered ms": _percentiles(narrow_times),
        "answer ms": _percentiles(answer_times),
        "memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def agreement(options: argparse.Namespace) -> dict[str, Any]:
    """Overlap of the 50 nearest passages by Chroma with those by exact search."""
    import numpy as np

    from rag.chosen_encoder import build_encoder
    from rag.library_parts import open_dense
    from rag.settings import load_settings
    from rag.stores import manifest as manifests

    settings = load_settings()
    encoder = build_encoder(settings.embedding)
    manifest = manifests.read(options.folder / "library")
    assert manifest is not None, "the ingest part runs first"
    dense = open_dense(options.folder / "library", manifest, settings)
    ids = sorted(dense.ids())
    stored = dense.vectors(ids)
    matrix = np.stack([stored[name] for name in ids])
    shares: list[float] = []
    for text in _questions(options):
        vector = encoder.encode([text], side="query")[0]
        exact = {ids[row] for row in np.argsort(-(matrix @ vector))[:50]}
        shares.append(len(exact & {name for name, _ in dense.search(vector, 50)}) / len(exact))
    return {"overlap@50": statistics.fmean(shares)}


def adding(options: argparse.Namespace) -> dict[str, Any]:
    """Ten more papers into the full library, opening included."""
    from rag import open_library

    more = options.folder / "more.jsonl"
    with more.open("w", encoding="utf-8") as out:
        for number in range(10):
            words = random.Random(number).sample(range(10_000), 40)
            abstract = " ".join(f"term{word}" for word in words)
            out.write(json.dumps({"title": f"Added paper {number} on {words[0]}", "abstract": abstract}) + "\n")
    started = time.perf_counter()
    with open_library(options.folder / "library") as library:
        report = library.ingest([more])
    return {"seconds": time.perf_counter() - started, "added": report.as_json()["added"]}


def cold(options: argparse.Namespace) -> dict[str, Any]:
    """`--help` and one cold answer on a small library, as ratios to `import chromadb` alone."""
    library = options.folder / "small"
    command = [sys.executable, "-m", "rag.cli"]
    starter = ["ingest", "--starter", "--json", "--library", str(library)]
    subprocess.run([*command, *starter], check=True, capture_output=True)
    chroma = _command_seconds([sys.executable, "-c", "import chromadb"])
    answer = _command_seconds([*command, "ask", "What is dropout?", "--json", "--library", str(library)])
    return {
        "import chromadb s": chroma,
        "ask s": answer,
        "ask / import chromadb": answer / chroma,
        "--help s": _command_seconds([*command, "--help"]),
    }


def chat(options: argparse.Namespace) -> dict[str, Any]:
    """The chat page over the full library."""
    from eval.bench.chat_page import measure

    return measure(options.folder / "library", _questions(options))


def growing(options: argparse.Namespace) -> dict[str, Any]:
    """Libraries of each kind at one size after the other."""
    sizes, kinds = [int(size) for size in options.sizes.split(",")], options.kinds.split(",")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)) / "growth"
        folder.mkdir(parents=True, exist_ok=True)
        return growth.measure(CORPUS, sizes, kinds, questions=options.questions, folder=folder, out=options.out)


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "ingest": ingest,
    "plain": plain,
    "search": search,
    "agreement": agreement,
    "adding": adding,
    "cold": cold,
    "chat": chat,
    "growth": growing,
}


def _command_seconds(command: list[str], repeats: int = 5) -> float:
    times: list[float] = []
    for _ in range(repeats):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _questions(options: argparse.Namespace) -> list[str]:
    """Titles of papers spread over the collection, as long as questions usually are."""
    with (options.folder / "papers.jsonl").open(encoding="utf-8") as lines:
        titles = [json.loads(line)["title"] for line in lines]
    return random.Random(7).sample(titles, min(options.questions, len(titles)))


def _timed(call: Callable[[str], object], questions: list[str]) -> list[float]:
    times: list[float] = []
    for text in questions:
        started = time.perf_counter()
        call(text)
        times.append((time.perf_counter() - started) * 1000)
    return times


def _percentiles(times: list[float]) -> dict[str, float]:
    cut = statistics.quantiles(times, n=20)
    return {"p50": statistics.median(times), "p95": cut[-1]}


def _rate(marks: list[tuple[int, float]], low: float, high: float) -> float:
    if len(marks) < 8:
        return 0.0
    total = marks[-1][0]
    inside = [mark for mark in marks if low * total <= mark[0] <= high * total]
    if len(inside) < 2 or inside[-1][1] == inside[0][1]:
        return 0.0
    return (inside[-1][0] - inside[0][0]) / (inside[-1][1] - inside[0][1])


def _size(folder: Path) -> int:
    return sum(item.stat().st_size for item in folder.rglob("*") if item.is_file())


def _report(name: str, values: dict[str, Any]) -> None:
    for key, value in values.items():
        shown = value if isinstance(value, dict) else {"": value}
        for part, number in shown.items():
            print(f"  {f'{name}: {key} {part}'.strip():<46}{number:>12,.3f}", flush=True)


def _compare(ours: dict[str, Any], plain: dict[str, Any]) -> None:
    faster, smaller = ours["rate"] / plain["rate"], ours["disk MB per 1,000"] / plain["disk MB per 1,000"]
    print(f"  ingest rate / plain script {faster:.1f}; disk / plain script {smaller:.2f}", flush=True)


if __name__ == "__main__":
    main()
