"""The messages of a run on another machine, by ssh: live through a tunnel, over from its file there.

A line that breaks is mended as often as it takes. What was missed meanwhile is asked for by its sequence numbers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import islice

from monitor.feeds import Event, LinkChanged
from monitor.feeds.live import LiveFeed
from monitor.model import Link
from monitor.record.reader import Found
from monitor.remote import RemoteError, far
from monitor.remote.ssh import Host, LineLost, Tunnel
from probe import wire

#: Between two questions whether a silent run is over.
LOOK_S = 3.0
RETRY_S = 2.0


class FarFile:
    """A run that is over, from its file there: the batches after ``after_seq``, as often as the line breaks."""

    def __init__(self, host: Host, run: str, after_seq: int = 0, *, in_batch: bool = False) -> None:
        self._host, self._run = host, run
        self._seq, self._in_batch = after_seq, in_batch
        self._closed = threading.Event()

    def close(self) -> None:
        self._closed.set()

    def __iter__(self) -> Iterator[Event]:
        yield LinkChanged(Link.LOADING)
        while not self._closed.is_set():
            try:
                for message in far.messages(self._host, "read", self._run, str(self._seq), in_batch=self._in_batch):
                    if isinstance(message, wire.Batch):
                        self._seq = message.seq
                    yield message
            except LineLost as error:  # noqa: PERF203  a line may break as often as it likes
                yield LinkChanged(Link.LOST)
                yield wire.Notice(text=str(error))
                self._in_batch = True
                self._closed.wait(RETRY_S)
            else:
                yield LinkChanged(Link.FILE, 1.0)
                return


class FarPast:
    """Called with a run's Hello, what was recorded there before it; as often as the line breaks."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._closed = threading.Event()

    def close(self) -> None:
        self._closed.set()

    def __call__(self, hello: wire.Hello) -> Iterator[wire.Message]:
        told = 0
        while not self._closed.is_set():
            try:
                messages = far.messages(self._host, "before", hello.run_id, in_batch=True)
                for message in islice(messages, told, None):  # the same in the same order each time
                    told += 1
                    yield message
            except LineLost as error:  # noqa: PERF203  a line may break as often as it likes
                yield wire.Notice(text=f"{error}; it is tried again.")
                self._closed.wait(RETRY_S)
            except RemoteError as error:
                yield wire.Notice(text=f"The run before this one cannot be read: {error}")
                return
            else:
                return


class SshFeed:
    """A live run there. ``open`` first; iterate in one thread, ``close`` from any."""

    def __init__(self, host: Host, found: Found) -> None:
        live = found.entry.live
        assert live is not None
        self._host, self._run = host, found.entry.run_id
        self._tunnel = Tunnel(host, live.live, live.ask)
        self._live = LiveFeed(self._tunnel.live, self._tunnel.ask)
        self._next_look_s = 0.0
        self._rest: FarFile | None = None

    @property
    def ask(self) -> str:
        """Where commands go."""
        return self._tunnel.ask

    def open(self) -> None:
        """Log in. Raises :class:`RemoteError`."""
        self._tunnel.open()

    def close(self) -> None:
        self._live.close()
        self._tunnel.close()
        if self._rest is not None:
            self._rest.close()

    def __iter__(self) -> Iterator[Event]:
        try:
            for event in self._live:
                yield event
                if isinstance(event, LinkChanged) and event.link is Link.LOST:
                    if words := self._mend():
                        yield wire.Notice(text=f"ssh {self._host.destination}: {words}; it is tried again.")
                    if self._rest is not None:
                        yield from self._rest
                        return
        finally:
            self._tunnel.close()

    def _mend(self) -> str | None:
        """Mend the line; once it stands and the run is still silent, see whether it is over, or served elsewhere."""
        if not self._tunnel.is_open:
            return self._tunnel.mend()
        now = time.monotonic()
        if now >= self._next_look_s:
            self._next_look_s = now + LOOK_S
            try:
                found = far.find(self._host, self._run, in_batch=True)
                if found.is_over:
                    self._rest = FarFile(self._host, self._run, self._live.last_seq, in_batch=True)
                elif found.entry.live is not None:
                    self._tunnel.lead_to(found.entry.live.live, found.entry.live.ask)
            except RemoteError as error:
                return str(error)
        return None
