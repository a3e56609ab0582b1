"""What the training thread hands over. Written into a batch later, in the sender's thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from probe import wire
from probe.batch import BatchBuilder
from probe.host import Arrival, Found, Number, Reading


class StepRecord:
    """A row of scalars and what belongs to it: layer statistics, class counts, the accuracy that they give.

    ``pairs``, int64[classes, classes], are those of the one split that ``counts`` then has.
    """

    __slots__ = ("_arrival", "_counts", "_has_pairs", "_late", "_readings", "_scalars", "_step", "_time_s")

    def __init__(
        self,
        step: int,
        time_s: float,
        scalars: Mapping[str, Number],
        readings: Sequence[Reading] = (),
        counts: Mapping[str, Tensor] | None = None,
        pairs: Tensor | None = None,
    ) -> None:
        self._step, self._time_s = step, time_s
        self._scalars = scalars
        self._late = [key for key, value in scalars.items() if isinstance(value, Tensor)]
        self._readings = readings
        self._counts = {split: tensor.shape[-1] for split, tensor in counts.items()} if counts else {}
        tensors = [value for value in scalars.values() if isinstance(value, Tensor)] if self._late else []
        if counts:
            tensors.extend(counts.values())
        self._has_pairs = pairs is not None
        if pairs is not None:
            tensors.append(pairs)
        for reading in readings:
            tensors.extend(reading.tensors)
        self._arrival = Arrival(tensors) if tensors else None

    def ready(self) -> bool:
        return self._arrival is None or self._arrival.ready()

    def write(self, batch: BatchBuilder) -> None:
        lists = iter(self._arrival.lists() if self._arrival is not None else ())
        scalars: dict[str, Any] = dict(self._scalars)
        layers: dict[str, list[float | None]] = {}
        for key in self._late:
            scalars[key] = next(lists)[0]
        for split, classes in self._counts.items():
            counts = next(lists)
            self._write_counts(batch, split, classes, counts, next(lists) if self._has_pairs else None)
        for reading in self._readings:
            found = reading.interpret([next(lists) for _ in reading.tensors])
            scalars.update(found.scalars)
            _merge(layers, found.layers)
            for name, value in found.facts.items():
                batch.fact(self._step, name, value)
        if scalars:
            batch.row(self._step, self._time_s, scalars)
        if layers:
            batch.layers(self._step, layers)

    def _write_counts(
        self, batch: BatchBuilder, split: str, classes: int, values: list[float], pairs: list[float] | None
    ) -> None:
        counts = [int(value) for value in values]
        correct, total, predicted = counts[:classes], counts[classes : 2 * classes], counts[2 * classes :]
        batch.classes(self._step, split, correct, total, predicted, pairs)


def _merge(into: dict[str, list[float | None]], found: Mapping[str, Sequence[float | None]]) -> None:
    """Add columns; two of one name fill each other's gaps."""
    for key, column in found.items():
        present = into.get(key)
        into[key] = (
            list(column) if present is None else [a if b is None else b for a, b in zip(present, column, strict=True)]
        )


def accuracy(key: str, counts: Tensor) -> Reading:
    """The share of correct predictions in ``int64[3, classes]`` as a scalar; none where nothing was counted."""

    def interpret(lists: list[list[float]]) -> Found:
        correct, total, _ = lists[0]
        return Found(scalars={key: correct / total}) if total else Found()

    return Reading([counts.sum(1)], interpret)


class Note:
    """Something that is not a row: a mark or facts."""

    __slots__ = ("_write",)

    def __init__(self, write: Callable[[BatchBuilder], Any]) -> None:
        self._write = write

    @classmethod
    def mark(cls, step: int, time_s: float, text: str, kind: str) -> Note:
        return cls(lambda batch: batch.mark(wire.Mark(step=step, time_s=time_s, text=text, kind=kind)))

    @classmethod
    def fact(cls, step: int, name: str, value: str | float | bool | None) -> Note:
        return cls(lambda batch: batch.fact(step, name, value))

    def ready(self) -> bool:
        return True

    def write(self, batch: BatchBuilder) -> None:
        self._write(batch)
