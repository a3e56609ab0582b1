"""What a monitor knows of a run so far: its series, its newest tables, its marks and alerts.

One thread applies messages; what it hands out is frozen or a view that stays valid while the history grows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor import rows
from monitor.model import EMPTY, Alert, ClassTable, Floats, Goodbye, Hello, Layer, LayerTable, Mark, Phase, Steps
from monitor.pyramid import Series, View
from probe.wire import Batch, ClassCounts, Heartbeat, LayerStats, Message, Notice

#: Training counts are summed over the newest windows until they hold this many samples.
TRAIN_SAMPLES = 512
#: Signs of life come each second. So many seconds without one say nothing of the training: it was stopped together
#: with its recorder, its machine slept, its clock was set, or the line was broken.
UNHEARD_S = 15.0
#: Measured steps kept of each layer statistic, for the sparklines.
RECENT_LAYERS = 64
#: Rows kept of a table over the whole run, for the heat maps; between half of them and all.
COURSE = 256
#: The fact that says what the probe cannot see of this training, and the one that an epoch began.
HIDDEN, EPOCH = "hidden", "epoch"

#: The layer statistic whose course is kept.
GRAD_NORM = "grad_norm"

Row = TypeVar("Row")

#: How many of each class were right, and how many there were.
Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


class History:
    """The state of one run. A Hello of another run empties it."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.hello: Hello | None = None
        self.goodbye: Goodbye | None = None
        self.heartbeat: Heartbeat | None = None
        self.step = 0
        self.last_seq = 0
        self.first_time_s: float | None = None
        self.last_time_s: float | None = None
        #: When the run last got on, in its host's time: a step, an evaluation, a checkpoint, a pause.
        self.busy_s = 0.0
        self.marks: list[Mark] = []
        self.gaps: list[tuple[int, int]] = []
        self._open_gaps: list[int] = []
        self.facts: dict[str, str | float | int | bool | None] = {}
        self.notices: dict[str, None] = {}
        self._series: dict[str, Series] = {}
        self._alerts: dict[int, Alert] = {}
        self.epochs: list[tuple[int, float]] = []
        self._clock = Series("clock")
        self._layers = LayerHistory()
        self._classes = {split: ClassHistory(split) for split in ("train", "val")}

    def apply(self, message: Message) -> bool:
        """Take in one message. False if it says nothing new: history is told again after every reconnection."""
        match message:
            case Hello():
                return self._apply_hello(message)
            case Batch():
                return self._apply_batch(message)
            case Heartbeat():
                return self._apply_heartbeat(message)
            case Goodbye():
                before, self.goodbye = self.goodbye, message
                return before != message
            case Alert():
                told = self._alerts.get(message.id)
                self._alerts[message.id] = message
                return told != message
            case Notice():
                is_new = message.text not in self.notices
                self.notices[message.text] = None
                return is_new
        return False

    def series(self) -> Mapping[str, View]:
        return {key: series.view() for key, series in self._series.items()}

    def view(self, key: str) -> View | None:
        series = self._series.get(key)
        return series.view() if series is not None else None

    def clock(self) -> View:
        """The Unix time of the first step and of the last step of each batch."""
        return self._clock.view()

    def said(self) -> tuple[str, ...]:
        """What the recorder and the probe have to say, the newest last."""
        hidden = self.facts.get(HIDDEN)
        return (*self.notices, *([str(hidden)] if hidden else []))

    def alerts(self) -> tuple[Alert, ...]:
        return tuple(alert for _, alert in sorted(self._alerts.items()))

    def layers(self) -> LayerTable:
        return self._layers.table(self.hello)

    def classes(self, split: str) -> ClassTable:
        return self._classes[split].table(self.hello)

    def _apply_hello(self, hello: Hello) -> bool:
        if hello == self.hello:
            return False
        if self.hello is not None and self.hello.run_id != hello.run_id:
            self._forget()
        self.hello = hello
        self.step = max(self.step, hello.first_step)
        self.busy_s = max(self.busy_s, hello.started_s)
        return True

    def _apply_heartbeat(self, beat: Heartbeat) -> bool:
        before, self.heartbeat = self.heartbeat, beat
        away_s = beat.time_s - before.time_s if before is not None else 0.0
        if beat.phase is not Phase.TRAINING:
            self.busy_s = max(self.busy_s, beat.time_s)
        elif away_s > UNHEARD_S:  # no time without a step
            self.busy_s = max(self.busy_s, min(self.busy_s + away_s, beat.time_s))
        return before is None or msgspec.structs.replace(before, time_s=beat.time_s) != beat

    def _apply_batch(self, batch: Batch) -> bool:
        if batch.seq <= self.last_seq:
            return False
        self.last_seq = batch.seq
        self.marks.extend(batch.marks)
        self._open_gaps += [mark.step for mark in batch.marks if mark.kind == "gap" and mark.step > 0]
        if batch.rows:
            self._apply_rows(batch)
        for fact in batch.facts:
            self.facts[fact.name] = fact.value
            if fact.name == EPOCH and isinstance(fact.value, (int, float)):
                self.epochs.append((fact.step, float(fact.value)))
        for stats in batch.layers:
            self._layers.add(stats)
        for counts in batch.classes:
            if counts.split in self._classes:
                self._classes[counts.split].add(counts)
        return True

    def _apply_rows(self, batch: Batch) -> None:
        steps, times_s = rows.steps_of(batch), rows.times_of(batch)
        for key in batch.scalars:
            index, values = rows.column_of(batch, key)
            if key not in self._series:
                self._series[key] = Series(key)
            at = steps if len(index) == batch.rows else steps[index]
            self._series[key].append(at if batch.steps or at is not steps else batch.start, values)
        self._close_gaps(steps)
        self.step = max(self.step, int(steps[-1]))
        if self.first_time_s is None:
            self.first_time_s = float(times_s[0])
            self._clock.append(steps[:1], times_s[:1])
        self._clock.append(steps[-1:], times_s[-1:])
        self.last_time_s = float(times_s[-1])
        self.busy_s = max(self.busy_s, self.last_time_s)

    def _close_gaps(self, steps: Steps) -> None:
        """A gap mark stands at the first step that was given up; the next step that there is says where it ends."""
        for first in list(self._open_gaps):
            after = int(np.searchsorted(steps, first))
            if after == len(steps):
                continue
            self._open_gaps.remove(first)
            if steps[after] > first:
                self.gaps.append((first, int(steps[after]) - 1))


