"""What the x axis is labelled with: steps, the time since the run began, or its epochs.

The columns of a chart are steps whatever the axis is called; a label of another kind stands at the step where its
moment was. So a pause or a slow stretch shows as labels that lie closer together.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np

from monitor.app import format as fmt
from monitor.app.charts import round_step
from monitor.app.window import Window
from monitor.model import Snapshot

Axis = Literal["step", "time", "epoch"]

#: Cells that a label needs with the space around it.
_LABEL: Final = 14
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_SPANS_S: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(k * _MINUTE for k in (1, 2, 5, 10, 15, 30)),
    *(k * _HOUR for k in (1, 2, 3, 6, 12)),
    *(k * _DAY for k in (1, 2, 5, 10, 20, 50, 100)),
)


def knows(snapshot: Snapshot, axis: Axis) -> bool:
    """Whether the run can be labelled so."""
    clock, epochs = snapshot.clock, snapshot.epochs
    return axis == "step" or (clock is not None and len(clock) > 1 if axis == "time" else bool(epochs))


def began_s(snapshot: Snapshot) -> float:
    """When the run began, Unix seconds: a resumed one, whose Hello is its newest, with the first step that it has."""
    clock, hello = snapshot.clock, snapshot.hello
    known = [hello.started_s] if hello is not None else []
    if clock is not None and len(clock):
        known += clock.between(clock.first_step, clock.first_step)[1].tolist()
    return min(known, default=0.0)


def labels(snapshot: Snapshot, axis: Axis, window: Window, cells: int) -> list[tuple[int, str]]:
    """The cell where each label begins, and the label; none overlap."""
    first, last = window.start, window.last + 1
    if cells < 8 or last <= first:
        return []
    most = max(cells // _LABEL, 1)
    if axis == "time" and knows(snapshot, axis):
        ticks = _times(snapshot, first, last, most)
    elif axis == "epoch" and knows(snapshot, axis):
        ticks = _epochs(snapshot, first, last, most)
    else:
        ticks = _steps(first, last, most)
    return _placed(ticks, first, last, cells)


def _placed(ticks: list[tuple[float, str]], first: int, last: int, cells: int) -> list[tuple[int, str]]:
    placed: list[tuple[int, str]] = []
    free = 0
    for step, text in ticks:
        at = round((step - first) / (last - first) * cells) - len(text) // 2
        if at >= free and at + len(text) <= cells:
            placed.append((at, text))
            free = at + len(text) + 2
    return placed


def _steps(first: int, last: int, most: int) -> list[tuple[float, str]]:
    step = max(round_step((last - first) / most), 1.0)
    return [(i * step, _count(i * step, step)) for i in range(math.ceil(first / step), math.floor(last / step) + 1)]


def _count(value: float, step: float) -> str:
    """A round step: ``12,500`` where the next label is near, ``12.5k`` where it is not."""
    return fmt.short(value) if step >= 1000 or value < 1e4 else f"{value:,.0f}"


def _times(snapshot: Snapshot, first: int, last: int, most: int) -> list[tuple[float, str]]:
    clock, began = snapshot.clock, began_s(snapshot)
    assert clock is not None
    steps, times = clock.between(clock.first_step, clock.last_step)
    start, end = np.interp([first, min(last, int(steps[-1]))], steps, times) - began
    span = next((s for s in _SPANS_S if s * most >= end - start), _SPANS_S[-1])
    at = np.arange(math.ceil(start / span), math.floor(end / span) + 1) * span
    found: list[float] = np.interp(at + began, times, steps).tolist()
    return [(step, fmt.duration(float(seconds))) for step, seconds in zip(found, at, strict=True)]


def _epochs(snapshot: Snapshot, first: int, last: int, most: int) -> list[tuple[float, str]]:
    inside = [(step, epoch) for step, epoch in snapshot.epochs if first <= step <= last]
    every = max(round_step(len(inside) / most), 1.0)
    return [(step, f"epoch {epoch:g}") for step, epoch in inside if epoch % every == 0]
