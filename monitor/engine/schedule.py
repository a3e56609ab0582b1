"""What the learning rate's schedule has done so far."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from monitor.model import Floats
from monitor.rules.statistics import smallest

#: A learning rate that has not reached a new peak for so long (or for as long as it took to reach it) has warmed up.
WARM_UP_PAUSE: Final = 1000
#: Below this share of its peak a learning rate moves nothing any more. Three drops to a tenth are no less than that.
LOW: Final = 0.9e-3


@dataclass(slots=True)
class LearningRate:
    """The schedule so far, as seen on the grid."""

    now: float | None = None
    peak: float | None = None
    peak_at: int = 0
    risen_at: int | None = None
    low_at: int | None = None  # since when it is a negligible share of its peak

    def see(self, window: Floats, points: int) -> None:
        value = float(window[-1])
        if value == self.now or not math.isfinite(value):
            return
        warming_up = points - self.peak_at <= max(WARM_UP_PAUSE, self.peak_at)
        if self.peak is None or value > self.peak * 1.001:
            self.peak = value
            if warming_up:
                self.peak_at = points
        if not (warming_up and self.peak_at == points) and value > 2 * smallest(window):
            self.risen_at = points
        is_low = value < LOW * self.peak
        self.low_at = (points if self.low_at is None else self.low_at) if is_low else None
        self.now = value

    def low_points(self, points: int) -> int:
        """For how many training losses it has been negligible."""
        return 0 if self.low_at is None else points - self.low_at
