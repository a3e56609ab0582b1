"""Accuracy by class, the worst first, with a mark at the mean."""

from __future__ import annotations

import math

import numpy as np

from monitor.app import charts
from monitor.app import format as fmt
from monitor.app.canvas import Canvas, clip
from monitor.app.palette import Ink
from monitor.app.panel import ListPanel
from monitor.app.scene import Scene
from monitor.model import ClassTable, Snapshot


def shown_table(snapshot: Snapshot) -> ClassTable:
    """Validation's classes if there are any, else training's."""
    return snapshot.val_classes if len(snapshot.val_classes.accuracy) else snapshot.train_classes


class ClassesPanel(ListPanel):
    TITLE = "class accuracy"
    PERIOD_S = 1.0
    HELP = (
        "The share of each class's samples that was predicted right, the worst first, in percent; ┼ is the mean. The "
        "last column is the change against the counts before. From validation if there is one, else from the newest "
        "window of training. Give names with probe.attach(classes=[...])."
    )

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        palette, table = scene.palette, shown_table(scene.snapshot)
        accuracy = table.accuracy
        seen = np.flatnonzero(np.isfinite(accuracy))
        order = seen[np.argsort(accuracy[seen], kind="stable")].tolist()
        self.items = order
        if not order:
            self.frame(canvas, scene)
            self.hint(canvas, scene, "no classes seen yet", self._how(scene))
            return
        values = accuracy[seen]
        mean, spread = float(values.mean()), float(values.std())
        text = f"{fmt.count(len(accuracy))} classes · μ {100 * mean:.1f} · σ {100 * spread:.1f}"
        right = [(f"{table.split}, worst first", palette.pen("dim"))]
        self.frame(canvas, scene, right=right, bottom=[(text, palette.pen("dim"))])
        for y, item in enumerate(self.window_of(canvas.height - 2), start=1):
            on = self.cursor is not None and item == self.index and scene.view.focus == self.id
            self._row(canvas, scene, y, table, order[item], mean, spread, "selected" if on else "bg")

    def _how(self, scene: Scene) -> str:
        objective = scene.snapshot.facts.get("objective")
        if objective in ("mse", "l1"):
            return f"the objective is {objective}: a regression has none"
        return (
            "They come from the targets of a classification loss. Name it: probe.attach(model, optimizer, criterion)."
        )

    def _row(
        self, canvas: Canvas, scene: Scene, y: int, table: ClassTable, index: int, mean: float, spread: float, on: Ink
    ) -> None:
        palette, width = scene.palette, canvas.width
        value = float(table.accuracy[index])
        canvas.put(1, y, " " * (width - 2), palette.pen("text", on=on))
        name = table.names[index] if index < len(table.names) else f"class {index}"
        room = min(max(width - 30, 6), 20)
        canvas.put(2, y, clip(name, room), palette.pen("text", on=on))
        x, cells = 3 + room, max(width - room - 18, 0)
        ink: Ink = "crit" if value < mean - 3 * spread else "val" if value < mean - 2 * spread else "train"
        full, rest = charts.meter(value, cells)
        canvas.put(x, y, full, palette.pen(ink, on=on))
        canvas.put(x + len(full), y, rest, palette.pen("frame", on=on))
        at = x + min(round(mean * cells), max(cells - 1, 0))
        if cells and at >= x + len(full):
            canvas.put(at, y, "┼", palette.pen("dim", on=on))
        canvas.put_right(width - 8, y, [(f"{100 * value:.1f}", palette.pen("hi", bold=True, on=on))])
        before = float(table.before[index]) if index < len(table.before) else math.nan
        if math.isfinite(before):
            change = value - before
            tone: Ink = "dim" if abs(change) < 0.005 else "ok" if change > 0 else "crit"
            canvas.put_right(width - 2, y, [(fmt.points(change), palette.pen(tone, on=on))])
