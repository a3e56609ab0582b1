"""What is wrong with the loop: its learning rate, or how its steps are put together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tests.diagnosis.zoo.fault import Fault
from tests.diagnosis.zoo.recipes import Recipe


@dataclass(frozen=True)
class RateJumps(Fault):
    """The learning rate is multiplied while the training runs."""

    factor: float
    name = "rate-jumps"
    named_by = frozenset({"divergence", "non-finite", "oscillation"})
    starts = "later"

    def on_onset(self, model: nn.Module, optimizer: Optimizer) -> None:
        for group in optimizer.param_groups:
            group["lr"] *= self.factor


@dataclass(frozen=True)
class RateTooHigh(Fault):
    factor: float
    name = "rate-too-high"
    named_by = frozenset({"divergence", "non-finite", "oscillation"})

    def recipe(self, recipe: Recipe) -> Recipe:
        return replace(recipe, lr=recipe.lr * self.factor)


@dataclass(frozen=True)
class RateTooLow(Fault):
    factor: float
    name = "rate-too-low"
    named_by = frozenset({"slow", "never-learns"})

    def recipe(self, recipe: Recipe) -> Recipe:
        return replace(recipe, lr=recipe.lr * self.factor)


@dataclass(frozen=True)
class RateCollapses(Fault):
    """A schedule that was meant for epochs is stepped with the batches: divided by ten every 30 of them."""

    name = "rate-collapses"
    named_by = frozenset({"lr-collapse"})

    def recipe(self, recipe: Recipe) -> Recipe:
        return replace(recipe, schedule="step-of-30")


@dataclass(frozen=True)
class RateCreeps(Fault):
    """A schedule that was to let the rate fall lets it grow, by 3 % a step."""

    name = "rate-creeps"
    named_by = frozenset({"divergence", "non-finite", "oscillation"})

    def recipe(self, recipe: Recipe) -> Recipe:
        return replace(recipe, schedule="growing")


@dataclass(frozen=True)
class MomentumTooHigh(Fault):
    name = "momentum-too-high"
    named_by = frozenset({"oscillation", "divergence", "non-finite"})
    starts = "later"

    def on_onset(self, model: nn.Module, optimizer: Optimizer) -> None:
        for group in optimizer.param_groups:
            group["momentum"] = 0.999


@dataclass(frozen=True)
class ClipsTooHard(Fault):
    norm: float
    name = "clips-too-hard"
    named_by = frozenset({"aggressive-clipping", "slow"})

    def recipe(self, recipe: Recipe) -> Recipe:
        return replace(recipe, clip=self.norm)


@dataclass(frozen=True)
class SignIsWrong(Fault):
    name = "sign-is-wrong"
    named_by = frozenset({"wrong-sign"})
    starts = "later"
    is_structural = True

    def loss(self, loss: Tensor) -> Tensor:
        return -loss


@dataclass(frozen=True)
class GradientsAreKept(Fault):
    name = "gradients-are-kept"
    named_by = frozenset({"missing-zero-grad"})
    starts = "later"
    is_structural = True

    def clears(self) -> bool:
        return False


@dataclass(frozen=True)
class SoftmaxTwice(Fault):
    name = "softmax-twice"
    named_by = frozenset({"double-softmax"})
    is_structural = True

    def outputs(self, given: Tensor) -> Tensor:
        return given.softmax(-1)


@dataclass(frozen=True)
class SigmoidTwice(Fault):
    name = "sigmoid-twice"
    named_by = frozenset({"double-softmax"})
    is_structural = True

    def outputs(self, given: Tensor) -> Tensor:
        return given.sigmoid()


@dataclass(frozen=True)
class ValidatesInTrainMode(Fault):
    name = "validates-in-train-mode"
    named_by = frozenset({"wrong-mode"})
    starts = "later"
    is_structural = True

    def before_validation(self, model: nn.Module) -> None:
        pass


@dataclass(frozen=True)
class TrainsInEvalMode(Fault):
    name = "trains-in-eval-mode"
    named_by = frozenset({"wrong-mode"})
    starts = "later"
    is_structural = True

    def after_validation(self, model: nn.Module) -> None:
        pass


@dataclass(frozen=True)
class LayersLeftOut(Fault):
    """The optimizer is made with a part of the model only."""

    name = "layers-left-out"
    named_by = frozenset({"frozen-parameters"})
    is_structural = True

    def parameters(self, model: nn.Module) -> Iterator[nn.Parameter]:
        *_, last = (module for module in model.modules() if isinstance(module, nn.Linear))
        return last.parameters()


@dataclass(frozen=True)
class DataComeLate(Fault):
    """The loader reads each batch from a slow disk."""

    wait_s: float = 0.012
    name = "data-come-late"
    named_by = frozenset({"data-starvation"})
    starts = "later"
    is_structural = True

    def reading(self) -> None:
        time.sleep(self.wait_s)


@dataclass(frozen=True)
class StepsSlowDown(Fault):
    """Something in the step, after the forward pass, takes longer and longer."""

    wait_s: float = 0.012
    name = "steps-slow-down"
    named_by = frozenset({"slow-steps"})
    starts = "later"
    is_structural = True

    def outputs(self, given: Tensor) -> Tensor:
        time.sleep(self.wait_s)
        return given


@dataclass(frozen=True)
class MemoryLeaks(Fault):
    """Every step leaves what it computed in a list, 2 MiB of it."""

    name = "memory-leaks"
    named_by = frozenset({"memory-leak"})
    starts = "later"
    is_structural = True

    def on_onset(self, model: nn.Module, optimizer: Optimizer) -> None:
        LEAKED.clear()

    def keep(self, loss: Tensor, given: Tensor) -> None:
        LEAKED.append(loss.detach() * torch.ones(1 << 19))


#: What :class:`MemoryLeaks` holds on to.
LEAKED: list[Tensor] = []
