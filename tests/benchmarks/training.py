"""What the probe adds to a training step.

Turns of some 20 ms without and with the probe alternate in one process and on the same tensors: the probe's hooks
are taken off and put on again, its sender and its recorder stay. The noise of a shared machine is slow against a
turn, so it falls on both sides: with two processes wanting each core, a switch with nothing behind it gave 0 within
0.7 % after 20 s, and turns five times as long twice that. A round is some tens of steps and gives one ratio; the
figure is the median over the rounds.

The CPU time of the training thread (``thread_time``) is compared in this way. That of the other threads, the sender's
and ZeroMQ's own, needs no comparison: it is all that the process used beside the training thread (``process_time``)
over an unbroken stretch with the probe on.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from unittest import mock

import torch
from figures import Figure, figure, say, table, verdict
from workloads import WORKLOADS, Training

import probe
from probe.hooks import patches
from probe.probe import roots_of

#: The share of a step's CPU time that the probe may take at its defaults, where ``every`` is 10.
BARS = {"MLP": 0.03, "small CNN": 0.01, "ResNet-18": 0.01, "transformer": 0.01}

_TURN_S, _UNBROKEN_S = 0.02, 3.0
#: A round ends after so many steps with the probe (and at least one of each kind), or so many seconds without it.
_ROUND_STEPS, _ROUND_S = 20, 0.7
_MIN_ROUNDS = 5
#: The budget has settled when it has been the same for so many steps, which are two of its windows.
_SETTLED_STEPS, _SETTLING_S = 100, 20.0

#: In a tuple, where the probe does not look for names of what it replaces.
_ORIGINALS = (torch.nn.functional.cross_entropy, torch.autograd.backward)


class Cost(NamedTuple):
    """Per step. ``own_share`` is what the probe's heartbeat says of itself."""

    step_s: float
    threads_s: float
    cpu: Figure
    wall: Figure
    own_share: float
    every_heavy: int


class Round(NamedTuple):
    plain_s: float  # CPU time of the training thread a step, without the probe
    cpu: float  # what the hooks add to it, as a share
    wall: float  # wall time with the probe over that without


class Switch:
    """The hooks of a probe, off and on again, while its sender runs on and its clock stands still.

    That reaches into the probe, so ``off`` makes sure that nothing of it is left.
    """

    def __init__(self, run: probe.Probe, training: Training) -> None:
        assert run._line is not None
        self._training, self._watch, self.steps = training, run._line.watch, run._line.watch.steps
        self._attachments, self._control = run._line._attachments, run._line._control
        self.faults = run._line.watch.guard.faults

    def off(self) -> None:
        self._watch.save_begins()
        self._control.remove()
        self._attachments.remove()
        for collector in self.steps._collectors:
            collector.rest()
        model, optimizer = self._training.model, self._training.optimizer
        assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
        assert not (optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks)
        assert (torch.nn.functional.cross_entropy, torch.autograd.backward) == _ORIGINALS

    def on(self) -> None:
        roots = roots_of(self._training.model)
        self._attachments.put_on(roots, [self._training.optimizer], None)
        self._control.put_on(roots)
        if self.steps.detailed:
            for collector in self.steps._collectors:
                collector.prepare()
        self._watch.save_ends()


class Side:
    """The steps without the probe, or those with it: what they took in all the turns of a round."""

    def __init__(self, training: Training) -> None:
        self._step = training.step
        self.steps, self.cpu_s, self.wall_s = 0, 0.0, 0.0

    def turn(self, steps: int) -> None:
        self._step()  # not counted: after the switch the caches are cold
        wall_s, cpu_s = time.perf_counter(), time.thread_time()
        for _ in range(steps):
            self._step()
        self.cpu_s += time.thread_time() - cpu_s
        self.wall_s += time.perf_counter() - wall_s
        self.steps += steps


