"""Units that do nothing: dead ones, and saturated ones.

A unit is a channel of a convolution, or a feature. It is dead if it was zero over the whole probed batch and all of
space, after the nonlinearity; it is saturated if in more than 95 % of the samples a tanh was beyond +-0.97 or a
sigmoid outside 0.03 to 0.97. Both are credited to the layer with parameters that ran before the nonlinearity. A
rectifier that is a function, not a module, is recognised by its result: the input of the next layer is nowhere
below zero and somewhere zero. With fewer than 32 samples in a batch, probes are taken together until there are 32.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from probe.host import Found, Reading

#: The fewest samples from which a unit may be called dead.
ENOUGH_SAMPLES = 32

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Threshold)
SATURATING = (nn.Tanh, nn.Sigmoid)

_CHANNELS_FIRST = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
)


class Units:
    """What the units of one layer did over the probes so far."""

    def __init__(self, module: nn.Module) -> None:
        self._is_channels_first = isinstance(module, _CHANNELS_FIRST)
        self._width = 0
        self._clear()

    def _clear(self) -> None:
        self._samples = 0
        self._peak: Tensor | None = None  # [units], the largest value of each
        self._low: Tensor | None = None  # the lowest value anywhere, where it is not known to be a rectifier's
        self._saturated: Tensor | None = None  # [units], in how many samples
        self._values = 0  # samples times places, a unit

    @property
    def is_enough(self) -> bool:
        return self._samples >= ENOUGH_SAMPLES

    def width_of(self, output: Tensor) -> None:
        """Learn the number of units from the layer's own output; with another number the counting begins anew."""
        width = output.shape[self._axis(output)]
        if width != self._width:
            self._width = width
            self._clear()

    def see_rectified(self, output: Tensor) -> None:
        if not self.is_enough and (shaped := self._by_unit(output)) is not None:
            self._raise_peak(shaped)

    def see_input(self, values: Tensor) -> bool:
        """The next layer's input, if it may be rectified; whether it may."""
        shaped = None if self.is_enough else self._by_unit(values)
        if shaped is None:
            return False
        low = values.amin()
        if low.device.type == "cpu" and low < 0:  # on another device this is asked when it has arrived
            return False
        self._low = low if self._low is None else torch.minimum(self._low, low)
        self._raise_peak(shaped)
        return True

    def see_squashed(self, output: Tensor, *, centred: bool) -> None:
        if self.is_enough or (shaped := self._by_unit(output)) is None:
            return
        beyond = shaped.abs() > 0.97 if centred else (shaped - 0.5).abs() > 0.47
        count = beyond.float().sum((0, 2))
        self._saturated = count if self._saturated is None else self._saturated + count
        self._values += shaped.shape[0] * shaped.shape[2]
        self._samples += shaped.shape[0]

    def reading(self, place: Callable[[dict[str, float]], Found]) -> Reading:
        """The shares as they stand; the counting begins anew."""
        tensors: dict[str, Tensor] = {}
        if self._peak is not None:
            tensors["dead_frac"] = (self._peak <= 0).float().mean()
        if self._low is not None:
            tensors["low"] = self._low
        if self._saturated is not None:
            tensors["saturated_frac"] = (self._saturated > 0.95 * self._values).float().mean()
        self._clear()
        names = list(tensors)

        def interpret(lists: list[list[float]]) -> Found:
            stats = {name: values[0] for name, values in zip(names, lists, strict=True)}
            if stats.pop("low", 0.0) != 0.0:  # below zero, or nowhere zero: no rectifier
                stats.pop("dead_frac", None)
            return place(stats) if stats else Found()

        return Reading(list(tensors.values()), interpret)

    def _raise_peak(self, shaped: Tensor) -> None:
        peak = shaped.amax(2).amax(0)  # space first: one pass over contiguous memory
        self._peak = peak if self._peak is None else torch.maximum(self._peak, peak)
        self._samples += shaped.shape[0]

    def _axis(self, tensor: Tensor) -> int:
        return 1 if self._is_channels_first and tensor.dim() > 1 else tensor.dim() - 1

    def _by_unit(self, values: Tensor) -> Tensor | None:
        """As ``[samples, units, places]``; ``None`` if these are not this layer's units.

        A convolution's output may come back flattened; each channel is then a run of features.
        """
        if values.dim() < 2 or not self._width:
            return None
        if not self._is_channels_first:
            return values.reshape(-1, self._width, 1) if values.shape[-1] == self._width else None
        if values.shape[1] % self._width or (values.dim() > 2 and values.shape[1] != self._width):
            return None
        return values.reshape(values.shape[0], self._width, -1)
