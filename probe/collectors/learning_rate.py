"""Learning rate of every parameter group.

What   ``group["lr"]`` as the step that has just completed used it
Unit   none
Cost   a dictionary look-up a group; a learning rate that is a tensor on the device travels with the rest
When   the optimizer's step post-hook, every step
Keys   lr/GROUP: the group's own name if it has one, else its index; NAME/GROUP for named optimizers
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor
from torch.optim import Optimizer

from probe.collectors.collector import Collector, Moment, Subject
from probe.host import number


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
        self._keys: list[tuple[str, dict[str, Any]]] = []

    def collect(self, moment: Moment) -> None:
        optimizers = self.subject.optimizers
        if len(self._keys) != sum(len(optimizer.param_groups) for optimizer in optimizers.values()):
            self._keys = [(f"lr/{name}", group) for name, group, _ in group_names(optimizers)]
        for key, group in self._keys:
            lr = group["lr"]
            moment.scalars[key] = number(lr) if isinstance(lr, Tensor) else float(lr)
