"""A matrix over the steps as coloured half cells: two rows of it in each line of the screen."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.app.canvas import Area, Canvas
from monitor.app.scene import Scene
from monitor.model import Floats, Steps

#: Colours of the scale, dark to bright.
LEVELS: Final = 10
#: In place of a level: no value here, and a value that is not finite.
ABSENT, BAD = -1, -2


def draw(canvas: Canvas, scene: Scene, area: Area, steps: Steps, values: Floats) -> None:
    """Draw float64[k, rows] of these steps, int64[k], over the window of the charts; the first row on top."""
    cells = columns(scene, steps, values, area.width)
    rows = folded(cells, 2 * area.height)
    level = levels(rows)
    for y in range(min(area.height, (len(level) + 1) // 2)):
        upper = level[2 * y]
        lower = level[2 * y + 1] if 2 * y + 1 < len(level) else np.full(area.width, ABSENT)
        for x in range(area.width):
            _cell(canvas, scene, area.x + x, area.y + y, int(upper[x]), int(lower[x]))


def _cell(canvas: Canvas, scene: Scene, x: int, y: int, upper: int, lower: int) -> None:
    if BAD in (upper, lower):
        canvas.put(x, y, "×", scene.palette.pen("crit", bold=True))
    elif upper >= 0 or lower >= 0:
        sign, pen = scene.palette.heat_cell(upper, lower)
        canvas.put(x, y, sign, pen)


def columns(scene: Scene, steps: Steps, values: Floats, width: int) -> Floats:
    """float64[rows, width]: the newest row of the matrix in each column of the charts' window, and what came before
    where there is none."""
    window = scene.window(2 * width)
    first, last = window.start, window.last
    edges = first + (last - first + 1) * np.arange(1, width + 1) / width
    index = np.searchsorted(steps, edges) - 1
    begun = int(np.searchsorted(steps, first))
    out: Floats = values[np.clip(index, 0, None)].T.copy()
    out[:, (index < min(begun, len(steps) - 1)) | (edges - (last - first + 1) / width > steps[-1])] = np.nan
    return out


def folded(cells: Floats, most: int) -> Floats:
    """At most so many rows: of several that share one the largest, so that a single layer that flashes is seen."""
    if len(cells) <= most:
        return cells
    largest: Floats = np.fmax.reduceat(cells, _edges(len(cells), most), axis=0)
    return largest


def row_of(index: int, rows: int, most: int) -> int:
    """The row that a row of the matrix has become."""
    return index if rows <= most else int(np.searchsorted(_edges(rows, most), index, side="right")) - 1


def _edges(rows: int, most: int) -> NDArray[np.int64]:
    return np.linspace(0, rows, most + 1).astype(np.int64)[:-1]


def levels(cells: Floats) -> NDArray[np.int64]:
    """int64: 0 to ``LEVELS - 1`` from the 2nd to the 98th percentile; ``BAD`` for infinities, ``ABSENT`` for NaN."""
    finite = np.isfinite(cells)
    out = np.where(np.isinf(cells), BAD, ABSENT).astype(np.int64)
    if finite.any():
        low, high = np.quantile(cells[finite], (0.02, 0.98))
        share = (cells[finite] - low) / (high - low) if high > low else np.full(finite.sum(), 0.5)
        out[finite] = np.clip((share * LEVELS).astype(np.int64), 0, LEVELS - 1)
    return out