class Course(Generic[Row]):
    """Rows over the whole run, evenly thinned: when they are too many, every second goes, and of those to come."""

    def __init__(self, values: Callable[[Row, int], Floats]) -> None:
        self._values = values
        self._rows: list[tuple[int, Row]] = []
        self._every, self._seen = 1, 0
        self._table: tuple[Floats, Steps] | None = None

    def add(self, step: int, row: Row) -> None:
        if self._seen % self._every == 0:
            self._rows.append((step, row))
            self._table = None
        self._seen += 1
        if len(self._rows) > COURSE:
            self._rows, self._every = self._rows[::2], 2 * self._every

    def table(self, n: int) -> tuple[Floats, Steps]:
        """The ``n`` values of each row, float64[k, n], and their steps, int64[k]. Built once for each new row."""
        if self._table is None or self._table[0].shape[1] != n:
            values = [self._values(row, n) for _, row in self._rows]
            table = np.stack(values) if values else np.empty((0, n))
            self._table = table, np.array([step for step, _ in self._rows], np.int64)
        return self._table


class LayerReport:
    """Statistics whose gradient norms are unpacked when they are first shown: of a long run that is read, most never
    are."""

    __slots__ = ("_norms", "stats")

    def __init__(self, stats: LayerStats) -> None:
        self.stats = stats
        self._norms: Floats | None = None

    def norms(self, n: int) -> Floats:
        """float64[n], NaN for a layer that has none."""
        if self._norms is None or len(self._norms) != n:
            column = self.stats.stats.get(GRAD_NORM)
            self._norms = np.full(n, np.nan) if column is None else rows.layer_values(column, n)
        return self._norms


