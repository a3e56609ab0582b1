"""Batches as numpy arrays: unpack, check, and merge many into one page. The only place that reads packed columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from monitor.model import Floats, Steps
from probe.wire import PAIRED_CLASSES, Batch, ClassCounts, Column, LayerStats, Message, Overview, Selection

#: More rows than this in one batch or page is not ours.
MAX_ROWS = 1 << 20
#: Steps and sequence numbers beyond this are no counts, and seconds since 1970 beyond this no time that can be told.
MAX_COUNT, MAX_TIME_S = 1 << 53, 1e11
_COUNTS, _TIMES = ("step", "seq", "start"), ("time_s", "started_s")

Rows = NDArray[np.uint32]
Points = tuple[Steps, Floats]


def steps_of(batch: Batch) -> Steps:
    """int64[rows], never falling: a step below the one before it is taken for that one."""
    if batch.steps:
        steps: Steps = np.maximum.accumulate(np.frombuffer(batch.steps, "<i8"))
        return steps
    return np.arange(batch.start, batch.start + batch.rows, dtype=np.int64)


def times_of(batch: Batch) -> Floats:
    """float64[rows], Unix seconds on the training host's clock."""
    return np.frombuffer(batch.times_s, "<f8")


def column_of(batch: Batch, key: str) -> tuple[Rows, Floats]:
    """The rows that have a value of ``key``, uint32[n], and the values, float64[n]. Both empty if none has."""
    column = batch.scalars.get(key)
    if column is None:
        return np.empty(0, np.uint32), np.empty(0)
    return _expand(column, np.frombuffer(column.values, "<f8"), batch.rows)


def points_of(batch: Batch, key: str) -> Points:
    """The points of ``key``: steps and values, int64[n] and float64[n]."""
    rows, values = column_of(batch, key)
    return steps_of(batch)[rows], values


def layer_points(column: Column, layers: int) -> tuple[Rows, Floats]:
    """The layers that have a value, as indices into ``Hello.layers``, and the values as float64."""
    return _expand(column, np.frombuffer(column.values, "<f4").astype(np.float64), layers)


def layer_values(column: Column, layers: int) -> Floats:
    """float64[layers], NaN for a layer that has no value."""
    out = np.full(layers, np.nan)
    index, values = layer_points(column, layers)
    known = index < layers
    out[index[known]] = values[known]
    return out


def counts_of(counts: ClassCounts) -> tuple[Steps, Steps, Steps]:
    """``correct``, ``total`` and ``predicted``, int64[classes] each."""
    correct, total, predicted = (np.frombuffer(x, "<i8") for x in (counts.correct, counts.total, counts.predicted))
    return correct, total, predicted


def confused_of(counts: ClassCounts) -> NDArray[np.int64] | None:
    """int64[classes, classes]: what was taken for another class, a row a target; ``None`` where it is not known."""
    if counts.confused is None:
        return None
    classes = len(counts.total) // 8
    out = np.zeros(classes * classes, np.int64)
    out[np.frombuffer(counts.confused.at, "<u4")] = np.frombuffer(counts.confused.values, "<i8")
    return out.reshape(classes, classes)


def flaw(message: Message) -> str | None:
    """What is wrong with a message from outside, or ``None``: a hostile frame must not get past this."""
    if isinstance(message, Batch) and (found := _flaw_of_batch(message)) is not None:
        return found
    if isinstance(message, Overview) and not all(map(_is_sound, message.series.values())):
        return "points without an order"
    return _flaw_of_fields(message)


def _flaw_of_fields(value: Struct) -> str | None:
    """Numbers that no counter and no clock shows; what is calculated from them would overflow."""
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if name.endswith(_COUNTS) and field is not None and not -MAX_COUNT < field < MAX_COUNT:
            return f"{name} out of range"
        if name in _TIMES and not 0.0 <= field < MAX_TIME_S:
            return f"{name} is no time"
        for part in field if isinstance(field, list) else ():
            if isinstance(part, Struct) and (found := _flaw_of_fields(part)) is not None:
                return found
    return None


