"""A run that is going on, from its recorder: the history first, then the stream, and never a step lost between them.

The subscription is made before the history is asked for. What comes twice is dropped by its sequence number; a hole
in the numbers is asked for. Alerts, notices and the goodbye bear no numbers, but every answer ends with all of them:
so it is asked once more when the first message of a new connection proves that the subscription has taken effect.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator

from monitor.feeds import Ahead, Event, LinkChanged
from monitor.feeds.line import Curve, Line
from monitor.model import Link
from monitor.rows import flaw, times_of
from probe import wire

POLL_MS = 250
#: The recorder says something each second; three seconds of silence mean that the line is gone.
SILENCE_S = 3.0
#: An answer that does not go on for this long is asked for again. Doubled each time, for a line may just be slow.
ANSWER_S, MAX_ANSWER_S = 1.0, 16.0
#: Between an answer and the next question.
PAUSE_S = 0.1
#: Batches of the stream that wait while an answer is under way. What falls out is a hole, and is asked for.
HELD = 1000


class LiveFeed:
    """The messages of one run. Iterate in one thread; ``close`` from any."""

    def __init__(self, live: str, ask: str, curve: Curve | None = None) -> None:
        self._live_address, self._ask_address, self._curve = live, ask, curve
        self._has_moved = False
        self._closed = threading.Event()
        self._link = Link.CONNECTING
        self._must_ask = True
        self._is_awaiting = False
        self._is_unproven = True
        self._is_over = False
        self._asked_s = self._heard_s = 0.0
        self._answer_s = ANSWER_S
        self._last_time_s = -math.inf
        self._held: deque[wire.Batch] = deque(maxlen=HELD)
        self._held_goodbye: wire.Goodbye | None = None
        #: The last batch that was passed on.
        self.last_seq = 0
        self.bad_frames = 0

    def close(self) -> None:
        self._closed.set()

    def lead_to(self, live: str, ask: str) -> None:
        """Those addresses from here on, if they are others: a recorder may move. In the thread that iterates."""
        if (live, ask) != (self._live_address, self._ask_address):
            self._live_address, self._ask_address, self._has_moved = live, ask, True

    def __iter__(self) -> Iterator[Event]:
        line = self._line()
        try:
            self._heard_s = time.monotonic()
            yield self._changed(Link.CONNECTING)
            while not self._closed.is_set():
                if self._has_moved:
                    line.close()
                    line = self._line()
                yield from self._mind_the_time(line)
                line.wait(POLL_MS)
                self._is_unproven |= line.was_joined()
                for frame in line.answers():
                    yield from self._take_answer(frame)
                for frame in line.stream():
                    yield from self._take(frame)
        finally:
            line.close()

    def _line(self) -> Line:
        self._has_moved = False
        return Line(self._live_address, self._ask_address, self._curve)

    def _changed(self, link: Link, loaded: float = 0.0) -> LinkChanged:
        self._link = link
        return LinkChanged(link, loaded)

    def _mind_the_time(self, line: Line) -> Iterator[Event]:
        """Ask for what is missing; say that the line is gone, once a second while it is."""
        now = time.monotonic()
        is_silent = now - self._heard_s > SILENCE_S and not (self._is_over and self._has_all)
        if self._link is Link.LOST or is_silent:
            if self._link is not Link.LOST or now - self._asked_s > ANSWER_S:
                self._ask_history(line)
                yield self._changed(Link.LOST)
        elif self._is_awaiting and now - self._asked_s > self._answer_s:
            self._answer_s = min(2 * self._answer_s, MAX_ANSWER_S)
            self._ask_history(line)
        elif self._must_ask and not self._is_awaiting and now - self._asked_s > PAUSE_S:
            self._ask_history(line)

    @property
    def _has_all(self) -> bool:
        """Whether nothing is missing of what is known to be there."""
        return self._link is Link.LIVE and not (self._is_awaiting or self._must_ask or self._held)

    def _ask_history(self, line: Line) -> None:
        line.send(wire.HistoryRequest(id=secrets.token_hex(4), after_seq=self.last_seq))
        self._must_ask, self._is_awaiting, self._asked_s = False, True, time.monotonic()

    # ------------------------------------------------------------------------------------------------ what comes in

    def _take_answer(self, frame: bytes) -> Iterator[Event]:
        """A part of an answer, also to a question that was asked again since: its batches are in order."""
        part = self._decoded(frame)
        if not isinstance(part, wire.History):
            return
        self._asked_s = time.monotonic()
        if not part.done and self._link is not Link.LIVE:
            yield self._changed(Link.LOADING, part.share)
        for inner in part.frames:
            message = self._decoded(inner)
            if isinstance(message, wire.Batch):
                yield from self._pass(message)
            elif message is not None:
                yield from self._note(message)
            if isinstance(message, wire.Overview):
                yield from map(Ahead, self._held)
        if part.done:
            self._is_awaiting = False
            if self._link is not Link.LIVE:
                yield self._changed(Link.LIVE, 1.0)
            yield from self._release()

    def _take(self, frame: bytes) -> Iterator[Event]:
        """A message of the stream."""
        message = self._decoded(frame)
        if message is None:
            return
        if self._is_unproven or self._link is Link.LOST:
            self._is_unproven, self._must_ask = False, True
        if isinstance(message, wire.Goodbye) and not self._has_all:
            self._held_goodbye = message
        elif not isinstance(message, wire.Batch):
            yield from self._note(message)
        elif self._is_awaiting or self._link is not Link.LIVE or self._is_ahead(message):
            self._held.append(message)
            self._must_ask |= not self._is_awaiting
            yield Ahead(message)
        else:
            yield from self._pass(message)

    def _release(self) -> Iterator[Event]:
        """The batches that waited for the answer, up to the first hole; with none, the goodbye that did."""
        while self._held and not self._is_ahead(self._held[0]):
            yield from self._pass(self._held.popleft())
        self._must_ask |= bool(self._held)
        if self._held_goodbye is not None and self._has_all:
            yield from self._note(self._held_goodbye)
            self._held_goodbye = None

    def _is_ahead(self, batch: wire.Batch) -> bool:
        """Whether there are batches between the last one and this one."""
        return (batch.first_seq or batch.seq) > self.last_seq + 1

    def _pass(self, batch: wire.Batch) -> Iterator[Event]:
        if batch.seq <= self.last_seq:
            return
        elif (batch.first_seq or batch.seq) <= self.last_seq and not self._is_later(batch):
            self._must_ask = True  # a page that is known in part: the recorder cuts it at the batch that is named
        else:
            self.last_seq = batch.seq
            if batch.rows:
                self._last_time_s = float(times_of(batch)[-1])
            yield batch

    def _is_later(self, batch: wire.Batch) -> bool:
        """Whether its rows are all new, although its numbers are not: a gap cannot be cut, and has no rows."""
        return not batch.rows or float(times_of(batch)[0]) > self._last_time_s

    def _note(self, message: wire.Message) -> Iterator[Event]:
        if isinstance(message, (wire.Hello, wire.Goodbye)):
            self._is_over = isinstance(message, wire.Goodbye)
        yield message

    def _decoded(self, frame: bytes) -> wire.Message | None:
        self._heard_s = time.monotonic()
        message = wire.decode(frame)
        if message is None or (not isinstance(message, wire.History) and flaw(message) is not None):
            self.bad_frames += 1
            return None
        return message
