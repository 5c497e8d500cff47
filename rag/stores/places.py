"""Where a library's vectors are kept, by its settings and manifest: in its folder or on a Chroma server.

A manifest's `dense` is the `kind` of the settings, or `SEARCH` for a server that searches words too.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import LibraryError, LibraryMismatch
from rag.settings import DenseSettings
from rag.stores import manifest as manifests
from rag.stores.manifest import Manifest

if TYPE_CHECKING:
    from rag.interfaces import DenseIndex
    from rag.stores.chroma_server import ServerIndex
    from rag.stores.dense import ChromaIndex

SEARCH = "chroma-search"


def kept(settings: DenseSettings, present: Manifest | None = None) -> str:
    """What the manifest of a library is to say: what it says where there is one, else what the settings do. With
    `words: auto` the server is asked what it offers, now."""
    from rag.stores.chroma_http import ChromaServer

    if present:
        return present.dense
    if settings.kind == "chroma" or settings.words == "local":
        return settings.kind
    if settings.words == "server":
        return SEARCH
    with closing(ChromaServer(settings)) as server:
        return SEARCH if server.ranks_words() else settings.kind


class Places:
    """Opens the dense index of the library in a folder. Raises LibraryMismatch when the settings name another kind of
    place than the one that the manifest says it was made in."""

    def __init__(self, folder: Path, settings: DenseSettings, *, search_breadth: int) -> None:
        self._folder = folder
        self._settings = settings
        self._breadth = search_breadth

    def reader(self, manifest: Manifest) -> ChromaIndex | ServerIndex:
        """To be read; nothing is opened before it is needed."""
        self.check(manifest)
        if manifest.dense != "chroma":
            return self._on_server(manifest, lazy=True)
        from rag.stores.dense import ChromaIndex

        place = self._folder / manifest.folders["dense"]
        return ChromaIndex(place, dimension=manifest.dimension, search_breadth=self._breadth, lazy=True)

    def writer(self, manifest: Manifest) -> DenseIndex:
        """For the holder of the writer lock."""
        self.check(manifest)
        if manifest.dense != "chroma":
            return self._swept(manifest)
        from rag.stores.offload import OffloadedIndex

        place = self._folder / manifest.folders["dense"]
        return OffloadedIndex(place, dimension=manifest.dimension, search_breadth=self._breadth)

    def joint(self, manifest: Manifest) -> ServerIndex:
        """For one of several writers of a collection on a server, which is made where the generation is still 0."""
        self.check(manifest)
        return self._on_server(manifest, make=manifest.generation == 0)

    def sweep(self, manifest: Manifest) -> None:
        """Delete what rebuilds left on the server; while none is under way."""
        from rag.stores.chroma_http import ChromaServer
        from rag.stores.chroma_server import sweep

        with closing(ChromaServer(self._settings)) as server:
            sweep(server, _name(manifest).rpartition("-")[0], keep={_name(manifest)})

    def _swept(self, manifest: Manifest) -> ServerIndex:
        """After what earlier writers left there was deleted; so a rebuild starts with an empty collection."""
        from rag.stores.chroma_http import ChromaServer
        from rag.stores.chroma_server import sweep

        try:
            current = manifests.read(self._folder)
        except LibraryError:  # damaged: that is what a rebuild is for
            current = None
        present = {_name(current)} if current else set[str]()
        with closing(ChromaServer(self._settings)) as server:
            sweep(server, _name(manifest).rpartition("-")[0], keep=present)
        return self._on_server(manifest, make=_name(manifest) not in present or manifest.generation == 0)

    def _on_server(self, manifest: Manifest, *, make: bool = False, lazy: bool = False) -> ServerIndex:
        from rag.stores.chroma_http import ChromaServer
        from rag.stores.chroma_server import ServerIndex

        return ServerIndex(
            ChromaServer(self._settings),
            _name(manifest),
            dimension=manifest.dimension,
            fingerprint=manifest.fingerprint,
            search_breadth=self._breadth,
            words=manifest.dense == SEARCH,
            make=make,
            lazy=lazy,
        )

    def check(self, manifest: Manifest) -> None:
        """Raise LibraryMismatch unless the settings name the place that the manifest does."""
        said = self._said()
        if manifest.dense not in said:
            raise LibraryMismatch(
                f"the vectors of the library at {self._folder} are kept by {manifest.dense}, and the settings say"
                f" {said[0]}: run `citewise rebuild`, or use the settings they were made with"
            )

    def _said(self) -> tuple[str, ...]:
        kind, words = self._settings.kind, self._settings.words
        if kind == "chroma" or words == "local":
            return (kind,)
        return (SEARCH,) if words == "server" else (kind, SEARCH)


def _name(manifest: Manifest) -> str:
    """The collection of a library: its id, which no other has, and a number that a rebuild counts up."""
    _, _, number = manifest.folders["dense"].partition("-")
    return f"citewise-{manifest.id}-{number or 1}"
