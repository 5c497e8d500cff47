"""What `citewise doctor` looks at: each check says in one line what it found, and the command that mends it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rag.check import Check
from rag.errors import CitewiseError, LibraryError, LibraryLocked, LibraryUnavailable
from rag.indexing import OpenIndexes
from rag.interfaces import Encoder
from rag.model_checkup import model_checks
from rag.settings import DenseSettings, Settings
from rag.stores import manifest as manifests
from rag.stores.catalog import Catalog
from rag.stores.chroma_http import ChromaRefused, ChromaServer
from rag.stores.lock import holder
from rag.stores.manifest import Manifest
from rag.stores.sqlite import CATALOG
from rag.stores.vectors import VectorLog

_LITTLE_SPACE = 500_000_000
_PACKAGES = ("citewise", "chromadb", "tantivy", "llama-index-core", "gradio")
_REBUILD = "citewise rebuild"

LoadEncoder = Callable[[Manifest], Encoder]
"""Makes the encoder that the settings name, for the library with a manifest."""


def doctor(
    folder: Path,
    settings: Settings,
    *,
    open_catalog: Callable[[], Catalog],
    load_encoder: LoadEncoder,
    open_indexes: OpenIndexes,
) -> list[Check]:
    """Look at a library and its surroundings; nothing is changed, and no check keeps the others from running."""

    def library() -> Iterator[Check]:
        if settings.catalog.kind == "sqlite" and not (folder / CATALOG).is_file():
            yield Check("catalog", ok=True, message=f"no papers in {folder} yet; add some: citewise ingest PATH")
            return
        with closing(open_catalog()) as catalog:
            yield from _guarded("catalog", lambda: _catalog(catalog))
            yield from _guarded("indexes", lambda: _indexes(folder, settings, catalog, load_encoder, open_indexes))

    checks = [_versions(), *_guarded("folder", lambda: _surroundings(folder)), *_guarded("catalog", library)]
    if settings.dense.kind == "chroma-server":
        checks += _guarded("Chroma server", lambda: _chroma_server(settings.dense))
    return [*checks, *model_checks(settings)]


def _guarded(name: str, look: Callable[[], Iterator[Check]]) -> list[Check]:
    found: list[Check] = []
    try:
        found.extend(look())
    except LibraryLocked as error:
        found.append(Check(name, ok=True, message=f"not looked at: {error}"))
    except CitewiseError as error:
        others = isinstance(error, LibraryUnavailable | ChromaRefused) or "check its permissions" in str(error)
        mends = name == "indexes" and not others
        found.append(Check(name, ok=False, message=str(error), remedy=_REBUILD if mends else None))
    except OSError as error:
        found.append(
            Check(name, ok=False, message=f"cannot look at {error.filename or name}: {error.strerror or error}")
        )
    return found


def _surroundings(folder: Path) -> Iterator[Check]:
    yield _folder(folder)
    yield _space(folder)
    yield _lock(folder)


def _versions() -> Check:
    found: list[str] = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    python = ".".join(map(str, sys.version_info[:3]))
    return Check("versions", ok=True, message=f"Python {python}, SQLite {sqlite3.sqlite_version}, {', '.join(found)}")


def _folder(folder: Path) -> Check:
    if not folder.exists():
        parent = next(parent for parent in folder.absolute().parents if parent.exists())
        ok = parent.is_dir() and os.access(parent, os.W_OK)
        message = (
            f"{folder} is made at the first ingest" if ok else f"{folder} cannot be made: {parent} is not writable"
        )
    else:
        ok = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
        message = f"{folder}" if ok else f"{folder} is not a folder that you may write in"
    return Check("folder", ok=ok, message=message, remedy=None if ok else "any command with --library ANOTHER_FOLDER")


def _space(folder: Path) -> Check:
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    ok = free >= _LITTLE_SPACE
    return Check(
        "disk space", ok=ok, message=f"{free / 1e9:.1f} GB free", remedy=None if ok else "free some disk space"
    )


def _lock(folder: Path) -> Check:
    found = holder(folder)
    if found is None:
        return Check("lock", ok=True, message="nobody is writing")
    return Check("lock", ok=True, message=f"{found} is writing")


class _Writing:
    """Whether somebody writes to a library while it is looked at: then what is halfway is not wrong."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._generation = catalog.generation()
        self._writer = catalog.database.writer()

    def told(self) -> str:
        """Who is at it, or was since this was made; empty where nobody was."""
        if writer := self._writer or self._catalog.database.writer():
            return f"{writer} is writing"
        return "it was written to meanwhile" if self._catalog.generation() != self._generation else ""


