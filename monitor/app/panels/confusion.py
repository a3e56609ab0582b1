"""Which class was taken for which in the newest validation: a heat map, and the worst pairs in words.

Part of the panel of the classes when it is over the whole screen.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.app import format as fmt
from monitor.app import heatmap
from monitor.app.canvas import Area, Canvas, clip, spans_len
from monitor.app.scene import Scene
from monitor.model import PAIRED_CLASSES, ClassTable

#: The smallest inside of a panel that has room for the matrix; below it there are the words alone.
_SMALLEST: Final = (98, 27)
#: The fewest lines that are left to the list of classes above the matrix; else it stands beside it.
_FEWEST: Final = 6
#: The widest cell of the matrix, and the widest name in a line or beside the matrix.
_CELL, _NAME = 6, 14
#: The shares of a class that are dark and bright in the matrix, as powers of ten.
_DARK, _BRIGHT = -3.0, 0.0


class Confusion(NamedTuple):
    """So many samples of a class that were taken for another one."""

    target: int
    taken_for: int
    samples: int


class Places(NamedTuple):
    """The parts of the panel: the list of classes, the words, the matrix if there is room for one."""

    classes: Area
    words: Area
    matrix: Area | None = None


def places(width: int, height: int, table: ClassTable, bars: int) -> Places:
    """Of a panel of this size with its frame; ``bars`` are the cells that the list of classes would like."""
    inside, rows, classes = width - 2, height - 2, len(table.total)
    if table.confused is None:
        return Places(Area(1, 1, inside, rows - 2), Area(1, rows - 1, inside, 2))
    if inside < _SMALLEST[0] or rows < max(_SMALLEST[1], (classes + 1) // 2 + 2):
        words = max(rows // 3, 2)
        return Places(Area(1, 1, inside, rows - words), Area(1, rows - words + 1, inside, words))
    lines = _lines(classes, rows) + 2
    upper = min(rows - lines, classes + 2)
    if upper >= _FEWEST:
        lower = Area(1, 1 + upper, bars - 1, rows - upper)
        return Places(Area(1, 1, inside, upper), lower, Area(bars, 1 + upper, width - 1 - bars, rows - upper))
    left = min(bars - 1, inside - classes - 4)
    half = rows // 2
    beside = Area(2 + left, 1, inside - left - 1, rows)
    return Places(Area(1, 1, left, half), Area(1, 1 + half, left, rows - half), beside)


def _lines(classes: int, rows: int) -> int:
    """A line for each class, or half a line where there are too many for that."""
    return classes if 2 * classes + _FEWEST <= rows else (classes + 1) // 2


def worst(table: ClassTable, targets: Collection[object]) -> list[Confusion]:
    """The pairs that were confused, the most samples first, as far as they are of these classes."""
    if table.confused is None:
        return []
    found = [Confusion(t, p, int(table.confused[t, p])) for t, p in np.argwhere(table.confused > 0).tolist()]
    return sorted((one for one in found if one.target in targets), key=lambda one: -one.samples)


def why_none(table: ClassTable) -> str:
    """Why nothing is known of what was taken for what."""
    classes = len(table.total)
    if table.split != "val":
        return "it comes with a validation: run the model under torch.no_grad()"
    if classes > PAIRED_CLASSES:
        return f"pairs of classes are counted for up to {PAIRED_CLASSES} of them; here are {fmt.count(classes)}"
    return "the probe of this run did not count pairs of classes, or its file was thinned"


def draw_words(
    canvas: Canvas, scene: Scene, area: Area, table: ClassTable, only: int | None, listed: Collection[object]
) -> None:
    """The worst confusions of the listed classes, or of ``only`` one: ``3 taken for 8: 41 of 980``, and the share."""
    palette = scene.palette
    title, text, dim = palette.pen("text", bold=True), palette.pen("text"), palette.pen("dim")
    of = f" of {clip(table.names[only], _NAME)}" if only is not None else ""
    canvas.put(area.x + 1, area.y, clip(f"confusions{of}, most first", area.width - 2), title)
    if table.confused is None:
        canvas.put(area.x + 1, area.y + 1, clip(why_none(table), area.width - 2), dim)
        return
    found = worst(table, listed if only is None else [only])
    if not found:
        canvas.put(area.x + 1, area.y + 1, "none: every sample was right", palette.pen("ok"))
    for y, one in enumerate(found[: area.height - 1], start=area.y + 1):
        total = int(table.total[one.target])
        target, taken_for = (clip(table.names[index], _NAME) for index in (one.target, one.taken_for))
        share = [(fmt.percent(one.samples / total), palette.pen("hi", bold=True))]
        room = area.width - 3 - spans_len(share)
        words = clip(f"{target} taken for {taken_for}: {fmt.count(one.samples)} of {fmt.count(total)}", room)
        canvas.put(area.x + 1, y, words, text)
        canvas.put_right(area.x + area.width - 1, y, share)


def draw_matrix(canvas: Canvas, scene: Scene, area: Area, table: ClassTable, only: int | None) -> None:
    """A row for each class, a column for what it was taken for; the brighter, the larger its share of the row."""
    palette, classes = scene.palette, len(table.total)
    dim = palette.pen("dim")
    is_halved = classes > area.height - 2
    names = 1 if is_halved else min(max(map(len, table.names)), _NAME) + 2
    wide = max(min((area.width - names - 1) // classes, _CELL), 1)
    x, y = area.x + names, area.y + 1
    heading = clip("what it is ↓   taken for →", area.width - 2)
    canvas.put(area.x, area.y, heading, palette.pen("text", bold=True))
    _scale(canvas, scene, area, len(heading))
    level = levels(table)
    if is_halved:
        level = np.vstack([level, np.full((classes % 2, classes), -1)])
    upper, lower = (level[::2], level[1::2]) if is_halved else (level, level)
    for row, cells in enumerate(zip(upper.tolist(), lower.tolist(), strict=True)):
        for column, halves in enumerate(zip(*cells, strict=True)):
            if max(halves) >= 0:
                sign, pen = palette.heat_cell(*halves)
                canvas.put(x + column * wide, y + row, sign * wide, pen)
            else:
                canvas.put(x + column * wide + wide // 2, y + row, "·", palette.pen("grid"))
    if not is_halved:
        for row, name in enumerate(table.names):
            canvas.put_right(x - 1, y + row, [(clip(name, names - 2), palette.pen("hi" if row == only else "text"))])
    if only is not None:
        canvas.put(x - 1, y + only // (1 + is_halved), "▸", palette.pen("train", bold=True))
    if wide > 2:
        for column, name in enumerate(table.names):
            canvas.put(x + column * wide, y + classes, clip(name, wide - 1), dim)


def _scale(canvas: Canvas, scene: Scene, area: Area, taken: int) -> None:
    """From dark to bright, in percent of a class, where there is room beside the heading."""
    palette = scene.palette
    dim = palette.pen("dim")
    cells = [palette.heat_cell(level, level) for level in range(heatmap.LEVELS)]
    scale = [("0.1 % ", dim), *cells, (" 100 %", dim)]
    if taken + spans_len(scale) + 3 <= area.width:
        canvas.put_right(area.x + area.width - 1, area.y, scale)


def levels(table: ClassTable) -> NDArray[np.int64]:
    """int64[classes, classes]: the share of each class in levels of heat, on a log scale; -1 for none at all."""
    assert table.confused is not None
    counts = table.confused + np.diag(table.total - table.confused.sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (np.log10(counts / table.total[:, None]) - _DARK) / (_BRIGHT - _DARK)
    level = np.clip(np.nan_to_num(share, nan=0.0, neginf=0.0) * heatmap.LEVELS, 0, heatmap.LEVELS - 1)
    return np.where(counts > 0, level.astype(np.int64), -1)
