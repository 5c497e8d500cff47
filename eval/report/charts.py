"""Small charts as inline SVG: no script, no dependency, themed by the page's own style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT = 360, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 20, 12, 40
_STEPS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
Point = tuple[float, float]


def curve(points: Sequence[Point], *, title: str, x: str, y: str, top: float = 1.0) -> str:
    """A line through points with x in 0..1 and y in 0..top."""
    path = " ".join(
        f"{'M' if place == 0 else 'L'}{_x(px):.1f} {_y(py / top):.1f}" for place, (px, py) in enumerate(points)
    )
    return _chart(f'<path class="line" d="{path}"/>', title=title, x=x, y=y, top=top)


def reliability(bins: Sequence[tuple[float, float, int]], *, title: str, x: str, y: str) -> str:
    """Bins as (mean confidence, share that holds, cases): discs as large as their cases, on a dashed
    diagonal.
    """
    most = max((count for *_, count in bins), default=1)
    diagonal = f'<line class="guide" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>'
    discs = "".join(
        f'<circle class="dot" cx="{_x(mean):.1f}" cy="{_y(share):.1f}" r="{3 + 9 * (count / most) ** 0.5:.1f}">'
        f"<title>confidence {mean:.2f}: {share:.2f} of {count} cases</title></circle>"
        for mean, share, count in bins
    )
    return _chart(diagonal + discs, title=title, x=x, y=y)


def scatter(points: Sequence[tuple[float, float, bool, str]], *, title: str, x: str, y: str) -> str:
    """Points as (x, y, whether it is on the front, name), the front joined by a line; axes fit the points."""
    right = _rounded_up(1.05 * max(at for at, *_ in points))
    low, high = _range([value for _, value, *_ in points])
    placed = [(at / right, (value - low) / (high - low), front, name) for at, value, front, name in points]
    line = " L".join(f"{_x(at):.1f} {_y(value):.1f}" for at, value, front, _ in sorted(placed) if front)
    discs = "".join(
        f'<circle class="{"dot" if front else "other"}" cx="{_x(at):.1f}" cy="{_y(value):.1f}" r="5">'
        f"<title>{escape(name)}</title></circle>"
        for at, value, front, name in placed
    )
    return _chart(
        f'<path class="line thin" d="M{line}"/>{discs}', title=title, x=x, y=y, right=right, bottom=low, top=high
    )


def histogram(values: Sequence[float], *, title: str, x: str, y: str, bars: int = 24) -> str:
    """How many values fall into equal bins from 0 to the 98th percentile; the last bar holds what lies beyond."""
    ordered = sorted(values) or [0.0]
    largest = _rounded_up(ordered[int(0.98 * (len(ordered) - 1))])
    counts = [0] * bars
    for value in values:
        counts[min(bars - 1, int(value / largest * bars))] += 1
    most = _rounded_up(max(counts))
    width = (_WIDTH - _LEFT - _RIGHT) / bars
    drawn = "".join(
        f'<rect class="bar" x="{_x(place / bars):.1f}" y="{_y(count / most):.1f}" width="{width - 1:.1f}"'
        f' height="{_y(0) - _y(count / most):.1f}"><title>{count} cases</title></rect>'
        for place, count in enumerate(counts)
        if count
    )
    return _chart(drawn, title=title, x=x, y=y, right=largest, top=most)


def interval_bar(low: float, mean: float, high: float) -> str:
    """A value in 0..1 and its interval as a little strip for a table."""
    return (
        '<svg class="strip" viewBox="0 0 100 12" role="img" aria-hidden="true">'
        '<rect class="rail" x="0" y="5" width="100" height="2"/>'
        f'<rect class="range" x="{100 * low:.1f}" y="3" width="{max(0.6, 100 * (high - low)):.1f}" height="6"/>'
        f'<circle class="dot" cx="{100 * mean:.1f}" cy="6" r="3"/></svg>'
    )


def _rounded_up(value: float) -> float:
    """The next number that four ticks divide well.

    >>> [_rounded_up(value) for value in (28, 0.0149, 1.0, 0)]
    [32.0, 0.016, 1.0, 1.0]
    """
    if value <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value / 4))
    step = next(step for step in _STEPS if step * unit >= value / 4 * (1 - 1e-9))
    return float(f"{4 * step * unit:.6g}")


def _range(values: Sequence[float]) -> tuple[float, float]:
    """A range of four good steps that holds the values with some air.

    >>> _range([0.78, 0.828])
    (0.76, 0.84)
    """
    low, high = min(values), max(values)
    air = 0.1 * (high - low) or 0.02
    width = _rounded_up(high - low + 2 * air)
    start = math.floor((low - air) / (width / 4)) * width / 4
    while start + width < high + air / 2:
        width = _rounded_up(width * 1.01)
        start = math.floor((low - air) / (width / 4)) * width / 4
    return float(f"{start:.6g}"), float(f"{start + width:.6g}")


def _chart(drawn: str, *, title: str, x: str, y: str, right: float = 1.0, bottom: float = 0.0, top: float = 1.0) -> str:
    ticks = "".join(_tick(part / 4, part / 4 * right, bottom + part / 4 * (top - bottom)) for part in range(5))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    labels = (
        f'<text class="label" x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(x)}</text>'
        f'<text class="label" x="10" y="{(_TOP + _HEIGHT - _BOTTOM) / 2}" text-anchor="middle"'
        f' transform="rotate(-90 10 {(_TOP + _HEIGHT - _BOTTOM) / 2})">{escape(y)}</text>'
    )
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{ticks}{drawn}{labels}</svg><figcaption>{escape(title)}</figcaption></figure>"
    )


def _tick(at: float, x_value: float, y_value: float) -> str:
    below = _HEIGHT - _BOTTOM + 14
    return (
        f'<line class="grid" x1="{_LEFT}" y1="{_y(at):.1f}" x2="{_WIDTH - _RIGHT}" y2="{_y(at):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 5}" y="{_y(at) + 3:.1f}" text-anchor="end">{_short(y_value)}</text>'
        f'<text class="tick" x="{_x(at):.1f}" y="{below}" text-anchor="middle">{_short(x_value)}</text>'
    )


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.3g}"


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)
