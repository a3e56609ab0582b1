"""The two sockets between a monitor and a recorder, made so that a broken line is noticed and mended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import zmq
from zmq.utils.monitor import recv_monitor_message

from probe import wire

#: Frames taken from the stream before answers are looked at. Of an answer one part is taken, which may be large.
DRAIN = 2000
OPTIONS = (
    (zmq.LINGER, 0),
    (zmq.IPV6, 1),
    (zmq.MAXMSGSIZE, wire.MAX_FRAME_BYTES),
    (zmq.RECONNECT_IVL, 100),
    (zmq.RECONNECT_IVL_MAX, 1000),
    (zmq.HANDSHAKE_IVL, 2000),
    (zmq.HEARTBEAT_IVL, 500),
    (zmq.HEARTBEAT_TIMEOUT, 1500),
)


class Curve(NamedTuple):
    """The keys of an encrypted line, in ZeroMQ's text form: the recorder's, and the monitor's own pair."""

    server: bytes
    public: bytes
    secret: bytes

    def put_on(self, socket: zmq.Socket[bytes]) -> None:
        socket.setsockopt(zmq.CURVE_SERVERKEY, self.server)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.secret)


class Line:
    """Subscribed from the start. Used in one thread; closed with ``close``."""

    def __init__(self, live: str, ask: str, curve: Curve | None = None) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._curve = curve
        # A question that could not leave is not asked a second time on the same line.
        self._ask = self._connected(zmq.DEALER, ask, (zmq.RCVHWM, 64), (zmq.SNDHWM, 1))
        self._live = self._connected(zmq.SUB, live, (zmq.RCVHWM, 10_000))
        self._live.setsockopt(zmq.SUBSCRIBE, b"")
        self._joins = self._live.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._poller = zmq.Poller()
        for socket in (self._ask, self._live, self._joins):
            self._poller.register(socket, zmq.POLLIN)

    def _connected(self, kind: int, address: str, *options: tuple[int, int]) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        for option, value in (*OPTIONS, *options):
            socket.setsockopt(option, value)
        if self._curve is not None:
            self._curve.put_on(socket)
        socket.connect(address)
        return socket

    def close(self) -> None:
        self._live.disable_monitor()
        self._context.destroy(linger=0)

    def wait(self, patience_ms: int) -> None:
        """Until something has come."""
        self._poller.poll(patience_ms)

    def was_joined(self) -> bool:
        """Whether the stream has been connected, for the first time or again, since this was last asked."""
        joined = False
        while self._joins.poll(0):
            recv_monitor_message(self._joins)
            joined = True
        return joined

    def send(self, message: wire.Message) -> bool:
        """Put a question. False if the one before it could not leave yet."""
        try:
            self._ask.send(wire.encode(message), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def answers(self) -> Iterator[bytes]:
        return _received(self._ask, 1)

    def stream(self) -> Iterator[bytes]:
        return _received(self._live, DRAIN)


def _received(socket: zmq.Socket[bytes], most: int) -> Iterator[bytes]:
    with contextlib.suppress(zmq.Again):
        for _ in range(most):
            yield socket.recv(zmq.NOBLOCK)
