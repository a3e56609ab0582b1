"""Which class was taken for which, in one validation.

What   int64[classes, classes]: rows are the targets, columns the predictions; for up to 64 classes
Unit   samples (or pixels, or tokens: whatever has one target)
Cost   one count over target x classes + prediction, in place of the three class counts, which are its diagonal and
       its sums. On a device a ``scatter_add_``; ``bincount`` would make the CPU wait for it
When   at each call of a classification loss in a validation
Keys   the wire's ``ClassCounts.confused``
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: As many as a monitor takes: the wire's ``PAIRED_CLASSES``.
MAX_CLASSES = 64


def has_pairs(classes: int) -> bool:
    return classes <= MAX_CLASSES


def pairs_on_host(predicted: NDArray[Any], target: NDArray[Any], classes: int) -> Tensor:
    """Of targets that all count."""
    pairs = np.bincount(target.astype(np.int64) * classes + predicted, minlength=classes * classes)
    return torch.from_numpy(pairs.reshape(classes, classes))


def pairs_on_device(predicted: Tensor, target: Tensor, counted: Tensor, classes: int) -> Tensor:
    """Of the targets that are ``counted``, bool[n]; the others are within ``0..classes - 1`` too."""
    pairs = torch.zeros(classes * classes, dtype=torch.int64, device=predicted.device)
    return pairs.scatter_add_(0, target * classes + predicted, counted.long()).reshape(classes, classes)


def by_class(pairs: Tensor) -> Tensor:
    """int64[3, classes]: correct, total, predicted."""
    return torch.stack((pairs.diagonal(), pairs.sum(1), pairs.sum(0)))
