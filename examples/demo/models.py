"""The demo's networks: a small convolutional one, and torchvision's VGG-11 with batch normalisation."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn


class SimpleCNN(nn.Module):
    """Three convolutions and a linear layer for float32[n, 3, 32, 32]; logits float32[n, classes]."""

    def __init__(self, classes: int = 10, *, width: int = 16, batch_norm: bool = True, dropout: float = 0.25) -> None:
        super().__init__()
        channels = [3, width, 2 * width, 4 * width]
        self.features = nn.Sequential(*(block(a, b, batch_norm=batch_norm) for a, b in pairwise(channels)))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(4 * width * 4 * 4, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(images))


def block(inputs: int, outputs: int, *, batch_norm: bool) -> nn.Sequential:
    """Convolution, batch normalisation if wanted, ReLU, and a pooling that halves the sides."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=not batch_norm)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(outputs))
    return nn.Sequential(*layers, nn.ReLU(), nn.MaxPool2d(2))


def push_below_zero(model: nn.Module, bias: float) -> None:
    """Start every convolution with this bias. A negative one leaves its ReLUs at zero, with no gradient."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.constant_(module.bias, bias)


def build(name: str, classes: int, **options: object) -> nn.Module:
    """``simplecnn`` or ``vgg11_bn``. Options are those of :class:`SimpleCNN`."""
    if name == "simplecnn":
        return SimpleCNN(classes, **options)
    from torchvision import models

    return models.vgg11_bn(num_classes=classes)
