"""What the model is fed at the start: unscaled inputs show here before they show in the loss.

What   ``input/min``, ``input/max``, ``input/mean``, ``input/std`` of the first tensor that the model is given;
       ``input/std_ratio``: the largest over the smallest standard deviation of a feature ``[n, features]`` or a
       channel ``[n, channels, height, width]``, constant ones left out, where a batch has 32 samples or more.
       At most 256 samples of a batch. Integers (token ids) are left out
Unit   the input's own; none
Cost   a few passes over the batch
When   the first training forward pass of each of the first 10 steps
Keys   input/min, input/max, input/mean, input/std, input/std_ratio
"""

from __future__ import annotations

import torch
from torch import Tensor

from probe.host import Found, Reading

_SAMPLES = 256
#: The fewest samples from which features are compared: with two, some pair is always nearly equal.
_ENOUGH_SAMPLES = 32


def input_statistics(batch: Tensor) -> Reading | None:
    """Of a batch ``[n, ...]``; ``None`` if it holds no real numbers; at least one element."""
    if not batch.is_floating_point():
        return None
    values = batch.detach()[:_SAMPLES].float()
    mean = values.mean()
    # Not var_mean, which costs 37 times as much on the CPU.
    tensors = [*torch.aminmax(values), mean, (values - mean).square_().mean().sqrt_()]
    if values.dim() in (2, 4) and len(values) >= _ENOUGH_SAMPLES:
        tensors.append(_feature_deviations(values))
    return Reading(tensors, _interpret)


def _feature_deviations(values: Tensor) -> Tensor:
    """[features]: the standard deviation of each feature or channel; exactly 0 for a constant one."""
    axes = (0,) if values.dim() == 2 else (0, 2, 3)
    first = values[:1] if values.dim() == 2 else values[:1, :, :1, :1]
    shifted = values - first  # else the rounding of its mean would give a constant some deviation
    return (shifted - shifted.mean(axes, keepdim=True)).square_().mean(axes).sqrt_()


def _interpret(lists: list[list[float]]) -> Found:
    names = ("input/min", "input/max", "input/mean", "input/std")
    scalars = {name: values[0] for name, values in zip(names, lists[:4], strict=True)}
    spread = [deviation for deviation in lists[4] if deviation > 0] if len(lists) > 4 else []
    if spread:
        scalars["input/std_ratio"] = max(spread) / min(spread)
    return Found(scalars=scalars)
