"""Moving along the time axis, as functions of a scene: where the window, the crosshair and the next event are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from monitor.app.glyphs import MARKS, SEVERITY
from monitor.app.scene import Scene
from monitor.app.window import Window

#: The fewest steps that are zoomed in to.
_FEWEST = 10


class Moment(NamedTuple):
    """Something that happened: its step, its sign, and a word for it."""

    step: int
    sign: str
    text: str


def moments(scene: Scene) -> list[Moment]:
    """Alerts and marks, in the order of their steps."""
    return sorted(_moments(scene))


def _moments(scene: Scene) -> Iterator[Moment]:
    for alert in scene.snapshot.alerts:
        if not alert.muted:
            step = alert.first_step if alert.first_step is not None else alert.raised_step
            yield Moment(step, SEVERITY[alert.severity], alert.rule)
    for mark in scene.snapshot.marks:
        if mark.kind in MARKS:
            yield Moment(mark.step, MARKS[mark.kind], mark.text)


def next_moment(scene: Scene, by: int) -> tuple[int, list[Moment]]:
    """The index of the next event after the crosshair, or before it, and all events; round the ends."""
    found = moments(scene)
    at = scene.view.cross
    if by > 0:
        later = [i for i, moment in enumerate(found) if at is None or moment.step > at]
        return (later[0] if later else 0), found
    earlier = [i for i, moment in enumerate(found) if at is None or moment.step < at]
    return (earlier[-1] if earlier else len(found) - 1), found


def around(scene: Scene, step: int) -> tuple[int, int]:
    """The steps to look at for a moment: a twentieth of the run, at least 200 steps, the moment in the middle."""
    first, last = scene.steps
    half = max((last - first) // 40, 100)
    start = min(max(step - half, first), max(last - 2 * half, first))
    return start, min(start + 2 * half, last)


def magnified(scene: Scene, by: int) -> tuple[int, int] | None:
    """Half the window or twice of it, about the crosshair, else about its newest end; ``None`` for the whole run."""
    first, last = scene.steps
    start, end = scene.shown
    span = max((end - start + 2) // 2 if by > 0 else 2 * (end - start + 1), _FEWEST)
    if span >= last - first + 1:
        return None
    middle = scene.view.cross
    begin = end - span + 1 if middle is None else middle - span // 2
    return _within(begin, span, first, last)


def panned(scene: Scene, by: int) -> tuple[int, int] | None:
    """The window a quarter of its length later or earlier; ``None`` while the whole run is shown."""
    first, last = scene.steps
    start, end = scene.shown
    span = end - start + 1
    return None if span >= last - first + 1 else _within(start + by * max(span // 4, 1), span, first, last)


def _within(begin: int, span: int, first: int, last: int) -> tuple[int, int]:
    begin = min(max(begin, first), last - span + 1)
    return begin, begin + span - 1


def crossed(scene: Scene, window: Window, by: int) -> int:
    """The step of the crosshair so many cells to the right; it begins at the newest step."""
    first, last = scene.steps
    at = scene.view.cross if scene.view.cross is not None else min(last, window.last)
    cell = max(2 * window.width // window.stretch, 1)
    return min(max(at + by * cell, window.start, first), window.last, last)
