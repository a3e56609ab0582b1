"""Windows on the newest points of a series, in bounded memory: views, never copies."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from monitor.model import Floats, Steps
from monitor.rows import Rows
from monitor.rules import Signal


class Series:
    """The newest points of one series, and its points of the batch that is being judged.

    A batch is taken in whole; what a rule sees ends at the point it is called for, so that it is the same however
    the run was cut into batches. Positions are counted from the first point of the run.
    """

    def __init__(self, keep: int = 512) -> None:
        self._keep = keep
        self._steps: Steps = np.empty(4 * keep, np.int64)
        self._values: Floats = np.empty(4 * keep)
        self._used = 0
        self._base = 0  # position of the buffer's first point
        self._batch_start = 0  # position of the first point of the newest batch
        self._rows: Rows | None = None  # of that batch, where its first rows are not the points themselves
        self._finite_from = 0  # position after the newest point that is not finite

    def __len__(self) -> int:
        """How many points there have been."""
        return self._base + self._used

    def append(self, steps: Steps, values: Floats, index: Rows) -> None:
        """The points of one batch, and in which of its rows each stands."""
        n, kept = len(values), min(self._used, self._keep)
        self._batch_start = len(self)
        if self._used + n > len(self._values):
            size = max(4 * self._keep, kept + n)
            new_steps, new_values = np.empty(size, np.int64), np.empty(size)
            new_steps[:kept] = self._steps[self._used - kept : self._used]
            new_values[:kept] = self._values[self._used - kept : self._used]
            self._steps, self._values = new_steps, new_values
            self._base += self._used - kept
            self._used = kept
        self._steps[self._used : self._used + n] = steps
        self._values[self._used : self._used + n] = values
        self._used += n
        self._rows = index if n and index[-1] >= n else None
        finite = np.isfinite(values)
        if not finite.all():
            self._finite_from = len(self) - int(finite[::-1].argmin())

    def upto(self, rows: int) -> int:
        """The position after the newest point of the first ``rows`` rows of this batch, or of those before it."""
        if self._rows is None:
            return min(self._batch_start + rows, len(self))
        return self._batch_start + int(self._rows.searchsorted(rows))

    def before(self, end: int, n: int) -> Signal:
        """The ``n`` points before position ``end``, or as many of them as are kept."""
        stop = end - self._base
        start = stop - n if stop > n else 0
        return Signal(self._steps[start:stop], self._values[start:stop])

    def value_before(self, end: int) -> float:
        """The newest value before position ``end``; NaN if that is the first."""
        return float(self._values[end - 1 - self._base]) if end else math.nan

    def newest(self, rows: int, n: int) -> Signal:
        """The ``n`` points up to so many rows of this batch, or as many of them as are kept."""
        return self.before(self.upto(rows), n)

    def newest_finite(self, rows: int, n: int) -> Signal:
        """Those of these points that are finite."""
        end = self.upto(rows)
        signal = self.before(end, n)
        return signal if self._finite_from <= max(end - n, 0) else signal.finite()

    def settle(self) -> None:
        """The batch has been judged: its points are past."""
        self._batch_start, self._rows = len(self), None


class Table:
    """The newest rows of a series over layers or classes. A row's length may change; older rows then go."""

    def __init__(self, keep: int = 16) -> None:
        self._rows: deque[tuple[int, Floats]] = deque(maxlen=keep)
        self._given: dict[int, Signal] = {}  # by their length, until there is a new row

    def append(self, step: int, row: Floats) -> None:
        self._given.clear()
        if self._rows and len(self._rows[-1][1]) != len(row):
            self._rows.clear()
        self._rows.append((step, row))

    def newest(self, n: int) -> Signal:
        if n not in self._given:
            newest = list(self._rows)[-n:]
            steps = np.array([step for step, _ in newest], np.int64)
            self._given[n] = Signal(steps, np.stack([row for _, row in newest]) if newest else np.empty((0, 0)))
        return self._given[n]


class Column:
    """The newest values of a series that comes seldom: one an evaluation."""

    def __init__(self, keep: int = 64) -> None:
        self._steps: deque[int] = deque(maxlen=keep)
        self._values: deque[float] = deque(maxlen=keep)
        self._given: dict[int, Signal] = {}  # by their length, until there is a new value

    def append(self, step: int, value: float) -> None:
        self._given.clear()
        self._steps.append(step)
        self._values.append(value)

    def newest(self, n: int) -> Signal:
        if n not in self._given:
            steps, values = list(self._steps)[-n:], list(self._values)[-n:]
            self._given[n] = Signal(np.array(steps, np.int64), np.array(values, np.float64))
        return self._given[n]


class Trail:
    """The whole run in at most ``cells`` equal spans: when it is full, neighbours are joined."""

    def __init__(self, cells: int = 512) -> None:
        self._steps: Steps = np.empty(cells, np.int64)
        self._values: Floats = np.empty(cells)
        self._used = 0
        self._span = 1
        self._pending: list[float] = []

    def append(self, step: int, value: float) -> None:
        self._pending.append(value)
        if len(self._pending) < self._span:
            return
        self._steps[self._used] = step
        self._values[self._used] = sum(self._pending) / self._span
        self._pending.clear()
        self._used += 1
        if self._used == len(self._values):
            self._used //= 2
            self._values[: self._used] = (self._values[::2] + self._values[1::2]) / 2
            self._steps[: self._used] = self._steps[1::2]
            self._span *= 2

    def newest(self, n: int) -> Signal:
        start = max(self._used - n, 0)
        return Signal(self._steps[start : self._used], self._values[start : self._used])
