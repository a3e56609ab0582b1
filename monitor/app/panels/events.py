"""What happened, the newest first: alerts, marks and commands, evaluations, the end."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from monitor.app import format as fmt
from monitor.app.canvas import Canvas, clip
from monitor.app.glyphs import MARKS, SEVERITY, STATE
from monitor.app.palette import Ink
from monitor.app.panel import ListPanel, matches
from monitor.app.panels.loss import SEVERITY_INK, val_key
from monitor.app.scene import Scene

#: Evaluations that are listed.
_EVALUATIONS = 200


class Entry(NamedTuple):
    """One line: when, as step and Unix seconds; its sign; its words."""

    step: int
    time_s: float
    sign: str
    text: str
    ink: Ink


class EventsPanel(ListPanel):
    TITLE = "events"
    PERIOD_S = 0.5
    HELP = (
        "What happened, the newest on top: alerts with their sign and where they were resolved, marks, "
        "interventions, evaluations with what they found, and how the run ended. e and E take the charts from one to "
        "the next."
    )

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        palette = scene.palette
        pattern = self.filter(scene)
        entries = [entry for entry in newest_first(scene) if matches(pattern, entry.text)]
        self.items = [(entry.step, entry.text) for entry in entries]
        right = [(f"/{pattern}", palette.pen("train"))] if pattern else []
        self.frame(canvas, scene, right=right)
        if not entries:
            self.hint(canvas, scene, "nothing happened yet", "evaluations, alerts, marks and interventions come here")
            return
        for y, index in enumerate(self.window_of(canvas.height - 2), start=1):
            on = self.cursor is not None and index == self.index and scene.view.focus == self.id
            self._row(canvas, scene, y, entries[index], "selected" if on else "bg")

    def _row(self, canvas: Canvas, scene: Scene, y: int, entry: Entry, on: Ink) -> None:
        palette = scene.palette
        canvas.put(1, y, " " * (canvas.width - 2), palette.pen("text", on=on))
        x = canvas.put(2, y, fmt.clock(entry.time_s)[-5:] if entry.time_s else "     ", palette.pen("faint", on=on))
        x = canvas.put(x + 1, y, f"{fmt.short(entry.step):>5} ", palette.pen("dim", on=on))
        x = canvas.put(x, y, f"{entry.sign} ", palette.pen(entry.ink, bold=True, on=on))
        canvas.put(x, y, clip(entry.text, canvas.width - x - 2), palette.pen("text", on=on))


def newest_first(scene: Scene) -> list[Entry]:
    return heapq.nlargest(1000, [*_alerts(scene), *_marks(scene), *_evaluations(scene), *_end(scene)])


def _alerts(scene: Scene) -> Iterator[Entry]:
    for alert in scene.snapshot.alerts:
        ink = SEVERITY_INK[alert.severity]
        yield Entry(alert.raised_step, alert.time_s, SEVERITY[alert.severity], f"{alert.rule}: {alert.summary}", ink)
        if alert.resolved_step is not None:
            at_s = scene.time_of(alert.resolved_step) or 0.0
            yield Entry(alert.resolved_step, at_s, "✓", f"{alert.rule} resolved", "ok")


def _marks(scene: Scene) -> Iterator[Entry]:
    for mark in scene.snapshot.marks:
        by = f" by {mark.by}" if mark.by else ""
        yield Entry(mark.step, mark.time_s, MARKS.get(mark.kind, "·"), f"{mark.text}{by}", "other")


def _evaluations(scene: Scene) -> Iterator[Entry]:
    series = scene.snapshot.series
    key = val_key(scene.snapshot)
    if key is None:
        return
    steps, values = series[key].tail(_EVALUATIONS)
    accuracy = series.get("val/accuracy")
    for step, value in zip(steps.tolist(), values.tolist(), strict=True):
        text = f"{key} {fmt.loss(value)}"
        found = accuracy.between(step, step)[1] if accuracy is not None else np.empty(0)
        text += f", accuracy {fmt.percent(float(found[-1]))}" if len(found) else ""
        yield Entry(step, scene.time_of(step) or 0.0, "•", text, "val")


def _end(scene: Scene) -> Iterator[Entry]:
    goodbye = scene.snapshot.goodbye
    if goodbye is not None:
        sign, word, ink = STATE[scene.snapshot.state]
        yield Entry(goodbye.step, goodbye.time_s, sign, f"{word.lower()}: {goodbye.error or goodbye.reason}", ink)
