"""The run so far, in constant memory: what becomes the rules' signals and their :class:`RunContext`."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import PurePath
from typing import Final

import numpy as np

from monitor import rows
from monitor.engine.course import Course
from monitor.engine.guess import CLASSIFICATION, Guess, guess_from
from monitor.engine.levels import BLOCK, LossLevels
from monitor.engine.schedule import LearningRate
from monitor.engine.series import Column, Series, Table
from monitor.engine.targets import Targets
from monitor.model import Floats, Hello, Steps
from monitor.rules import Gate, RunContext, Signal
from monitor.rules.statistics import median
from probe.wire import Batch, ClassCounts, Fact, LayerStats, Mark

#: The rows by which it is known how far apart they are, and from how many steps on they are coarse.
EARLY: Final = 64
COARSE_STRIDE: Final = 10
#: How long a schedule's rise of the learning rate, a marked change or a resumption excuses the loss, in steps.
EXCUSED_STEPS: Final = 100
#: The probe keeps so many checkpoints of a run.
KEPT_CHECKPOINTS: Final = 3
LAYER_STATS: Final = ("update_ratio", "grad_norm", "dead_frac", "saturated_frac", "act_std")
#: The signals that are a series of the wire as it is.
SERIES: Final = {
    "grad_norm": "grad/norm",
    "grad_norm_applied": "grad/norm_applied",
    "accuracy": "train/accuracy",
    "amp_scale": "amp/scale",
    "amp_skipped": "amp/skipped_total",
    "step_s": "time/step_s",
    "data_s": "time/data_s",
    "samples_per_s": "rate/samples_per_s",
    "tokens_per_s": "rate/tokens_per_s",
    "input_mean": "input/mean",
    "input_std": "input/std",
    "input_std_ratio": "input/std_ratio",
    "labels_entropy": "labels/entropy",
    "rss_bytes": "memory/rss_bytes",
    "allocated_bytes": "memory/allocated_bytes",
}
#: Those whose whole run is kept as well, as ``NAME_course``, and of how many points the median is.
COURSES: Final = {"samples_per_s": 16, "tokens_per_s": 16, "rss_bytes": 1, "allocated_bytes": 1}


class RunState:
    """Takes in batches and advances through them. What it gives out ends at the point it was advanced to."""

    def __init__(self) -> None:
        self.loss = Series()  # finite values only
        self.levels = LossLevels(self.loss)
        self.raw_loss = Series()
        self.lr = Series()
        self.times_s = Series()  # of the rows with a loss
        self.series = {name: Series() for name in (*SERIES, "loss_term")}
        self.columns = {
            name: Column() for name in ("val_loss", "train_level", "val_accuracy", "train_accuracy", "val_hit")
        }
        self.tables = {name: Table() for name in (*LAYER_STATS, "val_recall", "val_total", "val_predicted")}
        self.courses = {f"{name}_course": Course(self.series[name], block) for name, block in COURSES.items()}
        self.step = 0
        self._steps: Steps = np.zeros(0, np.int64)  # of the rows of this batch
        self._rows = 0  # of this batch, that were advanced through: the newest points are there
        self.schedule = LearningRate()
        self._ends: dict[str, int] = {"loss": 0, "raw_loss": 0, "lr": 0}
        self._finite: Steps | None = None  # finite losses of this batch up to each row, where some are not
        self._accuracy_level, self._accuracy_at_best = math.nan, math.nan
        self._facts: Mapping[str, str | float | int | bool | None] = {}
        self._fact_steps: Mapping[str, int] = {}
        self._targets = Targets()
        self._layers: tuple[str, ...] = ()
        self._layer_sizes: tuple[int, ...] = ()
        self._layer_kinds: tuple[str, ...] = ()
        self._trainable: tuple[bool, ...] = ()
        self._total_steps: int | None = None
        self._classes: tuple[str, ...] = ()
        self._bad_layers: tuple[str, ...] = ()
        self._update_ratio: float | None = None
        self._guess = Guess()
        self._guessed_from: tuple[object, object] = (None, None)
        self._switched_at: int | None = None
        self._checkpoints: deque[tuple[int, str]] = deque(maxlen=KEPT_CHECKPOINTS)
        self._uses_amp = False
        self._terms: list[str] = []  # series of the losses that the training loss is made of
        self._evaluations, self._evaluated_at, self._evaluated_step = 0, 0, 0
        self._val_best, self._val_best_step, self._train_at_best = math.nan, 0, math.nan
        self._val_first, self._val_accuracy_best = math.nan, math.nan

    # -------------------------------------------------------------------------------------------- taking a batch in

    def hello(self, hello: Hello) -> None:
        self._layers = tuple(layer.name for layer in hello.layers)
        self._layer_sizes = tuple(layer.parameters for layer in hello.layers)
        self._layer_kinds = tuple(layer.kind for layer in hello.layers)
        self._trainable = tuple(layer.trainable for layer in hello.layers)
        self._total_steps = hello.total_steps
        self._classes = tuple(hello.classes)

    def take(self, batch: Batch) -> tuple[Steps, Floats]:
        """Append a batch's columns; returns the steps and values of its training losses."""
        index, values = rows.column_of(batch, "train/loss")
        self._steps = rows.steps_of(batch)
        steps = self._steps[index]
        finite = np.isfinite(values)
        self._finite = None if finite.all() else np.cumsum(finite)
        self.raw_loss.append(steps, values, index)
        self.times_s.append(steps, rows.times_of(batch)[index], index)
        points = (steps, values, index)
        self.loss.append(*(points if self._finite is None else (column[finite] for column in points)))
        self.levels.take()
        for name, key in SERIES.items():
            if key in batch.scalars:
                self._take_series(self.series[name], batch, key)
        for course in self.courses.values():
            course.take()
        self._take_learning_rate(batch)
        self._targets.take(batch)
        self._uses_amp = self._uses_amp or "amp/scale" in batch.scalars
        self._take_terms(batch)
        return steps, values

    def _take_series(self, series: Series, batch: Batch, key: str) -> None:
        index, values = rows.column_of(batch, key)
        series.append(self._steps[index], values, index)

    def settle(self) -> None:
        """The batch has been judged."""
        for series in (self.loss, self.raw_loss, self.lr, self.times_s, *self.series.values()):
            series.settle()
        self._targets.settle()

    def _take_learning_rate(self, batch: Batch) -> None:
        """The largest learning rate of all groups; of the first group only, if they were not recorded together."""
        keys = [key for key in batch.scalars if key.startswith("lr/")]
        if not keys:
            return
        columns = [rows.column_of(batch, key) for key in sorted(keys)]
        index, values = columns[0]
        if all(len(other) == len(values) for _, other in columns):
            values = np.max([values for _, values in columns], axis=0)
        self.lr.append(self._steps[index], values, index)

    def _take_terms(self, batch: Batch) -> None:
        """The first of the terms, where the training loss is not one loss as it is."""
        self._terms += sorted(key for key in batch.scalars if _is_term(key) and key not in self._terms)
        if self._terms and self._terms[0] in batch.scalars:
            self._take_series(self.series["loss_term"], batch, self._terms[0])

    # ------------------------------------------------------------------------------------- advancing in the batch

    def advance(self, step: int, loss_end: int) -> None:
        """Go to ``step``, whose newest loss is the one before position ``loss_end``."""
        self.step = max(step, self.step)
        self._rows = int(self._steps.searchsorted(step, "right"))
        ends = self._ends
        ends["raw_loss"] = loss_end
        ends["loss"] = self._finite_end(loss_end)
        ends["lr"] = self.lr.upto(self._rows)
        for course in self.courses.values():
            course.advance(step)
        if ends["lr"]:
            self.schedule.see(self.lr.before(ends["lr"], 64).values, loss_end)
        if loss_end <= EARLY:
            self.levels.is_coarse = self._has_coarse_rows(loss_end)
        for is_best in self.levels.advance(ends["loss"]):
            self._see_block(is_best)

    @property
    def is_coarse(self) -> bool:
        """Whether a row is not a step; known once there are a few."""
        return self.levels.is_coarse

    def _has_coarse_rows(self, loss_end: int) -> bool:
        """Whether a row stands for many steps, or for an epoch with its evaluation."""
        steps = self.raw_loss.before(loss_end, EARLY).steps
        if len(steps) < 2:
            return False
        is_evaluated = len(steps) > 3 and 2 * self._evaluations >= len(steps)
        return is_evaluated or bool(steps[-1] - steps[0] >= COARSE_STRIDE * (len(steps) - 1))

    def _finite_end(self, loss_end: int) -> int:
        if self._finite is None:
            return len(self.loss) - (len(self.raw_loss) - loss_end)
        before = len(self.loss) - int(self._finite[-1])
        seen = loss_end - (len(self.raw_loss) - len(self._finite))
        return before + (int(self._finite[seen - 1]) if seen > 0 else 0)

    def _see_block(self, is_best: bool) -> None:
        """A block of losses is over."""
        self._accuracy_level = median(self.series["accuracy"].newest(self._rows, BLOCK).values)
        if is_best or math.isnan(self._accuracy_at_best):
            self._accuracy_at_best = self._accuracy_level

    # ------------------------------------------------------------------------------------------- the rarer things

    def fact(self, fact: Fact) -> None:
        self._facts = {**self._facts, fact.name: fact.value}  # the contexts given out keep the old ones
        self._fact_steps = {**self._fact_steps, fact.name: fact.step}

    def mark(self, mark: Mark) -> None:
        if mark.kind in ("user", "resume"):
            self._switched_at = self._ends["raw_loss"]
        if path := mark.applied.get("path"):
            self._checkpoints.append((mark.step, PurePath(str(path)).name))

    def layers(self, stats: LayerStats) -> None:
        tables = {key: rows.layer_values(column, len(self._layers)) for key, column in stats.stats.items()}
        for name in LAYER_STATS:
            if name in tables:
                self.tables[name].append(stats.step, np.where(np.isfinite(tables[name]), tables[name], np.nan))
        self._update_ratio = self._newest_update_ratio()
        bad = [rows.layer_points(column, len(self._layers)) for column in stats.stats.values()]
        at_fault = sorted({int(i) for index, values in bad for i in index[~np.isfinite(values)]})
        self._bad_layers = tuple(self._layers[i] for i in at_fault if i < len(self._layers))

    def val_classes(self, counts: ClassCounts) -> None:
        correct, total, predicted = rows.counts_of(counts)
        if not total.sum():
            return
        with np.errstate(invalid="ignore", divide="ignore"):
            self.tables["val_recall"].append(counts.step, correct / total)
        self.tables["val_total"].append(counts.step, total.astype(np.float64))
        self.tables["val_predicted"].append(counts.step, predicted / max(predicted.sum(), 1))
        self.columns["val_hit"].append(counts.step, float(correct.sum() / total.sum()))

    def evaluation(self, step: int, val_loss: float | None, val_accuracy: float | None) -> None:
        """One evaluation, with the training levels since the last one. A value that it lacks is None."""
        end = self._ends["loss"]
        since = min(max(end - self._evaluated_at, 1), 64)
        level = median(self.loss.before(end, since).values)
        accuracies = self.series["accuracy"].newest(self._rows, since)  # they may come more seldom than losses
        is_new = accuracies.steps > self._evaluated_step
        accuracy = median(accuracies.values[is_new] if is_new.any() else accuracies.values[-1:])
        self._evaluated_at, self._evaluated_step = end, step
        self._evaluations += 1
        row = {"val_loss": val_loss, "train_level": level, "val_accuracy": val_accuracy, "train_accuracy": accuracy}
        for name, value in row.items():
            if value is not None:
                self.columns[name].append(step, value)
        if val_loss is not None and math.isfinite(val_loss):
            if math.isnan(self._val_first):
                self._val_first = val_loss
            if not val_loss >= self._val_best:
                self._val_best, self._val_best_step, self._train_at_best = val_loss, step, level
        if val_accuracy is not None and not val_accuracy <= self._val_accuracy_best:
            self._val_accuracy_best = val_accuracy

    # ----------------------------------------------------------------------------------------------- what rules see

    @property
    def points(self) -> int:
        """Training losses up to here."""
        return self._ends["raw_loss"]

    @property
    def time_s(self) -> float:
        """When the newest training loss was recorded."""
        return self.times_s.value_before(self.points) if self.points else 0.0

    def newest_loss_is_finite(self) -> bool:
        return math.isfinite(self.raw_loss.value_before(self.points))

    def gates(self) -> Gate:
        """The situations that hold now."""
        points, gates = self.points, Gate.NONE
        optimizers = self._facts.get("optimizers")
        if isinstance(optimizers, int) and optimizers > 1:
            gates |= Gate.ADVERSARIAL
        if points < 2 * self.schedule.peak_at:
            gates |= Gate.WARM_UP
        if self.schedule.risen_at is not None and points - self.schedule.risen_at < EXCUSED_STEPS:
            gates |= Gate.LR_RISE
        if self._switched_at is not None and points - self._switched_at < EXCUSED_STEPS:
            gates |= Gate.SWITCH
        return gates

    def source(self, name: str, n: int, *, raw: bool) -> Callable[[], Signal]:
        """What gives the newest points of a signal, by the name that rules use, at every look."""
        ends = self._ends
        if name in ("loss", "lr"):
            key = "raw_loss" if raw and name == "loss" else name
            series = {"loss": self.loss, "raw_loss": self.raw_loss, "lr": self.lr}[key]
            return lambda: series.before(ends[key], n)
        if name in self.series:
            newest = self.series[name].newest if raw else self.series[name].newest_finite
            return lambda: newest(self._rows, n)
        if name == "loss_trail":
            return partial(self._loss_trail, n)
        for stores in (self.courses, self.columns):
            if name in stores:
                return partial(stores[name].newest, n)
        return partial(self.tables[name.removeprefix("layer_")].newest, n)

    def _loss_trail(self, n: int) -> Signal:
        is_short = self.is_coarse and self._ends["loss"] <= n
        return self.loss.before(self._ends["loss"], n) if is_short else self.levels.trail.newest(n)

    def context(self) -> RunContext:
        targets = self._targets.upto(self.step)
        guess = self._guess_from(targets)
        accuracy = None if math.isnan(self._accuracy_level) else self._accuracy_level
        return RunContext(
            step=self.step,
            points=self.points,
            is_coarse=self.is_coarse,
            start=self.levels.start,
            level=self.levels.level,
            best=self.levels.best,
            best_step=self.levels.best_step,
            noise=self.levels.noise,
            trivial=guess.trivial,
            objective=str(self._facts.get("objective") or "other"),
            facts=self._facts,
            fact_steps=self._fact_steps,
            total_steps=self._total_steps,
            chance=guess.chance,
            targets=targets,
            is_sum=bool(self._terms),
            accuracy=accuracy,
            majority=guess.majority,
            lr=self.schedule.now,
            lr_peak=self.schedule.peak,
            lr_low_points=self.schedule.low_points(self.points),
            update_ratio=self._update_ratio,
            evaluations=self._evaluations,
            val_best=self._val_best,
            val_best_step=self._val_best_step,
            val_first=self._val_first,
            train_at_best=self._train_at_best,
            val_accuracy_best=self._val_accuracy_best,
            layers=self._layers,
            layer_sizes=self._layer_sizes,
            layer_kinds=self._layer_kinds,
            trainable=self._trainable,
            classes=self._classes,
            bad_layers=self._bad_layers,
            uses_amp=self._uses_amp,
            metric_improves=self._metric_improves(),
            checkpoints=tuple(self._checkpoints),
        )

    def _metric_improves(self) -> bool:
        """Whether the accuracy or reward is better than at the best loss: then the loss is not what is optimised.

        In a classification the loss is, and a rise of it is one.
        """
        if self._facts.get("objective") in CLASSIFICATION:
            return False
        return self._accuracy_level > self._accuracy_at_best + 0.05 * abs(self._accuracy_at_best)

    def _guess_from(self, targets: Steps) -> Guess:
        if targets is not self._guessed_from[0] or self._facts is not self._guessed_from[1]:
            self._guess = guess_from(targets, self._facts, len(self._classes))
            self._guessed_from = targets, self._facts
        return self._guess

    def _newest_update_ratio(self) -> float | None:
        newest = self.tables["update_ratio"].newest(5).values
        if not newest.size or not np.isfinite(newest).any(axis=0).any():
            return None
        known = newest[:, np.isfinite(newest).all(axis=0)]
        return float(np.median(known, axis=0).max()) if known.size else None


def _is_term(key: str) -> bool:
    """Whether a series is one term of a training loss that is a sum."""
    return key.startswith("train/") and key not in ("train/loss", "train/accuracy")
