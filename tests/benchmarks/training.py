"""What the probe costs a training step.

The bar is on the CPU time of the hooks and of the sender. That of the hooks is measured by the probe itself, from the
entry of each to its end; that of the sender's thread and ZeroMQ's own is all that the process used beside the
training thread. Both over unbroken stretches of a second with the probe on.

What the step pays in all is more: torch's slower way of calling a module that has hooks, and caches that the training
finds colder. That is measured as a difference, and stands beside it.

Turns of some 20 ms without and with the probe alternate in one process and on the same tensors: the probe's hooks
are taken off and put on again, its sender and its recorder stay. The noise of a shared machine is slow against a
turn, so it falls on both sides: with two processes wanting each core, a switch with nothing behind it gave 0 within
0.7 % after 20 s, and turns five times as long twice that. A round is some tens of steps and gives one ratio; the
figure is the median over the rounds.
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

_TURN_S, _STRETCH_S, _STRETCHES = 0.02, 1.0, 7
#: A round ends after so many steps with the probe (and at least one of each kind), or so many seconds without it.
_ROUND_STEPS, _ROUND_S = 20, 0.7
_MIN_ROUNDS = 5
#: The budget has settled when it has been the same for so many steps, which are two of its windows.
_SETTLED_STEPS, _SETTLING_S = 100, 20.0

#: In a tuple, where the probe does not look for names of what it replaces.
_ORIGINALS = (torch.nn.functional.cross_entropy, torch.autograd.backward)


class Cost(NamedTuple):
    """Per step. ``share`` is that of hooks and sender, ``cpu`` the difference, both of the step's CPU time."""

    step_s: float
    hooks_s: float
    threads_s: float
    share: Figure
    cpu: Figure
    wall: Figure
    every_heavy: int


class Stretch(NamedTuple):
    """CPU seconds a step, over a second with the probe on."""

    training_s: float  # the training thread's, without the hooks
    hooks_s: float
    threads_s: float  # of all other threads

    @property
    def share(self) -> float:
        return (self.hooks_s + self.threads_s) / self.training_s


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
        self._attachments = run._line._attachments
        self.faults = run._line.watch.guard.faults

    def off(self) -> None:
        self._watch.save_begins()
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
        stretches = [stretch(training, run) for _ in range(_STRETCHES)]
        every_heavy = switch.steps.budget.every
        step_s = figure([each.training_s for each in stretches]).median
        threads_s = figure([each.threads_s for each in stretches]).median
        with only_what_a_step_calls():
            rounds = list(compare(training, switch, step_s, every, seconds))
        assert not switch.faults, switch.faults
    return Cost(
        step_s,
        figure([each.hooks_s for each in stretches]).median,
        threads_s,
        figure([each.share for each in stretches]),
        figure([each.cpu for each in rounds]).plus(threads_s / step_s),
        figure([each.wall for each in rounds]),
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


def stretch(training: Training, run: probe.Probe) -> Stretch:
    assert run._line is not None
    guard = run._line.watch.guard
    steps, end, thread_s, process_s = 0, time.monotonic() + _STRETCH_S, time.thread_time(), time.process_time()
    hooks_s = guard.cost_s
    while time.monotonic() < end:
        training.step()
        steps += 1
    hooks_s, thread_s, process_s = (
        guard.cost_s - hooks_s,
        time.thread_time() - thread_s,
        time.process_time() - process_s,
    )
    return Stretch((thread_s - hooks_s) / steps, hooks_s / steps, (process_s - thread_s) / steps)


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
        "training", "every", "step", "hooks", "sender", "of the step (95 %)", "bar", "", "heavy scalars every",
        "CPU time added in all (95 %)", "wall-clock ratio (95 %)",
    )  # fmt: skip
    return table(heads, rows)


def _row(name: str, every: int, cost: Cost) -> list[str]:
    bar = BARS[name] if every == 10 else None
    return [
        name,
        str(every),
        f"{1e3 * cost.step_s:.2f} ms",
        f"{1e6 * cost.hooks_s:.0f} µs",
        f"{1e6 * cost.threads_s:.0f} µs",
        f"{cost.share:.1%}",
        "" if bar is None else f"{bar:.0%}",
        "" if bar is None else verdict(cost.share.median, bar),
        str(cost.every_heavy),
        f"{cost.cpu:.1%}",
        f"{cost.wall:.3f}",
    ]
