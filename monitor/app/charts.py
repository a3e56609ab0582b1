"""Drawing, as pure functions of arrays: values to dot rows, dots to braille, and the small one-line charts.

A cell of a chart is 2 dots wide and 4 high. Rows of dots are counted from the top, 0 first, and are floats until
they become dots; NaN is nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.app.canvas import SPACE, Codes
from monitor.app.format import real, short
from monitor.app.glyphs import BRAILLE, LEVELS
from monitor.model import Floats

Dots = NDArray[np.bool_]

_WEIGHTS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint32)

#: Beyond these the difference or the ratio of two float64 may overflow; nobody reads such a value off a chart.
_HUGE: Final = 1e300
_TINY: Final = 1e-300

#: A constant series lies half-way between two dots; this keeps the last bit of its mean from choosing one.
_NUDGE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Scale:
    """The values from ``low`` (bottom) to ``high`` (top); logarithmic if ``log``, and then both are positive."""

    low: float
    high: float
    log: bool = False

    def rows(self, values: Floats, dots: int) -> Floats:
        """The dot row of each value, from 0 (top) to ``dots - 1``; beyond either end it is outside of that."""
        low, high = self._map(np.array([self.low, self.high]))
        with np.errstate(all="ignore"):
            rows: Floats = (high - self._map(values)) / (high - low) * (dots - 1)
        return rows + _NUDGE

    def _map(self, values: Floats) -> Floats:
        with np.errstate(all="ignore"):
            mapped: Floats = np.log10(values) if self.log else np.clip(values, -_HUGE, _HUGE)
        return np.where(np.isfinite(values) & np.isfinite(mapped), mapped, np.nan)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """At most ``most`` round values in the range, with their labels, the lowest first."""
        if most < 1:
            return []
        if self.log and self.high / self.low > 3:
            return _log_ticks(self.low, self.high, most)
        step = round_step((self.high - self.low) / most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(i * step, tick_label(i * step, step)) for i in range(first, last + 1)][:most]


def scale_for(arrays: Sequence[Floats], *, log: bool = False, quantiles: tuple[float, float] = (0.0, 1.0)) -> Scale:
    """A scale that holds the values: of the first array from one quantile to the other, of the others all.

    A spike in the raw values would flatten everything else, so they may stick out; an average may not. The ends
    are rounded outwards to a grid, so that the scale stands still while values come in. Where ``log`` is asked
    for and not all values are positive, the scale is linear.
    """
    kept = [np.clip(a[np.isfinite(a)], -_HUGE, _HUGE) for a in arrays]
    ends = [_quantiles(kept[0], quantiles)] if kept and len(kept[0]) else []
    ends += [np.array([a.min(), a.max()]) for a in kept[1:] if len(a)]
    if not ends:
        return Scale(0.0, 1.0)
    low, high = float(min(e[0] for e in ends)), float(max(e[1] for e in ends))
    log = log and min(float(a.min()) for a in kept if len(a)) > 0
    if log:
        low, high = math.log10(max(low, _TINY)), math.log10(max(high, _TINY))
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-300):
        pad = 0.05 if log else max(abs(low) * 0.05, 1e-9)
        low, high = low - pad, high + pad
    grid = round_step((high - low) / 12)
    low, high = math.floor(low / grid + 1e-9) * grid, math.ceil(high / grid - 1e-9) * grid
    return Scale(10**low, 10**high, log=True) if log else Scale(low, high)


def _quantiles(values: Floats, shares: tuple[float, float]) -> Floats:
    """As ``np.quantile``, at a fifth of its price for so few values."""
    ends: Floats = np.interp(np.array(shares) * (len(values) - 1), np.arange(len(values)), np.sort(values))
    return ends


def round_step(at_least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least this."""
    if not 0 < at_least < math.inf:
        return 1.0
    power = 10.0 ** math.floor(math.log10(at_least))
    return next((k * power for k in (1, 2, 5) if k * power >= at_least * (1 - 1e-9)), 10 * power)


