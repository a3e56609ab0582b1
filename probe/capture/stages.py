"""What the seconds of a step were spent on: forward pass, backward pass, optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any, Final, NamedTuple

import torch

from probe.collectors import Subject
from probe.host import Found, Reading

FORWARD: Final = "time/forward_s"
BACKWARD: Final = "time/backward_s"
OPTIMIZER: Final = "time/optimizer_s"

#: Stretches that one step may have; a step of more micro-batches than that is not measured.
_MAX_STRETCHES = 1024


class Stages:
    """The stretches of one step, by the host's clock: two reads of it for each.

    Forward is the root module's own pass with gradients, without the loss behind it. A closure runs forward and
    backward inside ``optimizer.step``, so those are taken out of the optimizer's time.
    """

    #: Not on an accelerator other than CUDA, whose work the host's clock does not see.
    are_measurable = True

    def __init__(self) -> None:
        self._began: dict[str, Any] = {}
        self._stretches: list[_Stretch] = []

    @staticmethod
    def of(subject: Subject) -> Stages:
        """As they can be measured where the parameters of a training are."""
        if subject.cuda_devices:
            return CudaStages()
        stages = Stages()
        stages.are_measurable = all(p.device.type == "cpu" for p in subject.model.parameters())
        return stages

    def begins(self, stage: str) -> None:
        self._began[stage] = self._now()

    def ends(self, stage: str) -> None:
        began = self._began.pop(stage, None)
        if began is not None and len(self._stretches) <= _MAX_STRETCHES:
            self._stretches.append(_Stretch(stage, began, self._now(), OPTIMIZER in self._began))

    def take(self) -> Reading:
        """The seconds of the step that is complete now; a new step begins."""
        stretches, self._stretches, self._began = self._stretches, [], {}
        return Reading([], lambda _: self._sums(stretches))

    def _sums(self, stretches: Sequence[_Stretch]) -> Found:
        """In the sender's thread, when the step's other numbers have arrived."""
        if len(stretches) > _MAX_STRETCHES:
            return Found()
        spent_s: dict[str, float] = {}
        for stage, began, ended, is_inside in stretches:
            seconds = self._seconds(began, ended)
            if seconds is None:
                return Found()
            spent_s[stage] = spent_s.get(stage, 0.0) + seconds
            if is_inside:
                spent_s[OPTIMIZER] = spent_s.get(OPTIMIZER, 0.0) - seconds
        return Found(scalars=spent_s)

    def _now(self) -> Any:
        return perf_counter()

    def _seconds(self, began: Any, ended: Any) -> float | None:
        elapsed: float = ended - began
        return elapsed


class CudaStages(Stages):
    """The same by events on the CUDA stream, which are read when they have passed.

    The host's clock would only measure how long the work took to be queued.
    """

    def _now(self) -> Any:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def _seconds(self, began: Any, ended: Any) -> float | None:
        # Not yet passed, where the step's numbers came over another stream: left out rather than waited for.
        return began.elapsed_time(ended) / 1000 if ended.query() else None


class _Stretch(NamedTuple):
    stage: str
    began: Any
    ended: Any
    is_inside: bool  # the optimizer's step
