"""From the device to the host: at once where that is free, and late, in one copy, where it would wait.

A CPU tensor is read at once, because the training may change it in the next line. Tensors of an accelerator are
concatenated and copied once a step into pinned memory behind an event; the sender's thread asks the event, so the
training thread never synchronises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

#: A float, or a tensor of one element that is still on its device.
Number = float | Tensor


def number(tensor: Tensor) -> Number:
    """The value of a tensor of one element; on the CPU the float itself."""
    return float(tensor.item()) if tensor.is_cpu else tensor.detach()


@dataclass(frozen=True, slots=True)
class Found:
    """What a reading amounts to once it is on the host."""

    scalars: Mapping[str, float] = field(default_factory=dict)
    layers: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    facts: Mapping[str, str | float | bool | None] = field(default_factory=dict)


class Reading(NamedTuple):
    """Tensors, and what they mean: ``interpret`` gets one flat list a tensor, in the sender's thread."""

    tensors: Sequence[Tensor]
    interpret: Callable[[list[list[float]]], Found]


class Arrival:
    """Tensors on their way to the host, each flattened to a list."""

    __slots__ = ("_lists", "_pending")

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._lists: list[list[float]] = [[]] * len(tensors)
        away: dict[torch.device, list[int]] = {}
        for i, tensor in enumerate(tensors):
            if tensor.device.type == "cpu":
                self._lists[i] = tensor.detach().reshape(-1).tolist()
            else:
                away.setdefault(tensor.device, []).append(i)
        self._pending = [_Copy(device, [(i, tensors[i]) for i in indices]) for device, indices in away.items()]

    def ready(self) -> bool:
        return all(copy.ready() for copy in self._pending)

    def lists(self) -> list[list[float]]:
        """The values. Only after :meth:`ready`, or it waits for the device."""
        for copy in self._pending:
            copy.unpack(self._lists)
        self._pending = []
        return self._lists


class _Copy:
    """One asynchronous copy of what gathered on one accelerator."""

    __slots__ = ("_buffer", "_event", "_parts")

    def __init__(self, device: torch.device, tensors: list[tuple[int, Tensor]]) -> None:
        # Integers beyond 2**24 do not survive float32, which is all that MPS has.
        whole = torch.float32 if device.type == "mps" else torch.float64
        flat = [(t if t.is_floating_point() else t.to(whole)).detach().reshape(-1) for _, t in tensors]
        gathered = torch.cat(flat)
        self._parts = [(i, t.numel()) for i, t in tensors]
        self._event: Any = None
        if device.type == "cuda":
            self._buffer = torch.empty(gathered.shape, dtype=gathered.dtype, device="cpu", pin_memory=True)
            self._buffer.copy_(gathered, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record(torch.cuda.current_stream(device))
        else:
            self._buffer = gathered.to("cpu")

    def ready(self) -> bool:
        return self._event is None or bool(self._event.query())

    def unpack(self, into: list[list[float]]) -> None:
        if self._event is not None:
            self._event.synchronize()
        values, start = self._buffer.tolist(), 0
        for index, size in self._parts:
            into[index] = values[start : start + size]
            start += size