class LayerHistory:
    """The newest statistics of each layer, and a short past. One that is not in every report keeps its last."""

    def __init__(self) -> None:
        self._recent: deque[LayerReport] = deque(maxlen=RECENT_LAYERS)
        self._newest: dict[str, LayerStats] = {}
        self._course: Course[LayerReport] = Course(LayerReport.norms)
        self._table: LayerTable | None = None

    def add(self, stats: LayerStats) -> None:
        report = LayerReport(stats)
        self._recent.append(report)
        self._newest |= dict.fromkeys(stats.stats, stats)
        if GRAD_NORM in stats.stats:
            self._course.add(stats.step, report)
        self._table = None

    def table(self, hello: Hello | None) -> LayerTable:
        """Built once for each report: it is asked for with every frame, and reports come more rarely."""
        if hello is None or not hello.layers:
            return EMPTY.layers
        if self._table is None or len(self._table.layers) != len(hello.layers):
            self._table = self._build(tuple(hello.layers))
        return self._table

    def _build(self, layers: tuple[Layer, ...]) -> LayerTable:
        n = len(layers)
        steps = np.array([report.stats.step for report in self._recent], np.int64)
        measured = {}
        for key, stats in self._newest.items():
            index, _ = rows.layer_points(stats.stats[key], n)
            measured[key] = np.zeros(n, np.bool_)
            measured[key][index[index < n]] = True
        has_norms = any(GRAD_NORM in report.stats.stats for report in self._recent)
        course, course_steps = self._course.table(n)
        return LayerTable(
            step=int(steps[-1]) if len(steps) else 0,
            layers=layers,
            latest={key: rows.layer_values(stats.stats[key], n) for key, stats in self._newest.items()},
            recent={GRAD_NORM: np.stack([report.norms(n) for report in self._recent])} if has_norms else {},
            recent_steps=steps,
            measured=measured,
            course=course,
            course_steps=course_steps,
        )


class ClassHistory:
    """Class counts of one split: the newest, and those before them."""

    def __init__(self, split: str) -> None:
        self._split = split
        self._samples = TRAIN_SAMPLES if split == "train" else 1
        self._forget()

    def _forget(self) -> None:
        self._step = 0
        self._newest: deque[Counts] = deque()
        self._before: deque[Counts] = deque()
        self._course: Course[Floats] = Course(lambda share, _classes: share)
        self._confused: NDArray[np.int64] | None = None
        self._table: tuple[Hello | None, ClassTable] | None = None

    def add(self, counts: ClassCounts) -> None:
        correct, total, _ = rows.counts_of(counts)
        if self._newest and len(self._newest[-1][0]) != len(correct):
            self._forget()
        self._step = counts.step
        self._newest.append((correct, total))
        self._course.add(counts.step, _share(correct, total))
        self._confused = rows.confused_of(counts)
        self._table = None
        while _samples(self._newest) - _samples([self._newest[0]]) >= self._samples:
            self._before.append(self._newest.popleft())
        while self._before and _samples(self._before) - _samples([self._before[0]]) >= self._samples:
            self._before.popleft()

    def table(self, hello: Hello | None) -> ClassTable:
        """Built once for each report, as that of the layers."""
        if not self._newest:
            return ClassTable(split=self._split)
        if self._table is None or self._table[0] is not hello:
            self._table = hello, self._build(hello)
        return self._table[1]

    def _build(self, hello: Hello | None) -> ClassTable:
        correct, total = _sum(self._newest)
        names = tuple(hello.classes) if hello is not None else ()
        names += tuple(str(index) for index in range(len(names), len(total)))
        course, course_steps = self._course.table(len(total))
        return ClassTable(
            split=self._split,
            step=self._step,
            names=names[: len(total)],
            accuracy=_share(correct, total),
            before=_share(*_sum(self._before)) if self._before else np.full(len(total), np.nan),
            total=total,
            confused=self._confused,
            course=course,
            course_steps=course_steps,
        )


def _sum(windows: Iterable[Counts]) -> Counts:
    correct, total = zip(*windows, strict=True)
    return np.sum(correct, axis=0), np.sum(total, axis=0)


def _samples(windows: Iterable[Counts]) -> int:
    return sum(int(total.sum()) for _, total in windows)


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Floats:
    share: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return share
