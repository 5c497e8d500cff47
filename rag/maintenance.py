"""Looking after a library: `rebuild` makes its indexes anew, `doctor` says what is in order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from rag.checkup import Check, doctor
from rag.errors import UsageError
from rag.indexing import OpenIndexes, Progress
from rag.interfaces import Encoder
from rag.refilling import Refill
from rag.settings import ChunkingSettings
from rag.stores.catalog import Catalog
from rag.stores.lock import WriterLock
from rag.stores.sqlite import CATALOG

__all__ = ["Check", "doctor", "rebuild"]


def rebuild(
    folder: Path,
    *,
    encoder: Encoder,
    chunking: ChunkingSettings,
    open_indexes: OpenIndexes,
    progress: Callable[[Progress], None] | None = None,
    dense: str = "chroma",
    chosen: bool = False,
) -> int:
    """Make both indexes anew with this encoder and chunking; the number of papers they hold.

    `dense` says where `open_indexes` keeps the vectors (the `kind` of `DenseSettings`), `chosen` whether somebody told
    the encoder (`encoder_chosen` of the manifest).

    Readers go on with the old indexes meanwhile; an interruption leaves those as they were. Raises UsageError where
    there is no library, LibraryLocked while another process writes.
    """
    if not (folder / CATALOG).is_file():
        raise UsageError(f"no library at {folder}; make one with: citewise ingest PATH")
    with WriterLock(folder), closing(Catalog(folder / CATALOG)) as catalog:
        Refill(encoder, chunking, open_indexes, progress, dense, chosen).run(folder, catalog)
        return catalog.count()
