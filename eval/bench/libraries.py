"""Libraries to measure on: the seed papers, the starter papers, outside sets; cases over them; exact indexes."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from eval.bench.memory import MemoryCatalog, MemoryDense, whole  # noqa: E402 - the path comes first
from rag import starter, text  # noqa: E402
from rag.embeddings import DEEP, FAST, StaticTextEncoder, builtin_encoder  # noqa: E402
from rag.encoder import StaticEncoder  # noqa: E402
from rag.interfaces import Encoder  # noqa: E402
from rag.papers import Paper, Record  # noqa: E402
from rag.parsers import parse  # noqa: E402
from rag.stores.lexical import TantivyIndex  # noqa: E402

SHARED = Path(os.environ.get("CITEWISE_SHARED", ROOT.parent / "shared"))


def encoder_in(folder: Path | None, *, deep: bool = False) -> StaticTextEncoder:
    """The encoder of a folder of weights, by default the one that ships; `deep` as for `StaticTextEncoder`."""
    if folder is None:
        return builtin_encoder(deep=deep)
    return StaticTextEncoder(StaticEncoder.load(folder), DEEP if deep else FAST, folder, deep=deep)


def read_cases(name: str) -> list[dict[str, Any]]:
    """The cases of eval/cases/NAME.jsonl."""
    return read_lines(ROOT / "eval" / "cases" / f"{name}.jsonl")


def read_lines(path: Path) -> list[dict[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def seed_papers() -> list[Paper]:
    """The seed papers, each once."""
    return unique(sorted((SHARED / "seeds").glob("*.txt")))


def starter_papers() -> list[Paper]:
    """The papers of the starter library."""
    return unique([starter.path()])


def unique(paths: Iterable[Path]) -> list[Paper]:
    """The papers of some files; of two with the same title (or beginning, where untitled) the first."""
    found: dict[str, Paper] = {}
    records = (item for path in paths for item in parse(str(path)) if isinstance(item, Record))
    for record in records:
        key = text.normalised_title(record.title) or text.normalised_title(record.abstract)[:80]
        found.setdefault(key, as_paper(record, f"p{len(found)}"))
    return list(found.values())


def as_paper(record: Record, paper_id: str) -> Paper:
    return Paper(
        id=paper_id,
        title=record.title or text.shorten(record.abstract, 60),
        abstract=record.abstract,
        untitled=not record.title,
        authors=record.authors,
        n_authors=record.n_authors,
        date=record.date,
        year=record.year,
        venue=record.venue,
        code_urls=record.code_urls,
    )


def build(papers: Sequence[Paper], encoder: Encoder, folder: Path) -> tuple[MemoryCatalog, MemoryDense, TantivyIndex]:
    """Catalog and dense index in memory, exact; the lexical index as users have it."""
    passages = [whole(paper) for paper in papers]
    vectors = encoder.encode([passage.text for passage in passages])
    lexical = TantivyIndex(folder)
    lexical.upsert(passages)
    lexical.commit()
    return MemoryCatalog(papers), MemoryDense([passage.id for passage in passages], vectors), lexical
