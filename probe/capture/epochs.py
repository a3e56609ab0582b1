"""When an epoch begins: when a new pass over the loader starts that training batches come from."""

from __future__ import annotations

import threading
import weakref
from typing import Any


class Epochs:
    """Counts the passes over the training loader, from 1.

    A loader is the training one once a training forward pass follows one of its batches; a validation loader,
    iterated in between, never is.
    """

    def __init__(self) -> None:
        self._passes: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._pass = 0
        self.batches = 0  # of all loaders
        self.has_news = False  # batches have come since a training forward pass last began
        self.is_training = False  # the last batch is of the pass that training batches come from
        self._latest: int | None = None
        self._current: int | None = None
        self._epoch = 0
        self._thread = threading.get_ident()

    def loader_begins(self, iterator: Any) -> None:
        """A pass over some loader begins. With persistent workers each pass has the same iterator."""
        self._pass += 1
        self._passes[iterator] = self._pass

    @property
    def is_training_thread(self) -> bool:
        """Whether it is the training that is at a loader or saves, not a prefetcher or a save on the side."""
        return threading.get_ident() == self._thread

    def batch(self, iterator: Any) -> None:
        """A batch came out of a loader."""
        self.batches += 1
        if iterator not in self._passes:  # the probe was attached in the middle of this pass
            self.loader_begins(iterator)
        self._latest = self._passes[iterator]
        self.is_training = self._latest == self._current
        self.has_news = True

    def training_begins(self) -> int | None:
        """A training forward pass begins: the number of the epoch if it is the first of one."""
        latest, self._latest = self._latest, None
        self.has_news = False
        if latest is None or latest == self._current:
            return None
        self._current = latest
        self._epoch += 1
        return self._epoch
