"""What a panel is given to draw itself: the snapshot, what the person chose, the palette and the time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Final

import numpy as np

from monitor.app import ruler
from monitor.app.attention import Attention
from monitor.app.compare import Other
from monitor.app.interventions import READ_ONLY
from monitor.app.palette import Ink, Palette
from monitor.app.ruler import Axis
from monitor.app.window import Window, extent, fit
from monitor.model import EMPTY, Alert, Link, RunState, Snapshot

SMOOTHINGS: Final = (0.0, 0.6, 0.9, 0.98)

#: What ``[`` and ``]`` go through: the whole run, its newest share, or its newest steps.
RANGES: Final = ("all", "1/3", "1/10", "last 1k")


@dataclass(frozen=True, slots=True)
class Said:
    """What became of an intervention, in the last line for a while."""

    text: str
    ink: Ink = "text"
    until_s: float = math.inf


@dataclass(frozen=True, slots=True)
class View:
    """What the person chose.

    ``held`` is a range of steps that the charts stay at instead of following the run, ``cross`` the step of the
    crosshair; ``blamed`` are the layers or classes of the alert that was gone to. ``filters`` and ``sorts`` are of
    panels, by their names. ``overlay`` are the ids of runs under the charts, ``ghost`` whether the best earlier one
    is among them; ``away`` is what happened since the last look.
    """

    focus: str = "loss"
    zoomed: bool = False
    log: bool = True
    smoothing: float = 0.9
    range: str = "all"
    x_axis: Axis = "step"
    held: tuple[int, int] | None = None
    cross: int | None = None
    blamed: tuple[str, ...] = ()
    filters: Mapping[str, str] = field(default_factory=dict)
    sorts: Mapping[str, int] = field(default_factory=dict)
    attention: Attention = field(default_factory=Attention)
    wall: bool = False
    overlay: tuple[str, ...] = ()
    ghost: bool = False
    away: tuple[str, ...] = ()
    said: Said | None = None

    def released(self) -> View:
        """The whole run, live, with nothing held, filtered or said."""
        return replace(
            self, range="all", held=None, cross=None, blamed=(), filters={}, zoomed=False, away=(), said=None
        )

    def of_another_run(self) -> View:
        """The same way of looking, without what is of this run."""
        return replace(self.released(), overlay=(), ghost=False, attention=Attention())


@dataclass(frozen=True)
class Scene:
    """One moment of the screen. Drawing is a function of this and of the panel's own cursor.

    ``refusal`` is why nothing can be done to the run, empty if something can. ``has_minis`` is whether gradient norm,
    learning rate and throughput have charts of their own on this screen, ``has_alerts`` whether the alerts have.
    """

    palette: Palette
    snapshot: Snapshot = EMPTY
    view: View = field(default_factory=View)
    now_s: float = 0.0
    wall: datetime | None = None
    has_minis: bool = True
    has_alerts: bool = True
    refusal: str = READ_ONLY
    others: tuple[Other, ...] = ()

    @property
    def age_s(self) -> float:
        """How old the newest message is."""
        return max(self.now_s - self.snapshot.heard_s, 0.0)

    @property
    def run_now_s(self) -> float:
        """The newest moment known of the training host's own clock, Unix seconds."""
        hello = self.snapshot.hello
        return (hello.started_s if hello else 0.0) + self.snapshot.elapsed_s

    @property
    def stalled_s(self) -> float:
        """How long ago the newest step was. This compares two hosts' clocks: nothing else is known of a late joiner's
        wait, and it is told in minutes."""
        last_s = self.snapshot.last_time_s
        return 0.0 if last_s is None or self.wall is None else max(self.wall.timestamp() - last_s, 0.0)

    @property
    def is_ticking(self) -> bool:
        """Whether the screen has something that grows without news: the age of the data."""
        snapshot = self.snapshot
        return snapshot.link is not Link.FILE and not snapshot.state.is_over

    def alert_age_s(self, alert: Alert) -> float:
        """How long ago an alert was said, on the training host's clock; at the end of the run it stands still."""
        return max(self.run_now_s - alert.time_s, 0.0) if alert.time_s else 0.0

    def window(self, columns: int) -> Window:
        """The window of all charts, in ``columns`` dot columns."""
        return fit(*self.shown, columns, follow_end=self.shown != self.steps and self.view.held is None)

    @cached_property
    def steps(self) -> tuple[int, int]:
        """The first and the last step that anything is known of."""
        snapshot = self.snapshot
        return extent(snapshot.series) or (min(snapshot.step, 1), max(snapshot.step, 1))

    @property
    def shown(self) -> tuple[int, int]:
        """The first and the last step that the charts show."""
        first, last = self.steps
        if self.view.held:
            return self.view.held
        span = last - first + 1
        kept = {"1/3": span // 3, "1/10": span // 10, "last 1k": 1000}.get(self.view.range, span)
        return (first, last) if kept >= span else (last - max(kept, 2) + 1, last)

    def time_of(self, step: int) -> float | None:
        """When a step was, Unix seconds, from the steps whose time is known."""
        clock = self.snapshot.clock
        if clock is None or not len(clock):
            return None
        steps, times = clock.between(clock.first_step, clock.last_step)
        return float(np.interp(step, steps, times))

    def elapsed_at(self, step: int) -> float | None:
        """How long the run had run at a step."""
        time_s = self.time_of(step)
        return None if time_s is None else max(time_s - ruler.began_s(self.snapshot), 0.0)

    def labels(self, window: Window, cells: int) -> list[tuple[int, str]]:
        """The labels of the x axis: the cell where each begins, and its text."""
        return ruler.labels(self.snapshot, self.view.x_axis, window, cells)

    @property
    def has_critical(self) -> bool:
        """Whether a critical alert is open that nobody has acknowledged or muted."""
        return any(is_urgent(alert) for alert in self.snapshot.open_alerts)

    @property
    def silence(self) -> str:
        """``fresh``, ``late`` or ``silent``: the age of the newest message against the run's own pace."""
        snapshot, step_s = self.snapshot, self.snapshot.step_s or 0.0
        if not self.is_ticking or snapshot.state is RunState.WAITING:
            return "fresh"
        if self.age_s >= max(60.0, 20 * step_s):
            return "silent"
        return "late" if self.age_s >= max(5.0, 3 * step_s) else "fresh"


def is_urgent(alert: Alert) -> bool:
    """Open, critical, and neither acknowledged nor muted: what turns a frame red and rings."""
    return alert.is_open and alert.severity.label == "critical" and not (alert.acknowledged or alert.muted)
