"""What a monitor knows of a run so far: its series, its newest tables, its marks and alerts.

One thread applies messages; what it hands out is frozen or a view that stays valid while the history grows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from monitor import rows
from monitor.model import EMPTY, Alert, ClassTable, Floats, Goodbye, Hello, LayerTable, Mark
from monitor.pyramid import Series, View
from probe.wire import Batch, ClassCounts, Heartbeat, LayerStats, Message, Notice

#: Training counts are summed over the newest windows until they hold this many samples.
TRAIN_SAMPLES = 512
#: Measured steps kept of each layer statistic, for the sparklines.
RECENT_LAYERS = 64


class History:
    """The state of one run. A Hello of another run empties it."""

    def __init__(self) -> None:
        self.version = 0
        self._forget()

    def _forget(self) -> None:
        self.hello: Hello | None = None
        self.goodbye: Goodbye | None = None
        self.heartbeat: Heartbeat | None = None
        self.step = 0
        self.last_seq = 0
        self.first_time_s: float | None = None
        self.last_time_s: float | None = None
        self.marks: list[Mark] = []
        self.gaps: list[tuple[int, int]] = []
        self.facts: dict[str, str | float | int | bool | None] = {}
        self.notices: dict[str, None] = {}
        self._series: dict[str, Series] = {}
        self._alerts: dict[int, Alert] = {}
        self._layers = LayerHistory()
        self._classes = {split: ClassHistory(split) for split in ("train", "val")}

    def apply(self, message: Message) -> None:
        """Take in one message. Batches that came before are passed over by their number."""
        self.version += 1
        match message:
            case Hello():
                if self.hello is not None and self.hello.run_id != message.run_id:
                    self._forget()
                self.hello = message
                self.step = max(self.step, message.first_step)
            case Batch():
                self._apply_batch(message)
            case Heartbeat():
                self.heartbeat = message
            case Goodbye():
                self.goodbye = message
            case Alert():
                self._alerts[message.id] = message
            case Notice():
                self.notices[message.text] = None

    def series(self) -> Mapping[str, View]:
        return {key: series.view() for key, series in self._series.items()}

    def alerts(self) -> tuple[Alert, ...]:
        return tuple(alert for _, alert in sorted(self._alerts.items()))

    def layers(self) -> LayerTable:
        return self._layers.table(self.hello)

    def classes(self, split: str) -> ClassTable:
        return self._classes[split].table(self.hello)

    def _apply_batch(self, batch: Batch) -> None:
        if batch.seq <= self.last_seq:
            return
        self.last_seq = batch.seq
        for key in batch.scalars:
            steps, values = rows.points_of(batch, key)
            if key not in self._series:
                self._series[key] = Series(key)
            self._series[key].append(steps, values)
        if batch.rows:
            before, times = self.step, rows.times_of(batch)
            self.step = max(self.step, int(rows.steps_of(batch)[-1]))
            if self.first_time_s is None:
                self.first_time_s = float(times[0])
            self.last_time_s = float(times[-1])
            self._close_gap(before, int(rows.steps_of(batch)[0]))
        for mark in batch.marks:
            self.marks.append(mark)
        for fact in batch.facts:
            self.facts[fact.name] = fact.value
        for stats in batch.layers:
            self._layers.add(stats)
        for counts in batch.classes:
            if counts.split in self._classes:
                self._classes[counts.split].add(counts)

    def _close_gap(self, before: int, first: int) -> None:
        """A gap mark says where steps were given up; the next steps say where it ends."""
        opened = sum(mark.kind == "gap" for mark in self.marks)
        if opened > len(self.gaps) and first > before + 1:
            self.gaps.append((before + 1, first - 1))


class LayerHistory:
    """The newest statistics of each layer, and a short past. One that is not in every report keeps its last."""

    def __init__(self) -> None:
        self._recent: deque[LayerStats] = deque(maxlen=RECENT_LAYERS)

    def add(self, stats: LayerStats) -> None:
        self._recent.append(stats)

    def table(self, hello: Hello | None) -> LayerTable:
        if hello is None or not hello.layers:
            return EMPTY.layers
        n = len(hello.layers)
        keys = dict.fromkeys(key for stats in self._recent for key in stats.stats)
        recent: dict[str, Floats] = {}
        steps = np.array([stats.step for stats in self._recent], np.int64)
        for key in keys:
            recent[key] = np.stack(
                [
                    rows.layer_values(stats.stats[key], n) if key in stats.stats else np.full(n, np.nan)
                    for stats in self._recent
                ]
            )
        reported = {key: index for index, stats in enumerate(self._recent) for key in stats.stats}
        latest = {key: recent[key][index] for key, index in reported.items()}
        return LayerTable(
            step=int(steps[-1]) if len(steps) else 0,
            layers=tuple(hello.layers),
            latest=latest,
            recent=recent,
            recent_steps=steps,
        )


class ClassHistory:
    """Class counts of one split: the newest, and those before them."""

    def __init__(self, split: str) -> None:
        self._split = split
        self._step = 0
        self._windows: deque[tuple[NDArray[np.int64], NDArray[np.int64]]] = deque()
        self._before: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def add(self, counts: ClassCounts) -> None:
        correct, total, _ = rows.counts_of(counts)
        if self._windows and len(self._windows[-1][0]) != len(correct):
            self._windows.clear()
            self._before = None
        self._step = counts.step
        if self._split == "val":
            self._before = self._windows[-1] if self._windows else None
            self._windows = deque([(correct, total)])
            return
        self._windows.append((correct, total))
        while sum(int(total.sum()) for _, total in self._windows) - int(self._windows[0][1].sum()) >= TRAIN_SAMPLES:
            self._before = self._windows.popleft()

    def table(self, hello: Hello | None) -> ClassTable:
        if not self._windows:
            return ClassTable(split=self._split)
        correct = np.sum([correct for correct, _ in self._windows], axis=0)
        total = np.sum([total for _, total in self._windows], axis=0)
        names = tuple(hello.classes) if hello is not None else ()
        names += tuple(str(index) for index in range(len(names), len(total)))
        return ClassTable(
            split=self._split,
            step=self._step,
            names=names[: len(total)],
            accuracy=_share(correct, total),
            before=_share(*self._before) if self._before else np.full(len(total), np.nan),
            total=total,
        )


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Floats:
    share: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return share
