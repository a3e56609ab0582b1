"""Automatic mixed precision: the loss scale, and the steps that were skipped for infinite gradients.

What   ``amp/scale``: the GradScaler's scale that this step's loss was multiplied with; ``amp/skipped_total``: steps
       skipped so far. A fused optimizer skips inside its kernel, where the step counts as completed: its flag is
       added up on the device
Unit   none; steps
Cost   a copy of one number
When   the optimizer's step post-hook, every step, once a GradScaler was seen
Keys   amp/scale, amp/skipped_total
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from probe.collectors.collector import Collector, Moment, Subject
from probe.host import Number, number


class LossScale(Collector):
    name: ClassVar[str] = "AMP loss scale"

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._skipped_on_device: Number = 0.0

    def collect(self, moment: Moment) -> None:
        if moment.scaler is None:
            return
        scale = getattr(moment.scaler, "_scale", None)
        if isinstance(scale, Tensor):
            # The scaler's update() changes this tensor in place, maybe before the copy to the host has run.
            moment.scalars["amp/scale"] = number(scale.clone())
        found_inf = getattr(self.subject.main, "found_inf", None)
        if isinstance(found_inf, Tensor):
            self._skipped_on_device = self._skipped_on_device + number(found_inf.clone())
        moment.scalars["amp/skipped_total"] = moment.skipped + self._skipped_on_device
