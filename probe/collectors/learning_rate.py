"""Learning rate of every parameter group.

What   ``lr``: what the step that has just completed used; ``lr_schedule``: what the schedule says, where an
       intervention held the group elsewhere in that step
Unit   none
Cost   a dictionary look-up a group; a learning rate that is a tensor on the device travels with the rest
When   the optimizer's step post-hook, every step
Keys   lr/GROUP, lr_schedule/GROUP: the group's own name if it has one, else its index; NAME/GROUP for named
       optimizers
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor
from torch.optim import Optimizer

from probe.collectors.collector import Collector, Moment, Subject
from probe.host import Number, number


def group_names(optimizers: dict[str, Optimizer]) -> list[tuple[str, dict[str, Any], Optimizer]]:
    """Each parameter group under the name that ``lr/NAME`` and ``Hello.groups`` use."""
    names: list[tuple[str, dict[str, Any], Optimizer]] = []
    for prefix, optimizer in optimizers.items():
        for index, group in enumerate(optimizer.param_groups):
            name = str(group.get("name", index))
            names.append((f"{prefix}/{name}" if prefix else name, group, optimizer))
    return names


class LearningRates(Collector):
    name: ClassVar[str] = "learning rates"

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._groups: list[list[dict[str, Any]]] = []  # loading a state dict makes new ones
        self._keys: list[tuple[str, str, dict[str, Any]]] = []

    def collect(self, moment: Moment) -> None:
        self.put(moment.scalars, moment.effective_lr)

    def put(self, scalars: dict[str, Number], effective_lr: Mapping[str, Number]) -> None:
        self._learn_groups()
        for name, key, group in self._keys:
            lr = group["lr"]
            rate = number(lr) if isinstance(lr, Tensor) else float(lr)
            if name in effective_lr:
                scalars[f"lr_schedule/{name}"] = rate
                rate = effective_lr[name]
            scalars[key] = rate

    def _learn_groups(self) -> None:
        groups = [optimizer.param_groups for optimizer in self.subject.optimizers.values()]
        is_known = all(map(operator.is_, groups, self._groups)) and sum(map(len, groups)) == len(self._keys)
        if not is_known:
            self._groups = groups
            self._keys = [(name, f"lr/{name}", group) for name, group, _ in group_names(self.subject.optimizers)]
