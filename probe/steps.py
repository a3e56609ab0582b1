"""Completed steps become records. Which of them give more than each step gives is planned here, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from time import time
from typing import Any, NamedTuple

from torch import Tensor
from torch.optim import Optimizer

from probe.batch import Handed
from probe.budget import WINDOW, Budget
from probe.capture import Clock, Inspection, StepLosses
from probe.capture.stages import Stages
from probe.collectors import COLLECTORS, Clip, Moment, Subject, labels
from probe.collectors.gradients import total_norm
from probe.collectors.learning_rate import LearningRates
from probe.host import Number
from probe.records import StepRecord, accuracy

Say = Callable[[str, str | float | bool | None], None]


class Steps:
    """Counts the steps of the main optimizer, and asks the collectors about each.

    A step is *heavy* if the costly scalars are due, *detailed* if the layers are. Most steps of a fast training are
    neither: ``may_be_ordinary`` says that nothing but loss, learning rates and times is due. ``spent_s`` tells what
    the probe has cost so far.
    """

    def __init__(
        self, subject: Subject, clock: Clock, *, every: int, step: int, put: Callable[[Handed], None], say: Say,
        spent_s: Callable[[], float],
    ) -> None:  # fmt: skip
        self.step = step
        self.budget = Budget()
        self.heavy = self.detailed = self.may_be_ordinary = False  # of the step to come
        self.times_stages = False  # its forward pass, backward pass and optimizer are timed apart
        self.inspection = Inspection(subject, step, say)
        self.scaler: Any = None
        self.skipped = 0  # by AMP
        self.effective_lr: Mapping[str, Number] = {}  # what a step used of the groups that an intervention holds
        self.clips: list[Clip] = []
        self._subject, self._guard, self._clock = subject, subject.guard, clock
        self._every, self._put, self._say, self._spent_s = every, put, say, spent_s
        self._is_sharded = subject.is_sharded
        chosen = [each for each in COLLECTORS if not (each.reads_parameters and self._is_sharded)]
        self._collectors = [collector(subject) for collector in chosen]
        for collector in self._collectors:
            self._guard.rests_with(collector.name, collector.rest)
        self._guard.rests_with("step", self._rest)
        self._each_step = [collector for collector in self._collectors if not collector.is_detail]
        self._rates = next(collector for collector in self._collectors if isinstance(collector, LearningRates))
        self._is_alone = len(subject.optimizers) == 1
        self._labels_until = step + labels.FIRST_STEPS
        self._beside: dict[str, Number] = {}  # what further optimizers found since the last step
        self._counts: Tensor | None = None
        self._last_samples = 0
        self._window: _Account | None = None
        self._next_stop = 0  # the first step that may be more than ordinary
        self._plan()

    @cached_property
    def stages(self) -> Stages:
        """First asked for when a step is over, as is where the parameters are: a model may be moved until then."""
        return Stages.of(self._subject)

    @cached_property
    def _is_on_host(self) -> bool:
        return all(p.is_cpu for layer in self._subject.layers for p in layer.parameters)

    def close(self) -> None:
        for collector in self._collectors:
            self._guard.clear_up(collector.name, collector.close)

    def detail_until(self, step: int) -> None:
        """A person wants the layers of each step up to this one."""
        self.budget.detailed_until = step
        self._next_stop = 0

    # ------------------------------------------------------------------------------------------------ within a step

    def clip_begins(self, *, by_norm: bool) -> None:
        for collector in self._collectors:
            self._guard.attempt(collector.name, self._before_clip, collector, by_norm)

    def _before_clip(self, collector: Any, by_norm: bool) -> None:
        collector.before_clip(detailed=self.detailed, heavy=self.heavy, by_norm=by_norm)

    def begins(self) -> None:
        """The main optimizer is about to step."""
        if self.detailed:
            for collector in self._collectors:
                self._guard.attempt(collector.name, collector.before_step)

    # ------------------------------------------------------------------------------------------------- a step ends

    def ordinary_ends(self, loss: Number | None, samples: int, tokens: int) -> bool:
        """What is due at each step and no more, in as few strides as can be; whether the next was planned anew.

        A short step has little to hide behind: between two of them the training empties the caches, so that each
        line here costs four times what it does in a loop of its own.
        """
        self.step += 1
        scalars: dict[str, Any] = self._clock.completed(samples, tokens)
        if loss is not None:
            scalars["train/loss"] = loss
        self._rates.put(scalars, self.effective_lr)
        self._put((self.step, time(), scalars, "") if self._is_on_host else StepRecord(self.step, time(), scalars))
        if self.step + 1 < self._next_stop:
            return False
        self._plan()
        return True

    def beside_ends(self, optimizer: Optimizer, losses: StepLosses) -> None:
        """A further optimizer has stepped: its numbers go with the next step of the main one."""
        name = next(name for name, other in self._subject.optimizers.items() if other is optimizer)
        if losses.loss is not None:
            self._beside[f"train/loss/{name}"] = losses.loss
        if self.heavy and not self._is_sharded and (norm := total_norm(optimizer)) is not None:
            self._beside[f"grad/norm/{name}"] = norm
        self.clips.clear()

    def ends(self, losses: StepLosses) -> None:
        """The main optimizer has stepped."""
        self.step += 1
        times = self._clock.completed(losses.samples, losses.tokens)
        moment = Moment(
            self.step,
            heavy=self.heavy,
            detailed=self.detailed,
            clips=tuple(self.clips),
            scaler=self.scaler,
            effective_lr=self.effective_lr,
            skipped=self.skipped,
            scalars={**_terms(losses), **times, **self._beside},
        )
        self.clips.clear()
        self._beside.clear()
        self._collect(moment)
        counts = self._take_counts(losses, moment)
        self._put(StepRecord(self.step, time(), moment.scalars, moment.readings, counts))
        if losses.samples:
            self._say_batch_size(losses.samples)
        self._plan()

    def _collect(self, moment: Moment) -> None:
        if self.times_stages:
            moment.readings.append(self.stages.take())
        if moment.detailed or self.inspection.is_due:
            self._guard.attempt("inspection", self.inspection.step_ends, moment)
        for collector in self._collectors if moment.detailed else self._each_step:
            self._guard.attempt(collector.name, collector.collect, moment)

    def _take_counts(self, losses: StepLosses, moment: Moment) -> dict[str, Tensor]:
        counts = losses.counts
        if counts is not None:
            moment.readings.append(accuracy("train/accuracy", counts))
            if moment.detailed or self.step <= self._labels_until:
                moment.readings.append(labels.label_mixture(counts))
            so_far = self._counts
            self._counts = counts if so_far is None or so_far.shape != counts.shape else so_far + counts
        if not moment.detailed or self._counts is None:
            return {}
        taken, self._counts = self._counts, None
        return {"train": taken}

    def _say_batch_size(self, samples: int) -> None:
        """Once two steps in a row have the same; the ragged end of an epoch is not it."""
        if samples == self._last_samples:
            self._say("batch_size", samples)
        self._last_samples = samples

    # ------------------------------------------------------------------------------------------------ the next step

    def _plan(self) -> None:
        self._account()
        step = self.step + 1
        self.heavy = self.budget.is_heavy(step)
        was_detailed, self.detailed = self.detailed, self.budget.is_detailed(step, self._every)
        # Not the detailed step itself, which the look at its layers makes longer.
        self.times_stages = was_detailed and self.stages.are_measurable
        self.inspection.plan(step)
        is_more = self.heavy or self.detailed or self.times_stages or self.inspection.is_due
        self.may_be_ordinary = self._is_alone and self.scaler is None and not is_more
        self._next_stop = min(
            self.budget.next_after(step, self._every), self.inspection.next_after(step), self.step + WINDOW
        )
        if self.detailed:
            for collector in self._collectors:
                self._guard.attempt(collector.name, collector.prepare)
        elif was_detailed:
            self._rest()

    def _rest(self) -> None:
        for collector in self._collectors:
            self._guard.clear_up(collector.name, collector.rest)

    def _account(self) -> None:
        """At the end of a window: what the probe has cost. The first step has no time: it began unseen."""
        last = self._window
        trained_s, evaluated_s = self._clock.trained_s, self._clock.evaluated_s
        if last is not None and not self.budget.is_window(self.step - last.step, trained_s - last.trained_s):
            return
        self._window = _Account(self.step, self._spent_s(), trained_s, evaluated_s)
        if last is None or last.step < self.budget.detailed_until:  # what a person asked for is not counted
            return
        steps, cost_s, trained_s, evaluated_s = (now - then for now, then in zip(self._window, last, strict=True))
        if self.budget.judge(cost_s, trained_s, evaluated_s, int(steps)):
            self._say("every_heavy", self.budget.every)


class _Account(NamedTuple):
    """Up to a step: what the probe has cost, and how long training and evaluations took, in seconds."""

    step: int
    cost_s: float
    trained_s: float
    evaluated_s: float


def _terms(losses: StepLosses) -> dict[str, Number]:
    """``train/loss``, and each term beside it that is not the whole of it: the twin of a ``val/NAME``."""
    found: dict[str, Number] = {} if losses.loss is None else {"train/loss": losses.loss}
    for term, value in losses.parts.items():
        if term != losses.term:
            found.setdefault(f"train/{term.name}", value)
    return found
