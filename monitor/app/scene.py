"""What a panel is given to draw itself: the snapshot, what the person chose, the palette and the time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from monitor.app.interventions import READ_ONLY
from monitor.app.palette import Ink, Palette
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
    """What the person chose. ``held`` is a range of steps that the charts stay at instead of following the run."""

    focus: str = "loss"
    zoomed: bool = False
    log: bool = True
    smoothing: float = 0.9
    range: str = "all"
    held: tuple[int, int] | None = None
    said: Said | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment of the screen. Drawing is a function of this and of the panel's own cursor.

    ``refusal`` is why nothing can be done to the run, empty if something can. ``has_minis`` is whether gradient norm,
    learning rate and throughput have charts of their own on this screen.
    """

    palette: Palette
    snapshot: Snapshot = EMPTY
    view: View = field(default_factory=View)
    now_s: float = 0.0
    wall: datetime | None = None
    has_minis: bool = True
    refusal: str = READ_ONLY

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
        first, last = self.steps
        if self.view.held:
            return fit(*self.view.held, columns)
        span = last - first + 1
        kept = {"1/3": span // 3, "1/10": span // 10, "last 1k": 1000}.get(self.view.range, span)
        if kept >= span:
            return fit(first, last, columns)
        return fit(last - max(kept, 2) + 1, last, columns, follow_end=True)

    @property
    def steps(self) -> tuple[int, int]:
        """The first and the last step that anything is known of."""
        snapshot = self.snapshot
        return extent(snapshot.series) or (min(snapshot.step, 1), max(snapshot.step, 1))

    def around(self, alert: Alert) -> tuple[int, int]:
        """The steps to look at for an alert: a twentieth of the run, at least 200 steps, the event in the middle."""
        first, last = self.steps
        step = alert.first_step if alert.first_step is not None else alert.raised_step
        half = max((last - first) // 40, 100)
        start = min(max(step - half, first), max(last - 2 * half, first))
        return start, min(start + 2 * half, last)

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
