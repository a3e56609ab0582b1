"""A run that is over, from its file or from somebody else's log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from monitor.feeds import Event, LinkChanged
from monitor.model import Link
from probe.wire import Message


class Replay:
    """Everything that ``read()`` yields, once."""

    def __init__(self, read: Callable[[], Iterable[Message]]) -> None:
        self._read = read

    def __iter__(self) -> Iterator[Event]:
        yield LinkChanged(Link.LOADING)
        yield from self._read()
        yield LinkChanged(Link.FILE, 1.0)
