"""The run so far, in constant memory: what becomes the rules' signals and their :class:`RunContext`."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor import rows
from monitor.engine.series import Column, Series, Table, Trail
from monitor.model import Floats, Hello, Steps
from monitor.rules import Gate, RunContext, Signal
from monitor.rules.statistics import MAD_TO_SIGMA, median
from probe.wire import Batch, ClassCounts, Fact, LayerStats, Mark

#: Steps in a block: its median is a level, its differences are the noise.
BLOCK: Final = 16
#: The first update has blown the loss up when it is so many times the loss before it.
EXPLODED: Final = 10
#: How long a schedule's rise of the learning rate, a marked change or a resumption excuses the loss, in steps.
EXCUSED_STEPS: Final = 100
#: A learning rate that has not reached a new peak for so long (or for as long as it took to reach it) has warmed up.
WARM_UP_PAUSE: Final = 1000
#: Fewer targets than this for each class do not tell the label frequencies.
ENOUGH_TARGETS: Final = 10
CLASSIFICATION: Final = ("cross_entropy", "binary_cross_entropy")
LAYER_STATS: Final = ("update_ratio", "grad_norm", "dead_frac")


@dataclass(slots=True)
class LearningRate:
    """The schedule so far, as seen on the grid."""

    now: float | None = None
    peak: float | None = None
    peak_at: int = 0
    risen_at: int | None = None

    def see(self, window: Floats, points: int) -> None:
        value = float(window[-1])
        if value == self.now or not math.isfinite(value):
            return
        warming_up = points - self.peak_at <= max(WARM_UP_PAUSE, self.peak_at)
        if self.peak is None or value > self.peak * 1.001:
            self.peak = value
            if warming_up:
                self.peak_at = points
        if not (warming_up and self.peak_at == points) and value > 2 * float(window.min()):
            self.risen_at = points
        self.now = value


class RunState:
    """Takes in batches and advances through them. What it gives out ends at the point it was advanced to."""

    def __init__(self) -> None:
        self.loss = Series()  # finite values only
        self.raw_loss = Series()
        self.grad_norm = Series()  # raw
        self.lr = Series()
        self.accuracy = Series()
        self.times_s = Series()  # of the rows with a loss
        self.columns = {
            name: Column() for name in ("val_loss", "train_level", "val_accuracy", "train_accuracy", "val_hit")
        }
        self.tables = {name: Table() for name in (*LAYER_STATS, "val_recall", "val_total", "val_predicted")}
        self.trail = Trail()
        self.step = 0
        self.schedule = LearningRate()
        self._ends: dict[str, int] = {"loss": 0, "raw_loss": 0, "grad_norm": 0, "lr": 0, "accuracy": 0}
        self._finite: Steps | None = None  # finite losses of this batch up to each row, where some are not
        self._blocks: deque[tuple[int, int, float, float]] = deque()
        self._blocks_made = 0
        self._noises: deque[float] = deque(maxlen=8)
        self._noise = 0.0
        self._starts: list[float] = []
        self._start = math.nan
        self._best, self._best_step, self._accuracy_at_best = math.nan, 0, math.nan
        self._level, self._accuracy_level = math.nan, math.nan
        self._facts: dict[str, str | float | int | bool | None] = {}
        self._targets: Steps = np.zeros(0, np.int64)  # of each class, before this batch
        self._new_targets: Steps = np.zeros((0, 0), np.int64)  # of this batch, running sums
        self._target_steps: Steps = np.zeros(0, np.int64)
        self._layers: tuple[str, ...] = ()
        self._classes: tuple[str, ...] = ()
        self._bad_layers: tuple[str, ...] = ()
        self._switched_at: int | None = None
        self._uses_amp = False
        self._evaluations, self._evaluated_at = 0, 0
        self._val_best, self._val_best_step, self._train_at_best = math.nan, 0, math.nan
        self._val_first, self._val_accuracy_best = math.nan, math.nan

    # -------------------------------------------------------------------------------------------- taking a batch in

    def hello(self, hello: Hello) -> None:
        self._layers = tuple(layer.name for layer in hello.layers)
        self._classes = tuple(hello.classes)

    def take(self, batch: Batch) -> tuple[Steps, Floats]:
        """Append a batch's columns; returns the steps and values of its training losses."""
        index, values = rows.column_of(batch, "train/loss")
        steps = rows.steps_of(batch)[index]
        finite = np.isfinite(values)
        self._finite = None if finite.all() else np.cumsum(finite)
        self.raw_loss.append(steps, values)
        self.times_s.append(steps, rows.times_of(batch)[index])
        self.loss.append(*((steps, values) if self._finite is None else (steps[finite], values[finite])))
        self._make_blocks()
        for key, series in (("grad/norm", self.grad_norm), ("train/accuracy", self.accuracy)):
            if key in batch.scalars:
                series.append(*rows.points_of(batch, key))
        self._take_learning_rate(batch)
        self._take_targets(batch)
        self._uses_amp = self._uses_amp or "amp/scale" in batch.scalars
        return steps, values

    def settle(self) -> None:
        """The batch has been judged."""
        for series in (self.loss, self.raw_loss, self.grad_norm, self.lr, self.accuracy, self.times_s):
            series.settle()
        if len(self._new_targets):
            self._targets = self._targets + self._new_targets[-1]
            self._new_targets, self._target_steps = self._new_targets[:0], self._target_steps[:0]

    def _take_learning_rate(self, batch: Batch) -> None:
        """The largest learning rate of all groups; of the first group only, if they were not recorded together."""
        keys = [key for key in batch.scalars if key.startswith("lr/")]
        if not keys:
            return
        columns = [rows.points_of(batch, key) for key in sorted(keys)]
        steps, values = columns[0]
        if all(len(other) == len(values) for _, other in columns):
            values = np.max([values for _, values in columns], axis=0)
        self.lr.append(steps, values)

    def _take_targets(self, batch: Batch) -> None:
        """The training targets of each class: taken in whole, since they come at every step."""
        counts = [each for each in batch.classes if each.split == "train" and each.total]
        if not counts:
            return
        width = max(len(self._targets), *(len(each.total) // 8 for each in counts))
        table = np.zeros((len(counts), width), np.int64)
        for row, each in zip(table, counts, strict=True):
            row[: len(each.total) // 8] = np.frombuffer(each.total, "<i8")
        self._targets = np.pad(self._targets, (0, width - len(self._targets)))
        self._new_targets = np.cumsum(table, axis=0)
        self._target_steps = np.array([each.step for each in counts], np.int64)

    def _seen_targets(self) -> Steps:
        seen = int(self._target_steps.searchsorted(self.step, "right"))
        return self._targets + self._new_targets[seen - 1] if seen else self._targets

    def _make_blocks(self) -> None:
        """Median and noise of every block of losses that is complete now."""
        new = len(self.loss) // BLOCK - self._blocks_made
        if not new:
            return
        end = (self._blocks_made + new) * BLOCK
        signal = self.loss.before(end, new * BLOCK)
        values = signal.values.reshape(new, BLOCK)
        ordered = np.sort(values, axis=1)
        medians = (ordered[:, BLOCK // 2 - 1] + ordered[:, BLOCK // 2]) / 2
        jumps = np.sort(np.abs(np.diff(values, axis=1)), axis=1)[:, (BLOCK - 1) // 2]
        noises = MAD_TO_SIGMA / math.sqrt(2) * jumps
        ends = range(end - (new - 1) * BLOCK, end + 1, BLOCK)
        steps = signal.steps[BLOCK - 1 :: BLOCK]
        self._blocks.extend(zip(ends, steps.tolist(), medians.tolist(), noises.tolist(), strict=True))
        self._blocks_made += new

    # ------------------------------------------------------------------------------------- advancing in the batch

    def advance(self, step: int, loss_end: int) -> None:
        """Go to ``step``, whose newest loss is the one before position ``loss_end``."""
        self.step = max(step, self.step)
        ends = self._ends
        ends["raw_loss"] = loss_end
        ends["loss"] = self._finite_end(loss_end)
        for name in ("grad_norm", "lr", "accuracy"):
            ends[name] = getattr(self, name).upto(step)
        while len(self._starts) < 3 and len(self._starts) < ends["loss"]:
            self._see_start(self.loss.before(len(self._starts) + 1, 1))
        if ends["lr"]:
            self.schedule.see(self.lr.before(ends["lr"], 64).values, loss_end)
        if ends["loss"]:
            self._level = median(self.loss.before(ends["loss"], BLOCK).values)
        while self._blocks and self._blocks[0][0] <= ends["loss"]:
            self._see_block(*self._blocks.popleft()[1:])

    def _finite_end(self, loss_end: int) -> int:
        if self._finite is None:
            return len(self.loss) - (len(self.raw_loss) - loss_end)
        before = len(self.loss) - int(self._finite[-1])
        seen = loss_end - (len(self.raw_loss) - len(self._finite))
        return before + (int(self._finite[seen - 1]) if seen > 0 else 0)

    def _see_start(self, first: Signal) -> None:
        """The start is the median of the first 3 losses; the very first, if its update has blown up the others."""
        if not self._starts:
            self._best_step = int(first.steps[0])
        self._starts.append(float(first.values[0]))
        middle = median(np.array(self._starts))
        self._start = self._starts[0] if 0 < EXPLODED * self._starts[0] < middle else middle

    def _see_block(self, step: int, middle: float, noise: float) -> None:
        self._noises.append(noise)
        self._noise = median(np.array(self._noises))
        self.trail.append(step, middle)
        end = self._ends["accuracy"]
        self._accuracy_level = median(self.accuracy.before(end, BLOCK).values) if end else math.nan
        if math.isnan(self._accuracy_at_best):
            self._accuracy_at_best = self._accuracy_level
        if middle < (self._start if math.isnan(self._best) else self._best):
            self._best, self._best_step, self._accuracy_at_best = middle, step, self._accuracy_level

    # ------------------------------------------------------------------------------------------- the rarer things

    def fact(self, fact: Fact) -> None:
        self._facts[fact.name] = fact.value

    def mark(self, mark: Mark) -> None:
        if mark.kind in ("user", "resume"):
            self._switched_at = self._ends["raw_loss"]

    def layers(self, stats: LayerStats) -> None:
        tables = {key: rows.layer_values(column, len(self._layers)) for key, column in stats.stats.items()}
        for name in LAYER_STATS:
            if name in tables:
                self.tables[name].append(stats.step, np.where(np.isfinite(tables[name]), tables[name], np.nan))
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
        end, accuracy_end = self._ends["loss"], self._ends["accuracy"]
        since = min(max(end - self._evaluated_at, 1), 64)
        level = median(self.loss.before(end, since).values)
        accuracy = median(self.accuracy.before(accuracy_end, since).values)
        self._evaluated_at = end
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
        past = self.times_s.before(self.points, 1).values
        return float(past[0]) if past.size else 0.0

    def newest_loss_is_finite(self) -> bool:
        newest = self.raw_loss.before(self.points, 1).values
        return bool(newest.size and math.isfinite(newest[0]))

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

    def signal(self, name: str, n: int, *, raw: bool) -> Signal:
        """The newest points of a signal by the name that rules use."""
        if name == "loss":
            return self.raw_loss.before(self.points, n) if raw else self.loss.before(self._ends["loss"], n)
        if name == "grad_norm":
            return self.grad_norm.before(self._ends["grad_norm"], n)
        if name == "loss_trail":
            return self.trail.newest(n)
        if name in self.columns:
            return self.columns[name].newest(n)
        return self.tables[name.removeprefix("layer_")].newest(n)

    def context(self) -> RunContext:
        targets = self._seen_targets()
        accuracy = None if math.isnan(self._accuracy_level) else self._accuracy_level
        return RunContext(
            step=self.step,
            points=self.points,
            start=self._start,
            level=self._level,
            best=self._start if math.isnan(self._best) else self._best,
            best_step=self._best_step,
            noise=self._noise,
            trivial=self._trivial(targets),
            objective=str(self._facts.get("objective") or "other"),
            accuracy=accuracy,
            majority=float(targets.max() / targets.sum()) if targets.any() else None,
            lr=self.schedule.now,
            lr_peak=self.schedule.peak,
            update_ratio=self._update_ratio(),
            evaluations=self._evaluations,
            val_best=self._val_best,
            val_best_step=self._val_best_step,
            val_first=self._val_first,
            train_at_best=self._train_at_best,
            val_accuracy_best=self._val_accuracy_best,
            layers=self._layers,
            classes=self._classes,
            bad_layers=self._bad_layers,
            uses_amp=self._uses_amp,
            metric_improves=self._metric_improves(),
        )

    def _metric_improves(self) -> bool:
        """Whether the accuracy or reward is better than at the best loss: then the loss is not what is optimised.

        In a classification the loss is, and a rise of it is one.
        """
        if self._facts.get("objective") in CLASSIFICATION:
            return False
        return self._accuracy_level > self._accuracy_at_best + 0.05 * abs(self._accuracy_at_best)

    def _trivial(self, targets: Steps) -> float | None:
        """The loss of always guessing the label frequencies; None where the objective does not tell."""
        objective, classes = self._facts.get("objective"), self._facts.get("classes")
        if objective not in CLASSIFICATION:
            return None
        count = 2 if objective == "binary_cross_entropy" else classes or len(targets) or len(self._classes)
        if not isinstance(count, int) or count < 2:
            return None
        seen = int(targets.sum())
        if seen < ENOUGH_TARGETS * count or len(targets) > count:
            return math.log(count)
        share = targets / seen
        share = share[share > 0]
        return min(math.log(count), float(-(share * np.log(share)).sum()))

    def _update_ratio(self) -> float | None:
        newest = self.tables["update_ratio"].newest(5).values
        if not newest.size or not np.isfinite(newest).any(axis=0).any():
            return None
        known = newest[:, np.isfinite(newest).all(axis=0)]
        return float(np.median(known, axis=0).max()) if known.size else None
