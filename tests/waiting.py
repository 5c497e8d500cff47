"""What comes in its own time, in another thread or process, is waited for: until it is there, within a bound."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def eventually(claim: Callable[[], bool], *, seconds: float = 60.0) -> bool:
    """Whether a claim comes true within the seconds."""
    end = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


_TICKS = 20  # a second
_TICKING = f"""
import sys, time
with open(sys.argv[1], "ab", buffering=0) as ticks:
    while True:
        time.sleep({0.75 / _TICKS})
        end = time.process_time() + {0.25 / _TICKS}
        while time.process_time() < end:
            pass
        ticks.write(b".")
"""


class Clock:
    """A clock for what is to be done within so many seconds. A quarter of each of its seconds is a processor's time.

    On a machine with a processor to spare they are seconds. Where all wait for one, this clock does so too: what is
    measured is what the work takes, not who else is there.
    """

    def __enter__(self) -> Clock:
        self._folder = tempfile.TemporaryDirectory()
        self._ticks = Path(self._folder.name, "ticks")
        self._ticks.touch()
        self._process = subprocess.Popen([sys.executable, "-S", "-c", _TICKING, str(self._ticks)])
        assert eventually(lambda: self.seconds > 0)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    @property
    def seconds(self) -> float:
        """Seconds since it was started."""
        return self._ticks.stat().st_size / _TICKS
