"""Keeping the probe's share of the step below its budget."""

from __future__ import annotations

#: The share of a step's wall time that the probe may take.
BUDGET = 0.01
#: Steps over which the share is measured before it decides anything.
_WINDOW = 50
_MAX_EVERY = 128


class Budget:
    """How often the heavy scalars are taken: at every ``every``-th step, a power of two.

    It doubles when the share over a window is above the budget and halves when it is below a quarter of it, where
    twice the work is still within it.
    """

    def __init__(self) -> None:
        self.every = 1
        self.cost_us = 0.0
        self.cost_share = 0.0
        self._steps = 0
        self._cost_s = self._step_s = 0.0

    def is_heavy(self, step: int) -> bool:
        return step % self.every == 0

    def is_detailed(self, step: int, every: int) -> bool:
        """Whether a step's layers are measured: each ``every``-th, or fewer while the budget is stretched."""
        return step % (every * max(1, self.every // every)) == 0

    def spend(self, cost_s: float, step_s: float | None) -> bool:
        """One step's cost and wall time; whether ``every`` has changed with it."""
        if step_s is None:
            return False  # the first step, whose beginning nobody saw
        self._steps += 1
        self._cost_s += cost_s
        self._step_s += step_s
        if self._steps < _WINDOW:
            return False
        self.cost_us = 1e6 * self._cost_s / self._steps
        self.cost_share = self._cost_s / self._step_s if self._step_s else 0.0
        self._steps, self._cost_s, self._step_s = 0, 0.0, 0.0
        before = self.every
        if self.cost_share > BUDGET:
            self.every = min(_MAX_EVERY, 2 * self.every)
        elif self.cost_share < BUDGET / 4:
            self.every = max(1, self.every // 2)
        return self.every != before