def _log_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    found: list[float] = []
    for digits in ((1, 1.5, 2, 3, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        found = [d * 10.0**e for e in range(first, last + 1) for d in digits if low <= d * 10.0**e <= high]
        if len(found) <= most:
            break
    found = found[:: max(math.ceil(len(found) / most), 1)]
    return [(value, tick_label(value, value / 10)) for value in found]


def tick_label(value: float, step: float) -> str:
    """Five signs, seldom six: as many decimals as the step between two ticks needs."""
    if value == 0:
        return "0"
    size = abs(value)
    if 1000 <= size < 1e15:
        return short(value)
    if not 1e-3 <= size < 1e15:
        mantissa, _, power = f"{size:.0e}".partition("e")
        return f"{'−' if value < 0 else ''}{mantissa}e{int(power)}"
    decimals = min(max(-math.floor(math.log10(step) + 1e-9), 0), 3)
    if decimals == 1 and size < 10:
        decimals = 2  # two ticks a tenth apart read better as 1.80 and 1.90
    text = f"{size:.{decimals}f}"
    return ("−" if value < 0 else "") + (text if len(text) <= 5 else real(size, 3))


# ---------------------------------------------------------------------------------------------------- braille


def line(rows: Floats) -> tuple[Floats, Floats]:
    """The top and bottom dot row of each column of a curve: every column reaches half-way to its neighbours."""
    middle = (rows[1:] + rows[:-1]) / 2
    before = np.concatenate([[np.nan], middle])
    after = np.concatenate([middle, [np.nan]])
    top = np.fmin(rows, np.fmin(before, after))
    bottom = np.fmax(rows, np.fmax(before, after))
    nowhere = np.isnan(rows)
    top[nowhere] = bottom[nowhere] = np.nan
    return top, bottom


def dots(top: Floats, bottom: Floats, height: int) -> Dots:
    """bool[height, columns]: the dots from ``top`` to ``bottom`` in each column, both rounded and included."""
    rows = np.arange(height)[:, None]
    with np.errstate(invalid="ignore"):
        return np.asarray((rows >= np.floor(top + 0.5)) & (rows <= np.floor(bottom + 0.5)))


def braille(bits: Dots) -> Codes:
    """uint32[height / 4, columns / 2]: the code points, ``U+2800`` for a cell without a dot."""
    height, columns = bits.shape
    cells = bits.reshape(height // 4, 4, columns // 2, 2).transpose(0, 2, 1, 3)
    codes: Codes = np.uint32(BRAILLE) + (cells * _WEIGHTS).sum(axis=(2, 3), dtype=np.uint32)
    return codes


# ------------------------------------------------------------------------------------------- one-line charts


def sparkline(values: Floats, width: int) -> str:
    """The newest values as ``▁`` to ``▇``, right-aligned in ``width`` cells; a value that is not finite is a blank.

    More values than cells are averaged in groups of equal size. Values that are all the same stand on the ground.
    """
    if width < 1 or not len(values):
        return " " * max(width, 0)
    if len(values) > width:
        values = _averaged(values, width)
    finite = np.isfinite(values)
    if not finite.any():
        return " " * width
    kept = np.clip(values[finite], -_HUGE, _HUGE)
    low, spread = kept.min(), np.ptp(kept)
    level = np.zeros(len(values), np.int64)
    if spread > 1e-9 * np.abs(kept).max():
        level[finite] = np.round((kept - low) / spread * (len(LEVELS) - 1)).astype(np.int64)
    return "".join(LEVELS[i] if ok else " " for i, ok in zip(level, finite, strict=True)).rjust(width)


def _averaged(values: Floats, groups: int) -> Floats:
    edges = np.linspace(0, len(values), groups + 1).astype(np.int64)[:-1]
    finite = np.isfinite(values)
    total = np.add.reduceat(np.where(finite, values, 0.0), edges)
    n = np.add.reduceat(finite.astype(np.float64), edges)
    with np.errstate(invalid="ignore"):
        return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def meter(share: float, width: int) -> tuple[str, str]:
    """A heavy line of ``share`` of the width in half cells, and the thin rest: ``("━━━╸", "────")``."""
    halves = 0 if not math.isfinite(share) else round(min(max(share, 0.0), 1.0) * 2 * width)
    full = "━" * (halves // 2) + "╸" * (halves % 2)
    return full, "─" * (width - len(full))


def log_track(value: float, width: int, low: float, high: float) -> int | None:
    """The cell of ``value`` on a logarithmic track of ``width`` cells, at an end if it is beyond; ``None`` if not
    positive or not finite."""
    if not (value > 0 and math.isfinite(value)) or width < 1:
        return None
    share = (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low))
    return min(max(round(share * (width - 1)), 0), width - 1)


def blank(codes: Codes) -> NDArray[np.bool_]:
    """Where nothing but ground and grid is: an event's dashed line goes there and covers no data."""
    return np.asarray((codes == SPACE) | (codes == ord("┈")))
