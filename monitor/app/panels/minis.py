"""The three small charts: gradient norm, learning rate, samples per second; over the same steps as the loss."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from monitor.app import charts, plot
from monitor.app import format as fmt
from monitor.app.canvas import Area, Canvas, Span
from monitor.app.charts import Scale
from monitor.app.glyphs import BRAILLE
from monitor.app.interventions import Rate, rates
from monitor.app.palette import Ink
from monitor.app.panel import Panel
from monitor.app.panels.loss import interventions, value_at
from monitor.app.scene import Scene
from monitor.app.window import Trace, Window, joined, lost, trace
from monitor.model import SeriesView, Snapshot

LEFT = 7


def lr_keys(snapshot: Snapshot) -> list[str]:
    """The learning rates, in the order of the parameter groups."""
    known = [f"lr/{group.name}" for group in snapshot.hello.groups] if snapshot.hello else []
    others = sorted(key for key in snapshot.series if key.startswith("lr/") and key not in known)
    return [key for key in [*known, *others] if key in snapshot.series]


class _Mini(Panel):
    """The frame, the plot's place and the words for no data; a subclass draws the curve."""

    PERIOD_S = 1.0
    MISSING = ""
    HOW = ""

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        axis = canvas.height >= 14
        area = Area(LEFT, 1, max(canvas.width - LEFT - 2, 1), max(canvas.height - 2 - axis, 1))
        window = scene.window(2 * area.width)
        if not self.curve(canvas, scene, area, window):
            self.frame(canvas, scene)
            self.hint(canvas, scene, self.MISSING, self.HOW)
            return
        plot.events(canvas, area, window, interventions(scene))
        plot.crosshair(canvas, area, window, scene.view.cross, scene.palette.pen("hi"))
        if axis:
            for x, text in scene.labels(window, area.width):
                canvas.put(area.x + x, canvas.height - 2, text, scene.palette.pen("dim"))

    def curve(self, canvas: Canvas, scene: Scene, area: Area, window: Window) -> bool:
        """Draw frame and curve; ``False`` if there is nothing to draw. Each small chart has its own."""
        raise NotImplementedError

    def ground(self, canvas: Canvas, scene: Scene, area: Area, window: Window, scale: Scale) -> NDArray[np.bool_]:
        """Draw what lies under the curve, the grid and the lost steps; returns the columns of these."""
        palette, gaps = scene.palette, scene.snapshot.gaps
        plot.grid(canvas, area, scale, palette.pen("grid"), palette.pen("dim"))
        plot.gaps(canvas, area, window, gaps, palette.pen("faint"))
        return lost(gaps, window)

    def value_of(self, scene: Scene, series: SeriesView, digits: int) -> Span:
        """The newest value, or that of the crosshair's step; red if it is not a finite number."""
        at = scene.view.cross
        value = series.last if at is None else value_at(series, at, exact=False)
        ink: Ink = "hi" if value is None or math.isfinite(value) else "crit"
        return (fmt.real(value, digits), scene.palette.pen(ink, bold=True))


class GradPanel(_Mini):
    TITLE = "grad norm"
    MISSING = "no gradient yet"
    HOW = "it comes with the first optimizer.step()"
    HELP = (
        "The norm of all gradients before clipping, lowest to highest in each column, on a log scale. Where the "
        "script clips, clip is the largest norm after clipping, and what was above it is yellow."
    )

    def curve(self, canvas: Canvas, scene: Scene, area: Area, window: Window) -> bool:
        series = scene.snapshot.series.get("grad/norm")
        if series is None or not len(series):
            return False
        palette, data = scene.palette, trace(series, window)
        limit = _clip_limit(scene.snapshot, window)
        scale = charts.scale_for([np.concatenate([data.low, data.high])], log=True, quantiles=(0.0, 1.0))
        bottom: list[Span] = [(f"clip {fmt.real(limit, 3)}", palette.pen("warn"))] if limit else []
        value = self.value_of(scene, series, 3)
        self.frame(canvas, scene, right=[value], bottom=bottom)
        broken = data.bad | self.ground(canvas, scene, area, window, scale)
        plot.band(canvas, area, scale, data.low, data.high, joined(data.mean, broken), palette.pen("train"))
        if limit:
            _colour_above(canvas, area, scale, limit, palette.pen("warn"))
        plot.bad_values(canvas, area, data.bad, palette.pen("crit", bold=True))
        return True


