"""Accuracy by class, the worst first, with a mark at the mean."""

from __future__ import annotations

import math

import numpy as np

from monitor.app import charts, heatmap
from monitor.app import format as fmt
from monitor.app.canvas import Area, Canvas, clip
from monitor.app.palette import Ink
from monitor.app.panel import ListPanel, matches
from monitor.app.panels import confusion
from monitor.app.scene import Scene
from monitor.model import ClassTable, Snapshot


def shown_table(snapshot: Snapshot) -> ClassTable:
    """Validation's classes if there are any, else training's."""
    return snapshot.val_classes if len(snapshot.val_classes.accuracy) else snapshot.train_classes


#: Cells of the bars, and how many more there must be for the course of each class beside them.
_BARS, _COURSE = 56, 24


def _name(table: ClassTable, index: int) -> str:
    return table.names[index] if index < len(table.names) else f"class {index}"


class ClassesPanel(ListPanel):
    TITLE = "class accuracy"
    PERIOD_S = 2.0
    SORTS = ("worst first", "fallen first", "best first", "by name")
    HELP = (
        "The share of each class's samples that was predicted right, the worst first, in percent; ┼ is the mean. The "
        "last column is the change against the counts before. From validation if there is one, else from the newest "
        "window of training. Give names with probe.attach(classes=[...]). Where it is wide, and with z, their course "
        "over the shown steps: dark is 0 %, bright is 100 %. With z also what was taken for what; j k selects one."
    )

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        palette, table = scene.palette, shown_table(scene.snapshot)
        accuracy = table.accuracy
        seen = np.flatnonzero(np.isfinite(accuracy))
        order = self._order(scene, table, seen.tolist())
        self.items = order
        if not len(seen):
            self.frame(canvas, scene)
            self.hint(canvas, scene, "no classes seen yet", self._how(scene))
            return
        values = accuracy[seen]
        mean, spread = float(values.mean()), float(values.std())
        text = f"{fmt.count(len(accuracy))} classes · μ {100 * mean:.1f} · σ {100 * spread:.1f}"
        pattern = self.filter(scene)
        right = [(f"{table.split}, {self.sort(scene)}", palette.pen("dim"))]
        right += [(f" /{pattern}", palette.pen("train", bold=True))] if pattern else []
        self.frame(canvas, scene, right=right, bottom=[(text, palette.pen("dim"))])
        area = Area(1, 1, canvas.width - 2, canvas.height - 2)
        if scene.view.zoomed and scene.view.focus == self.id:
            area = self._confusion(canvas, scene, table)
        wide = area.width >= _BARS + _COURSE - 2 and len(table.course) > 1
        bars = _BARS if wide else area.width + 2
        shown = self.window_of(area.height)
        for y, item in enumerate(shown, start=1):
            on = self.cursor is not None and item == self.index and scene.view.focus == self.id
            on = on or _name(table, order[item]) in scene.view.blamed
            self._row(canvas, scene, y, table, order[item], mean, spread, "selected" if on else "bg", bars)
        if wide:
            self._course(canvas, scene, table, [order[item] for item in shown], bars, area.height)

    def _confusion(self, canvas: Canvas, scene: Scene, table: ClassTable) -> Area:
        """What was taken for what; returns the area that is left to the list."""
        only = self.selected if self.cursor is not None else None
        only = only if isinstance(only, int) else None
        places = confusion.places(canvas.width, canvas.height, table, _BARS)
        if self.items:
            confusion.draw_words(canvas, scene, places.words, table, only, set(self.items))
        if places.matrix is not None:
            confusion.draw_matrix(canvas, scene, places.matrix, table, only)
        return places.classes

    def _order(self, scene: Scene, table: ClassTable, seen: list[int]) -> list[int]:
        """The classes that pass the filter in the order chosen, those that the alert gone to names first."""
        by, pattern, blamed = self.sort(scene), self.filter(scene), scene.view.blamed

        def key(index: int) -> tuple[bool, float, str]:
            name, value = _name(table, index), float(table.accuracy[index])
            fall = value - float(table.before[index]) if index < len(table.before) else math.nan
            number = {"fallen first": fall if math.isfinite(fall) else math.inf, "best first": -value}
            return (name not in blamed, 0.0 if by == "by name" else number.get(by, value), name * (by == "by name"))

        return sorted((index for index in seen if matches(pattern, _name(table, index))), key=key)

    def _course(self, canvas: Canvas, scene: Scene, table: ClassTable, shown: list[int], x: int, rows: int) -> None:
        """Beside each class its accuracy over the steps that the charts show, dark to bright, a cell high."""
        palette, width = scene.palette, canvas.width - x - 2
        cells = heatmap.columns(scene, table.course_steps, table.course[:, shown], width)
        level = np.where(np.isfinite(cells), np.clip(cells * heatmap.LEVELS, 0, heatmap.LEVELS - 1), -1).astype(int)
        for row, column in zip(*np.nonzero(level >= 0), strict=True):
            sign, pen = palette.heat_cell(int(level[row, column]), int(level[row, column]))
            canvas.put(x + int(column), 1 + int(row), sign, pen)
        if len(shown) < rows:
            for at, text in scene.labels(scene.window(2 * width), width):
                canvas.put(x + at, 1 + len(shown), text, palette.pen("dim"))

    def _how(self, scene: Scene) -> str:
        objective = scene.snapshot.facts.get("objective")
        if objective in ("mse", "l1"):
            return f"the objective is {objective}: a regression has none"
        return (
            "They come from the targets of a classification loss. Name it: probe.attach(model, optimizer, criterion)."
        )

    def _row(
        self,
        canvas: Canvas,
        scene: Scene,
        y: int,
        table: ClassTable,
        index: int,
        mean: float,
        spread: float,
        on: Ink,
        width: int,
    ) -> None:
        palette = scene.palette
        value = float(table.accuracy[index])
        canvas.put(1, y, " " * (width - 2), palette.pen("text", on=on))
        name = _name(table, index)
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
