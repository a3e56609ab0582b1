"""Windows on the newest points of a series, in bounded memory: views, never copies."""

from __future__ import annotations

from collections import deque

import numpy as np

from monitor.model import Floats, Steps
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

    def __len__(self) -> int:
        """How many points there have been."""
        return self._base + self._used

    def append(self, steps: Steps, values: Floats) -> None:
        """The points of one batch."""
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

    def upto(self, step: int) -> int:
        """The position after the newest point of this batch, or before it, that is not later than ``step``."""
        start = self._batch_start - self._base
        return self._batch_start + int(self._steps[start : self._used].searchsorted(step, "right"))

    def before(self, end: int, n: int) -> Signal:
        """The ``n`` points before position ``end``, or as many of them as are kept."""
        stop = end - self._base
        start = max(stop - n, 0)
        return Signal(self._steps[start:stop], self._values[start:stop])

    def settle(self) -> None:
        """The batch has been judged: its points are past."""
        self._batch_start = len(self)


class Table:
    """The newest rows of a series over layers or classes. A row's length may change; older rows then go."""

    def __init__(self, keep: int = 16) -> None:
        self._rows: deque[tuple[int, Floats]] = deque(maxlen=keep)
        self._signal: Signal | None = None  # as arrays, until there is a new row

    def append(self, step: int, row: Floats) -> None:
        self._signal = None
        if self._rows and len(self._rows[-1][1]) != len(row):
            self._rows.clear()
        self._rows.append((step, row))

    def newest(self, n: int) -> Signal:
        if self._signal is None:
            steps = np.array([step for step, _ in self._rows], np.int64)
            rows = np.stack([row for _, row in self._rows]) if self._rows else np.empty((0, 0))
            self._signal = Signal(steps, rows)
        return Signal(self._signal.steps[-n:], self._signal.values[-n:])


class Column:
    """The newest values of a series that comes seldom: one an evaluation."""

    def __init__(self, keep: int = 64) -> None:
        self._steps: deque[int] = deque(maxlen=keep)
        self._values: deque[float] = deque(maxlen=keep)
        self._signal: Signal | None = None  # as arrays, until there is a new value

    def append(self, step: int, value: float) -> None:
        self._signal = None
        self._steps.append(step)
        self._values.append(value)

    def newest(self, n: int) -> Signal:
        if self._signal is None:
            self._signal = Signal(np.array(self._steps, np.int64), np.array(self._values, np.float64))
        return Signal(self._signal.steps[-n:], self._signal.values[-n:])


class Trail:
    """The whole run in at most ``cells`` equal spans: when it is full, neighbours are joined."""

    def __init__(self, cells: int = 512) -> None:
        self._cells = cells
        self._span = 1
        self._signal: Signal | None = None  # as arrays, until there is a new cell
        self._pending: list[float] = []
        self._steps: list[int] = []
        self._values: list[float] = []

    def append(self, step: int, value: float) -> None:
        self._pending.append(value)
        if len(self._pending) < self._span:
            return
        self._steps.append(step)
        self._values.append(sum(self._pending) / self._span)
        self._pending.clear()
        self._signal = None
        if len(self._values) == self._cells:
            pairs = zip(self._values[::2], self._values[1::2], strict=True)
            self._values = [(a + b) / 2 for a, b in pairs]
            self._steps = self._steps[1::2]
            self._span *= 2

    def newest(self, n: int) -> Signal:
        if self._signal is None:
            self._signal = Signal(np.array(self._steps, np.int64), np.array(self._values, np.float64))
        return Signal(self._signal.steps[-n:], self._signal.values[-n:])
