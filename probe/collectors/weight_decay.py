"""Weight decay of every parameter group.

What   ``group["weight_decay"]``, where the optimizer has such an option
Unit   none
Cost   a dictionary look-up a group
When   the optimizer's step post-hook, on detailed steps: it hardly ever changes
Keys   weight_decay/GROUP, named as in lr/GROUP
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from probe.collectors.collector import Collector, Moment
from probe.collectors.learning_rate import group_names
from probe.host import number


class WeightDecay(Collector):
    name: ClassVar[str] = "weight decay"
    is_detail: ClassVar[bool] = True

    def collect(self, moment: Moment) -> None:
        for name, group, _ in group_names(self.subject.optimizers):
            decay = group.get("weight_decay")
            if decay is not None:
                moment.scalars[f"weight_decay/{name}"] = number(decay) if isinstance(decay, Tensor) else float(decay)
