"""Other runs of this machine, opened beside the one on the screen: each is read in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable

from monitor.feeds import Feed
from monitor.model import Snapshot
from monitor.session import Session


class Shelf:
    """The runs that were taken out, by their ids. ``feed_of`` finds a run; it returns None for one that is gone."""

    def __init__(self, feed_of: Callable[[str], Feed | None]) -> None:
        self._feed_of = feed_of
        self._sessions: dict[str, Session | None] = {}

    def open(self, run_id: str) -> Snapshot | None:
        """The run as far as it is read; None if there is no such run, or nothing of it can be read."""
        if run_id not in self._sessions:
            feed = self._feed_of(run_id)
            session = None if feed is None else Session(feed)
            if session is not None:
                session.start()
            self._sessions[run_id] = session
        session = self._sessions[run_id]
        if session is None:
            return None
        snapshot = session.latest()
        return None if session.error is not None and snapshot.hello is None else snapshot

    def close(self) -> None:
        for session in self._sessions.values():
            if session is not None:
                session.close()
