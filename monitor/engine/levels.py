"""The levels of the training loss over the whole run: where it began, its best, its noise."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import numpy as np

from monitor.engine.series import Series, Trail
from monitor.model import Steps
from monitor.rules import Signal
from monitor.rules.statistics import MAD_TO_SIGMA, median, medians

#: Steps in a block: its median is a level, its differences are the noise.
BLOCK: Final = 16
#: The first update has blown the loss up when it is so many times the loss before it.
EXPLODED: Final = 10
#: The first two updates, when both raised it and together so many times.
BLOWN_UP: Final = 4


class LossLevels:
    """Follows the finite losses: they are taken in batch by batch and then walked through."""

    def __init__(self, loss: Series) -> None:
        self._loss = loss
        self.is_coarse = False  # a row is an epoch, or one step of many
        self.level = math.nan
        self.noise = 0.0
        self.trail = Trail()
        self.best_step = 0
        self._best = math.nan
        self._starts: list[float] = []
        self._start = self._first_start = math.nan
        self._noises: deque[float] = deque(maxlen=8)
        self._blocks: deque[tuple[int, int, float, float]] = deque()
        self._blocks_made = 0

    @property
    def start(self) -> float:
        """The median of the first 3 losses; the very first, if its update has blown them up.

        Of coarse rows the first is the highest in earnest: those after it have learned already.
        """
        return self._first_start if self.is_coarse else self._start

    @property
    def best(self) -> float:
        """The lowest level so far, or the start."""
        return self.start if math.isnan(self._best) else self._best

    def take(self) -> None:
        """Median and noise of every block of losses that is complete now."""
        new = len(self._loss) // BLOCK - self._blocks_made
        if not new:
            return
        end = (self._blocks_made + new) * BLOCK
        signal = self._loss.before(end, new * BLOCK)
        values = signal.values.reshape(new, BLOCK)
        middles = medians(values)
        jumps = np.sort(np.abs(np.diff(values, axis=1)), axis=1)[:, (BLOCK - 1) // 2]
        noises = MAD_TO_SIGMA / math.sqrt(2) * jumps
        ends = range(end - (new - 1) * BLOCK, end + 1, BLOCK)
        steps: Steps = signal.steps[BLOCK - 1 :: BLOCK]
        self._blocks.extend(zip(ends, steps.tolist(), middles.tolist(), noises.tolist(), strict=True))
        self._blocks_made += new

    def advance(self, end: int) -> list[bool]:
        """Go to the loss before position ``end``; of every block that is over now, whether it is the best so far."""
        while len(self._starts) < 3 and len(self._starts) < end:
            self._see_start(self._loss.before(len(self._starts) + 1, 1))
        if end:
            self.level = median(self._loss.before(end, BLOCK).values)
        are_best = []
        while self._blocks and self._blocks[0][0] <= end:
            are_best.append(self._see_block(*self._blocks.popleft()[1:]))
        return are_best

    def _see_start(self, first: Signal) -> None:
        if not self._starts:
            self.best_step = int(first.steps[0])
        self._starts.append(float(first.values[0]))
        middle = median(np.array(self._starts))
        before, newest = self._starts[0], self._starts[-1]
        is_blown_up = before < middle < newest and 0 < BLOWN_UP * before < newest
        is_exploded = is_blown_up or 0 < EXPLODED * before < middle
        self._start = before if is_exploded else middle
        self._first_start = before if is_exploded else max(before, middle)

    def _see_block(self, step: int, middle: float, noise: float) -> bool:
        self._noises.append(noise)
        self.noise = median(np.array(self._noises))
        self.trail.append(step, middle)
        is_best = middle < self.best
        if is_best:
            self._best, self.best_step = middle, step
        return is_best
