"""Memory in use.

What   ``memory/rss_bytes``: resident memory of the training process; outside Linux only where psutil is installed;
       ``memory/allocated_bytes``: what tensors occupy on the CUDA device, as torch's allocator counts it;
       ``memory/reserved_bytes``: what that allocator holds of the device, a high-water mark that hides a leak
Unit   bytes
Cost   one read of an open ``/proc/self/statm`` (a microsecond or two); the allocator's own counters
When   the optimizer's step post-hook, on detailed steps
Keys   memory/rss_bytes, memory/allocated_bytes, memory/reserved_bytes
"""

from __future__ import annotations

import os
import sys
from typing import Any, ClassVar

import torch

from probe.collectors.collector import Collector, Moment, Subject

_STATM = "/proc/self/statm"


class Memory(Collector):
    name: ClassVar[str] = "memory"
    is_detail: ClassVar[bool] = True

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._cuda = subject.cuda_devices
        self._statm: int | None = None
        self._process: Any = None
        if sys.platform == "linux":
            self._page_bytes = os.sysconf("SC_PAGE_SIZE")
            self._statm = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC)
        else:
            self._process = _process()

    def close(self) -> None:
        if self._statm is not None:
            os.close(self._statm)
            self._statm = None

    def collect(self, moment: Moment) -> None:
        if self._statm is not None:
            resident_pages = int(os.pread(self._statm, 128, 0).split()[1])
            moment.scalars["memory/rss_bytes"] = float(resident_pages * self._page_bytes)
        elif self._process is not None:
            moment.scalars["memory/rss_bytes"] = float(self._process.memory_info().rss)
        if self._cuda:
            allocated = sum(torch.cuda.memory_allocated(device) for device in self._cuda)
            reserved = sum(torch.cuda.memory_reserved(device) for device in self._cuda)
            moment.scalars["memory/allocated_bytes"] = float(allocated)
            moment.scalars["memory/reserved_bytes"] = float(reserved)


def _process() -> Any:
    """This process as psutil sees it. The standard library's ``ru_maxrss`` is a peak, which is another quantity."""
    try:
        import psutil
    except ImportError:
        return None
    return psutil.Process()
