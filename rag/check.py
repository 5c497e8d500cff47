"""One line of `citewise doctor`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: whether it is in order, a line that says so, and the command that mends it."""

    name: str
    ok: bool
    message: str
    remedy: str | None = None