def _catalog(catalog: Catalog) -> Iterator[Check]:
    damage = catalog.damage()
    writing = _Writing(catalog)
    yield Check("catalog file", ok=damage is None, message=damage or "whole")
    counts = catalog.counts()
    yield Check("catalog", ok=True, message="{papers:,} papers from {records:,} records".format_map(counts))
    if not counts["pending"] + counts["doomed"]:
        yield Check("pending work", ok=True, message="none")
        return
    message = f"{counts['pending']:,} papers to index, {counts['doomed']:,} passages to forget"
    yield _halfway("pending work", message, writing)


def _halfway(name: str, message: str, writing: _Writing) -> Check:
    if told := writing.told():
        return Check(name, ok=True, message=f"{message}; {told}")
    return Check(name, ok=False, message=message, remedy=_REBUILD)


def _indexes(
    folder: Path, settings: Settings, catalog: Catalog, load_encoder: LoadEncoder, open_indexes: OpenIndexes
) -> Iterator[Check]:
    manifest = manifests.read(folder)
    if manifest is None and settings.catalog.kind == "postgres":
        yield Check("replica", ok=True, message="no indexes in this folder yet; it makes them before its next answer")
        return
    if manifest is None:
        yield Check("manifest", ok=False, message=f"{folder / manifests.NAME} is missing", remedy=_REBUILD)
        return
    yield _fits(manifest, settings, load_encoder)
    behind = catalog.generation() - manifest.generation
    if behind and settings.catalog.kind == "postgres":
        message = f"{behind} generations behind the catalog; it catches up before its next answer"
        yield Check("replica", ok=True, message=message)
        return
    writing = _Writing(catalog)
    with closing(open_indexes(manifest)) as indexes:
        expected = set(catalog.all_passage_ids())
        yield _agreement("dense index", indexes.dense.ids(), expected, writing)
        if manifest.dense == "chroma":
            mapped = VectorLog(folder / manifest.folders["dense"], manifest.dimension).read()
            yield _agreement("mapped vectors", set(mapped.ids if mapped else ()), expected, writing)
        yield _agreement("lexical index", indexes.lexical.ids(), expected, writing)


def _fits(manifest: Manifest, settings: Settings, load_encoder: LoadEncoder) -> Check:
    try:
        manifest.check(load_encoder(manifest), settings.chunking)
    except LibraryError as error:
        return Check("fingerprint", ok=False, message=str(error), remedy=_REBUILD)
    except (CitewiseError, OSError) as error:
        return Check("fingerprint", ok=False, message=f"the encoder cannot be loaded: {error}")
    message = f"made with {manifest.encoder} ({manifest.dimension} dimensions, {manifest.fingerprint[:12]}), as set"
    return Check("fingerprint", ok=True, message=message)


def _agreement(name: str, found: set[str], expected: set[str], writing: _Writing) -> Check:
    missing, extra = len(expected - found), len(found - expected)
    if not missing and not extra:
        return Check(name, ok=True, message=f"{len(found):,} passages, as in the catalog")
    message = f"{missing:,} passages of the catalog are missing and {extra:,} are not in the catalog"
    return _halfway(name, message, writing)


def _chroma_server(settings: DenseSettings) -> Iterator[Check]:
    with closing(ChromaServer(settings)) as server:
        version = server.version()
        first = next(server.names(), None)  # which needs the key, the tenant and the database
        collection = server.collection(first) if first else None
        message = f"{server.url} answers (version {version} of its API)"
        if settings.words == "local" and collection and server.offers_search(collection):
            message += "; its Search API is not used (dense.words: local): words are searched here"
        yield Check("Chroma server", ok=True, message=message)
