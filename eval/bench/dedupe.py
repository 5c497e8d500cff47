"""Measures deduplication on real papers: sketches as candidate finders, and the rules' precision and recall.

    python -m eval.bench.dedupe PAPERS.jsonl[.gz] [--sample 4000]

True duplicates are made from real papers by the damage that real piles do to them. Near misses are real: pairs of
different papers of the corpus whose abstracts share many words, and titles that differ as parts of a series do.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

from rag.dedupe import Identity, abstract_words, same_paper, similarity
from rag.hashing import hashed
from rag.papers import Record, SourceRef
from rag.sketches import CROWDED, Keymaker
from rag.text import sentences

Damage = Callable[[str, random.Random], str]
Sketcher = Callable[[Sequence[str]], list[tuple[int, ...]]]


def load(path: Path) -> list[Record]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [
        Record(
            row["title"],
            row["abstract"],
            SourceRef("corpus", at),
            tuple(row.get("authors") or ()),
            year=row.get("year"),
        )
        for at, row in enumerate(rows)
        if row["abstract"]
    ]


def _typos(share: float) -> Damage:
    def damage(text: str, draw: random.Random) -> str:
        words = text.split(" ")
        for at in range(len(words)):
            if draw.random() < share and len(words[at]) > 2:
                cut = draw.randrange(len(words[at]) - 1)
                words[at] = words[at][:cut] + words[at][cut + 1] + words[at][cut] + words[at][cut + 2 :]
        return " ".join(words)

    return damage


def _without(count: int) -> Damage:
    def damage(text: str, draw: random.Random) -> str:
        parts = [span.text for span in sentences(text)]
        for _ in range(min(count, len(parts) - 1)):
            parts.pop(draw.randrange(len(parts)))
        return " ".join(parts)

    return damage


def _first_half(text: str, _: random.Random) -> str:
    return text[: len(text) // 2]


def _layout(text: str, draw: random.Random) -> str:
    text = text.upper() if draw.random() < 0.5 else text
    return re.sub(r" ", lambda _: draw.choice((" ", "  ", "\n")), text)


def _latex(text: str, draw: random.Random) -> str:
    def mark(found: re.Match[str]) -> str:
        return (
            draw.choice((r"\emph{%s}", r"$%s$", r"\textbf{%s}")) % found.group()
            if draw.random() < 0.05
            else found.group()
        )

    return re.sub(r"\w+", mark, text)


DAMAGES: dict[str, Damage] = {
    "case and white space": _layout,
    "LaTeX marks": _latex,
    "typos in 1 % of words": _typos(0.01),
    "typos in 5 % of words": _typos(0.05),
    "1 sentence dropped": _without(1),
    "2 sentences dropped": _without(2),
    "second half cut off": _first_half,
}


def bottom_k(size: int) -> Sketcher:
    maker = Keymaker(bands=size, rows=1)
    words = maker._words

    def sketch(texts: Sequence[str]) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = []
        for text in texts:
            hashes = np.array([words[word] for word in abstract_words(text)], dtype=np.int64).view(np.uint64)
            mixed = hashes[:-2] * np.uint64(3) + hashes[1:-1] * np.uint64(0x9E3779B97F4A7C15) + hashes[2:]
            mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xD6E8FEB86659FD93)
            found.append(tuple(np.unique(mixed)[:size].view(np.int64).tolist()))
        return found

    return sketch


def longest_sentences(size: int) -> Sketcher:
    def sketch(texts: Sequence[str]) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = []
        for text in texts:
            spans = sorted((span.text for span in sentences(text)), key=len)[-size:]
            found.append(tuple(hashed(" ".join(abstract_words(span))) for span in spans))
        return found

    return sketch


SKETCHES: dict[str, Sketcher] = {
    "in use: MinHash, 12 bands of 2": Keymaker().sketches,
    "MinHash, 8 bands of 2": Keymaker(bands=8, rows=2).sketches,
    "MinHash, 16 bands of 2": Keymaker(bands=16, rows=2).sketches,
    "MinHash, 8 bands of 3": Keymaker(bands=8, rows=3).sketches,
    "MinHash, 8 bands of 1": Keymaker(bands=8, rows=1).sketches,
    "bottom-8 trigrams": bottom_k(8),
    "4 longest sentences": longest_sentences(4),
}


def batched(sketcher: Sketcher, texts: Sequence[str]) -> list[tuple[int, ...]]:
    return [keys for at in range(0, len(texts), 1024) for keys in sketcher(texts[at : at + 1024])]


def compare_sketches(records: Sequence[Record], sample: Sequence[Record]) -> None:
    print(f"\nSketches: papers a second, candidates a paper among {len(records):,}, and share of damaged copies found")
    print(f"{'':32}{'/s':>8}{'cand.':>8}  " + "  ".join(name[:14].rjust(14) for name in DAMAGES))
    for name, sketcher in SKETCHES.items():
        start = time.process_time()
        keys = batched(sketcher, [record.abstract for record in records])
        rate = len(records) / (time.process_time() - start)
        shared = Counter(key for found in keys for key in set(found))
        candidates = sum(count * (count - 1) for count in shared.values() if count <= CROWDED) / len(records)
        originals = batched(sketcher, [record.abstract for record in sample])
        found = []
        for damage in DAMAGES.values():
            draw = random.Random(1)
            copies = batched(sketcher, [damage(record.abstract, draw) for record in sample])
            found.append(np.mean([bool(set(one) & set(two)) for one, two in zip(originals, copies, strict=True)]))
        print(f"{name:32}{rate:8,.0f}{candidates:8.2f}  " + "  ".join(f"{share:14.3f}" for share in found))


def damaged_title(title: str, draw: random.Random) -> str:
    at = draw.randrange(max(len(title) - 1, 1))
    return title[:at] + title[at + 1 :]


def recall_of_rules(sample: Sequence[Record]) -> None:
    print("\nRules: share of damaged copies recognised (the candidates given)")
    print(f"{'':26}{'same title':>12}{'title typo':>12}{'untitled':>12}")
    for name, damage in DAMAGES.items():
        draw = random.Random(2)
        counts: Counter[str] = Counter()
        for record in sample:
            copy = replace(record, abstract=damage(record.abstract, draw), source=SourceRef("copy", record.source.line))
            titles = {"same": record.title, "typo": damaged_title(record.title, draw), "none": ""}
            for kind, title in titles.items():
                counts[kind] += same_paper(Identity(record), Identity(replace(copy, title=title))) is not None
        print(f"{name:26}" + "".join(f"{counts[kind] / len(sample):12.3f}" for kind in ("same", "typo", "none")))


def near_pairs(records: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Different papers of the corpus whose abstracts have a Jaccard similarity of 0.3 or more."""
    by_key: defaultdict[int, list[int]] = defaultdict(list)
    for at, keys in enumerate(batched(Keymaker(bands=16, rows=2).sketches, [record.abstract for record in records])):
        for key in keys:
            by_key[key].append(at)
    pairs = {pair for found in by_key.values() if len(found) <= CROWDED for pair in combinations(found, 2)}
    chosen = [(records[one], records[two]) for one, two in sorted(pairs)]
    return [(one, two) for one, two in chosen if similarity(Identity(one), Identity(two)) >= 0.3]


