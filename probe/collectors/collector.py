"""What a collector is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from probe.guard import Guard
from probe.host import Number, Reading

#: Weights for which a collection of garbage is worth the tenths of a second that it takes; chosen, not derived.
MUCH_BYTES = 2**26


class LayerRef(NamedTuple):
    """A leaf module that owns parameters; its place in the list is its place in ``Hello.layers``."""

    name: str
    module: nn.Module
    parameters: tuple[nn.Parameter, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom the collectors watch, and the guard that all of it runs under: fixed when the probe attaches."""

    model: nn.Module
    layers: tuple[LayerRef, ...]
    optimizers: dict[str, Optimizer]
    guard: Guard = field(default_factory=Guard)

    @property
    def is_sharded(self) -> bool:
        """Whether parameters are spread over ranks (DTensor). Reading a norm of one is a collective operation.

        Each rank decides by itself which steps are heavy, so such a read could wait for ranks that never come.
        """
        return any(hasattr(p, "device_mesh") for layer in self.layers for p in layer.parameters)

    @property
    def cuda_devices(self) -> tuple[torch.device, ...]:
        """Where the parameters are, as far as that is CUDA; several where a model is spread over devices."""
        devices = {p.device for layer in self.layers for p in layer.parameters if p.device.type == "cuda"}
        return tuple(sorted(devices, key=str))

    @property
    def is_large(self) -> bool:
        """Whether its weights take memory that is missed where it is freed late."""
        parameters = (p for layer in self.layers for p in layer.parameters)
        return sum(p.numel() * p.element_size() for p in parameters) >= MUCH_BYTES

    @property
    def main(self) -> Optimizer:
        """The optimizer whose steps count."""
        return next(iter(self.optimizers.values()))


@dataclass(frozen=True, slots=True)
class Clip:
    """A clipping of gradients that was seen in this step."""

    norm: Tensor | None  # as clip_grad_norm_ returned it, before clipping; None for clipping by value
    max_norm: float | None  # None where it is a tensor on a device, which would have to be waited for


@dataclass(slots=True)
class Moment:
    """One optimizer step, as the collectors see it; they put what they found into ``scalars`` and ``readings``.

    ``heavy`` says whether the costly scalars are due, ``detailed`` whether the statistics per layer are.
    """

    step: int
    heavy: bool
    detailed: bool
    clips: tuple[Clip, ...] = ()
    scaler: object | None = None
    effective_lr: Mapping[str, Number] = field(default_factory=dict)  # of groups that an intervention holds
    skipped: int = 0
    scalars: dict[str, Number] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)


class Collector:
    """A quantity. Each method is called in the training thread, under a guard of the collector's own name.

    ``collect`` is called in the optimizer's step post-hook: of each step, or of the detailed ones only where
    ``is_detail`` says so. ``before_clip`` comes when gradients are about to be clipped. Around a detailed step,
    ``prepare`` is called at the end of the one before, ``before_step`` in the optimizer's step pre-hook, and
    ``rest`` when it is over, or as soon as the collector has failed: that takes off whatever it has put on.
    ``close`` comes once, at the end, also if it has failed. When one is made, the model may not be on its device yet.
    One that ``reads_parameters`` is left out where they are sharded.
    """

    name: ClassVar[str]
    is_detail: ClassVar[bool] = False
    reads_parameters: ClassVar[bool] = False

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def prepare(self) -> None: ...
    def before_clip(self, *, detailed: bool, heavy: bool, by_norm: bool) -> None: ...
    def before_step(self) -> None: ...
    def collect(self, moment: Moment) -> None: ...
    def rest(self) -> None: ...
    def close(self) -> None: ...


def by_layer(values: Sequence[float], sizes: Sequence[int]) -> list[float | None]:
    """Root of the sum of squares over the consecutive groups of ``values``; ``None`` for an empty group."""
    totals: list[float | None] = []
    start = 0
    for size in sizes:
        part = values[start : start + size]
        totals.append(sum(value * value for value in part) ** 0.5 if size else None)
        start += size
    return totals
