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
        self._latest: int | None = None
        self._current: int | None = None
        self._epoch = 0
        self._thread = threading.get_ident()

    def loader_begins(self, iterator: Any) -> None:
        """A pass over some loader begins. With persistent workers each pass has the same iterator."""
        self._pass += 1
        self._passes[iterator] = self._pass

    def batch(self, iterator: Any) -> bool:
        """A batch came out of a loader; whether the training thread waited for it, not some prefetcher."""
        self._latest = self._passes.get(iterator)
        return threading.get_ident() == self._thread

    def training_begins(self) -> int | None:
        """A training forward pass begins: the number of the epoch if it is the first of one."""
        latest, self._latest = self._latest, None
        if latest is None or latest == self._current:
            return None
        self._current = latest
        self._epoch += 1
        return self._epoch
