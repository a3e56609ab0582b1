"""What a run looks like as a whole, in few points: kept while it is recorded, sent before its history.

Of each stretch of steps the points with the lowest, the highest and the newest value are kept, and one that is not
finite; so a spike of one step, or a single NaN, among millions of steps is in it. When there are too many points the
stretches double. Choosing again from what was chosen gives what choosing from all would have given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from monitor.model import Floats, Steps
from monitor.rows import points_of
from probe import wire

#: Points kept of a series: this many at least once it is longer, twice as many at most.
KEPT = 1536
#: A run of fewer points than these is sent as it is: that takes no longer.
WORTH_IT = 100_000
#: Series beyond these come with the complete history only.
MAX_SERIES = 500
#: Pages of the past that are looked through in one turn, after a recorder has taken over from another.
_PAGES_A_TURN = 8


class Sketch:
    """The points kept of one series."""

    def __init__(self) -> None:
        self._steps: Steps = np.empty(2 * KEPT, np.int64)
        self._values: Floats = np.empty(2 * KEPT)
        self._size, self._width = 0, 1

    def add(self, steps: Steps, values: Floats) -> None:
        """Points after all others, few or many; those that go back are left out."""
        if self._size:
            after = int(np.searchsorted(steps, self._steps[self._size - 1]))
            steps, values = steps[after:], values[after:]
        for first in range(0, len(steps), KEPT):
            self._add(steps[first : first + KEPT], values[first : first + KEPT])

    def _add(self, steps: Steps, values: Floats) -> None:
        while self._size + len(steps) > len(self._steps):
            self._thin()
        end = self._size + len(steps)
        self._steps[self._size : end], self._values[self._size : end] = steps, values
        self._size = end

    def _thin(self) -> None:
        """To ``KEPT`` points or fewer."""
        steps, values = self._chosen(self._steps[: self._size], self._values[: self._size])
        while len(steps) > KEPT:
            self._width *= 2
            steps, values = self._chosen(steps, values)
        self._size = len(steps)
        self._steps[: self._size], self._values[: self._size] = steps, values

    def _chosen(self, steps: Steps, values: Floats) -> tuple[Steps, Floats]:
        chosen = chosen_of(steps // self._width, values)
        return steps[chosen], values[chosen]

    def selection(self) -> wire.Selection:
        steps, values = self._steps[: self._size], self._values[: self._size]
        return wire.Selection(steps=steps.astype("<i8").tobytes(), values=values.astype("<f8").tobytes())


def chosen_of(stretch: Steps, values: Floats) -> NDArray[np.intp]:
    """Which points to keep, in order: of each stretch the lowest, the highest, the newest, the first not finite."""
    finite = np.flatnonzero(np.isfinite(values))
    others = np.flatnonzero(~np.isfinite(values))
    by_value = finite[np.lexsort((values[finite], stretch[finite]))]
    lowest, highest = by_value[_begins(stretch[by_value])], by_value[_ends(stretch[by_value])]
    newest, not_finite = np.flatnonzero(_ends(stretch)), others[_begins(stretch[others])]
    return np.unique(np.concatenate([lowest, highest, newest, not_finite]))


def _begins(sorted_: Steps) -> NDArray[np.bool_]:
    """Where another number begins."""
    begins: NDArray[np.bool_] = np.diff(sorted_, prepend=sorted_[:1] - 1) != 0
    return begins


def _ends(sorted_: Steps) -> NDArray[np.bool_]:
    ends: NDArray[np.bool_] = np.diff(sorted_, append=sorted_[-1:] + 1) != 0
    return ends


class Overviews:
    """The sketches of a run, up to batch ``seq``.

    A recorder that takes over looks through what is recorded, a few pages a turn; until then there is no overview.
    """

    def __init__(self) -> None:
        self.seq = 0
        self._sketches: dict[str, Sketch] = {}
        self._points = 0
        self._past: Callable[[int], Iterable[wire.Batch]] | None = None

    def begin(self, past: Callable[[int], Iterable[wire.Batch]]) -> None:
        """Anew; ``past(seq)`` gives all that is recorded after batch ``seq``."""
        self.seq, self._sketches, self._points = 0, {}, 0
        self._past = past

    @property
    def is_behind(self) -> bool:
        """Whether some of what is recorded is still to be looked through."""
        return self._past is not None

    def feed(self, batch: wire.Batch) -> None:
        """One more batch, which is recorded by the time of the next turn."""
        if self._past is None:
            self.add(batch)

    def turn(self) -> None:
        """A few pages of the past."""
        if self._past is None:
            return
        due = list(islice(self._past(self.seq), _PAGES_A_TURN))
        for batch in due:
            self.add(batch)
        if not due:
            self._past = None

    def add(self, batch: wire.Batch) -> None:
        """The next batch or page."""
        self.seq = batch.seq
        for key in batch.scalars:
            if key not in self._sketches and len(self._sketches) < MAX_SERIES:
                self._sketches[key] = Sketch()
            steps, values = points_of(batch, key)
            self._points += len(steps)
            if key in self._sketches:
                self._sketches[key].add(steps, values)

    def frames(self, part_bytes: int) -> Iterator[bytes]:
        """The overview, encoded, in messages of about ``part_bytes``; none of a run that is short."""
        if self.is_behind or self._points < WORTH_IT:
            return
        keys, count = list(self._sketches), max(1, part_bytes // (32 * KEPT))
        for first in range(0, len(keys), count):
            series = {key: self._sketches[key].selection() for key in keys[first : first + count]}
            yield wire.encode(wire.Overview(seq=self.seq, series=series))
