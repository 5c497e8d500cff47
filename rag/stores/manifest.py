"""The manifest of a library: what its indexes were made with, in `manifest.json`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from rag.errors import LibraryDamaged, LibraryError, LibraryMismatch
from rag.interfaces import Encoder
from rag.settings import ChunkingSettings

NAME = "manifest.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a library's indexes were made with. `generation` is the catalog's when the manifest was written."""

    format: int
    encoder: str
    dimension: int
    fingerprint: str
    chunking: Mapping[str, int]
    created: str
    generation: int
    folders: Mapping[str, str]
    """The present folders of the indexes ("dense", "lexical"), relative to the library."""
    dense: str = "chroma"
    """Where the vectors are: the `kind` of `DenseSettings`, or `places.SEARCH` where a server has the words too."""
    id: str = ""
    """Tells libraries apart on a server that several share; empty in those made before there were servers."""
    encoder_chosen: bool = False
    """Whether a rebuild was told this encoder; otherwise a big pile may bring another (`chosen_encoder.outgrown`)."""

    @classmethod
    def new(cls, encoder: Encoder, chunking: ChunkingSettings, dense: str = "chroma") -> Manifest:
        """The manifest of an empty library made with these."""
        return cls(
            format=FORMAT,
            encoder=encoder.name,
            dimension=encoder.dimension,
            fingerprint=encoder.fingerprint,
            chunking=chunking.model_dump(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            generation=0,
            folders={"dense": "chroma", "lexical": "lexical"},
            dense=dense,
            id=uuid4().hex[:16],
        )

    def check(self, encoder: Encoder, chunking: ChunkingSettings) -> None:
        """Raise LibraryMismatch, which says what changed, unless the indexes fit these."""
        changes: list[str] = []
        if (self.encoder, self.dimension) != (encoder.name, encoder.dimension):
            changes.append(
                f"the encoder was {self.encoder} ({self.dimension} dimensions)"
                f" and is now {encoder.name} ({encoder.dimension})"
            )
        elif self.fingerprint != encoder.fingerprint:
            changes.append(f"the encoder {encoder.name} is another one now (its weights, server or options)")
        now = chunking.model_dump()
        changes += [
            f"{name} was {self.chunking.get(name)} and is now {value}"
            for name, value in now.items()
            if self.chunking.get(name) != value
        ]
        if changes:
            raise LibraryMismatch(
                f"the library's indexes do not fit the settings: {'; '.join(changes)}."
                " Run `citewise rebuild`, or use the settings they were made with"
            )


def read(folder: Path) -> Manifest | None:
    """The manifest of a library, None where there is none yet."""
    path = folder / NAME
    try:
        return loaded(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LibraryError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _damaged(str(path)) from error


def loaded(text: str, origin: str) -> Manifest:
    """The manifest that `dumped` gave; `origin` is what errors call the place where it was."""
    try:
        content = json.loads(text)
        known: dict[str, Any] = {item.name: content.get(item.name, item.default) for item in fields(Manifest)}
        if MISSING in known.values():
            raise ValueError("a value is missing")
    except (ValueError, AttributeError, TypeError) as error:
        raise _damaged(origin) from error
    if known["format"] > FORMAT:
        raise LibraryError(
            f"{origin} was written by a newer Citewise (format {known['format']}, this one knows {FORMAT}):"
            " update Citewise"
        )
    if known["encoder"] == "builtin":  # what the fast one was called while it was the only one
        known["encoder"] = "builtin-fast"
    return Manifest(**known)


def dumped(manifest: Manifest) -> str:
    """A manifest as JSON."""
    return json.dumps(asdict(manifest), indent=2) + "\n"


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest so that a crash leaves the old one or the new one, never a part of it."""
    write_atomically(folder / NAME, dumped(manifest))


def sweep(folder: Path, manifest: Manifest | None, spared: Manifest | None = None) -> None:
    """Delete index folders that a rebuild replaced or left half made, but those of `spared`. Only for the holder of the
    writer lock."""
    if manifest is None:
        return
    kept = {name for one in (manifest, spared) if one for name in one.folders.values()}
    for pattern in ("chroma*", "lexical*"):
        for found in folder.glob(pattern):
            if found.is_dir() and found.name not in kept:
                shutil.rmtree(found, ignore_errors=True)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content at once and durably. Raises LibraryError when it cannot be written."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise LibraryError(f"cannot write {path}: {error.strerror}") from error


def _damaged(origin: str) -> LibraryDamaged:
    return LibraryDamaged(f"{origin} is damaged: run `citewise rebuild` to make the indexes anew")
