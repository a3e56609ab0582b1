"""Layout C: a chart for every series, in a grid with pages; other runs lie under them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from monitor.app import charts, compare, plot
from monitor.app import format as fmt
from monitor.app.canvas import Area, Canvas, clip, spans_len
from monitor.app.palette import Ink
from monitor.app.panel import ListPanel, matches
from monitor.app.panels.loss import interventions, value_at
from monitor.app.scene import Scene
from monitor.app.window import Trace, Window, joined, lost, trace
from monitor.model import Floats, Snapshot

#: The least size of a chart; as many as fit are as large as they can be.
_WIDTH, _HEIGHT = 38, 7
#: Cells to the left of a plot, for the labels.
_LEFT: Final = 7
#: Curves that one chart holds.
_CURVES: Final = 6

#: What does not come with each step: nothing of it need be lost where steps are.
_SELDOM: Final = ("val/", "user/")

_FIRST: Final = ("loss", "grad/norm", "lr", "accuracy", "rate/samples_per_s", "time/step_s")


class Chart(NamedTuple):
    """A chart: its name and the series in it, training before validation."""

    name: str
    keys: tuple[str, ...]


class _Curve(NamedTuple):
    """A series in the columns of its chart; a band goes from the lowest to the highest value of each column."""

    trace: Trace
    line: Floats
    ink: Ink
    is_band: bool


def charts_of(snapshot: Snapshot) -> list[Chart]:
    """Training and validation of one quantity in one chart, and so the learning rates; every other series alone."""
    groups: dict[str, list[str]] = {}
    for key in sorted(snapshot.series):
        area, _, name = key.partition("/")
        if not len(snapshot.series[key]):
            continue
        groups.setdefault(name if area in ("train", "val") else area if area == "lr" else key, []).append(key)
    rank = {name: number for number, name in enumerate(_FIRST)}
    return [Chart(name, tuple(groups[name])) for name in sorted(groups, key=lambda n: (rank.get(n, len(rank)), n))]


class WallPanel(ListPanel):
    TITLE = "wall"
    PERIOD_S = 0.5
    HELP = (
        "A chart for every series, training and validation of one quantity together; logarithmic with l where all "
        "values are positive. j k select, n p turn the page, z shows the selected one over the whole screen, / "
        "filters. space in the list of runs lays another run under the charts, o the best earlier one; x aligns them "
        "by step, time or epoch."
    )
    page = 1
    _tiles: Sequence[tuple[str, Area]] = ()

    def pointed(self, x: int, y: int) -> dict[str, Any]:
        """Select the chart under the mouse."""
        for name, tile in self._tiles:
            if 0 <= x - tile.x < tile.width and 0 <= y - tile.y < tile.height:
                self.cursor = name
        return {}

    def draw(self, canvas: Canvas, scene: Scene) -> None:
        pattern = self.filter(scene)
        found = [chart for chart in charts_of(scene.snapshot) if matches(pattern, chart.name, *chart.keys)]
        self.items = [chart.name for chart in found]
        self._tiles = ()
        if not found:
            self.frame(canvas, scene)
            self.hint(canvas, scene, "no charts", f"no series has {pattern}" if pattern else "no series yet")
            return
        if scene.view.zoomed:
            self._chart(canvas, scene, Area(0, 0, canvas.width, canvas.height), found[self.index])
            return
        columns, rows = max(canvas.width // _WIDTH, 1), max(canvas.height // _HEIGHT, 1)
        rows = min(rows, math.ceil(len(found) / columns))
        self.page = columns * rows
        first = self.index // self.page * self.page
        shown = found[first : first + self.page]
        self._tiles = [(chart.name, _tile(canvas, columns, rows, number)) for number, chart in enumerate(shown)]
        for chart, (_, tile) in zip(shown, self._tiles, strict=True):
            self._chart(canvas, scene, tile, chart)
        self._pages(canvas, scene, first // self.page, math.ceil(len(found) / self.page))

    def _pages(self, canvas: Canvas, scene: Scene, page: int, pages: int) -> None:
        spans = self.chosen(scene)
        if pages > 1:
            spans.insert(0, (f" page {page + 1} of {pages} ", scene.palette.pen("text", bold=True)))
        canvas.put_right(canvas.width - 2, canvas.height - 1, spans)

    def _chart(self, canvas: Canvas, scene: Scene, tile: Area, chart: Chart) -> None:
        palette = scene.palette
        x, y, width, height = tile
        on = self.selected == chart.name and scene.view.focus == self.id
        part = Canvas(width, height, palette.pen("text"))
        self.box(part, scene, chart.name, focused=on)
        area = Area(_LEFT, 1, max(width - _LEFT - 2, 1), max(height - 2 - (height >= 10), 1))
        self._curves(part, scene, area, chart)
        canvas.codes[y : y + height, x : x + width] = part.codes
        canvas.pens[y : y + height, x : x + width] = part.pens

    def _curves(self, part: Canvas, scene: Scene, area: Area, chart: Chart) -> None:
        palette, snapshot, view = scene.palette, scene.snapshot, scene.view
        window = scene.window(2 * area.width)
        curves, key = list(_curves_of(scene, chart, window)), chart.keys[0]
        others = [
            (other.ink, compare.aligned(snapshot, other.snapshot, view.x_axis, key, window)) for other in scene.others
        ]
        scale = _scale(curves, [means for _, means in others], log=view.log)
        plot.grid(part, area, scale, palette.pen("grid"), palette.pen("dim"))
        plot.gaps(part, area, window, snapshot.gaps, palette.pen("faint"))
        for ink, means in others:
            plot.curve(part, area, scale, joined(means, np.zeros(len(means), bool)), palette.pen(ink))
        bad = np.zeros(window.columns, bool)
        for data, line, ink, is_band in curves:  # validation over the band of training
            if is_band:
                plot.band(part, area, scale, data.low, data.high, line, palette.pen(ink))
            else:
                plot.curve(part, area, scale, line, palette.pen(ink))
            plot.points(part, area, scale, plot.lone(line), palette.pen(ink))
            bad |= data.bad
        plot.events(part, area, window, interventions(scene))
        plot.crosshair(part, area, window, view.cross, palette.pen("hi"))
        plot.bad_values(part, area, bad, palette.pen("crit", bold=True))
        self._values(part, scene, chart)
        if part.height >= 10:
            for at, text in scene.labels(window, area.width):
                part.put(area.x + at, part.height - 2, text, palette.pen("dim"))

    def _values(self, part: Canvas, scene: Scene, chart: Chart) -> None:
        """The newest values or those of the crosshair, in the frame; as many as there is room for."""
        palette, at = scene.palette, scene.view.cross
        spans: list[tuple[str, int]] = []
        for number, key in enumerate(chart.keys[:_CURVES]):
            series = scene.snapshot.series[key]
            value = series.last if at is None else value_at(series, at, exact=False)
            good = value is None or math.isfinite(value)
            text = f" {fmt.real(value)}"
            pen = palette.pen(_ink(chart, number) if good else "crit", bold=True)
            if spans_len(spans) + len(text) + len(chart.name) + 8 <= part.width:
                spans.append((text, pen))
        part.put_right(part.width - 3, 0, [*spans, (" ", palette.pen("frame"))])

    def box(self, canvas: Canvas, scene: Scene, title: str, *, focused: bool) -> None:
        """A frame of one chart."""
        palette = scene.palette
        pen = palette.pen("train" if focused else "frame")
        width, last = canvas.width, canvas.height - 1
        canvas.put(0, 0, "╭" + "─" * (width - 2) + "╮", pen)
        for y in range(1, last):
            canvas.put(0, y, "│", pen)
            canvas.put(width - 1, y, "│", pen)
        canvas.put(0, last, "╰" + "─" * (width - 2) + "╯", pen)
        canvas.put(2, 0, f" {clip(title, width - 14)} ", palette.pen("hi" if focused else "text", bold=True))


def _curves_of(scene: Scene, chart: Chart, window: Window) -> Iterator[_Curve]:
    gone = lost(scene.snapshot.gaps, window)
    for number, key in enumerate(chart.keys[:_CURVES]):
        data = trace(scene.snapshot.series[key], window)
        broken = data.bad if key.startswith(_SELDOM) else data.bad | gone
        is_band = len(chart.keys) == 1 or key.startswith("train/")
        yield _Curve(data, joined(data.mean, broken), _ink(chart, number), is_band)


def _scale(curves: Sequence[_Curve], others: Sequence[Floats], *, log: bool) -> charts.Scale:
    """A spike of a band may stick out; a few evaluations among many steps are what the quantiles would leave out."""
    raw = [ends for curve in curves if curve.is_band for ends in (curve.trace.low, curve.trace.high)]
    wholly = [curve.trace.mean for curve in curves if not curve.is_band]
    return charts.scale_for([np.concatenate([[], *raw]), *wholly, *others], log=log, quantiles=(0.01, 0.99))


def _tile(canvas: Canvas, columns: int, rows: int, number: int) -> Area:
    """The place of a chart; the tiles fill the canvas."""
    column, row = number % columns, number // columns
    xs = [round(canvas.width * i / columns) for i in range(columns + 1)]
    ys = [round(canvas.height * i / rows) for i in range(rows + 1)]
    return Area(xs[column], ys[row], xs[column + 1] - xs[column], ys[row + 1] - ys[row])


def _ink(chart: Chart, number: int) -> Ink:
    """Training and what stands alone blue, validation orange, more learning rates each their own."""
    key = chart.keys[number]
    if key.startswith("val/"):
        return "val"
    inks: tuple[Ink, ...] = ("train", "other", "info", "ok", "warn", "dim")
    return inks[number]
