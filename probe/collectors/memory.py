"""Memory in use.

What   ``memory/rss_bytes``: resident memory of the training process; outside Linux only where psutil is installed;
       ``memory/allocated_bytes``: what tensors occupy on the CUDA device, as torch's allocator counts it;
       ``memory/reserved_bytes``: what that allocator holds of the device, a high-water mark that hides a leak;
       the facts ``memory_limit_bytes`` (of the machine, or of its container if that has less) and
       ``device_memory_bytes``, once
Unit   bytes
Cost   one read of an open ``/proc/self/statm`` (a microsecond or two); the allocator's own counters
When   the optimizer's step post-hook, on detailed steps, and where those are rarer than each 10 steps on others too
Keys   memory/rss_bytes, memory/allocated_bytes, memory/reserved_bytes
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch

from probe.collectors.collector import Collector, Moment, Subject
from probe.host import Found, Reading

_STATM = "/proc/self/statm"
#: Steps after which it is read again although no layers are looked at: those come seldom where steps are short.
_EVERY = 10
_CGROUPS = Path("/sys/fs/cgroup")


class Memory(Collector):
    name: ClassVar[str] = "memory"

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._statm: int | None = None
        self._process: Any = None
        self._has_said_limits = False
        self._due = 0
        if sys.platform == "linux":
            self._page_bytes = os.sysconf("SC_PAGE_SIZE")
            self._statm = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC)
        else:
            self._process = _process()

    @cached_property
    def _cuda(self) -> tuple[torch.device, ...]:
        """First asked for when a step is over: a model may be moved until then."""
        return self.subject.cuda_devices

    def close(self) -> None:
        if self._statm is not None:
            os.close(self._statm)
            self._statm = None

    def collect(self, moment: Moment) -> None:
        if not moment.detailed and moment.step < self._due:
            return
        self._due = moment.step + _EVERY
        if not self._has_said_limits:
            self._has_said_limits = True
            limits = self._limits()
            moment.readings.append(Reading([], lambda _: Found(facts=limits)))
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

    def _limits(self) -> dict[str, float]:
        limits = {}
        if sys.platform == "linux":
            limits["memory_limit_bytes"] = float(os.sysconf("SC_PHYS_PAGES") * self._page_bytes)
            with contextlib.suppress(OSError):  # a kernel without control groups
                container = container_limit(Path("/proc/self/cgroup").read_text(), _CGROUPS)
                limits["memory_limit_bytes"] = min(limits["memory_limit_bytes"], container)
        if self._cuda:
            devices = [torch.cuda.get_device_properties(device) for device in self._cuda]
            limits["device_memory_bytes"] = float(sum(device.total_memory for device in devices))
        return limits


def container_limit(groups: str, root: Path) -> float:
    """The least memory limit of the control groups (either version) that ``/proc/self/cgroup`` names, in bytes."""
    limit = math.inf
    for line in groups.splitlines():
        _, controllers, own = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base, name = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        folder = base / own.lstrip("/")
        for each in (folder, *folder.parents):
            if each.is_relative_to(base):
                limit = min(limit, _number_in(each / name))
    return limit


def _number_in(path: Path) -> float:
    """Infinite where there is no such file, or no limit in it ("max")."""
    try:
        return float(int(path.read_text()))
    except (OSError, ValueError):
        return math.inf


def _process() -> Any:
    """This process as psutil sees it. The standard library's ``ru_maxrss`` is a peak, which is another quantity."""
    try:
        import psutil
    except ImportError:
        return None
    return psutil.Process()
