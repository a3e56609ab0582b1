"""What is wrong with the data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tests.diagnosis.zoo.data import Data
from tests.diagnosis.zoo.fault import Fault


@dataclass(frozen=True)
class NanInData(Fault):
    """From some step on a sample of each batch holds a NaN."""

    name = "nan-in-data"
    named_by = frozenset({"non-finite"})
    starts = "later"
    is_structural = True

    def inputs(self, x: Tensor, since: int) -> Tensor:
        return torch.where(torch.arange(len(x)).view(-1, *[1] * (x.dim() - 1)) == 0, math.nan, x)


@dataclass(frozen=True)
class BadBatches(Fault):
    """Three batches in a row are a hundred times too large."""

    factor: float = 100.0
    name = "bad-batches"
    named_by = frozenset({"spike", "divergence", "exploding-gradient"})
    starts = "later"

    def inputs(self, x: Tensor, since: int) -> Tensor:
        return x * self.factor if since < 3 else x


@dataclass(frozen=True)
class NotScaled(Fault):
    """The inputs come as 0 to 255 or so, in training and in validation."""

    name = "not-scaled"
    named_by = frozenset({"unscaled-input", "bad-start"})
    is_structural = True

    def data(self, data: Data, random: torch.Generator) -> Data:
        return data._replace(x=60 * data.x + 110, val_x=60 * data.val_x + 110)


@dataclass(frozen=True)
class Sorted(Fault):
    """The data come class by class, unshuffled."""

    name = "sorted"
    named_by = frozenset({"unshuffled-data", "oscillation"})

    def data(self, data: Data, random: torch.Generator) -> Data:
        order = data.y.argsort(stable=True)
        return data._replace(x=data.x[order], y=data.y[order])

    def shuffles(self) -> bool:
        return False


@dataclass(frozen=True)
class RandomLabels(Fault):
    """The labels have come apart from the inputs; few enough samples to be learned by heart."""

    samples: int = 400
    name = "random-labels"
    named_by = frozenset({"label-noise"})

    def data(self, data: Data, random: torch.Generator) -> Data:
        order = torch.randperm(self.samples, generator=random)
        return data._replace(x=data.x[: self.samples], y=data.y[: self.samples][order])


@dataclass(frozen=True)
class TooFewSamples(Fault):
    samples: int = 40
    name = "too-few-samples"
    named_by = frozenset({"overfitting"})

    def data(self, data: Data, random: torch.Generator) -> Data:
        return data._replace(x=data.x[: self.samples], y=data.y[: self.samples])


@dataclass(frozen=True)
class RareClasses(Fault):
    """Two classes are left with one sample each."""

    name = "rare-classes"
    named_by = frozenset({"class-collapse", "class-imbalance"})

    def data(self, data: Data, random: torch.Generator) -> Data:
        kept = torch.ones(len(data.y), dtype=torch.bool)
        for rare in (0, 2):
            kept[(data.y == rare).nonzero()[1:]] = False
        return data._replace(x=data.x[kept], y=data.y[kept])
