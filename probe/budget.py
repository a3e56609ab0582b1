"""Keeping the probe's share of the step below its budget."""

from __future__ import annotations

#: The share of a step's wall time that the probe may take.
BUDGET = 0.01
#: Steps over which the share is measured before it decides anything: so many, or fewer where they are slow.
WINDOW = 50
_MIN_WINDOW, _LONG_S = 20, 2.0
#: The heavy part comes at least so often: twice a second at steps of 1 ms.
_MAX_EVERY = 512


class Budget:
    """How often the heavy scalars are taken: at every ``every``-th step, a power of two.

    It doubles when the share over a window is above the budget, twice where it is far above, and halves when it is
    below a quarter of it, where twice the work is still within it. Steps up to ``detailed_until`` are detailed
    because a person asked for it.
    """

    def __init__(self) -> None:
        self.every = 1
        self.detailed_until = 0
        self.cost_us = 0.0
        self.cost_share = 0.0

    def is_heavy(self, step: int) -> bool:
        return step % self.every == 0

    def is_detailed(self, step: int, every: int) -> bool:
        """Whether a step's layers are measured: each ``every``-th, or fewer while the budget is stretched."""
        return step <= self.detailed_until or step % self._rhythm(every) == 0

    def next_after(self, step: int, every: int) -> int:
        """The first step after ``step`` that is heavy or detailed."""
        if step < self.detailed_until:
            return step + 1
        return min(rhythm * (step // rhythm + 1) for rhythm in (self.every, self._rhythm(every)))

    def _rhythm(self, every: int) -> int:
        return every * max(1, self.every // every)

    @staticmethod
    def is_window(steps: int, step_s: float) -> bool:
        """Whether so many steps, so long together, are enough to judge by."""
        return steps >= WINDOW or (steps >= _MIN_WINDOW and step_s >= _LONG_S)

    def judge(self, cost_s: float, step_s: float, evaluated_s: float, steps: int) -> bool:
        """What a window has cost, and how long its steps and evaluations took, in seconds; whether ``every`` changed.

        Told is the share of it all, for a part of the cost is that of evaluations. What decides is the share of the
        steps: they must not be slow because much time goes into evaluating.
        """
        share = cost_s / step_s if step_s else 0.0
        self.cost_us = 1e6 * cost_s / steps
        self.cost_share = cost_s / (step_s + evaluated_s) if step_s else 0.0
        before = self.every
        if share > BUDGET:
            factor = 2 if share <= 4 * BUDGET else 4
            self.every = min(_MAX_EVERY, factor * self.every)
        elif share < BUDGET / 4:
            self.every = max(1, self.every // 2)
        return self.every != before
