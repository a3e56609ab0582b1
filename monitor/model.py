"""The frozen values that pass between the layers of the monitor. Nothing here does any work.

What a run *is* (Hello, Alert, Mark, Severity...) has the shape it has on the wire, so those structs are used as
they are and re-exported here; what only the monitor knows (a snapshot, the state of a run, a table) is defined
here.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from probe.wire import PAIRED_CLASSES, Ack, Action, Alert, Goodbye, Group, Hello, Layer, Mark, Phase, Severity

__all__ = [
    "EMPTY",
    "PAIRED_CLASSES",
    "Ack",
    "Action",
    "Alert",
    "ClassTable",
    "Columns",
    "Floats",
    "Goodbye",
    "Group",
    "Hello",
    "Layer",
    "LayerTable",
    "Link",
    "Mark",
    "Phase",
    "RunRow",
    "RunState",
    "SeriesView",
    "Severity",
    "Snapshot",
    "Steps",
]

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]


class RunState(str, enum.Enum):
    """The state of a run in the word that the header shows."""

    WAITING = "waiting"  # nothing heard yet
    TRAINING = "training"
    EVALUATING = "evaluating"
    CHECKPOINTING = "checkpointing"
    PAUSED = "paused"
    STALLED = "stalled"  # alive, but no step for far longer than its own pace
    FINISHED = "finished"
    FAILED = "failed"  # an exception, a signal, a non-zero exit
    VANISHED = "vanished"  # gone without a goodbye

    @property
    def is_over(self) -> bool:
        return self in (RunState.FINISHED, RunState.FAILED, RunState.VANISHED)


class Link(str, enum.Enum):
    """How the data come in."""

    CONNECTING = "connecting"
    LOADING = "loading"  # connected; the history is still coming
    LIVE = "live"
    LOST = "lost"  # the recorder does not answer; it is tried again
    FILE = "file"  # read from a finished run file or another log


@dataclass(frozen=True, slots=True)
class Columns:
    """A series folded into the columns of a chart, oldest first.

    Column ``i`` covers the steps ``[start + i * width, start + (i + 1) * width)``. ``low`` and ``high`` are the
    lowest and highest finite value in it, so that a one-step spike is never hidden; ``mean`` is the mean of the
    finite ones; all three are NaN where a column has none. ``count`` is how many values fell into it and
    ``bad`` how many of those were NaN or infinite.
    """

    start: int
    width: int
    low: Floats
    high: Floats
    mean: Floats
    count: NDArray[np.int64]
    bad: NDArray[np.int64]


class SeriesView(Protocol):
    """One series as it was when the snapshot was taken. Safe to read while the history goes on growing."""

    @property
    def key(self) -> str: ...

    def __len__(self) -> int:
        """The number of values, NaN and infinities included."""

    @property
    def first_step(self) -> int: ...

    @property
    def last_step(self) -> int: ...

    @property
    def last(self) -> float:
        """The newest value, NaN if it is one. Raises IndexError on an empty series."""

    def columns(self, start: int, width: int, n: int) -> Columns:
        """The steps from ``start`` on folded into ``n`` columns of ``width`` steps; empty columns are NaN."""

    def tail(self, n: int) -> tuple[Steps, Floats]:
        """The newest ``n`` points (fewer if there are fewer), oldest first, as read-only arrays."""

    def between(self, first: int, last: int) -> tuple[Steps, Floats]:
        """The points with ``first <= step <= last``, oldest first, as read-only arrays."""


@dataclass(frozen=True, slots=True)
class LayerTable:
    """The newest per-layer statistics, and a short past of each for the sparklines.

    ``latest[stat]`` is float64[layers] with NaN where a layer has no such value or where it is NaN, which
    ``measured[stat]``, bool[layers], tells apart; ``recent[stat]`` is float64[k, layers], oldest first,
    ``recent_steps`` int64[k]. ``course`` is the gradient norm over the whole run, float64[k, layers], and
    ``course_steps`` int64[k].
    """

    step: int = 0
    layers: tuple[Layer, ...] = ()
    latest: Mapping[str, Floats] = field(default_factory=dict)
    recent: Mapping[str, Floats] = field(default_factory=dict)
    recent_steps: Steps = field(default_factory=lambda: np.empty(0, np.int64))
    measured: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    course: Floats = field(default_factory=lambda: np.empty((0, 0)))
    course_steps: Steps = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class ClassTable:
    """Class-wise accuracy of one split: the newest complete counts and those before them.

    ``accuracy`` and ``before`` are float64[classes], 0 to 1, NaN for a class without samples. For training the
    counts are those of the newest window of at least 512 samples, for validation those of the newest evaluation.
    ``course`` is the accuracy over the whole run, float64[k, classes], and ``course_steps`` int64[k]. ``confused``
    counts what was taken for another class, int64[classes, classes], a row a target; ``None`` where it is not known.
    """

    split: str = "val"
    step: int = 0
    names: tuple[str, ...] = ()
    accuracy: Floats = field(default_factory=lambda: np.empty(0))
    before: Floats = field(default_factory=lambda: np.empty(0))
    total: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    course: Floats = field(default_factory=lambda: np.empty((0, 0)))
    course_steps: Steps = field(default_factory=lambda: np.empty(0, np.int64))
    confused: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class RunRow:
    """One line of the list of runs."""

    run_id: str
    name: str
    state: RunState
    step: int
    loss: float | None
    started_s: float
    alarms: int = 0
    worst: Severity = Severity.WARNING  # of those alarms
    current: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the screen shows, at one moment. Only :mod:`monitor.session` makes them.

    ``heard_s`` is when the newest message arrived, on this machine's ``time.monotonic`` clock, so that the age of
    the data does not depend on two clocks agreeing. ``version`` grows with every change: an equal version means
    that nothing but the age is new. ``loaded`` is the share of the history that has come so far, 0 to 1.
    """

    version: int = 0
    source: str = ""
    hello: Hello | None = None
    state: RunState = RunState.WAITING
    link: Link = Link.CONNECTING
    loaded: float = 0.0
    heard_s: float = 0.0
    step: int = 0
    epoch: float | None = None
    elapsed_s: float = 0.0
    step_s: float | None = None
    last_time_s: float | None = None
    goodbye: Goodbye | None = None
    series: Mapping[str, SeriesView] = field(default_factory=dict)
    clock: SeriesView | None = None
    epochs: tuple[tuple[int, float], ...] = ()
    layers: LayerTable = field(default_factory=LayerTable)
    train_classes: ClassTable = field(default_factory=lambda: ClassTable(split="train"))
    val_classes: ClassTable = field(default_factory=lambda: ClassTable(split="val"))
    alerts: tuple[Alert, ...] = ()
    marks: tuple[Mark, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()
    facts: Mapping[str, str | float | int | bool | None] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    cost_us: float = 0.0
    cost_share: float = 0.0
    dropped: int = 0
    runs: tuple[RunRow, ...] = ()

    @property
    def open_alerts(self) -> tuple[Alert, ...]:
        """The alerts that hold now, most severe first, then newest first."""
        opened = [alert for alert in self.alerts if alert.is_open]
        return tuple(sorted(opened, key=lambda alert: (-alert.severity, -alert.raised_step, -alert.id)))

    @property
    def total_steps(self) -> int | None:
        return self.hello.total_steps if self.hello else None


EMPTY = Snapshot()
