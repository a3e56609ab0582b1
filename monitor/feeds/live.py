"""A run that is going on, from its recorder: the history first, then the stream, and never a step lost between them.

The subscription is made before the history is asked for, so that what happens meanwhile waits in the socket; what
then comes twice is dropped by its sequence number, and a hole in the numbers is asked for again.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator

import zmq

from monitor.feeds import Event, LinkChanged
from monitor.model import Link
from probe import wire

POLL_MS = 100
#: Frames taken from a socket before the other one is looked at.
DRAIN = 2000
#: The recorder says something each second; three seconds of silence mean that the line is gone.
SILENCE_S = 3.0
#: An answer that does not go on for this long is asked for again.
ANSWER_S = 1.0


class LiveFeed:
    """The messages of one run. Iterate in one thread; ``close`` from any."""

    def __init__(self, live: str, ask: str) -> None:
        self._live_address, self._ask_address = live, ask
        self._closed = threading.Event()
        self._last_seq = 0
        self._request = ""
        self._asked_s = 0.0
        self._held: list[wire.Batch] = []
        self._link = Link.CONNECTING
        self.bad_frames = 0

    def close(self) -> None:
        self._closed.set()

    def __iter__(self) -> Iterator[Event]:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        live, ask = (
            _connected(context, zmq.SUB, self._live_address),
            _connected(context, zmq.DEALER, self._ask_address),
        )
        live.setsockopt(zmq.SUBSCRIBE, b"")
        poller = zmq.Poller()
        poller.register(live, zmq.POLLIN)
        poller.register(ask, zmq.POLLIN)
        try:
            yield LinkChanged(Link.CONNECTING)
            yield from self._follow(live, ask, poller)
        finally:
            context.destroy(linger=0)

    def _follow(self, live: zmq.Socket[bytes], ask: zmq.Socket[bytes], poller: zmq.Poller) -> Iterator[Event]:
        heard_s = time.monotonic()
        self._ask_for_history(ask)
        while not self._closed.is_set():
            poller.poll(POLL_MS)
            events = [*self._answers(ask), *self._stream(live)]
            now = time.monotonic()
            if events:
                heard_s = now
            yield from events
            if now - heard_s > SILENCE_S and self._link is not Link.LOST:
                self._request = ""
                yield self._changed(Link.LOST)
            is_waiting = bool(self._request) or self._link in (Link.CONNECTING, Link.LOST)
            if is_waiting and now - max(self._asked_s, heard_s if self._request else 0.0) > ANSWER_S:
                self._ask_for_history(ask)

    def _changed(self, link: Link, loaded: float = 0.0) -> LinkChanged:
        self._link = link
        return LinkChanged(link, loaded)

    def _ask_for_history(self, ask: zmq.Socket[bytes]) -> None:
        self._request, self._asked_s = secrets.token_hex(4), time.monotonic()
        try:
            ask.send(wire.encode(wire.HistoryRequest(id=self._request, after_seq=self._last_seq)), zmq.NOBLOCK)
        except zmq.Again:
            self._request = ""

    # ------------------------------------------------------------------------------------------------ what comes in

    def _answers(self, ask: zmq.Socket[bytes]) -> Iterator[Event]:
        for message in self._received(ask):
            if not isinstance(message, wire.History) or message.id != self._request:
                continue  # the answer to a question that was asked again since
            self._asked_s = time.monotonic()
            for frame in message.frames:
                part = wire.decode(frame)
                if part is None:
                    self.bad_frames += 1
                elif not isinstance(part, wire.Batch) or self._is_new(part):
                    yield part
            if not message.done:
                yield self._changed(Link.LOADING, message.share)
                continue
            self._request = ""
            yield self._changed(Link.LIVE, 1.0)
            held, self._held = self._held, []
            for batch in held:
                if self._is_new(batch):
                    yield batch

    def _stream(self, live: zmq.Socket[bytes]) -> Iterator[Event]:
        for message in self._received(live):
            if self._link is Link.LOST and not self._request:
                self._asked_s = 0.0  # it is back: ask at once for what was missed
            if not isinstance(message, wire.Batch):
                yield message
            elif self._request or self._link is not Link.LIVE:
                self._held.append(message)
            elif (message.first_seq or message.seq) <= self._last_seq + 1:
                if self._is_new(message):
                    yield message
            else:
                self._held.append(message)
                yield self._changed(Link.LOADING)

    def _is_new(self, batch: wire.Batch) -> bool:
        if batch.seq <= self._last_seq:
            return False
        self._last_seq = batch.seq
        return True

    def _received(self, socket: zmq.Socket[bytes]) -> Iterator[wire.Message]:
        for _ in range(DRAIN):
            try:
                message = wire.decode(socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                return
            if message is None:
                self.bad_frames += 1
            else:
                yield message


def _connected(context: zmq.Context[zmq.Socket[bytes]], kind: int, address: str) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    for option, value in (
        (zmq.RCVHWM, 10_000),
        (zmq.MAXMSGSIZE, wire.MAX_FRAME_BYTES),
        (zmq.LINGER, 0),
        (zmq.RECONNECT_IVL, 100),
        (zmq.RECONNECT_IVL_MAX, 1000),
        (zmq.HANDSHAKE_IVL, 2000),
        (zmq.HEARTBEAT_IVL, 500),
        (zmq.HEARTBEAT_TIMEOUT, 1500),
    ):
        socket.setsockopt(option, value)
    socket.connect(address)
    return socket
