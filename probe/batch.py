"""Rows in, column frames out: how what the training thread handed over becomes a :class:`probe.wire.Batch`.

Runs in the sender's thread. Standard library and msgspec only.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain
from typing import NamedTuple, Protocol

from probe import packing, wire


class Record(Protocol):
    """One hand-over from the training thread. It is looked at later, in the sender's thread, in order."""

    def ready(self) -> bool:
        """Whether its numbers have arrived on the host; the sender asks again at its next wake-up if not."""

    def write(self, batch: BatchBuilder) -> None:
        """Put its numbers into the batch."""


#: A row of plain numbers: step, time, scalars, area. A tuple, because it is made and handed over at a third of the
#: price of an object.
Row = tuple[int, float, dict[str, float], str]
#: What the training thread hands over.
Handed = Record | Row


def written(record: Handed, batch: BatchBuilder) -> bool:
    """Put a record into the batch. False if its numbers have not arrived."""
    if isinstance(record, tuple):
        if scalars := record[2]:  # a name in a mapping of the person's may be anything
            batch.row(record[0], record[1], {name_of(name): value for name, value in scalars.items()}, record[3])
        return True
    if record.ready():
        record.write(batch)
        return True
    return False


def name_of(name: object) -> str:
    """As it can be sent: a person's mapping may have numbers for names, or those of files in no known encoding."""
    return str(name).encode("utf-8", "replace").decode()


def drop_record(_record: Handed) -> None:
    """In the place of what hands records over, once they are to go nowhere."""


class BatchBuilder:
    """Gathers rows of named scalars and the rarer things beside them, and packs them into one Batch.

    A key that is missing in a row has no value there, which the wire keeps apart from a NaN. ``last_step`` is that of
    the newest row, here or in the batches before.
    """

    def __init__(self, last_step: int = 0) -> None:
        self.last_step = last_step
        self._steps: list[int] = []
        self._times_s: list[float] = []
        self._rows: dict[tuple[str, ...], _Rows] = {}  # by area and names: most rows have those of an earlier one
        self._layers: list[wire.LayerStats] = []
        self._classes: list[wire.ClassCounts] = []
        self._marks: list[wire.Mark] = []
        self._facts: list[wire.Fact] = []

    def __len__(self) -> int:
        """The number of rows so far."""
        return len(self._steps)

    @property
    def is_empty(self) -> bool:
        return not (self._steps or self._layers or self._classes or self._marks or self._facts)

    def row(self, step: int, time_s: float, scalars: Mapping[str, float], area: str = "") -> None:
        """One more row, its names under ``AREA/`` if that is given.

        Several rows may share a step (a validation comes after it). One below the last step is taken for that.
        """
        if step > self.last_step:
            self.last_step = step
        alike = self._rows_of(area, scalars)
        alike.at.append(len(self._steps))
        alike.values.extend(scalars.values())
        self._steps.append(self.last_step)
        self._times_s.append(time_s)

    def take_alike(self, records: Sequence[Handed]) -> bool:
        """:meth:`row` for each of them, if all are plain rows with the same names; False, and nothing done, if not.

        No code of Python's runs for a single row, which makes it four times as fast.
        """
        if set(map(type, records)) != {tuple}:
            return False
        steps, times_s, scalars, areas = zip(*records, strict=True)
        names, rows = list(map(name_of, scalars[0])), len(records)
        # Rows of different names cannot give the same list: one of them would have a name twice.
        if not names or list(chain.from_iterable(scalars)) != names * rows or areas.count(areas[0]) < rows:
            return False
        values = list(chain.from_iterable(map(dict.values, scalars)))
        steps = [self.last_step, *steps]
        if steps != sorted(steps):
            steps = list(accumulate(steps, max))
        alike = self._rows_of(areas[0], names)
        alike.at.extend(range(len(self._steps), len(self._steps) + rows))
        alike.values.extend(values)
        self._steps.extend(steps[1:])
        self._times_s.extend(times_s)
        self.last_step = steps[-1]
        return True

    def layers(self, step: int, stats: Mapping[str, Sequence[float | None]]) -> None:
        """Per-layer statistics in the order of ``Hello.layers``; ``None`` for a layer that has no such value."""
        self._layers.append(wire.LayerStats(step=step, stats={key: _layer_column(v) for key, v in stats.items()}))

    def classes(
        self,
        step: int,
        split: str,
        correct: Sequence[int],
        total: Sequence[int],
        predicted: Sequence[int],
        pairs: Sequence[float] | None = None,
    ) -> None:
        """Class counts since the last ones of that split, one number a class, and a number each of their pairs."""
        self._classes.append(
            wire.ClassCounts(
                step=step,
                split=split,
                correct=packing.pack_steps(list(correct)),
                total=packing.pack_steps(list(total)),
                predicted=packing.pack_steps(list(predicted)),
                confused=None if pairs is None else _confused(pairs, len(total)),
            )
        )

    def mark(self, mark: wire.Mark) -> None:
        self._marks.append(mark)

    def fact(self, step: int, name: str, value: str | float | bool | None) -> None:
        self._facts.append(wire.Fact(step=step, name=name, value=value))

    def build(self, seq: int) -> wire.Batch:
        """Everything so far as batch number ``seq``."""
        rows = len(self._steps)
        start = self._steps[0] if rows else 0
        consecutive = self._steps == list(range(start, start + rows))
        return wire.Batch(
            seq=seq,
            start=start,
            rows=rows,
            steps=b"" if consecutive else packing.pack_steps(self._steps),
            times_s=packing.pack_floats(self._times_s),
            scalars={key: _scalar_column(*_in_order(parts), rows) for key, parts in self._columns().items()},
            layers=self._layers,
            classes=self._classes,
            marks=self._marks,
            facts=self._facts,
        )

    def _rows_of(self, area: str, names: Iterable[str]) -> _Rows:
        key = (area, *names)
        found = self._rows.get(key)
        if found is None:
            found = self._rows[key] = _Rows([], [])
        return found

    def _columns(self) -> dict[str, list[_Part]]:
        columns: dict[str, list[_Part]] = {}
        for (area, *names), alike in self._rows.items():
            values = array("d", alike.values)
            for index, name in enumerate(names):
                part = values[index :: len(names)], alike.at
                columns.setdefault(f"{area}/{name}" if area else name, []).append(part)
        return columns


