"""Memory in use.

What   ``memory/rss_bytes``: resident memory of the training process (Linux); ``memory/allocated_bytes``: what
       tensors occupy on the CUDA device, as torch's allocator counts it. Allocated, not reserved: the reserved
       figure is a high-water mark and hides a leak
Unit   bytes
Cost   one read of an open ``/proc/self/statm`` (a microsecond or two); the allocator's own counters
When   the optimizer's step post-hook, on detailed steps
Keys   memory/rss_bytes, memory/allocated_bytes
"""

from __future__ import annotations

import os
import sys
from typing import ClassVar

import torch

from probe.collectors.collector import Collector, Moment, Subject

_STATM = "/proc/self/statm"


class Memory(Collector):
    name: ClassVar[str] = "memory"
    is_detail: ClassVar[bool] = True

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._statm = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC) if sys.platform == "linux" else None
        devices = {p.device for layer in subject.layers for p in layer.parameters}
        self._cuda = sorted((d for d in devices if d.type == "cuda"), key=str)

    def close(self) -> None:
        if self._statm is not None:
            os.close(self._statm)
            self._statm = None

    def collect(self, moment: Moment) -> None:
        if self._statm is not None:
            resident_pages = int(os.pread(self._statm, 128, 0).split()[1])
            moment.scalars["memory/rss_bytes"] = float(resident_pages * self._page_bytes)
        if self._cuda:
            allocated = sum(torch.cuda.memory_allocated(device) for device in self._cuda)
            moment.scalars["memory/allocated_bytes"] = float(allocated)
