"""Class-wise counts of predictions: how often each class was met, predicted, and predicted right.

What   int64[3, classes]: correct, total, predicted, or in a validation the pairs that they are sums of
       (``confusion.py``); nothing for more than 1000 classes, soft targets, or several labels at once
Unit   samples (or pixels, or tokens: whatever has one target)
Cost   an argmax over the logits and one ``scatter_add_``. Not ``bincount`` or a boolean mask, which make the CPU
       wait for the GPU
When   at each call of a classification loss, if due
Keys   the wire's ClassCounts; their sums give train/accuracy and val/accuracy
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probe.collectors.confusion import has_pairs, pairs_on_device, pairs_on_host

MAX_CLASSES = 1000
_NUMPY_KNOWS = (torch.float32, torch.float64, torch.float16)


def count_categories(logits: Tensor, target: Tensor, ignore_index: int, *, pairs: bool = False) -> Tensor | None:
    """Counts for logits ``[n, classes, ...]`` and class indices ``[n, ...]`` (or ``[classes]`` and ``[]``).

    With ``pairs`` they are int64[classes, classes], where there are few enough for that.
    """
    axis = 1 if logits.dim() > 1 else 0
    if target.is_floating_point() or target.dim() != logits.dim() - 1 or not 1 < logits.shape[axis] <= MAX_CLASSES:
        return None
    classes = logits.shape[axis]
    if logits.device.type == "cpu" and logits.dtype in _NUMPY_KNOWS:
        predictions = logits.detach().numpy().argmax(axis).reshape(-1)
        return count_on_host(predictions, target.numpy().reshape(-1), classes, ignore_index, pairs=pairs)
    predicted = logits.detach().argmax(axis).reshape(-1)
    return count_on_device(predicted, target.reshape(-1), classes, ignore_index, pairs=pairs)


def count_binary(values: Tensor, target: Tensor, threshold: float, *, pairs: bool = False) -> Tensor | None:
    """Counts of two classes for one value a sample: ``[n]`` or ``[n, 1]``."""
    if target.shape != values.shape or values.dim() == 0 or values.numel() != values.shape[0]:
        return None
    predicted = (values.detach() > threshold).reshape(-1).long()
    return count_on_device(predicted, (target > 0.5).reshape(-1).long(), 2, -100, pairs=pairs)


def count_on_host(
    predicted: NDArray[Any], target: NDArray[Any], classes: int, ignore_index: int, *, pairs: bool = False
) -> Tensor:
    """The same as :func:`count_on_device` at a third of its cost: a few calls of NumPy, which are cheap to make."""
    counted = (target >= 0) & (target < classes) & (target != ignore_index)
    if not counted.all():
        predicted, target = predicted[counted], target[counted]
    if pairs and has_pairs(classes):
        return pairs_on_host(predicted, target, classes)
    correct = target[predicted == target]
    return torch.from_numpy(np.stack([np.bincount(v, minlength=classes) for v in (correct, target, predicted)]))


def count_on_device(
    predicted: Tensor, target: Tensor, classes: int, ignore_index: int, *, pairs: bool = False
) -> Tensor:
    """``ignore_index`` and other targets outside ``0..classes - 1`` are left out."""
    index = target.clamp(0, classes - 1)
    counted = index == target
    if 0 <= ignore_index < classes:
        counted &= target != ignore_index
    if pairs and has_pairs(classes):
        return pairs_on_device(predicted, index, counted, classes)
    correct = (predicted == index) & counted
    counts = torch.zeros(3, classes, dtype=torch.int64, device=predicted.device)
    return counts.scatter_add_(
        1, torch.stack((index, index, predicted)), torch.stack((correct, counted, counted)).long()
    )