def _flaw_of_batch(batch: Batch) -> str | None:
    if not 0 <= batch.rows <= MAX_ROWS or batch.seq < 1 or not 0 <= batch.first_seq <= batch.seq:
        return "row count or sequence number out of range"
    if len(batch.times_s) != 8 * batch.rows or len(batch.steps) not in (0, 8 * batch.rows):
        return "steps or times do not match the row count"
    if not -MAX_COUNT < batch.start < MAX_COUNT:
        return "start out of range"
    if batch.rows and (found := _flaw_of_rows(batch)) is not None:
        return found
    for key, column in batch.scalars.items():
        if not _fits(column, 8, batch.rows):
            return f"column {key[:80]!r} does not match the row count"
    for stats in batch.layers:
        if not all(_fits(column, 4, MAX_ROWS, whole=False) for column in stats.stats.values()):
            return "layer statistics of odd length"
    for counts in batch.classes:
        sizes = {len(counts.correct), len(counts.total), len(counts.predicted)}
        if len(sizes) != 1 or sizes.pop() % 8:
            return "class counts of different lengths"
        if counts.confused is not None and not _fits_pairs(counts.confused, len(counts.total) // 8):
            return "confusions of more classes than there are"
    return None


def _is_sound(points: Selection) -> bool:
    if len(points.steps) != len(points.values) or len(points.steps) % 8:
        return False
    steps = np.frombuffer(points.steps, "<i8")
    return not len(steps) or not (np.any(np.diff(steps) < 0) or steps[0] <= -MAX_COUNT or steps[-1] >= MAX_COUNT)


def _flaw_of_rows(batch: Batch) -> str | None:
    steps = steps_of(batch) if batch.steps else np.array([batch.start, batch.start + batch.rows - 1])
    if not -MAX_COUNT < steps[0] <= steps[-1] < MAX_COUNT:
        return "steps out of range"
    times = times_of(batch)
    return None if times.min() >= 0.0 and times.max() < MAX_TIME_S else "rows at no time"


def merge(batches: Sequence[Batch]) -> Batch:
    """Consecutive batches as one page, value for value. ``batches`` must not be empty."""
    rows = [batch.rows for batch in batches]
    total = sum(rows)
    offsets = np.concatenate([[0], np.cumsum(rows)])
    steps = np.maximum.accumulate(np.concatenate([steps_of(batch) for batch in batches]))
    start = int(steps[0]) if total else 0
    consecutive = bool(np.array_equal(steps, np.arange(start, start + total)))
    scalars = {}
    for key in dict.fromkeys(key for batch in batches for key in batch.scalars):
        columns = [column_of(batch, key) for batch in batches]
        at = np.concatenate([rows_ + offset for (rows_, _), offset in zip(columns, offsets, strict=False)])
        scalars[key] = _pack(np.concatenate([values for _, values in columns]), at, total)
    layers: list[LayerStats] = [stats for batch in batches for stats in batch.layers]
    return Batch(
        seq=batches[-1].seq,
        first_seq=batches[0].first_seq or batches[0].seq,
        start=start,
        rows=total,
        steps=b"" if consecutive else steps.astype("<i8").tobytes(),
        times_s=b"".join(batch.times_s for batch in batches),
        scalars=scalars,
        layers=layers,
        classes=_with_newest_confusion([counts for batch in batches for counts in batch.classes]),
        marks=[mark for batch in batches for mark in batch.marks],
        facts=[fact for batch in batches for fact in batch.facts],
    )


def _with_newest_confusion(classes: list[ClassCounts]) -> list[ClassCounts]:
    """Of the evaluations of a page only the newest keeps which class it took for which."""
    newest = max((i for i, counts in enumerate(classes) if counts.confused is not None), default=0)
    return [
        counts if i == newest or counts.confused is None else structs.replace(counts, confused=None)
        for i, counts in enumerate(classes)
    ]


def not_before(batch: Batch, step: int) -> Batch:
    """The batch, its steps below ``step`` raised to it; the same object if it has none."""
    steps = steps_of(batch)
    if not batch.rows or steps[0] >= step:
        return batch
    return structs.replace(batch, start=step, steps=np.maximum(steps, step).astype("<i8").tobytes())


def until(batch: Batch, step: int) -> Batch:
    """What of a batch belongs to the steps up to ``step``."""
    steps = steps_of(batch)
    kept = int(np.searchsorted(steps, step, side="right"))
    scalars = batch.scalars
    if kept < batch.rows:
        cut = {key: (at[at < kept], values[at < kept]) for key in scalars for at, values in [column_of(batch, key)]}
        scalars = {key: _pack(values, at.astype(np.int64), kept) for key, (at, values) in cut.items() if len(at)}
    return Batch(
        seq=batch.seq,
        first_seq=batch.first_seq,
        start=batch.start,
        rows=kept,
        steps=batch.steps[: 8 * kept],
        times_s=batch.times_s[: 8 * kept],
        scalars=scalars,
        layers=[stats for stats in batch.layers if stats.step <= step],
        classes=[counts for counts in batch.classes if counts.step <= step],
        marks=[mark for mark in batch.marks if mark.step <= step],
        facts=[fact for fact in batch.facts if fact.step <= step],
    )


def _expand(column: Column, values: Floats, rows: int) -> tuple[Rows, Floats]:
    if column.at:
        return np.frombuffer(column.at, "<u4"), values
    if len(values) == 1 and rows > 1:
        values = np.broadcast_to(values, (rows,))
    return np.arange(len(values), dtype=np.uint32), values


def _pack(values: Floats, at: NDArray[np.int64], rows: int) -> Column:
    packed = values.astype("<f8").tobytes()
    if len(values) < rows:
        return Column(values=packed, at=at.astype("<u4").tobytes())
    return Column(values=packed[:8] if packed == packed[:8] * rows else packed)


def _fits_pairs(column: Column, classes: int) -> bool:
    """Whether it is one of so many classes, and of no more than a matrix is made of."""
    has_at = len(column.at) * 2 == len(column.values)
    return classes <= PAIRED_CLASSES and has_at and _fits(column, 8, classes * classes, whole=False)


def _fits(column: Column, size: int, rows: int, *, whole: bool = True) -> bool:
    """Whether a column of ``size``-byte values has the length it says and no row index beyond ``rows``."""
    count, odd = divmod(len(column.values), size)
    if odd or count > rows or len(column.at) % 4:
        return False
    if not column.at:
        return not whole or count == rows or (count == 1 and rows > 1)
    at = np.frombuffer(column.at, "<u4")
    return len(at) == count and bool(np.all(at < rows)) and bool(np.all(np.diff(at.astype(np.int64)) > 0))
