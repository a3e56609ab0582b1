"""Rows of a log as one run's wire messages: the same that a live run sends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monitor.feeds.imports.columns import SERIES
from monitor.model import Floats, Hello, Mark, Steps
from probe.wire import BATCH_STEPS, SCHEMA_VERSION, Batch, Column, Message

Mask = NDArray[np.bool_]

#: Words that logs write for numbers that are not finite, beside those that ``float`` knows.
SPECIAL: Final = {"nan": math.nan, "inf": math.inf, "+inf": math.inf, "-inf": -math.inf, "infinity": math.inf}


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """A run out of a file. ``step_unit`` is ``step``, ``epoch`` or ``row``: what its steps count."""

    name: str
    step_unit: str
    messages: Iterable[Message]


def number(value: Any) -> float | None:
    """A cell as a number; None where there is none.

    >>> number("0.5"), number("NaN"), number(" -inf"), number("n/a"), number(True), number(None)
    (0.5, nan, -inf, None, None, None)
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        word = value.strip().lower()
        if word in SPECIAL:
            return SPECIAL[word]
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def run_of(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], name: str) -> ImportedRun:
    """One run's rows as messages. A fall of the step number is a resumption."""
    values = {ours: column_of(rows, columns[ours]) for ours in SERIES if ours in columns}
    for ours in ("accuracy", "val_accuracy"):
        if ours in values and (share := as_share(values[ours], values.get("loss"))) is not None:
            values[ours] = share
        else:
            values.pop(ours, None)
    steps, unit = steps_of(rows, columns)
    hello = Hello(schema=SCHEMA_VERSION, run_id="", name=name, started_s=0.0, config={"step_unit": unit})
    return ImportedRun(name, unit, [hello, *batches(steps, values)])


def column_of(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[Floats, Mask]:
    """The values and where there is one."""
    cells = [number(row.get(name)) for row in rows]
    known = np.array([cell is not None for cell in cells], bool)
    return np.array([math.nan if cell is None else cell for cell in cells]), known


def as_share(accuracy: tuple[Floats, Mask], loss: tuple[Floats, Mask] | None) -> tuple[Floats, Mask] | None:
    """An accuracy as 0 to 1; None for what cannot be one: a reward, or an error rate that falls with the loss."""
    values, known = accuracy
    seen = values[known & np.isfinite(values)]
    if not seen.size or seen.min() < 0 or seen.max() > 100:
        return None
    if loss is not None and falls(seen) and falls(loss[0][loss[1] & np.isfinite(loss[0])]):
        return None
    return (values / 100 if seen.max() > 1.5 else values), known


def falls(values: Floats) -> bool:
    third = max(len(values) // 3, 1)
    return bool(values.size and np.median(values[-third:]) < 0.8 * np.median(values[:third]))


def steps_of(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> tuple[Steps, str]:
    """The step of each row, and what it counts.

    A step number that starts again whenever the epoch grows counts batches within an epoch: then rows are counted.
    """
    counted = np.arange(1, len(rows) + 1)
    epochs = whole(*column_of(rows, columns["epoch"])) if "epoch" in columns else None
    if "step" in columns and (steps := whole(*column_of(rows, columns["step"]))) is not None:
        falling = np.flatnonzero(np.diff(steps) < 0)
        if falling.size and epochs is not None and np.all(np.diff(epochs)[falling] > 0):
            return counted, "row"
        return steps, "step"
    if epochs is not None and np.all(np.diff(epochs) > 0):
        return epochs, "epoch"
    return counted, "row"


def whole(values: Floats, known: Mask) -> Steps | None:
    """The column as whole numbers, a missing one being that of the row before; None if it does not hold such."""
    if not known.any() or not np.all(np.isfinite(values[known])) or np.any(np.abs(values[known]) >= 1 << 62):
        return None
    if np.any(values[known] != np.round(values[known])):
        return None
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), 0))
    first = values[known][0]
    return np.where(known[last], values[last], first).astype(np.int64)


def batches(steps: Steps, values: Mapping[str, tuple[Floats, Mask]]) -> Iterator[Batch]:
    """Batches of rows whose steps do not fall, with a mark where they did."""
    cuts = {0, len(steps), *(np.flatnonzero(np.diff(steps) < 0) + 1).tolist()}
    cuts |= set(range(0, len(steps), BATCH_STEPS))
    ordered = sorted(cuts)
    for seq, (start, stop) in enumerate(pairwise(ordered), 1):
        scalars = {SERIES[ours]: pack(v[start:stop], k[start:stop]) for ours, (v, k) in values.items()}
        resumed = start > 0 and steps[start] < steps[start - 1]
        step = int(steps[start])
        yield Batch(
            seq=seq,
            start=step,
            rows=stop - start,
            steps=steps[start:stop].astype("<i8").tobytes(),
            times_s=bytes(8 * (stop - start)),
            scalars={key: column for key, column in scalars.items() if column is not None},
            marks=[Mark(step=step, time_s=0.0, text="the log goes back here", kind="resume")] if resumed else [],
        )


def pack(values: Floats, known: Mask) -> Column | None:
    if not known.any():
        return None
    at = b"" if known.all() else np.flatnonzero(known).astype("<u4").tobytes()
    return Column(values=values[known].astype("<f8").tobytes(), at=at)
