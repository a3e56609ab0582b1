"""A run that goes on from another is one story: what was recorded before comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from monitor.feeds import Event, Feed, close
from probe.wire import Batch, Hello, Message


class ContinuedFeed:
    """The feed of a run; after its Hello what ``before`` knows of the runs that it goes on from.

    ``before`` is closed with the feed, if it waits for something. Batches are numbered anew, for each run counts its
    own from 1.
    """

    def __init__(self, feed: Feed, before: Callable[[Hello], Iterable[Message]]) -> None:
        self._feed, self._before = feed, before

    def close(self) -> None:
        close(self._before)
        close(self._feed)

    def __iter__(self) -> Iterator[Event]:
        earlier: int | None = None
        for event in self._feed:
            if isinstance(event, Batch) and earlier:
                yield msgspec.structs.replace(event, seq=event.seq + earlier, first_seq=0)
                continue
            yield event
            if isinstance(event, Hello) and earlier is None:
                earlier = 0
                for message in self._before(event) if event.resumes else ():
                    if isinstance(message, Batch):
                        earlier += 1
                        message = msgspec.structs.replace(message, seq=earlier, first_seq=0)  # noqa: PLW2901
                    yield message
