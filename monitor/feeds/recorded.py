"""A live run that is also in a file: what the recorder could not tell any more is read there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from monitor.feeds import Event, Feed, LinkChanged
from monitor.feeds.live import LiveFeed
from monitor.model import Link


class RecordedFeed:
    """The live run; when the line is lost, ``where()`` is asked for the addresses where it is served by now, and
    ``rest(after_seq)`` for a feed of what follows that batch.

    ``rest`` gives one as soon as nobody writes the run any more (a container that was stopped takes training process
    and recorder with it), and ``None`` as long as the recorder may come back.
    """

    def __init__(
        self,
        live: LiveFeed,
        rest: Callable[[int], Feed | None],
        where: Callable[[], tuple[str, str] | None] = lambda: None,
    ) -> None:
        self._live, self._rest, self._where = live, rest, where

    def close(self) -> None:
        self._live.close()

    def __iter__(self) -> Iterator[Event]:
        for event in self._live:
            yield event
            if isinstance(event, LinkChanged) and event.link is Link.LOST:
                if (places := self._where()) is not None:
                    self._live.lead_to(*places)
                rest = self._rest(self._live.last_seq)
                if rest is not None:
                    yield from rest
                    return
