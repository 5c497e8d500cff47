"""What all servers of models have in common: how long to wait for another try, and what must not be repeated."""

from __future__ import annotations

import os
import re

from rag.errors import ModelUnavailable
from rag.text import collapse, shorten

_KEY_SHAPED = re.compile(r"\b(?:sk|key|pk)-[\w\-*]{6,}|(?<=Bearer )\S+")


def asked_seconds(header: str | None) -> float | None:
    """The seconds of a Retry-After header, None where there is none."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:  # a date: rare from these servers, so the usual pause does
        return None


def pause(error: ModelUnavailable, attempt: int) -> float:
    """Seconds to wait after attempt 0, 1, …: what the server asked for, else 0.5, 1, 2, …"""
    return error.retry_after if error.retry_after is not None else 0.5 * 2.0**attempt


def redacted(said: str) -> str:
    """What an error says, in one line of at most 300 characters and without anything that looks like a key."""
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    line = collapse(said)
    return shorten(_KEY_SHAPED.sub("***", line.replace(key, "***") if key else line), 300)
