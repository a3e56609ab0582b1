"""What is shown of a run while its history is still coming: the overview of it, and the live stream after that."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from monitor.model import Floats, Steps
from monitor.pyramid import Series, View
from monitor.rows import points_of, steps_of
from probe.wire import Batch, Overview


class Preview:
    """Series that are complete from batch ``seq`` of their overview on, and in few points before it."""

    def __init__(self) -> None:
        self._series: dict[str, Series] = {}
        self._seqs: dict[str, int] = {}
        #: The newest step that is known.
        self.step = 0

    def begin(self, overview: Overview) -> None:
        """More series; one that is there already begins anew."""
        for key, selection in overview.series.items():
            self._series[key] = Series(key)
            self._append(key, overview.seq, np.frombuffer(selection.steps, "<i8"), np.frombuffer(selection.values))

    def go_on(self, batch: Batch) -> None:
        """A batch of the live stream, of which what is known already is passed over."""
        for key in batch.scalars:
            if key in self._series and batch.seq > self._seqs[key]:
                self._append(key, batch.seq, *points_of(batch, key))
        if batch.rows and self._series:
            self.step = max(self.step, int(steps_of(batch)[-1]))

    def series(self) -> Mapping[str, View]:
        return {key: series.view() for key, series in self._series.items()}

    def _append(self, key: str, seq: int, steps: Steps, values: Floats) -> None:
        self._seqs[key] = seq
        self._series[key].append(steps, values)
        if len(steps):
            self.step = max(self.step, int(steps[-1]))
