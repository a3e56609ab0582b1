"""An append-only series of numbers that can be folded into the columns of a chart in no time, however long it is.

Beside the values stand, for each block of 8, 64, 512... of them, the lowest and the highest finite one, their sum
and how many are finite: a twelfth of the memory of the values again. A column of a chart is folded from the largest
whole blocks that lie in it and from the single values at its two ends, so it is exact: the lowest and highest of a
column are those of the values in it, and a spike of one step among millions is on the screen at every zoom.

Written by one thread, read by others. Arrays are only appended to; growth moves to new ones and leaves the old
untouched, so a view is a handful of references and a length.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.model import Columns, Floats, Steps

FACTOR = 8
_FIRST_CAPACITY = 64
#: So many values are made into blocks at once; up to so many at the end are folded one by one.
_WORTH = FACTOR * FACTOR
#: So many values are folded one by one: to look for blocks among them would take longer.
_FEW = 2048
#: So many values are made into blocks at a time: they and what is made of them stay in a processor's cache.
_AT_ONCE = 16_384

#: Windows whose columns are kept: those of the charts on a screen.
_WINDOWS = 8

Indices = NDArray[np.int64]


Number = TypeVar("Number", np.float64, np.int64)


class Appendable(Generic[Number]):
    """A growing array. What :meth:`view` returned stays as it was."""

    def __init__(self, dtype: type[Number]) -> None:
        self._data: NDArray[Number] = np.empty(_FIRST_CAPACITY, dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, values: NDArray[Number]) -> None:
        size = self._size + len(values)
        if size > len(self._data):
            grown: NDArray[Number] = np.empty(max(size, 2 * len(self._data)), self._data.dtype)
            grown[: self._size] = self._data[: self._size]
            self._data = grown
        self._data[self._size : size] = values
        self._size = size

    def view(self) -> NDArray[Number]:
        view = self._data[: self._size]
        view.flags.writeable = False
        return view


@dataclass(frozen=True, slots=True)
class Blocks:
    """Per block: lowest and highest finite value (inf and -inf where there is none), sum and count of the finite."""

    low: Floats
    high: Floats
    total: Floats
    finite: Floats


def fold(blocks: Blocks, starts: Indices, ends: Indices) -> Blocks:
    """For each i, the blocks ``starts[i]`` up to but not including ``ends[i]`` as one. Ranges may be empty."""
    lengths = np.maximum(ends - starts, 0)
    out = Blocks(*(np.full(len(starts), fill) for fill in (np.inf, -np.inf, 0.0, 0.0)))
    some = np.flatnonzero(lengths)
    if not len(some):
        return out
    lengths = lengths[some]
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    index = np.arange(lengths.sum()) + np.repeat(starts[some] - offsets, lengths)
    out.low[some] = np.minimum.reduceat(blocks.low[index], offsets)
    out.high[some] = np.maximum.reduceat(blocks.high[index], offsets)
    out.total[some] = np.add.reduceat(blocks.total[index], offsets)
    out.finite[some] = np.add.reduceat(blocks.finite[index], offsets)
    return out


def merge(parts: list[Blocks]) -> Blocks:
    """Place by place, several folds as one."""
    return Blocks(
        low=np.minimum.reduce([part.low for part in parts]),
        high=np.maximum.reduce([part.high for part in parts]),
        total=np.add.reduce([part.total for part in parts]),
        finite=np.add.reduce([part.finite for part in parts]),
    )


def singles(values: Floats) -> Blocks:
    """Each value as a block of its own."""
    finite = np.isfinite(values)
    return Blocks(
        low=np.where(finite, values, np.inf),
        high=np.where(finite, values, -np.inf),
        total=np.where(finite, values, 0.0),
        finite=finite.astype(np.float64),
    )


def eighths(blocks: Blocks) -> Blocks:
    """Each ``FACTOR`` blocks as one."""
    low, high, total, finite = map(_dealt, (blocks.low, blocks.high, blocks.total, blocks.finite))
    return Blocks(low.min(axis=0), high.max(axis=0), total.sum(axis=0), finite.sum(axis=0))


def eighths_of(values: Floats) -> Blocks:
    """Each ``FACTOR`` values as one block."""
    if not np.isfinite(values).all():
        return eighths(singles(values))
    dealt = _dealt(values)
    counts = np.full(dealt.shape[1], float(FACTOR))
    return Blocks(dealt.min(axis=0), dealt.max(axis=0), dealt.sum(axis=0), counts)


def _dealt(array: Floats) -> Floats:
    """[FACTOR, n], a block a column: numpy folds long rows ten times as fast as rows of eight."""
    return np.ascontiguousarray(array.reshape(-1, FACTOR).T)


class Level:
    """The blocks of ``FACTOR ** height`` values, complete ones only."""

    def __init__(self) -> None:
        #: Low, high, total, finite; in one piece, because many small pieces leave holes in the heap when they grow.
        self._data: Floats = np.empty((4, _FIRST_CAPACITY))
        self._size = 0
        self._all: Blocks | None = None

    def __len__(self) -> int:
        return self._size

    def append(self, blocks: Blocks) -> None:
        size = self._size + len(blocks.low)
        if size > self._data.shape[1]:
            grown: Floats = np.empty((4, max(size, 2 * self._data.shape[1])))
            grown[:, : self._size] = self._data[:, : self._size]
            self._data = grown
        for row, values in zip(self._data, (blocks.low, blocks.high, blocks.total, blocks.finite), strict=True):
            row[self._size : size] = values
        self._size, self._all = size, None

    def blocks(self) -> Blocks:
        """All of them; the same object until there are more, for most views come before the next one is whole."""
        if self._all is None:
            self._all = self.part(slice(self._size))
        return self._all

    def part(self, part: slice) -> Blocks:
        data = self._data[:, part]
        data.flags.writeable = False
        return Blocks(*data)


class Series:
    """The values of one key with their steps, which never fall."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._values = Appendable(np.float64)
        self._steps: Appendable[np.int64] | None = None  # None as long as they count up by one from the first
        self._first_step = 0
        self._levels: list[Level] = []
        self._folded: dict[tuple[int, int, int], tuple[int, Columns]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def append(self, steps: Steps | int, values: Floats) -> None:
        """``steps`` are as many as ``values``; one number stands for that step and those that follow it."""
        if not len(values):
            return
        if not len(self._values):
            self._first_step = int(steps if isinstance(steps, int) else steps[0])
        if self._steps is None and not self._goes_on(steps, len(values)):
            self._steps = Appendable(np.int64)
            self._steps.append(np.arange(len(self._values)) + self._first_step)
        if self._steps is not None:
            self._steps.append(np.arange(steps, steps + len(values)) if isinstance(steps, int) else steps)
        self._values.append(values)

    def _goes_on(self, steps: Steps | int, count: int) -> bool:
        """Whether the steps count up by one from the last of the series."""
        expected = self._first_step + len(self._values)
        if isinstance(steps, int):
            return steps == expected
        return np.array_equal(steps, np.arange(expected, expected + count))

    def view(self) -> View:
        """The series as it is now. Not at the same time as :meth:`append`."""
        self._build()
        values, steps = self._values.view(), None if self._steps is None else self._steps.view()
        levels = tuple(level.blocks() for level in self._levels)
        return View(self.key, values, steps, self._first_step, levels, self._folded)

    def _build(self) -> None:
        """Complete the blocks that have become whole since the last view, floor by floor."""
        height = 0
        while True:
            below = len(self._values) if height == 0 else len(self._levels[height - 1])
            if height == len(self._levels):
                if below < FACTOR:
                    return
                self._levels.append(Level())
            level = self._levels[height]
            first, last = len(level), below // FACTOR if height else below // _WORTH * (_WORTH // FACTOR)
            if first == last:
                return
            for begin in range(first * FACTOR, last * FACTOR, _AT_ONCE):
                part = slice(begin, min(begin + _AT_ONCE, last * FACTOR))
                level.append(
                    eighths(self._levels[height - 1].part(part)) if height else eighths_of(self._values.view()[part])
                )
            height += 1


def _after(columns: Columns, first: int, fresh: Columns) -> Columns:
    """The columns with those from ``first`` on in their place."""

    def together(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(columns, name)[:first], getattr(fresh, name)])

    return Columns(columns.start, columns.width, *map(together, ("low", "high", "mean", "count", "bad")))