def _clip_limit(snapshot: Snapshot, window: Window) -> float | None:
    """The norm that clipping lets through: the largest one seen after it, in this window."""
    applied = trace(snapshot.series.get("grad/norm_applied"), window)
    return None if applied.is_empty else float(np.nanmax(applied.high))


def _colour_above(canvas: Canvas, area: Area, scale: Scale, limit: float, pen: int) -> None:
    row = scale.rows(np.array([limit]), 4 * area.height)[0]
    if np.isfinite(row) and row >= 4:
        rows = slice(area.y, area.y + min(int(row) // 4, area.height))
        columns = slice(area.x, area.x + area.width)
        dotted = canvas.codes[rows, columns] >= BRAILLE
        canvas.pens[rows, columns][dotted] = pen


class LrPanel(_Mini):
    TITLE = "lr"
    MISSING = "no learning rate yet"
    HOW = "it comes with the first optimizer.step()"
    HELP = (
        "The learning rate that each step really had, of the first parameter group bright, of the others dim. While "
        "an intervention is in force the bottom line says what the schedule says and what is made of it."
    )

    def curve(self, canvas: Canvas, scene: Scene, area: Area, window: Window) -> bool:
        snapshot, palette = scene.snapshot, scene.palette
        keys = [key for key in lr_keys(snapshot) if len(snapshot.series[key])]
        if not keys:
            return False
        first = snapshot.series[keys[0]]
        traces = [trace(snapshot.series[key], window) for key in keys[:8]]
        scale = charts.scale_for([np.concatenate([t.low for t in traces] + [t.high for t in traces])])
        held = [rate for rate in rates(snapshot) if rate.setting]
        bottom: list[Span] = [(f"{len(keys)} groups", palette.pen("dim"))] if len(keys) > 1 else []
        if held:
            bottom = [(_in_force(held[0], canvas.width - 6), palette.pen("warn"))]
        self.frame(canvas, scene, right=[self.value_of(scene, first, 4)], bottom=bottom)
        gone = self.ground(canvas, scene, area, window, scale)
        for data in reversed(traces[1:]):
            plot.curve(canvas, area, scale, joined(data.mean, data.bad | gone), palette.pen("other_low"))
        plot.curve(canvas, area, scale, joined(traces[0].mean, traces[0].bad | gone), palette.pen("other"))
        self._now(canvas, scene, area, traces[0], scale)
        return True

    def _now(self, canvas: Canvas, scene: Scene, area: Area, data: Trace, scale: Scale) -> None:
        """A dot on the newest value."""
        at = np.flatnonzero(np.isfinite(data.mean))
        if len(at):
            y = plot.row_of(scale, float(data.mean[at[-1]]), area.height) or 0
            canvas.put(area.x + int(at[-1]) // 2, area.y + y, "●", scene.palette.pen("hi"))


def _in_force(rate: Rate, room: int) -> str:
    """``schedule 0.0003, x0.5, effective 0.00015``, as much of it as there is room for."""
    short = f"{rate.schedule:.4g} {rate.setting}"
    middle = f"schedule {rate.schedule:.4g}, {rate.setting}"
    return next((text for text in (f"{middle}, effective {rate.effective:.4g}", middle) if len(text) <= room), short)


class RatePanel(_Mini):
    TITLE = "samples/s"
    MISSING = "no throughput yet"
    HOW = "it comes with the second step"
    HELP = "Samples trained a second. The area does not begin at 0: read its ticks."

    def curve(self, canvas: Canvas, scene: Scene, area: Area, window: Window) -> bool:
        series = scene.snapshot.series.get("rate/samples_per_s")
        if series is None or not len(series):
            return False
        palette, data = scene.palette, trace(series, window)
        scale = charts.scale_for([data.mean], quantiles=(0.02, 1.0))
        floor = max(scale.low - (scale.high - scale.low) / 2, 0.0)
        scale = charts.scale_for([np.array([floor, scale.high])])
        self.frame(canvas, scene, right=[self.value_of(scene, series, 4)])
        values = joined(data.mean, data.bad | self.ground(canvas, scene, area, window, scale))
        rows = scale.rows(values, 4 * area.height)
        bits = charts.dots(rows, np.where(np.isfinite(rows), 4.0 * area.height, np.nan), 4 * area.height)
        pens = np.full((area.height, area.width), palette.pen("ok"), np.uint16)
        pens[area.height // 2 :] = palette.pen("ok_low")
        plot.stamp(canvas, area, bits, pens)
        return True
