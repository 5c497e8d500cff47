"""A log of replies, so that an interrupted run goes on and an unchanged one costs nothing."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from eval.case import Case
from eval.reply import Reply


def key_of(fingerprint: str | None, case: Case, repeat: int = 0) -> str | None:
    """What a reply depends on: the system, what is asked of it, and for which time. None: not to be reused."""
    if fingerprint is None:
        return None
    asked: list[object] = [fingerprint, case.question, [[turn.question, turn.answer] for turn in case.history]]
    narrowed = [turn.filters for turn in (*case.history, case)]
    asked += [repr(narrowed)] if any(narrowed) else []
    asked += [repeat] if repeat else []
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


class JsonLog:
    """Values by key, appended to a file as they come. A line torn by a crash is passed over; None as path keeps
    nothing. Safe to use from many threads.
    """

    def __init__(self, path: Path | None, name: str) -> None:
        self._path = path
        self._name = name
        self._known = dict(_read(path, name)) if path else {}
        self._stream: IO[str] | None = None
        self._writing = threading.Lock()

    def get(self, key: str | None) -> Any:
        """The value that was kept under a key before this log was opened, None where there is none."""
        return self._known.get(key) if key else None

    def add(self, key: str | None, value: Any) -> None:
        """Keep a value."""
        if key is None or self._path is None:
            return
        with self._writing:
            if self._stream is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._stream = self._path.open("a", encoding="utf-8")
            # The line break comes first: after a torn line the next one is whole again.
            self._stream.write(f"\n{json.dumps({'key': key, self._name: value}, ensure_ascii=False)}")
            self._stream.flush()

    def close(self) -> None:
        """Close the file; a later `add` opens it again."""
        with self._writing:
            if self._stream:
                self._stream.close()
                self._stream = None


class ReplyLog:
    """Replies by key; see `JsonLog`."""

    def __init__(self, path: Path | None) -> None:
        self._log = JsonLog(path, "reply")

    def get(self, key: str | None) -> Reply | None:
        """The reply under a key."""
        kept = self._log.get(key)
        try:
            return Reply.from_json(kept) if kept is not None else None
        except (ValueError, KeyError, TypeError):
            return None

    def add(self, key: str | None, reply: Reply) -> None:
        """Keep a reply."""
        self._log.add(key, reply.as_json())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.close()


def _read(path: Path, name: str) -> list[tuple[str, Any]]:
    if not path.is_file():
        return []
    found: list[tuple[str, Any]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            plain = json.loads(line)
            found.append((plain["key"], plain[name]))
        except (ValueError, KeyError, TypeError):
            continue
    return found
