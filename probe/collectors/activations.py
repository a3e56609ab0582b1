"""What flows through the layers.

What   ``act_mean`` and ``act_std`` of a layer's own output; ``act_zero_frac``: the share of exact zeros after the
       nonlinearity that follows it (in its own output where none is seen); ``dead_frac`` and ``saturated_frac``: see
       ``units.py``
Unit   the activations' own; shares 0 to 1
Cost   hooks on the leaves for the one forward pass that is measured: standing hooks would cost each step. At most
       1024 elements of each output are copied, all statistics of equally large samples computed in one batch; the
       units need one pass over the nonlinearity's output
When   the forward passes with gradients of a detailed step; of several micro-batches the first
Keys   layers: act_mean, act_std, act_zero_frac, dead_frac, saturated_frac
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, TypeGuard

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from probe.collectors.collector import Collector, Moment, Subject
from probe.collectors.sampling import sample
from probe.collectors.units import RECTIFIERS, SATURATING, Units
from probe.handles import Hook
from probe.host import Found, Reading

#: What is said of a compiled model.
ACTIVATIONS_ARE_COMPILED = "Activations are not available: the model is compiled."

_Found = dict[str, list[float | None]]


class Activations(Collector):
    name: ClassVar[str] = "activation statistics"
    is_detail: ClassVar[bool] = True

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._leaves = {
            layer.module: index for index, layer in enumerate(subject.layers) if not any(layer.module.children())
        }
        self._handles: list[RemovableHandle] = []
        self._own: dict[int, Tensor] = {}
        self._after: dict[int, Tensor] = {}
        self._units: dict[int, Units] = {}
        self._latest: int | None = None
        self._is_compiled = is_compiled(subject.model)

    def prepare(self) -> None:
        if self._handles or self._is_compiled:
            return
        for module in self.subject.model.modules():
            if (body := self._body(module)) is not None:
                self._handles.append(
                    module.register_forward_hook(Hook(partial(self.subject.guard.timed, self.name, body)))
                )

    def rest(self) -> None:
        while self._handles:
            self._handles.pop().remove()
        self._own, self._after, self._latest = {}, {}, None

    def close(self) -> None:
        self.rest()

    def collect(self, moment: Moment) -> None:
        if self._own:
            moment.readings.append(self._moments())
            units = [(index, units) for index, units in self._units.items() if units.is_enough]
            moment.readings.extend(units.reading(partial(self._spread, index)) for index, units in units)
        self._own, self._after, self._latest = {}, {}, None

    def _body(self, module: nn.Module) -> Callable[..., None] | None:
        if isinstance(module, torch.jit.ScriptModule):  # which takes no hook
            return None
        if (index := self._leaves.get(module)) is not None:
            return partial(self._layer, index)
        if isinstance(module, RECTIFIERS):
            return self._rectified
        return self._squashed if isinstance(module, SATURATING) else None

    def _layer(self, index: int, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if not torch.is_grad_enabled():
            return
        previous, self._latest = self._latest, index
        if previous is not None and previous not in self._after and args and _is_plain(args[0]):
            units = self._units[previous]
            if args[0].requires_grad and units.see_input(args[0].detach()):
                self._after[previous] = sample(args[0]).clone()
        output = output[0] if isinstance(output, tuple) and output else output
        if not _is_plain(output):
            self._latest = None
            return
        if index not in self._units:
            self._units[index] = Units(module)
        self._units[index].width_of(output)
        if index not in self._own:
            self._own[index] = sample(output).clone()  # copied: an in-place nonlinearity overwrites it

    def _rectified(self, _module: nn.Module, _args: Any, output: Any) -> None:
        if self._latest is not None and torch.is_grad_enabled() and _is_plain(output):
            self._after.setdefault(self._latest, sample(output).clone())
            self._units[self._latest].see_rectified(output.detach())

    def _squashed(self, module: nn.Module, _args: Any, output: Any) -> None:
        if self._latest is not None and torch.is_grad_enabled() and _is_plain(output):
            self._after.setdefault(self._latest, sample(output).clone())
            self._units[self._latest].see_squashed(output.detach(), centred=isinstance(module, nn.Tanh))

    def _moments(self) -> Reading:
        """Mean, standard deviation and share of zeros, in one batch for all samples of one size."""
        groups: dict[tuple[int, torch.device], list[int]] = {}
        for index, own in self._own.items():
            groups.setdefault((own.numel(), own.device), []).append(index)
        order = [index for indices in groups.values() for index in indices]
        tensors = [_statistics([self._own[index] for index in indices]) for indices in groups.values()]
        tensors += [(self._after.get(index, self._own[index]) == 0).float().mean() for index in order]

        def interpret(lists: list[list[float]]) -> Found:
            flat = [value for values in lists[: len(groups)] for value in values]
            zeros = [values[0] for values in lists[len(groups) :]]
            columns = {"act_mean": flat[0::2], "act_std": flat[1::2], "act_zero_frac": zeros}
            return Found(layers={key: self._place(order, values) for key, values in columns.items()})

        return Reading(tensors, interpret)

    def _place(self, order: list[int], values: list[float]) -> list[float | None]:
        column: list[float | None] = [None] * len(self.subject.layers)
        for index, value in zip(order, values, strict=True):
            column[index] = value
        return column

    def _spread(self, index: int, stats: dict[str, float]) -> Found:
        return Found(layers={key: self._place([index], [value]) for key, value in stats.items()})


def _statistics(samples: list[Tensor]) -> Tensor:
    """float[n, 2]: mean and standard deviation of each of ``n`` samples of one size."""
    rows = torch.stack([sample.float() for sample in samples])
    # Not var_mean, which costs 37 times as much on the CPU.
    mean = rows.mean(1, keepdim=True)
    return torch.cat((mean, (rows - mean).square_().mean(1, keepdim=True).sqrt_()), 1)


def _is_plain(values: object) -> TypeGuard[Tensor]:
    """Whether these are real numbers with an axis of units: not one number alone, and neither sparse nor nested."""
    if not isinstance(values, Tensor) or values.layout is not torch.strided or values.is_nested:
        return False
    return values.is_floating_point() and values.dim() > 0 and values.numel() > 0


def is_compiled(model: nn.Module) -> bool:
    """Whether torch.compile has taken the model over, whole or in part; leaf hooks are not called in there."""
    return any(
        hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )
