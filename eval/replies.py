"""A log of replies, so that an interrupted run goes on and an unchanged one costs nothing."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from eval.case import Case
from eval.reply import Reply


def key_of(fingerprint: str | None, case: Case, repeat: int = 0) -> str | None:
    """What a reply depends on: the system, what is asked of it, and for which time. None: not to be reused."""
    if fingerprint is None:
        return None
    asked: list[object] = [fingerprint, case.question, [[turn.question, turn.answer] for turn in case.history]]
    asked += [repeat] if repeat else []
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


class ReplyLog:
    """Replies by key, appended as they come. A line torn by a crash is passed over; None as path keeps
    nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known = dict(_read(path)) if path else {}
        self._stream: IO[str] | None = None
        self._writing = threading.Lock()

    def get(self, key: str | None) -> Reply | None:
        """The reply under a key."""
        return self._known.get(key) if key else None

    def add(self, key: str | None, reply: Reply) -> None:
        """Keep a reply."""
        if key is None or self._path is None:
            return
        with self._writing:
            if self._stream is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._stream = self._path.open("a", encoding="utf-8")
            # The line break comes first: after a torn line the next one is whole again.
            self._stream.write(f"\n{json.dumps({'key': key, 'reply': reply.as_json()}, ensure_ascii=False)}")
            self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream:
            self._stream.close()
            self._stream = None


def _read(path: Path) -> list[tuple[str, Reply]]:
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            plain = json.loads(line)
            found.append((plain["key"], Reply.from_json(plain["reply"])))
        except (ValueError, KeyError, TypeError):
            continue
    return found