def measure(name: str, every: int, seconds: float) -> Cost:
    torch.manual_seed(0)
    training = WORKLOADS[name]()
    with probe.attach(training.model, training.optimizer, name="bench", every=every) as run:
        switch = Switch(run, training)
        settle(training, switch)
        step_s, threads_s = unbroken(training)
        own_share, every_heavy = switch.steps.budget.cost_share, switch.steps.budget.every
        with only_what_a_step_calls():
            rounds = list(compare(training, switch, step_s, every, seconds))
        assert not switch.faults, switch.faults
    plain_s = figure([each.plain_s for each in rounds]).median
    return Cost(
        plain_s,
        threads_s,
        figure([each.cpu for each in rounds]).plus(threads_s / plain_s),
        figure([each.wall for each in rounds]),
        own_share,
        every_heavy,
    )


def settle(training: Training, switch: Switch) -> None:
    """Train until the budget has found its pace; the recorder starts meanwhile."""
    deadline = time.monotonic() + _SETTLING_S
    every, since = 0, 0
    while since < _SETTLED_STEPS and time.monotonic() < deadline:
        training.step()
        since += 1
        if switch.steps.budget.every != every:
            every, since = switch.steps.budget.every, 0


def unbroken(training: Training) -> tuple[float, float]:
    """Seconds a step, and the CPU seconds a step of all threads but this one."""
    steps, begin, threads_s = 0, time.monotonic(), time.process_time() - time.thread_time()
    while (passed_s := time.monotonic() - begin) < _UNBROKEN_S:
        training.step()
        steps += 1
    return passed_s / steps, (time.process_time() - time.thread_time() - threads_s) / steps


def compare(training: Training, switch: Switch, step_s: float, every: int, seconds: float) -> Iterator[Round]:
    """Rounds of turns. Their lengths are drawn, so that no turn keeps time with what the probe does each N steps."""
    draw = random.Random(0)
    about = max(2, round(_TURN_S / step_s))
    end = time.monotonic() + seconds
    for rounds in itertools.count():
        if rounds >= _MIN_ROUNDS and time.monotonic() > end:
            break
        plain, probed = Side(training), Side(training)
        while probed.steps < max(_ROUND_STEPS, every) and plain.wall_s < _ROUND_S:
            steps = draw.randint(about // 2, about + about // 2)
            switch.off()
            plain.turn(steps)
            switch.on()
            probed.turn(steps)
        yield Round(plain.cpu_s / plain.steps, probed.cpu_s / plain.cpu_s - 1, probed.wall_s / plain.wall_s)


@contextmanager
def only_what_a_step_calls() -> Iterator[None]:
    """Patch functions of torch only where the steps here look them up: a look into all modules takes 20 ms."""
    namespaces = [vars(torch.nn.functional), vars(torch.autograd)]
    with mock.patch.object(patches, "module_namespaces", return_value=namespaces):
        yield


def report(seconds: float, everies: Sequence[int]) -> str:
    rows = []
    for name in WORKLOADS:
        for every in everies:
            say(f"{name}, every={every}")
            rows.append(_row(name, every, measure(name, every, seconds)))
    heads = (
        "training", "every", "step", "CPU time added", "of it in other threads", "CPU time added, of the step (95 %)",
        "bar", "", "by its own measure", "heavy scalars every", "wall-clock ratio (95 %)",
    )  # fmt: skip
    return table(heads, rows)


def _row(name: str, every: int, cost: Cost) -> list[str]:
    bar = BARS[name] if every == 10 else None
    return [
        name,
        str(every),
        f"{1e3 * cost.step_s:.2f} ms",
        f"{1e6 * cost.cpu.median * cost.step_s:.0f} µs",
        f"{1e6 * cost.threads_s:.0f} µs",
        f"{cost.cpu:.1%}",
        "" if bar is None else f"{bar:.0%}",
        "" if bar is None else verdict(cost.cpu.median, bar),
        f"{cost.own_share:.1%}",
        str(cost.every_heavy),
        f"{cost.wall:.3f}",
    ]
