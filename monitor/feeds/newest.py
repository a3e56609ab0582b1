"""The newest run of this machine, also when it has not begun yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from monitor.feeds import Event, Feed, LinkChanged, close
from monitor.model import Link
from probe.wire import Notice

LOOK_S = 0.25


class NewestFeed:
    """``earlier`` (the newest run that is over, if there is one), and the next live run as soon as ``find`` has it.

    The screen is thus never empty without need, and a training that starts later is on it without a key pressed.
    """

    def __init__(self, find: Callable[[], Feed | None], earlier: Feed | None = None) -> None:
        self._find, self._earlier = find, earlier
        self._feed: Feed | None = None
        self._closed = threading.Event()

    def close(self) -> None:
        self._closed.set()
        close(self._feed)

    def __iter__(self) -> Iterator[Event]:
        yield LinkChanged(Link.CONNECTING)
        try:
            yield from self._earlier or ()
        except Exception as error:  # noqa: BLE001  an old run that cannot be read must not hide the next one
            yield Notice(text=str(error))
        while not self._closed.is_set():
            self._feed = self._find()
            if self._feed is not None:
                yield from self._feed
                return
            self._closed.wait(LOOK_S)
