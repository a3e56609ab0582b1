"""A run that is going on where its recorder cannot be reached: read from its file, again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

from monitor.feeds import Event, LinkChanged
from monitor.model import Link
from probe.wire import Batch, Goodbye, Message, Notice

#: Between two looks into the file.
LOOK_S = 2.0


class FollowedFile:
    """Everything that ``read(0)`` yields, then what ``read(last_seq)`` has more, until a goodbye is among it.

    What is no batch comes again with each look, as from a recorder that is asked again. ``said`` comes first, once
    the file could be read: a file that never could raises what ``read`` does.
    """

    def __init__(self, read: Callable[[int], Iterable[Message]], said: Notice) -> None:
        self._read, self._said = read, said
        self._closed = threading.Event()
        self._seq = 0
        self._has_read = self._is_over = False

    def close(self) -> None:
        self._closed.set()

    def __iter__(self) -> Iterator[Event]:
        yield LinkChanged(Link.LOADING)
        while not self._closed.is_set():
            try:
                yield from self._look()
            except Exception as error:  # its writer may have it, or its server be away for a moment
                if not self._has_read:
                    raise
                yield LinkChanged(Link.LOST)
                yield Notice(text=f"{error} It is tried again.")
            else:
                yield LinkChanged(Link.FILE if self._is_over else Link.LIVE, 1.0)
            if self._is_over:
                return
            self._closed.wait(LOOK_S)

    def _look(self) -> Iterator[Event]:
        for message in self._read(self._seq):
            yield message
            if isinstance(message, Batch):
                self._seq = max(self._seq, message.seq)
            self._is_over |= isinstance(message, Goodbye)
            if not self._has_read:
                self._has_read = True
                yield self._said
