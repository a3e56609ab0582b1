"""Memory in use.

What   ``memory/rss_bytes``: resident memory of the training process (Linux); ``memory/allocated_bytes``: what
       tensors occupy on the CUDA device, as torch's allocator counts it. Allocated, not reserved: the reserved
       figure is a high-water mark and hides a leak
Unit   bytes
Cost   one read of ``/proc/self/statm`` (about 10 microseconds); the allocator's own counters
When   the optimizer's step post-hook, on detailed steps
Keys   memory/rss_bytes, memory/allocated_bytes
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import ClassVar

import torch

from probe.collectors.collector import Collector, Moment, Subject

_STATM = Path("/proc/self/statm")


class Memory(Collector):
    name: ClassVar[str] = "memory"
    is_detail: ClassVar[bool] = True

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        devices = {p.device for layer in subject.layers for p in layer.parameters}
        self._cuda = sorted((d for d in devices if d.type == "cuda"), key=str)

    def collect(self, moment: Moment) -> None:
        if sys.platform == "linux":
            with _STATM.open("rb", buffering=0) as statm:
                resident_pages = int(statm.read().split()[1])
            moment.scalars["memory/rss_bytes"] = float(resident_pages * self._page_bytes)
        if self._cuda:
            allocated = sum(torch.cuda.memory_allocated(device) for device in self._cuda)
            moment.scalars["memory/allocated_bytes"] = float(allocated)
