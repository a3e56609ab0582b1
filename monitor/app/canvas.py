"""A grid of cells that a panel draws itself into: a code point and a pen each; rows become Textual strips.

Two arrays and no objects per cell: a panel is drawn in tens of microseconds, and which rows changed since the
last frame is one comparison.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.cells import get_character_cell_size
from rich.segment import Segment

from monitor.app.glyphs import to_ascii

if TYPE_CHECKING:
    from textual.strip import Strip

    from monitor.app.palette import Palette

Codes = NDArray[np.uint32]

#: A piece of text and its pen; a line is a sequence of them.
Span = tuple[str, int]

SPACE = 0x20

#: So many equal cells cost about as many bytes as one more cursor movement and style.
_APART = 12


class Area(NamedTuple):
    """A rectangle of cells."""

    x: int
    y: int
    width: int
    height: int


class Run(NamedTuple):
    """A stretch of cells in one row."""

    y: int
    x: int
    width: int


def spans_len(spans: Sequence[Span]) -> int:
    """How many cells a line takes."""
    return sum(len(cells_of(text)) for text, _ in spans)


def clip(text: str, width: int) -> str:
    """The text in at most ``width`` cells, with an ellipsis where something is cut off."""
    if len(cells_of(text)) <= width:
        return text
    return _head(text, width - 1) + "…" if width > 0 else ""


def clip_left(text: str, width: int) -> str:
    """The text in at most ``width`` cells; the end is kept, because module names differ there."""
    if len(cells_of(text)) <= width:
        return text
    return "…" + _head(text[::-1], width - 1)[::-1] if width > 0 else ""


def _head(text: str, width: int) -> str:
    used = 0
    for index, sign in enumerate(text):
        used += max(get_character_cell_size(sign), 1)
        if used > width:
            return text[:index]
    return text


@lru_cache(maxsize=4096)
def cells_of(text: str) -> Codes:
    """The code point of each cell. A double-width sign takes two cells, the second of them 0.

    Names come from other people's programs: a control character, an escape or a direction override becomes a
    dot, and a sign without width is left out, so that a text can neither shift the grid nor command the terminal.
    """
    if text.isascii() and text.isprintable():
        codes = np.frombuffer(text.encode("latin-1"), np.uint8).astype(np.uint32)
    else:
        codes = np.fromiter(_cells(text), np.uint32)
    codes.flags.writeable = False
    return codes


def _cells(text: str) -> Iterator[int]:
    for sign in text:
        if not sign.isprintable():
            yield ord("·")
            continue
        width = get_character_cell_size(sign)
        if width:
            yield ord(sign)
        if width == 2:
            yield 0


class Canvas:
    """``width`` x ``height`` cells, blank in ``pen`` at first. Drawing outside of it is clipped, never an error."""

    def __init__(self, width: int, height: int, pen: int) -> None:
        self.width = width
        self.height = height
        self.codes: Codes = np.full((height, width), SPACE, np.uint32)
        self.pens: NDArray[np.uint16] = np.full((height, width), pen, np.uint16)
        self._has_wide = False

    def put(self, x: int, y: int, text: str, pen: int) -> int:
        """Write ``text`` from cell ``x`` on and return the cell after it."""
        cells = cells_of(text)
        end = x + len(cells)
        if 0 <= y < self.height and x < self.width and end > 0:
            skip, stop = max(-x, 0), min(end, self.width)
            self.codes[y, x + skip : stop] = cells[skip : stop - x]
            self.pens[y, x + skip : stop] = pen
            if not text.isascii():
                self._has_wide = self._has_wide or bool((cells == 0).any())
            if self._has_wide:
                self._mend(y, x + skip, stop)
        return end

    def _mend(self, y: int, first: int, stop: int) -> None:
        """Blank the halves of double-width signs that this text, or its clipping, has cut in two."""
        row = self.codes[y]
        if row[first] == 0:
            row[first] = SPACE
        if stop < self.width:
            if row[stop] == 0:
                row[stop] = SPACE
        elif get_character_cell_size(chr(int(row[stop - 1]) or SPACE)) == 2:
            row[stop - 1] = SPACE
        if first > 0 and get_character_cell_size(chr(int(row[first - 1]) or SPACE)) == 2:
            row[first - 1] = SPACE

    def write(self, x: int, y: int, spans: Sequence[Span]) -> int:
        """Write several pieces after each other and return the cell after the last."""
        for text, pen in spans:
            x = self.put(x, y, text, pen)
        return x

    def put_right(self, right: int, y: int, spans: Sequence[Span]) -> int:
        """Write so that the last cell is the one before ``right``; returns the first cell used."""
        x = right - spans_len(spans)
        self.write(x, y, spans)
        return x

    def box(self, pen: int) -> None:
        """A rounded frame along the edges, drawn before anything else."""
        for y, (start, end) in ((0, "╭╮"), (self.height - 1, "╰╯")):
            self.put(0, y, start + "─" * (self.width - 2) + end, pen)
        for x in (0, self.width - 1):
            self.codes[1:-1, x] = ord("│")
            self.pens[1:-1, x] = pen

    def fill(self, area: Area, pen: int) -> None:
        """Give the cells of an area a pen and leave their signs."""
        x, y, width, height = area
        self.pens[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = pen

    def stamp(self, x: int, y: int, codes: Codes, pen: int | NDArray[np.uint16], where: NDArray[np.bool_]) -> None:
        """Lay a block of code points over the cells, only where ``where`` holds."""
        height, width = min(codes.shape[0], self.height - y), min(codes.shape[1], self.width - x)
        if height <= 0 or width <= 0:
            return
        where = where[:height, :width]
        self.codes[y : y + height, x : x + width][where] = codes[:height, :width][where]
        pens = pen if isinstance(pen, int) else pen[:height, :width][where]
        self.pens[y : y + height, x : x + width][where] = pens

    def changed(self, before: Canvas | None) -> list[Run]:
        """The stretches that differ from ``before``, which must have the same size if it is given.

        Two of them in a row with few equal cells between are one: to move the cursor costs as much as to send those.
        """
        if before is None:
            return [Run(y, 0, self.width) for y in range(self.height)]
        differs = (self.codes != before.codes) | (self.pens != before.pens)
        runs = []
        for y in np.flatnonzero(differs.any(axis=1)).tolist():
            at = differs[y].nonzero()[0]
            if at[-1] - at[0] < len(at) + _APART:
                runs.append(self._run(y, int(at[0]), int(at[-1]) + 1))
                continue
            breaks = np.flatnonzero(np.diff(at) > _APART)
            starts, stops = at[np.concatenate([[0], breaks + 1])], at[np.concatenate([breaks, [-1]])] + 1
            runs += [self._run(y, *ends) for ends in zip(starts.tolist(), stops.tolist(), strict=True)]
        return runs

    def _run(self, y: int, first: int, stop: int) -> Run:
        """From one cell to before another; never beginning or ending within a double-width sign."""
        if self._has_wide:
            first -= int(self.codes[y, first] == 0)
            stop += int(stop < self.width and self.codes[y, stop] == 0)
        return Run(y, first, stop - first)

    def text(self, y: int) -> str:
        """A row as plain text."""
        text: str = self.codes[y].tobytes().decode("utf-32-le")
        return text.replace("\0", "")

    def strip(self, y: int, palette: Palette) -> Strip:
        """A row as a Textual strip; runs of one pen are one segment, and each has a style (NO_COLOR needs it)."""
        from textual.strip import Strip

        codes = to_ascii(self.codes[y]) if palette.ascii else self.codes[y]
        pens = self.pens[y]
        edges = [0, *(np.flatnonzero(np.diff(pens)) + 1).tolist(), self.width]
        text = codes.tobytes().decode("utf-32-le")
        styles = palette.styles
        inks = pens[edges[:-1]].tolist()
        segments = [Segment(text[a:b], styles[ink]) for (a, b), ink in zip(pairwise(edges), inks, strict=True)]
        if self._has_wide:
            segments = [Segment(text.replace("\0", ""), style) for text, style, _ in segments]
        return Strip(segments, self.width)
