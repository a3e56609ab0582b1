"""How busy and how hot the GPUs are, as the driver's NVML says.

What   ``gpu/utilization_frac``: the share of the driver's last sample period (1/6 to 1 s) in which a kernel ran;
       ``gpu/temperature_c``. Of several devices of one model the least busy and the hottest
Unit   share 0 to 1; degrees Celsius
Cost   none in the training thread: the driver is asked in the sender's thread when the row is packed, which can
       take milliseconds, and at most each 5 s
When   on detailed steps
Keys   gpu/utilization_frac, gpu/temperature_c; both absent without CUDA, without nvidia-ml-py (the extra ``gpu``),
       or where the driver does not answer
"""

from __future__ import annotations

from functools import cached_property
from time import monotonic
from typing import ClassVar

import torch

from probe.collectors.collector import Collector, Moment, Subject
from probe.host import Found, Reading

_PAUSE_S = 5.0


class Gpus(Collector):
    name: ClassVar[str] = "GPU utilization"
    is_detail: ClassVar[bool] = True

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._asked_s = -_PAUSE_S

    @cached_property
    def _devices(self) -> tuple[torch.device, ...]:
        """First asked for when a step is over: a model may be moved until then."""
        return self.subject.cuda_devices

    def collect(self, moment: Moment) -> None:
        if self._devices and monotonic() - self._asked_s >= _PAUSE_S:
            self._asked_s = monotonic()
            moment.readings.append(Reading([], lambda _: self._ask()))

    def _ask(self) -> Found:
        """In the sender's thread. Torch's own functions know which of the driver's devices is which of CUDA's."""
        try:
            busy = min(torch.cuda.utilization(device) for device in self._devices)
            heat = max(torch.cuda.temperature(device) for device in self._devices)
        except Exception:  # noqa: BLE001  no library or no answer: then there is no such number
            self._devices = ()
            return Found()
        return Found(scalars={"gpu/utilization_frac": busy / 100, "gpu/temperature_c": float(heat)})
