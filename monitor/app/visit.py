"""What is remembered of a look at a run, and what to tell of what happened between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from monitor.app import format as fmt
from monitor.app.attention import Attention
from monitor.app.glyphs import SEVERITY
from monitor.app.keymap import PANEL_KEYS
from monitor.app.palette import ThemeName
from monitor.app.ruler import Axis
from monitor.app.scene import RANGES, SMOOTHINGS, View
from monitor.model import Link, Snapshot

#: Whoever was away for less than this, in seconds, knows what happened.
AWAY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Visit:
    """How a run stood when it was last looked at, and how it was looked at."""

    time_s: float
    step: int
    train: float | None = None
    val: float | None = None
    alerts: tuple[int, ...] = ()
    seen: tuple[int, ...] = ()
    muted: tuple[tuple[str, float], ...] = ()
    focus: str = "loss"
    log: bool = True
    smoothing: float = 0.9
    range: str = "all"
    x_axis: Axis = "step"
    theme: ThemeName | None = None

    def view(self, focus: str | None = None) -> View:
        """The view of then, at what is now; what this version does not know is as it comes. ``focus`` is another."""
        focus = focus or self.focus
        attention = Attention(frozenset(self.seen), dict(self.muted))
        return View(
            focus=focus if focus in PANEL_KEYS else "loss",
            log=self.log,
            smoothing=self.smoothing if self.smoothing in SMOOTHINGS else 0.9,
            range=self.range if self.range in RANGES else "all",
            x_axis=self.x_axis,
            attention=attention,
        )


def visit(snapshot: Snapshot, view: View, theme: ThemeName | None, now_s: float) -> Visit:
    """What to remember of this moment."""
    return Visit(
        time_s=now_s,
        step=snapshot.step,
        train=_last(snapshot, "train/loss"),
        val=_last(snapshot, "val/loss"),
        alerts=tuple(alert.id for alert in snapshot.alerts),
        seen=tuple(sorted(view.attention.seen)),
        muted=tuple(view.attention.muted.items()),
        focus=view.focus,
        log=view.log,
        smoothing=view.smoothing,
        range=view.range,
        x_axis=view.x_axis,
        theme=theme,
    )


def is_complete(snapshot: Snapshot) -> bool:
    """Whether all of the history is here, so that what happened can be told."""
    return snapshot.link is Link.LIVE or (snapshot.link is Link.FILE and snapshot.loaded >= 1.0)


def since(before: Visit, snapshot: Snapshot, now_s: float) -> tuple[str, ...]:
    """Two lines of what happened since then, none if nothing did or one was hardly away."""
    fresh = [alert for alert in snapshot.alerts if alert.id not in before.alerts]
    steps = snapshot.step - before.step
    if now_s - before.time_s < AWAY_S or (steps <= 0 and not fresh):
        return ()
    parts = [f"since you left {fmt.ago(now_s - before.time_s)} ago: {fmt.count(steps)} steps"]
    for name, old, key in (("train", before.train, "train/loss"), ("val", before.val, "val/loss")):
        new = _last(snapshot, key)
        if old is not None and new is not None:
            parts.append(f"{name} {fmt.loss(old)} → {fmt.loss(new)}")
    return " · ".join(parts), _happened(before, snapshot, fresh_ids={alert.id for alert in fresh})


def _happened(before: Visit, snapshot: Snapshot, fresh_ids: set[int]) -> str:
    fresh = sorted((a for a in snapshot.alerts if a.id in fresh_ids), key=lambda a: (-a.severity, a.raised_step))
    named = [f"{SEVERITY[a.severity]} {a.rule} at {fmt.count(a.raised_step)}" for a in fresh]
    parts = [f"new: {', '.join(named)}" if named else "no new alerts"]
    resolved = sum((a.resolved_step or 0) > before.step and a.id not in fresh_ids for a in snapshot.alerts)
    parts += [f"{resolved} resolved"] if resolved else []
    val = snapshot.series.get("val/loss")
    n = len(val.between(before.step + 1, snapshot.step)[0]) if val is not None and len(val) else 0
    parts += [f"{n} evaluations"] if n else []
    parts += [f"it ended: {snapshot.goodbye.reason}"] if snapshot.goodbye is not None else []
    return " · ".join(parts)


def _last(snapshot: Snapshot, key: str) -> float | None:
    series = snapshot.series.get(key)
    return series.last if series is not None and len(series) else None
