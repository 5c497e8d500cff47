"""What comes in its own time, in another thread or process, is waited for: until it is there, within a bound."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(claim: Callable[[], bool], *, seconds: float = 60.0) -> bool:
    """Whether a claim comes true within the seconds."""
    end = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
