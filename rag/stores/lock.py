"""The writer lock of a library: one process writes at a time, and the others are told which."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from rag.errors import LibraryError, LibraryLocked

_LOCK = "writer.lock"
_HOLDER = "writer.json"
_A_MOMENT = 0.3  # seconds; `holder` may have the lock just now


class Holder(NamedTuple):
    """Who writes to a library: process id, command and local time of the start (ISO 8601)."""

    pid: int
    command: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} (`{self.command}`, since {self.since[:16].replace('T', ' ')})"


class WriterLock:
    """Held (`with WriterLock(folder):`) while a library is written. Raises LibraryLocked with the holder's name.

    The operating system holds the lock for the process and releases it with the process, however it ends; so a
    killed writer blocks nobody, and `writer.json` only tells who it is. It is waited for up to `patience` seconds.
    """

    def __init__(self, folder: Path, *, patience: float = 0) -> None:
        from filelock import FileLock

        self._folder = folder
        self._patience = patience
        # Not bound to a thread: an ingest may be started by one and finished by another.
        self._lock = FileLock(folder / _LOCK, thread_local=False)

    def __enter__(self) -> WriterLock:
        from filelock import Timeout

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=max(self._patience, _A_MOMENT))
        except Timeout as error:
            raise LibraryLocked(_message(self._folder)) from error
        except FileExistsError as error:
            what = "a link to nothing" if self._folder.is_symlink() else "no folder"
            raise LibraryError(f"{self._folder} is {what}: choose another place for the library") from error
        except OSError as error:
            raise LibraryError(f"cannot write in {self._folder}: {error.strerror or error}") from error
        with suppress(OSError):
            self._name_holder()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            (self._folder / _HOLDER).unlink(missing_ok=True)
        self._lock.release()

    def _name_holder(self) -> None:
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
        holder = {"pid": os.getpid(), "command": command, "since": since}
        (self._folder / _HOLDER).write_text(json.dumps(holder), encoding="utf-8")


def holder(folder: Path) -> Holder | None:
    """Who is writing to the library now; None when nobody is. A writer that was killed leaves its name behind, so the
    lock is tried, for no longer than a moment; where no name is, it is let alone, for the next writer."""
    from filelock import FileLock, Timeout

    found = _read(folder)
    if found is None:
        return None
    try:
        with FileLock(folder / _LOCK, timeout=0, thread_local=False):
            return None
    except Timeout:
        return found
    except OSError:
        return None


def _message(folder: Path) -> str:
    who = _read(folder) or "another process"
    return f"{who} is writing to the library in {folder}: wait until it is done, or stop it, and run this again"


def _read(folder: Path) -> Holder | None:
    try:
        content: dict[str, Any] = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        return Holder(int(content["pid"]), str(content["command"]), str(content["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
