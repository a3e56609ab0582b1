"""Where a monitor's messages come from. A feed is an iterable of messages; a list is one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from monitor.model import Link
from probe.wire import Batch, Message


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """How the data come in from here on, and what share of the history has come, 0 to 1."""

    link: Link
    loaded: float = 0.0


@dataclass(frozen=True, slots=True)
class Ahead:
    """A batch of the live stream, although the history before it is still coming. It comes again, in its place."""

    batch: Batch


Event = Message | LinkChanged | Ahead
Feed = Iterable[Event]


@runtime_checkable
class Closable(Protocol):
    """A feed that waits for something can be told to stop, from another thread."""

    def close(self) -> None: ...


def close(feed: object) -> None:
    """Tell a feed to stop, if it is one that waits."""
    if isinstance(feed, Closable):
        feed.close()
