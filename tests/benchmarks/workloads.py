"""The trainings that the probe is measured on. All on one thread of the CPU, where nothing hides its cost."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Training(NamedTuple):
    """A model, its optimizer and one batch, which it is trained on again and again."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    inputs: Tensor
    targets: Tensor

    def step(self) -> None:
        self.optimizer.zero_grad()
        output = self.model(self.inputs)
        nn.functional.cross_entropy(output.flatten(0, -2), self.targets.flatten()).backward()
        self.optimizer.step()


def mlp() -> Training:
    """A step of about 1 ms."""
    model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    return Training(model, _sgd(model), torch.randn(64, 256), torch.randint(0, 10, (64,)))


def cnn() -> Training:
    """A step of about 10 ms."""
    channels = (3, 16, 32, 32)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 4 * 4, 10))
    return Training(model, _sgd(model), torch.randn(24, 3, 32, 32), torch.randint(0, 10, (24,)))


def resnet18() -> Training:
    """torchvision's, 11.2 M parameters, on 32 images of 32 x 32."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "demo"))
    from torchvision_ops import import_torchvision

    import_torchvision()
    from torchvision.models import resnet18 as build

    model = build(num_classes=10)
    return Training(model, _sgd(model), torch.randn(32, 3, 32, 32), torch.randint(0, 10, (32,)))


def transformer() -> Training:
    """6 layers of 128 features on 8 x 64 tokens of a vocabulary of 1000, 1.5 M parameters."""
    layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)
    model = nn.Sequential(nn.Embedding(1000, 128), nn.TransformerEncoder(layer, 6), nn.Linear(128, 1000))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    return Training(model, optimizer, torch.randint(0, 1000, (8, 64)), torch.randint(0, 1000, (8, 64)))


def _sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)


#: By the name that the tables give them.
WORKLOADS: dict[str, Callable[[], Training]] = {
    "MLP": mlp,
    "small CNN": cnn,
    "ResNet-18": resnet18,
    "transformer": transformer,
}
