"""Other runs beside this one: their curves in this one's columns, and which of the two is further."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from monitor.app import format as fmt
from monitor.app.palette import Ink
from monitor.app.ruler import Axis, began_s
from monitor.app.window import Window, averaged, newest_average, trace
from monitor.model import Floats, RunRow, Snapshot

#: The inks of other runs, in the order in which they were chosen.
INKS: Final[tuple[Ink, ...]] = ("other", "info", "ok", "warn")

#: Columns in which another run is searched for a loss.
_COLUMNS: Final = 2000


class Scale(NamedTuple):
    """Where a run is on an axis: float64[k] steps that rise, and what they are there."""

    steps: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class Other:
    """Another run that is drawn beside this one."""

    run_id: str
    name: str
    ink: Ink
    snapshot: Snapshot


def candidates(snapshot: Snapshot) -> Iterator[RunRow]:
    """The runs that are over and could be a measure for this one, the lowest loss first."""
    over = [row for row in snapshot.runs if row.state.is_over and not row.current and row.loss is not None]
    yield from sorted((row for row in over if np.isfinite(row.loss or np.nan)), key=lambda row: row.loss or 0.0)


def position(snapshot: Snapshot, axis: Axis) -> Scale | None:
    """The elapsed time or the epoch of a run's steps; ``None`` where it has none, and for the steps themselves."""
    clock = snapshot.clock
    if axis == "time" and clock is not None and len(clock) > 1:
        steps, times = clock.between(clock.first_step, clock.last_step)
        return Scale(steps.astype(np.float64), times - began_s(snapshot))
    if axis == "epoch" and len(snapshot.epochs) > 1:
        begun, epochs = (np.array(part, np.float64) for part in zip(*snapshot.epochs, strict=True))
        usual = float(np.median(np.diff(begun)))
        return Scale(np.append(begun, begun[-1] + usual), np.append(epochs, epochs[-1] + 1))  # the one that goes on
    return None


def aligned(snapshot: Snapshot, other: Snapshot, axis: Axis, key: str, window: Window) -> Floats:
    """A series of the other run in the columns of this one's window, float64[columns], NaN where it has no value."""
    here, there = position(snapshot, axis), position(other, axis)
    if here is None or there is None:
        return trace(other.series.get(key), window).mean
    middles = window.start + (np.arange(window.columns) + 0.5) * window.width / window.stretch
    wanted = np.interp(np.interp(middles, *here), there.values, there.steps, left=np.nan, right=np.nan)
    known = np.flatnonzero(np.isfinite(wanted))
    out = np.full(window.columns, np.nan)
    if len(known):
        first, last = int(wanted[known[0]]), int(wanted[known[-1]]) + 1
        width = max((last - first) // window.columns, 1)
        source = Window(first, width, (last - first) // width + 1)
        means = trace(other.series.get(key), source).mean
        at = np.clip(((wanted[known] - first) // width).astype(np.int64), 0, len(means) - 1)
        out[known] = means[at]
    return out


def lead(snapshot: Snapshot, other: Other, key: str, smoothing: float) -> str:
    """How many steps this run is ahead of the other one: when did that have the loss that this one has now."""
    ours, theirs = snapshot.series.get(key), other.snapshot.series.get(key)
    if ours is None or theirs is None or not len(ours) or not len(theirs):
        return ""
    now = newest_average(ours, smoothing)
    width = max((theirs.last_step - theirs.first_step) // _COLUMNS, 1)
    window = Window(theirs.first_step, width, (theirs.last_step - theirs.first_step) // width + 1)
    _, means = averaged(theirs, window, smoothing)
    with np.errstate(invalid="ignore"):
        reached = np.flatnonzero(means <= now)
    if not np.isfinite(now):
        return ""
    if not len(reached):
        return f"lower than {other.name} ever was"
    steps = int(window.step_at(float(reached[0]))) - ours.last_step
    if abs(steps) <= width:
        return f"level with {other.name}"
    return f"{fmt.count(abs(steps))} steps {'ahead of' if steps > 0 else 'behind'} {other.name}"
