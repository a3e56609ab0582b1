"""Layers over time: the gradient norm of each layer, dark where it is small, bright where it is large."""

from __future__ import annotations

import numpy as np

from monitor.app import heatmap
from monitor.app.canvas import Area, Canvas
from monitor.app.glyphs import SEVERITY
from monitor.app.panel import Panel
from monitor.app.panels.layers import flagged
from monitor.app.panels.loss import SEVERITY_INK
from monitor.app.scene import Scene


class HeatPanel(Panel):
    TITLE = "gradients"
    PERIOD_S = 2.0
    HELP = (
        "The norm of each layer's gradient over the steps that the charts show, the first layer on top, on a log "
        "scale: dark is small, bright is large, × is NaN or infinite, empty is not measured. A band that darkens "
        "fades; a column that flashes is a spike. Layers that an alert names have their sign at the left."
    )

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        table, palette = scene.snapshot.layers, scene.palette
        self.frame(canvas, scene, right=[("log ‖g‖, layer × step", palette.pen("dim"))] if len(table.course) else [])
        if not len(table.course):
            self.hint(canvas, scene, "no gradients yet", "they come every few steps, from hooks on the modules")
            return
        area = Area(2, 1, max(canvas.width - 4, 1), max(canvas.height - 4, 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(table.course > 0, np.log10(table.course), np.where(table.course == 0, -np.inf, np.nan))
        heatmap.draw(canvas, scene, area, table.course_steps, values)
        self._flags(canvas, scene, area)
        y = canvas.height - 3
        for x, text in scene.labels(scene.window(2 * area.width), area.width):
            canvas.put(area.x + x, y, text, palette.pen("dim"))
        self._scale(canvas, scene)

    def _flags(self, canvas: Canvas, scene: Scene, area: Area) -> None:
        """The sign of each layer that an open alert names, beside its row."""
        layers, flags = scene.snapshot.layers.layers, flagged(scene.snapshot)
        for index, layer in enumerate(layers):
            severity = flags.get(layer.name)
            if severity is not None:
                row = heatmap.row_of(index, len(layers), 2 * area.height) // 2
                canvas.put(1, area.y + row, SEVERITY[severity], scene.palette.pen(SEVERITY_INK[severity], bold=True))

    def _scale(self, canvas: Canvas, scene: Scene) -> None:
        """From small to large, and how many layers there are."""
        palette, y = scene.palette, canvas.height - 2
        x = canvas.put(2, y, "small ", palette.pen("dim"))
        for level in range(heatmap.LEVELS):
            sign, pen = palette.heat_cell(level, level)
            x = canvas.put(x, y, sign, pen)
        canvas.put(x, y, " large", palette.pen("dim"))
        canvas.put_right(canvas.width - 2, y, [(f"{len(scene.snapshot.layers.layers)} layers", palette.pen("dim"))])
