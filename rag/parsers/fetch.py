"""Fetches an http(s) address into a temporary file, with limits on size and time."""

from __future__ import annotations

import tempfile
import time
import weakref
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from rag.errors import InputError
from rag.parsers.reading import Source

MAX_BYTES = 1024 * 1024 * 1024
MAX_SECONDS = 600.0


def fetch(url: str, *, max_bytes: int = MAX_BYTES, max_seconds: float = MAX_SECONDS) -> Source:
    """The content of an address as a Source; its temporary file goes when the Source does.

    Raises InputError in one line for a bad address, a refused connection, an HTTP error, or a limit that was passed.
    """
    import httpx

    if not urlsplit(url).hostname:
        raise InputError(f"{url} is not a web address")
    with tempfile.NamedTemporaryFile(prefix="citewise-", suffix=".download", delete=False) as target:
        path = Path(target.name)
        try:
            _download(url, target.file, max_bytes, time.monotonic() + max_seconds)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, InputError) as error:
            target.close()
            path.unlink(missing_ok=True)
            if isinstance(error, InputError):
                raise
            raise InputError(f"cannot fetch {url}: {_reason(error)}") from error
    try:
        source = Source.from_path(path, url)
    except InputError:
        path.unlink(missing_ok=True)
        raise
    weakref.finalize(source, path.unlink, missing_ok=True)
    return source


def _download(url: str, target: IO[bytes], max_bytes: int, deadline: float) -> None:
    import httpx

    limits = httpx.Timeout(30.0)
    with (
        httpx.Client(follow_redirects=True, max_redirects=5, timeout=limits) as client,
        client.stream("GET", url) as answer,
    ):
        answer.raise_for_status()
        size = 0
        for block in answer.iter_bytes():
            size += len(block)
            if size > max_bytes:
                raise InputError(
                    f"cannot fetch {url}: larger than {max_bytes // 2**20} MiB; download it and give the file"
                )
            if time.monotonic() > deadline:
                raise InputError(f"cannot fetch {url}: it takes too long; download it and give the file")
            target.write(block)


def _reason(error: Exception) -> str:
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return f"the server answers {error.response.status_code} {error.response.reason_phrase}"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return " ".join(str(error).split())[:200] or type(error).__name__
