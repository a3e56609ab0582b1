"""Gradient norm, total and per layer.

What   the 2-norm over all gradients of the main optimizer, before clipping (``grad/norm``) and, where clipping was
       seen, after it (``grad/norm_applied``); the norm per layer, before clipping
Unit   the loss's unit per parameter unit; under AMP, of the unscaled loss
Cost   one ``_foreach_norm`` over the gradients, in half precision a ``vector_norm`` of each; nothing on a step where
       ``clip_grad_norm_`` has done it already
When   the optimizer's step post-hook: Lightning runs backward inside ``step(closure)``, so a pre-hook would read the
       gradients of the step before; where gradients are clipped, just before that
Keys   grad/norm, grad/norm_applied, grad/norm/NAME for a further named optimizer; layers: grad_norm
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from probe.collectors.collector import Clip, Collector, Moment, Subject, by_layer
from probe.host import Found, Number, Reading, number

_N = TypeVar("_N", float, Tensor)
_HALVES = (torch.float16, torch.bfloat16)


class Gradients(Collector):
    name: ClassVar[str] = "gradient norms"
    reads_parameters: ClassVar[bool] = True

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._layered = [p for layer in subject.layers for p in layer.parameters]
        self._before: tuple[Tensor, list[int]] | None = None
        self._before_total: Number | None = None

    def before_clip(self, *, detailed: bool, heavy: bool, by_norm: bool) -> None:
        if detailed:
            self._before = self._per_layer()
        if heavy and not by_norm:
            self._before_total = total_norm(self.subject.main)

    def collect(self, moment: Moment) -> None:
        self._put_norms(moment)
        if moment.detailed and (found := self._before or self._per_layer()) is not None:
            norms, sizes = found
            moment.readings.append(
                Reading([norms], lambda lists: Found(layers={"grad_norm": by_layer(lists[0], sizes)}))
            )
        self._before = self._before_total = None

    def _put_norms(self, moment: Moment) -> None:
        clips = [clip for clip in moment.clips if clip.norm is not None]
        if clips:
            moment.scalars["grad/norm"] = _together([number(clip.norm) for clip in clips if clip.norm is not None])
            if all(clip.max_norm is not None for clip in clips):
                moment.scalars["grad/norm_applied"] = _together([_clipped(clip) for clip in clips])
        elif moment.heavy and (norm := total_norm(self.subject.main)) is not None:
            before = self._before_total
            moment.scalars["grad/norm"] = norm if before is None else before
            if before is not None:
                moment.scalars["grad/norm_applied"] = norm

    def _per_layer(self) -> tuple[Tensor, list[int]] | None:
        gradients = [p.grad for p in self._layered if p.grad is not None]
        if not gradients:
            return None
        sizes = [sum(p.grad is not None for p in layer.parameters) for layer in self.subject.layers]
        return _unscaled(norms(gradients), self.subject.main), sizes


def total_norm(optimizer: Optimizer) -> Number | None:
    """The norm over all gradients that an optimizer would use; ``None`` if there is none."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if not gradients:
        return None
    found = _each(gradients)
    if all(norm.device.type == "cpu" for norm in found):
        values = [norm.item() for norm in found]
        return _unscaled(math.sqrt(sum(value * value for value in values)), optimizer)
    total: Tensor = torch.linalg.vector_norm(_stacked(found))
    return _unscaled(total, optimizer)


def norms(tensors: list[Tensor]) -> Tensor:
    """The 2-norm of each, as one vector on the device of the first."""
    return _stacked(_each(tensors))


def _each(tensors: list[Tensor]) -> list[Tensor]:
    dense = [t.detach() if t.layout is torch.strided else t.detach().coalesce().values() for t in tensors]
    whole = [t for t in dense if t.dtype not in _HALVES]
    found = iter(torch._foreach_norm(whole) if whole else ())
    return [_norm_of_half(t) if t.dtype in _HALVES else next(found) for t in dense]


def _norm_of_half(tensor: Tensor) -> Tensor:
    """Summed in float32, as a sum of squares leaves float16's range at 65504; no float32 copy of it is kept.

    Copies of all would take twice the memory of the model once more, at one moment.
    """
    norm: Tensor = torch.linalg.vector_norm(tensor, dtype=torch.float32)
    return norm


def _stacked(found: list[Tensor]) -> Tensor:
    device = found[0].device
    return torch.stack([norm if norm.device == device else norm.to(device, non_blocking=True) for norm in found])


def _unscaled(norm: _N, optimizer: Optimizer) -> _N:
    """A fused optimizer under GradScaler divides inside its kernel: its gradients still carry the scale."""
    scale: Any = getattr(optimizer, "grad_scale", None)
    if scale is None:
        return norm
    unscaled: _N = norm / (scale.item() if isinstance(norm, float) else scale)
    return unscaled


def _together(parts: list[Number]) -> Number:
    """The norm over several sets of gradients, each clipped by itself."""
    return parts[0] if len(parts) == 1 else sum(part**2 for part in parts) ** 0.5


def _clipped(clip: Clip) -> Number:
    """The norm that is left, by the formula of ``clip_grad_norm_``; measuring it would cost a pass over them."""
    assert clip.norm is not None
    assert clip.max_norm is not None
    norm, epsilon = number(clip.norm), 1e-6
    if isinstance(norm, float):
        return norm * min(1.0, clip.max_norm / (norm + epsilon)) if math.isfinite(norm) else norm
    return norm * (clip.max_norm / (norm + epsilon)).clamp(max=1.0)
