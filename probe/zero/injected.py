"""What ``bedside attach`` and ``bedside detach`` do inside the process: in a thread of their own, which then ends."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any

from torch.optim import Optimizer
from torch.utils.data import get_worker_info

from probe import job
from probe import probe as probe_module
from probe.errors import ProbeError
from probe.probe import Probe
from probe.rates import describe, in_force
from probe.wire import Phase
from probe.zero.boundary import StepEnd, is_stepping
from probe.zero.clip import clip_on
from probe.zero.discover import Found, Training, find, steps_done
from probe.zero.first_step import FirstStep
from probe.zero.loading import Lent

_log = logging.getLogger("probe")

Say = Callable[..., None]


@dataclass
class _Here:
    """What is in force in this process, and is to be taken back."""

    waiting: FirstStep | StepEnd | None = None
    lent: Lent | None = None

    def borrow(self, lent: Lent) -> None:
        """Keep what was lent with the first command; a second one lends the same."""
        if self.lent is None:
            self.lent = lent
        else:
            lent.take_back()

    def give_back(self) -> None:
        if self.lent is not None:
            self.lent.take_back()
            self.lent = None


_here = _Here()
#: One command at a time.
_turn = threading.Lock()


def serve(request: dict[str, Any], say: Say, lent: Lent) -> None:
    """Do what the command asked for, and tell it."""
    with _turn:
        _here.borrow(lent)
        try:
            (detach if request["do"] == "detach" else attach)(request, say)
        except ProbeError as error:
            say(refused=str(error))
        if _here.waiting is None and _on_here() is None:
            _here.give_back()


def _on_here() -> Probe | None:
    """The probe that is on, if one is."""
    return next((run for line, run in probe_module._attached if line.is_open), None)


# --------------------------------------------------------------------------------------------------------- attach


def attach(request: dict[str, Any], say: Say) -> None:
    """Put a probe on what is trained here, or have one wait for it."""
    if (run := _on_here()) is not None:
        say(attached=run.run_id, name=run.name, already=True)
        return
    if _here.waiting is not None:
        say(waiting="a probe waits there already for the end of a step")
        return
    if get_worker_info() is not None:
        raise ProbeError(f"it is a worker of a DataLoader; attach to the process that started it, {os.getppid()}")
    found = find()
    if not found.trainings:
        first = _here.waiting = FirstStep()
        first.wait()
        say(waiting="nothing is trained there yet; a probe waits for the first step")
    elif not (chosen := _chosen(found.trainings, request["models"])):
        say(candidates=[str(training) for training in found.trainings])
    else:
        job.settle()
        _put_on(chosen, found, request, say)


def _chosen(trainings: Sequence[Training], names: Sequence[str]) -> list[Training]:
    """Those that are named; without a name the only one."""
    if not names:
        return list(trainings) if len(trainings) == 1 else []
    chosen = [training for training in trainings if training.name in names]
    return chosen if len(chosen) == len(set(names)) else []


def _put_on(trainings: list[Training], found: Found, request: dict[str, Any], say: Say) -> None:
    """At the end of the step under way; and tell how that went, if it ends soon."""
    news: dict[str, Any] = {}
    done = threading.Event()

    def put_on(main: Optimizer) -> None:
        began = perf_counter()
        try:
            run = clip_on(trainings, main, name=request["name"])
            run.mark("attached to the running training; its earlier steps are not known")
            news.update(attached=run.run_id, name=run.name, step=steps_done(main), pause_s=perf_counter() - began)
        except Exception as error:  # noqa: BLE001  whatever it is, the training goes on
            news.update(refused=f"{type(error).__name__}: {error}")
        _here.waiting = None
        done.set()

    end = _here.waiting = StepEnd(
        _one_of([o for training in trainings for o in training.optimizers.values()]), put_on
    )
    end.wait()
    say(found=" and ".join(map(str, trainings)), beside=list(found.beside), where=found.where)
    if not done.wait(request["patience_s"]):
        say(waiting="no step has ended yet; the probe is put on at the end of the one under way")
    else:
        say(**news)


# --------------------------------------------------------------------------------------------------------- detach


def detach(request: dict[str, Any], say: Say) -> None:
    """Take off every probe, and have none wait. What has gathered is sent in this thread, while training goes on."""
    was_waiting, _here.waiting = _here.waiting, None
    if isinstance(was_waiting, FirstStep):
        was_waiting.stop()
    elif was_waiting is not None:
        was_waiting.cancel()
    attached = [(line, run) for line, run in probe_module._attached if line.is_open]
    lines = [line for line, _ in attached]
    rates = [describe(settings) for line in lines if (settings := in_force(line.subject.main))]
    is_held = any(line.watch.phase == Phase.PAUSED for line in lines)
    pause_s = _take_off(lines, 0.0 if is_held else request["patience_s"]) if attached else 0.0
    for line in lines:
        line.say_goodbye("detached")
    job.leave()
    say(
        detached=[run.run_id for _, run in attached],
        step=max((line.watch.step for line in lines), default=0),
        rates=rates,
        held=is_held,
        waiting=was_waiting is not None,
        pause_s=pause_s,
    )


def _take_off(lines: list[Any], patience_s: float) -> float:
    """At the end of a step; where none comes, as soon as none is under way. Returns the seconds that it took."""
    done = threading.Event()
    spent_s = []

    def take_off(_optimizer: Optimizer | None = None) -> None:
        began = perf_counter()
        try:
            for line in lines:
                line.take_off()
        except Exception as error:  # noqa: BLE001  whatever it is, the training goes on
            _log.warning("Bedside could not take its probe off as it should (%s). Training goes on.", error)
        spent_s.append(perf_counter() - began)
        done.set()

    end = StepEnd(_one_of([o for line in lines for o in line.subject.optimizers.values()]), take_off)
    end.wait()
    deadline = monotonic() + patience_s
    while not done.wait(0.02):
        if monotonic() > deadline and not is_stepping() and end.cancel():
            take_off()
    return spent_s[0]


def _one_of(optimizers: Sequence[Optimizer]) -> Callable[[Optimizer], bool]:
    return lambda optimizer: any(optimizer is other for other in optimizers)
