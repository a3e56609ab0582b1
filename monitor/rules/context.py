"""What is known of a run beyond the window that a rule looks at. Kept by the engine in constant memory.

Trouble is measured in units of what the run has learned: of ``drop`` (from the start to the best level so far), and
of ``trivial`` (the loss of guessing the label frequencies), never in raw loss or in ratios of losses. That survives
negative losses, losses near zero, label smoothing and fine-tuning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from monitor.model import Steps

#: The achieved drop is taken to be at least this share of the start, so that noise is not measured in nothing.
DROP_FLOOR: Final = 0.15


class RunContext(NamedTuple):
    """The run so far. Levels are in units of the training loss; ``points`` counts training steps with a loss."""

    step: int = 0
    points: int = 0
    is_coarse: bool = False  # a row is an epoch, or one step of many: of a log that somebody else wrote
    start: float = math.nan  # median of the first 3 losses
    level: float = math.nan  # median of the newest 16 losses
    best: float = math.nan  # lowest median of 16 losses, or the start
    best_step: int = 0  # the last step of that block
    noise: float = 0.0  # standard deviation of the loss around its trend, from differences
    trivial: float | None = None  # loss of always guessing the label frequencies
    chance: float | None = None  # loss of holding all classes for equally likely, ln K
    objective: str = "other"
    facts: Mapping[str, str | float | int | bool | None] = MappingProxyType({})  # docs/reference/wire.md
    total_steps: int | None = None  # how long the run is meant to be
    fact_steps: Mapping[str, int] = MappingProxyType({})  # when each was said last
    targets: Steps = np.zeros(0, np.int64)  # training targets of each class so far
    is_sum: bool = False  # the training loss has several terms
    accuracy: float | None = None  # median training accuracy of the newest 16 steps, 0 to 1
    majority: float | None = None  # share of the most frequent class among the training targets
    lr: float | None = None  # the largest of the parameter groups
    lr_peak: float | None = None
    lr_low_points: int = 0  # training losses since which it is below a thousandth of its peak
    update_ratio: float | None = None  # largest over the layers, median of the newest probes
    evaluations: int = 0
    val_best: float = math.nan  # lowest validation loss
    val_best_step: int = 0
    val_first: float = math.nan
    train_at_best: float = math.nan  # training level at the best validation
    val_accuracy_best: float = math.nan
    layers: tuple[str, ...] = ()
    layer_sizes: tuple[int, ...] = ()  # parameters of each
    layer_kinds: tuple[str, ...] = ()  # the class of each
    trainable: tuple[bool, ...] = ()  # whether each has parameters that are to be trained
    classes: tuple[str, ...] = ()
    bad_layers: tuple[str, ...] = ()  # those with NaN or infinite statistics, in forward order
    uses_amp: bool = False
    metric_improves: bool = False  # the training accuracy (or reward) is better now than at the best loss
    checkpoints: tuple[tuple[int, str], ...] = ()  # step and file of those that commands wrote and that are kept

    @property
    def drop(self) -> float:
        """How far the loss has fallen from its start, never less than a share of the start."""
        return max(self.start - self.best, DROP_FLOOR * abs(self.start))

    @property
    def base(self) -> float:
        """The level that a run should come well below: the trivial loss, or its start where that is unknown."""
        return self.start if self.trivial is None else self.trivial

    @property
    def reference(self) -> float:
        """The level of a run that has learned nothing: its start, or the trivial loss if that is higher."""
        return self.start if self.trivial is None else max(self.start, self.trivial)

    @property
    def lr_share(self) -> float:
        """The learning rate as a share of its peak so far; 1 where no learning rate is known."""
        return self.lr / self.lr_peak if self.lr is not None and self.lr_peak else 1.0

    def checkpoint_before(self, step: int | None) -> str:
        """What to go back to, as an action says it: with its name, where the run's marks tell of one.

        >>> RunContext(checkpoints=((100, "step-100.pt"), (200, "step-200.pt"))).checkpoint_before(150)
        'the last checkpoint before step 150, step-100.pt'
        """
        names = [name for at, name in self.checkpoints if step is not None and at < step]
        before = f"checkpoint before step {step}"
        return f"the last {before}, {names[-1]}" if names else f"the {before}"
