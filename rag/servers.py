"""What all servers of models have in common: how long to wait for another try, and what must not be repeated."""

from __future__ import annotations

import os
import re

from rag.errors import ModelUnavailable
from rag.text import collapse, shorten

_SHORTEST_KEY = 8  # a stand-in such as "none" is no secret, and a word like any other
_KEY_SHAPED = re.compile(r"\b(?:sk|key|pk)-[\w\-*]{6,}|(?<=Bearer )\S+|(?<=://)[^\s/]+(?=@)")


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
    """What an error says, in one line of at most 300 characters, without what looks like a key or a login.

    >>> redacted("no answer from https://me:secret@models.example/v1 (key-1234567)")
    'no answer from https://***@models.example/v1 (***)'
    """
    return shorten(_KEY_SHAPED.sub("***", without_keys(collapse(said))), 300)


def without_keys(said: str) -> str:
    """A server's text without the key that it was sent: it may say that back."""
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    return said.replace(key, "***") if len(key) >= _SHORTEST_KEY else said


def without_password(address: str) -> str:
    """An address without the user, the password and the query that may stand in it.

    >>> without_password("https://me:s@cret@models.example:8443/v1?key=abc")
    'https://models.example:8443/v1'
    """
    return re.sub(r"(?<=//)[^/]*@|[?#].*$", "", address)
