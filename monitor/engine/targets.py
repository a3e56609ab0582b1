"""What the training targets have been so far, class by class."""

from __future__ import annotations

import numpy as np

from monitor.model import Steps
from probe.wire import Batch


class Targets:
    """Taken in whole, since they come at every step; what is given out ends at the step that is asked for."""

    def __init__(self) -> None:
        self._before: Steps = np.zeros(0, np.int64)  # of each class, before this batch
        self._sums: Steps = np.zeros((0, 0), np.int64)  # of this batch, running
        self._steps: Steps = np.zeros(0, np.int64)

    def take(self, batch: Batch) -> None:
        counts = [each for each in batch.classes if each.split == "train" and each.total]
        if not counts:
            return
        width = max(len(self._before), *(len(each.total) // 8 for each in counts))
        table = np.zeros((len(counts), width), np.int64)
        for row, each in zip(table, counts, strict=True):
            row[: len(each.total) // 8] = np.frombuffer(each.total, "<i8")
        self._before = np.pad(self._before, (0, width - len(self._before)))
        self._sums = np.cumsum(table, axis=0)
        self._steps = np.array([each.step for each in counts], np.int64)

    def upto(self, step: int) -> Steps:
        """int64[classes]: how many of each class there were."""
        seen = int(self._steps.searchsorted(step, "right")) if self._steps.size else 0
        return self._before + self._sums[seen - 1] if seen else self._before

    def settle(self) -> None:
        """The batch has been judged: its targets are past."""
        if len(self._sums):
            self._before = self._before + self._sums[-1]
            self._sums, self._steps = self._sums[:0], self._steps[:0]
