"""Which steps the charts show, on a fixed grid of buckets, and a series folded into that grid.

The window moves in whole buckets, so a column that is complete never changes again: the old part of a curve
does not shimmer, and only the newest columns are painted and sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.model import Floats, SeriesView

#: Bucket widths, times a power of ten. So close to each other that a chart of a long run is nearly full.
_LADDER = (10, 11, 12, 14, 16, 18, 20, 22, 25, 28, 32, 36, 40, 45, 50, 56, 63, 70, 80, 90)
_STRETCHES = (16, 12, 8, 6, 4, 3, 2, 1)

#: An average started this many time constants early is, to a thousandth, the one started at the first step.
_WARM_UP = 8


@dataclass(frozen=True, slots=True)
class Window:
    """``columns`` columns from step ``start`` on: ``width`` steps in a column, or ``stretch`` columns to a step."""

    start: int
    width: int
    columns: int
    stretch: int = 1

    @property
    def last(self) -> int:
        """The last step that has a place."""
        return self.start + self.columns * self.width // self.stretch - 1

    def column_of(self, step: float) -> int:
        """The column of a step; outside of the window it is below 0 or at least ``columns``."""
        if self.stretch > 1:
            return int((step - self.start) * self.stretch) + self.stretch // 2
        return int((step - self.start) // self.width)

    def step_at(self, column: float) -> float:
        return self.start + column * self.width / self.stretch


@dataclass(frozen=True, slots=True)
class Trace:
    """A series in the columns of a window. Columns without a value are NaN; ``bad`` had a NaN or an infinity."""

    low: Floats
    high: Floats
    mean: Floats
    bad: NDArray[np.bool_]

    @property
    def is_empty(self) -> bool:
        return not np.isfinite(self.mean).any()


def bucket(steps: float) -> int:
    """The smallest bucket width of the grid that is at least ``steps``."""
    if steps <= 10:
        return max(int(np.ceil(steps)), 1)
    power = 10 ** int(np.floor(np.log10(steps)) - 1)
    return int(next((rung * power for rung in _LADDER if rung * power >= steps), 100 * power))


def fit(first: int, last: int, columns: int, *, follow_end: bool = False) -> Window:
    """The window that shows ``first`` to ``last``: from the left, or ``follow_end`` with the newest at the right."""
    columns = max(columns, 1)
    span = max(last - first + 1, 1)
    if span <= columns:
        stretch = next(s for s in _STRETCHES if s * span <= columns)
        return Window(first, 1, columns, stretch)
    width = bucket(span / columns)
    if follow_end:
        end = (last // width + 1) * width
        return Window(max(end - width * columns, first // width * width), width, columns)
    while first // width * width + width * columns <= last:
        width = bucket(width + 1)
    return Window(first // width * width, width, columns)


def trace(series: SeriesView | None, window: Window, *, before: int = 0) -> Trace:
    """The series over the window, and ``before`` columns earlier (the warm-up of an average)."""
    n = window.columns + before
    empty = np.full(n, np.nan)
    if series is None or not len(series):
        return Trace(empty, empty, empty, np.zeros(n, bool))
    if window.stretch > 1:
        return _stretched(series, window, before)
    columns = series.columns(window.start - before * window.width, window.width, n)
    return Trace(columns.low, columns.high, columns.mean, columns.bad > 0)


def _stretched(series: SeriesView, window: Window, before: int) -> Trace:
    """A few steps, each at a column of its own with empty ones between."""
    n = window.columns + before
    values, bad = np.full(n, np.nan), np.zeros(n, bool)
    steps, points = series.between(window.start - before // window.stretch, window.last)
    at = before + (steps - window.start) * window.stretch + window.stretch // 2
    keep = (at >= 0) & (at < n)
    at, points = at[keep], points[keep]
    finite = np.isfinite(points)
    values[at[finite]] = points[finite]
    bad[at[~finite]] = True
    return Trace(values, values, values, bad)


def averaged(series: SeriesView | None, window: Window, smoothing: float) -> tuple[Trace, Floats]:
    """The trace, and its means averaged exponentially over the steps; 0 leaves them as they are.

    A column of many steps is an average already and hardly changes: so zooming out does not make the curve lag.
    The average begins some columns before the window, so that moving the window does not move the curve.
    """
    smoothing **= window.width
    if series is None or not len(series) or smoothing <= 0:
        plain = trace(series, window)
        return plain, plain.mean
    room = (window.start - series.first_step) * window.stretch // window.width
    before = int(min(max(room, 0), _WARM_UP * window.stretch / (1 - smoothing)))
    raw = trace(series, window, before=before)
    mean = average(raw.mean, smoothing)
    kept = Trace(raw.low[before:], raw.high[before:], raw.mean[before:], raw.bad[before:])
    return kept, mean[before:]


def average(values: Floats, smoothing: float) -> Floats:
    """Exponential average with bias correction over the finite values; the others stay as they are."""
    out: Floats = values.copy()
    total = weight = 0.0
    at = np.flatnonzero(np.isfinite(values))
    means = []
    for value in values[at].tolist():
        total = smoothing * total + (1 - smoothing) * value
        weight = smoothing * weight + (1 - smoothing)
        means.append(total / weight)
    out[at] = means
    return out


def newest_average(series: SeriesView, smoothing: float) -> float:
    """The exponential average over the steps at the newest one; NaN if there is no finite value near it."""
    if smoothing <= 0:
        return series.last
    _, values = series.tail(int(_WARM_UP / (1 - smoothing)))
    kept = values[np.isfinite(values)]
    return float(average(kept, smoothing)[-1]) if len(kept) else float("nan")


def joined(values: Floats, broken: NDArray[np.bool_]) -> Floats:
    """The values with the columns between two of them filled in, except across a ``broken`` column."""
    at = np.flatnonzero(np.isfinite(values))
    if len(at) < 2:
        return values
    inside = np.arange(at[0], at[-1] + 1)
    out: Floats = values.copy()
    out[inside] = np.interp(inside, at, values[at])
    breaks = np.cumsum(broken & ~np.isfinite(values))
    left = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), -1))
    right = np.minimum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), len(values))[::-1])[::-1]
    crossing = breaks[np.clip(left, 0, None)] != breaks[np.clip(right, None, len(values) - 1)]
    out[crossing & ~np.isfinite(values)] = np.nan
    return out


def lost(spans: Iterable[tuple[int, int]], window: Window) -> NDArray[np.bool_]:
    """bool[columns]: where steps are whose record was lost, from the first to the last of each span."""
    columns = np.zeros(window.columns, bool)
    for first, last in spans:
        columns[max(window.column_of(first), 0) : max(window.column_of(last) + 1, 0)] = True
    return columns


def extent(series: Mapping[str, SeriesView], keys: Iterable[str] | None = None) -> tuple[int, int] | None:
    """The first and the last step of any of these series, or ``None`` if there is no value yet."""
    views = [series[key] for key in (keys if keys is not None else series) if key in series]
    views = [view for view in views if len(view)]
    if not views:
        return None
    return min(view.first_step for view in views), max(view.last_step for view in views)