class _Rows(NamedTuple):
    """Rows with the same names: their indices, and the values of the first, of the second and so on."""

    at: list[int]
    values: list[float]


#: Values of one series, and the rows that they stand in.
_Part = tuple[Sequence[float], list[int]]


def _in_order(parts: list[_Part]) -> _Part:
    """One of several parts, the rows in order."""
    if len(parts) == 1:
        return parts[0]
    at, values = zip(
        *sorted((i, value) for values, at in parts for i, value in zip(at, values, strict=True)), strict=True
    )
    return values, list(at)


def _scalar_column(values: Sequence[float], at: list[int], rows: int) -> wire.Column:
    if len(values) < rows:
        return wire.Column(values=packing.pack_floats(values), at=packing.pack_rows(at))
    packed = packing.pack_floats(values)
    # A constant (a learning rate, mostly) is sent once. Compared as bytes: NaN equals NaN, and 0.0 is not -0.0.
    return wire.Column(values=packed[:8] if packed == packed[:8] * rows else packed)


def _confused(pairs: Sequence[float], classes: int) -> wire.Column:
    """Of classes x classes pairs those of different classes, as far as there are any."""
    at = [cell for cell, count in enumerate(pairs) if count and cell % (classes + 1)]
    return wire.Column(values=packing.pack_steps([int(pairs[cell]) for cell in at]), at=packing.pack_rows(at))


def _layer_column(values: Sequence[float | None]) -> wire.Column:
    present = [value for value in values if value is not None]
    if len(present) == len(values):
        return wire.Column(values=packing.pack_floats32(present))
    at = [index for index, value in enumerate(values) if value is not None]
    return wire.Column(values=packing.pack_floats32(present), at=packing.pack_rows(at))
