"""The whole run of a quantity, in bounded memory, as it was known at the step that is judged."""

from __future__ import annotations

from collections import deque

from monitor.engine.series import Series, Trail
from monitor.rules import Signal
from monitor.rules.statistics import medians


class Course:
    """The medians of a series' blocks, in a :class:`Trail`. A batch is taken in whole, and then walked through."""

    def __init__(self, series: Series, block: int) -> None:
        self._series, self._block = series, block
        self._made = 0
        self._pending: deque[tuple[int, float]] = deque()  # blocks of this batch, each with its last step
        self._trail = Trail()

    def take(self) -> None:
        """The series has a new batch."""
        new = len(self._series) // self._block - self._made
        if not new:
            return
        self._made += new
        signal = self._series.before(self._made * self._block, new * self._block)
        middles = medians(signal.values.reshape(new, self._block))
        ends = signal.steps[self._block - 1 :: self._block]
        self._pending.extend(zip(ends.tolist(), middles.tolist(), strict=True))

    def advance(self, step: int) -> None:
        while self._pending and self._pending[0][0] <= step:
            self._trail.append(*self._pending.popleft())

    def newest(self, n: int) -> Signal:
        return self._trail.newest(n)
