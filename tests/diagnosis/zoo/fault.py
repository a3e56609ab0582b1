"""What makes a healthy training sick: each fault is one change, from its onset on, and says which alerts name it.

``starts`` is ``"start"`` for what is wrong from the first step, ``"later"`` for what begins at a random step.
A fault ``is_structural`` when it is a mistake by definition, whatever becomes of the training; any other counts
only where it is manifest, worse than every healthy twin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tests.diagnosis.zoo.data import Data
from tests.diagnosis.zoo.recipes import Recipe


@dataclass(frozen=True)
class Fault:
    """No fault: every training asks it, and nothing is changed."""

    name = "none"
    named_by: ClassVar[frozenset[str]] = frozenset()
    starts = "start"
    is_structural = False

    def recipe(self, recipe: Recipe) -> Recipe:
        return recipe

    def data(self, data: Data, random: torch.Generator) -> Data:
        return data

    def shuffles(self) -> bool:
        return True

    def model(self, model: nn.Module) -> nn.Module:
        return model

    def parameters(self, model: nn.Module) -> Iterator[nn.Parameter]:
        return model.parameters()

    def on_onset(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Once, before the step of the onset."""

    def reading(self) -> None:
        """While the loader puts a batch together."""

    def inputs(self, x: Tensor, since: int) -> Tensor:
        """The inputs of a training step, ``since`` steps after the onset."""
        return x

    def outputs(self, given: Tensor) -> Tensor:
        return given

    def loss(self, loss: Tensor) -> Tensor:
        return loss

    def clears(self) -> bool:
        """Whether the gradients are set to zero before the backward pass."""
        return True

    def keep(self, loss: Tensor, given: Tensor) -> None:
        """After the backward pass."""

    def before_validation(self, model: nn.Module) -> None:
        model.eval()

    def after_validation(self, model: nn.Module) -> None:
        model.train()


NONE = Fault()
