"""A few elements that stand for a whole tensor, without copying it."""

from __future__ import annotations

import torch
from torch import Tensor

#: Elements taken of a tensor: the standard error of a mean is then 3 % of the standard deviation.
SAMPLE = 1024


def flat(tensor: Tensor) -> Tensor:
    """The elements in the order in which they lie in memory; a view wherever the memory is dense."""
    tensor = tensor.detach()
    if tensor.is_contiguous():
        return tensor.view(-1)
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor.permute(0, 2, 3, 1).view(-1)
    return tensor.reshape(-1)


def sample(tensor: Tensor) -> Tensor:
    """At most ``SAMPLE`` elements, evenly spaced: a view that its caller must copy before it is overwritten.

    The spacing is odd, so that it does not fall in step with sizes that are powers of two and keep meeting the
    same channel.
    """
    elements = flat(tensor)
    spacing = elements.numel() // SAMPLE
    if spacing <= 1:
        return elements[:SAMPLE]
    spacing -= 1 - spacing % 2
    return elements[: spacing * SAMPLE : spacing]
