"""What is wrong with the network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer

from tests.diagnosis.zoo.fault import Fault


@dataclass(frozen=True)
class DeadUnits(Fault):
    """Biases far below zero keep every ReLU shut."""

    name = "dead-units"
    named_by = frozenset({"dead-units"})

    def model(self, model: nn.Module) -> nn.Module:
        for before, after in zip(list(model.children()), list(model.children())[1:], strict=False):
            if isinstance(after, nn.ReLU):
                nn.init.constant_(before.bias, -12.0)
        return model


@dataclass(frozen=True)
class Saturated(Fault):
    """Weights so large that each tanh is at its limits."""

    name = "saturated"
    named_by = frozenset({"saturated-units", "vanishing-gradient"})

    def model(self, model: nn.Module) -> nn.Module:
        for module in list(model.modules()):
            if isinstance(module, nn.Linear) and module.out_features > 10:
                nn.init.normal_(module.weight, 0, 4.0)
        return model


@dataclass(frozen=True)
class DeepSigmoids(Fault):
    """Ten layers of sigmoids in place of the network."""

    name = "deep-sigmoids"
    named_by = frozenset({"vanishing-gradient"})

    def model(self, model: nn.Module) -> nn.Module:
        linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
        layers: list[nn.Module] = [nn.Flatten()]
        inputs = linear[0].in_features
        for _ in range(10):
            layers += [nn.Linear(inputs, 32), nn.Sigmoid()]
            inputs = 32
        return nn.Sequential(*layers, nn.Linear(32, linear[-1].out_features))


@dataclass(frozen=True)
class LastLayerTooLarge(Fault):
    """The last layer begins with weights forty times too large."""

    name = "last-layer-too-large"
    named_by = frozenset({"bad-start"})

    def model(self, model: nn.Module) -> nn.Module:
        *_, last = (module for module in model.modules() if isinstance(module, nn.Linear))
        with torch.no_grad():
            last.weight *= 40.0
        return model


@dataclass(frozen=True)
class AllZero(Fault):
    """Every weight begins at zero: all units of a layer stay the same."""

    name = "all-zero"
    named_by = frozenset({"never-learns", "vanishing-gradient", "dead-units"})

    def model(self, model: nn.Module) -> nn.Module:
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
                nn.init.zeros_(module.weight)
                nn.init.zeros_(module.bias)
        return model


@dataclass(frozen=True)
class WeightsBlowUp(Fault):
    """The recurrent (or else the first) weights are multiplied while the training runs, as by a bad merge."""

    factor: float = 30.0
    name = "weights-blow-up"
    named_by = frozenset({"exploding-gradient", "divergence", "non-finite", "spike"})
    starts = "later"

    def on_onset(self, model: nn.Module, optimizer: Optimizer) -> None:
        recurrent = [p for name, p in model.named_parameters() if "weight_hh" in name]
        with torch.no_grad():
            (recurrent or list(model.parameters()))[0].mul_(self.factor)


@dataclass(frozen=True)
class OneUnit(Fault):
    """All that is known has to pass through one unit."""

    name = "one-unit"
    named_by = frozenset({"underfitting", "stall"})

    def model(self, model: nn.Module) -> nn.Module:
        linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
        inputs, outputs = linear[0].in_features, linear[-1].out_features
        return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 1), nn.ReLU(), nn.Linear(1, outputs))
