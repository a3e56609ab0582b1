"""Curves, bands, grids and events on a canvas: the parts that the loss chart and the small charts share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.app import charts
from monitor.app.canvas import Area, Canvas, clip
from monitor.app.charts import Scale
from monitor.app.glyphs import BRAILLE
from monitor.app.window import Window
from monitor.model import Floats


class Event(NamedTuple):
    """Something at a step: a sign at the top and a dashed line below it."""

    step: int
    sign: str
    pen: int
    line_pen: int


def row_of(scale: Scale, value: float, height: int) -> int | None:
    """The row of cells that a value's dot is in, the nearest one if it is beyond the scale; ``None`` for NaN."""
    row = scale.rows(np.array([value]), 4 * height)[0]
    return int(np.clip(np.floor(row + 0.5), 0, 4 * height - 1)) // 4 if np.isfinite(row) else None


def grid(canvas: Canvas, area: Area, scale: Scale, pen: int, label_pen: int) -> None:
    """Dotted lines at the round values, labelled to the left of the area."""
    taken = -2
    for value, label in reversed(scale.ticks(max(area.height // 3, 2))):
        y = row_of(scale, value, area.height)
        if y is None or y - taken < 2:
            continue
        canvas.put(area.x, area.y + y, "┈" * area.width, pen)
        canvas.put_right(area.x - 1, area.y + y, [(clip(label, 5), label_pen)])
        taken = y


def stamp(canvas: Canvas, area: Area, bits: charts.Dots, pen: int | NDArray[np.uint16]) -> None:
    """Lay the dots over the area; only cells with a dot are touched, and a cell shows the topmost layer alone."""
    codes = charts.braille(bits)
    canvas.stamp(area.x, area.y, codes, pen, np.asarray(codes != BRAILLE))


def curve(canvas: Canvas, area: Area, scale: Scale, values: Floats, pen: int) -> None:
    """A line through the values of the dot columns."""
    top, bottom = charts.line(scale.rows(values, 4 * area.height))
    stamp(canvas, area, charts.dots(top, bottom, 4 * area.height), pen)


def band(canvas: Canvas, area: Area, scale: Scale, low: Floats, high: Floats, through: Floats, pen: int) -> None:
    """From the lowest to the highest value of each column, and the line through them where they are single."""
    height = 4 * area.height
    top, bottom = charts.line(scale.rows(through, height))
    top = np.fmin(top, scale.rows(high, height))
    bottom = np.fmax(bottom, scale.rows(low, height))
    stamp(canvas, area, charts.dots(top, bottom, height), pen)


def points(canvas: Canvas, area: Area, scale: Scale, values: Floats, pen: int) -> None:
    """A ``•`` in the cell of each value; a value beyond the scale is drawn at its edge."""
    rows = scale.rows(values, 4 * area.height)
    columns = np.flatnonzero(np.isfinite(rows))
    dots = np.clip(np.floor(rows[columns] + 0.5), 0, 4 * area.height - 1).astype(np.int64)
    canvas.codes[area.y + dots // 4, area.x + columns // 2] = ord("•")
    canvas.pens[area.y + dots // 4, area.x + columns // 2] = pen


def lone(values: Floats) -> Floats:
    """The values that have none beside them, so that no line leads to them; NaN for the others."""
    known = np.pad(np.isfinite(values), 1)
    return np.where(known[:-2] | known[2:], np.nan, values)


def events(canvas: Canvas, area: Area, window: Window, marks: Iterable[Event]) -> None:
    """Each event's dashed line where no data is, and its sign in the first row. A later one wins a shared cell."""
    for event in marks:
        column = window.column_of(event.step)
        if not 0 <= column < window.columns:
            continue
        x = area.x + column // 2
        cells = canvas.codes[area.y : area.y + area.height, x]
        free = charts.blank(cells)
        cells[free] = ord("╎")
        canvas.pens[area.y : area.y + area.height, x][free] = event.line_pen
        if event.sign:
            canvas.put(x, area.y, event.sign, event.pen)


def crosshair(canvas: Canvas, area: Area, window: Window, step: int | None, pen: int) -> None:
    """A line through the crosshair's step where no data is; on the data their cells in its pen."""
    column = -1 if step is None else window.column_of(step)
    if not 0 <= column < window.columns:
        return
    x = area.x + column // 2
    rows = slice(area.y, area.y + area.height)
    free = charts.blank(canvas.codes[rows, x]) | (canvas.codes[rows, x] == ord("╎"))
    canvas.codes[rows, x][free] = ord("│")
    canvas.pens[rows, x] = pen


def gaps(canvas: Canvas, area: Area, window: Window, spans: Iterable[tuple[int, int]], pen: int) -> None:
    """Shade the steps whose record was lost."""
    for first, last in spans:
        a, b = window.column_of(first), window.column_of(last)
        if b < 0 or a >= window.columns:
            continue
        left, right = max(a, 0) // 2, min(b, window.columns - 1) // 2
        for y in range(area.height):
            canvas.put(area.x + left, area.y + y, "░" * (right - left + 1), pen)


def bad_values(canvas: Canvas, area: Area, bad: NDArray[np.bool_], pen: int) -> None:
    """A ``✗`` in the last row for each cell with a NaN or an infinity."""
    cells = bad[: len(bad) // 2 * 2].reshape(-1, 2).any(axis=1)
    for x in np.flatnonzero(np.asarray(cells)[: area.width]):
        canvas.put(area.x + int(x), area.y + area.height - 1, "✗", pen)


def tags(canvas: Canvas, area: Area, scale: Scale, wanted: Iterable[tuple[float, str, int]]) -> None:
    """The newest value of each curve in the right-hand gutter, at its height; the first one keeps its place."""
    taken: set[int] = set()
    for value, text, pen in wanted:
        y = row_of(scale, value, area.height)
        if y is None:
            continue
        if y in taken:
            y += 1 if y + 1 < area.height else -1
        if 0 <= y < area.height and y not in taken:
            taken.add(y)
            canvas.put(area.x + area.width, area.y + y, f"◂{text}", pen)