def false_merges(records: Sequence[Record], sample: Sequence[Record]) -> None:
    print("\nRules: near misses taken for the same paper")
    pairs = near_pairs(records)
    titled = [(a, b) for a, b in pairs if same_paper(Identity(a), Identity(b))]
    print(f"  corpus pairs with alike abstracts: {len(titled)} of {len(pairs)}")
    for one, two in titled:
        print(f"    {similarity(Identity(one), Identity(two)):.2f}  {one.title[:80]}\n          {two.title[:80]}")
    untitled = sum(same_paper(Identity(replace(one, title="")), Identity(two)) is not None for one, two in pairs)
    identical = sum(one.abstract == two.abstract for one, two in pairs)
    print(f"  the same with one title missing: {untitled} of {len(pairs)} ({identical} have the very same abstract)")
    for name, change in {
        "part I / part II": (": Part I", ": Part II"),
        "extended version": ("", " (Extended Version)"),
        "next year's task": (" 2023", " 2024"),
        "reply": ("", ": A Reply"),
    }.items():
        copies = [(replace(r, title=r.title + change[0]), replace(r, title=r.title + change[1])) for r in sample]
        merged = sum(bool(same_paper(Identity(a), Identity(b))) for a, b in copies)
        print(f"  {name}, same abstract: {merged} of {len(copies)}")
    others = [replace(record, title="Editorial") for record in sample]
    alike = sum(bool(same_paper(Identity(a), Identity(b))) for a, b in pairwise(others))
    print(f"  one title, other abstracts: {alike} of {len(others) - 1}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure deduplication.")
    parser.add_argument("papers", type=Path)
    parser.add_argument("--sample", type=int, default=4000)
    options = parser.parse_args()
    records = load(options.papers)
    sample = random.Random(0).sample(records, min(options.sample, len(records)))
    start = time.process_time()
    maker = Keymaker()
    for at in range(0, len(records), 1024):
        maker.keys(records[at : at + 1024])
    seconds = time.process_time() - start
    print(f"{len(records):,} papers; all keys: {seconds:.1f} s of CPU, {len(records) / seconds:,.0f} papers/s")
    compare_sketches(records, sample)
    recall_of_rules(sample)
    false_merges(records, sample)


if __name__ == "__main__":
    main()