@dataclass(frozen=True, slots=True)
class View:
    """A series as it was when the view was taken; :class:`monitor.model.SeriesView`."""

    key: str
    values: Floats
    steps: Steps | None
    start: int
    levels: tuple[Blocks, ...]
    #: By first step, width and number: of how many values these columns were folded. All views of a series share it.
    folded: dict[tuple[int, int, int], tuple[int, Columns]] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def first_step(self) -> int:
        return self.start

    @property
    def last_step(self) -> int:
        if not len(self.values):
            return self.start
        return int(self.steps[-1]) if self.steps is not None else self.start + len(self.values) - 1

    @property
    def last(self) -> float:
        return float(self.values[-1])

    def tail(self, n: int) -> tuple[Steps, Floats]:
        return self._points(max(len(self.values) - n, 0), len(self.values))

    def between(self, first: int, last: int) -> tuple[Steps, Floats]:
        begin, end = self._index(np.array([first, last + 1]))
        return self._points(int(begin), int(end))

    def columns(self, start: int, width: int, n: int) -> Columns:
        """What was folded for an earlier view is taken from there: only columns with newer values are folded anew."""
        wanted, size = (start, width, n), len(self.values)
        known_size, known = self.folded.get(wanted, (0, None))
        if known is None or not 0 < known_size <= size:
            found = self._columns(start, width, n)
        elif (first := self._column_of(known_size, start, width)) >= n:
            found = known
        else:
            found = _after(known, first, self._columns(start + first * width, width, n - first))
        if len(self.folded) >= _WINDOWS and wanted not in self.folded:
            self.folded.clear()
        self.folded[wanted] = size, found
        return found

    def _column_of(self, index: int, start: int, width: int) -> int:
        """The column that a value falls into; one beyond all for the value that is yet to come."""
        if index >= len(self.values):
            return sys.maxsize
        step = self.start + index if self.steps is None else int(self.steps[index])
        return max((step - start) // width, 0)

    def _columns(self, start: int, width: int, n: int) -> Columns:
        edges = self._index(start + width * np.arange(n + 1, dtype=np.int64))
        folded = self._fold(edges[:-1], edges[1:])
        count, finite = np.diff(edges), folded.finite.astype(np.int64)
        has_some = finite > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(has_some, folded.total / folded.finite, np.nan)
        return Columns(
            start=start,
            width=width,
            low=np.where(has_some, folded.low, np.nan),
            high=np.where(has_some, folded.high, np.nan),
            mean=mean,
            count=count,
            bad=count - finite,
        )

    def _index(self, steps: Steps) -> Indices:
        """The number of values before each of these steps."""
        if self.steps is not None:
            return np.searchsorted(self.steps, steps).astype(np.int64)
        return np.clip(steps - self.start, 0, len(self.values))

    def _points(self, begin: int, end: int) -> tuple[Steps, Floats]:
        if self.steps is not None:
            return self.steps[begin:end], self.values[begin:end]
        return np.arange(self.start + begin, self.start + end, dtype=np.int64), self.values[begin:end]

    def _fold(self, begins: Indices, ends: Indices) -> Blocks:
        height = self._height(int((ends - begins).max(initial=0)))
        if height == 0 or int(ends.max() - begins.min()) <= _FEW:
            return self._fold_values(begins, ends)
        size = FACTOR**height
        first = -(-begins // size)
        last = np.minimum(ends // size, len(self.levels[height - 1].low))
        last = np.maximum(last, first)
        whole = fold(self.levels[height - 1], first, last)
        left = self._fold_values(begins, np.minimum(first * size, ends))
        right = self._fold_values(np.maximum(last * size, np.minimum(first * size, ends)), ends)
        return merge([left, whole, right])

    def _fold_values(self, begins: Indices, ends: Indices) -> Blocks:
        """Single values. Only the stretch that the ranges span is looked at."""
        if not len(begins):
            return Blocks(*(np.empty(0) for _ in range(4)))
        low = int(begins.min())
        if int(ends.max()) - low <= 4 * int(np.maximum(ends - begins, 0).sum()):
            return fold(singles(self.values[low : int(ends.max())]), begins - low, ends - low)
        lengths = np.maximum(ends - begins, 0)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        index = np.arange(offsets[-1]) + np.repeat(begins - offsets[:-1], lengths)
        return fold(singles(self.values[index]), offsets[:-1], offsets[1:])

    def _height(self, longest: int) -> int:
        """The floor whose blocks leave the fewest things to fold in a column of this many values."""
        costs = [longest] + [longest / FACTOR**h + 2 * FACTOR**h for h in range(1, len(self.levels) + 1)]
        return int(np.argmin(costs))
