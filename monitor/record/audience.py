"""Who listens to the stream: whether anybody does, and that nobody fills the recorder with what he asks for."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable

import zmq

from monitor.record.door import Door

#: Subscriptions to anything but everything, which no monitor makes, until all are put out.
MAX_STRANGE = 100
#: From one time that they are put out to the next, within which most of what they said before it has been heard.
SWEEP_S = 0.5
#: Heard in one turn: those that wait take memory too.
_A_TURN = 10_000


class Audience:
    """The subscribers of an XPUB: this user's own, whom ``cut`` puts out, and those who come through the ``door``."""

    def __init__(self, live: zmq.Socket[bytes], cut: Callable[[], None], door: Door) -> None:
        self._live, self._cut, self._door = live, cut, door
        self._strange = 0
        self._swept_s = 0.0
        self._keeps_memory = False
        self.is_there = False
        #: When somebody last came or the last one went.
        self.left_s = 0.0

    def turn(self) -> None:
        """Hear who came and who went; put out those who ask for too much, and give back what that took."""
        self._listen()
        now = time.monotonic()
        if now < self._swept_s + SWEEP_S:
            return
        if self._strange >= MAX_STRANGE:
            self._sweep()
            self._strange, self._swept_s, self._keeps_memory = 0, now, True
        elif self._keeps_memory:
            self._keeps_memory = False
            _give_back_memory()

    def _listen(self) -> None:
        """A subscription message begins with 1 for the first subscriber and 0 when the last one has gone."""
        for _ in range(_A_TURN):
            try:
                message = self._live.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            if message in (b"\x00", b"\x01"):
                self.is_there = message == b"\x01"
                self.left_s = time.monotonic()
            elif message[:1] == b"\x01":
                self._strange += 1

    def _sweep(self) -> None:
        """Cut the connections: ZeroMQ forgets then what they asked for, and monitors come back by themselves.

        Who asked is not known. Where the run is open to others it is taken to be one of them.
        """
        if self._door.is_open:
            self._door.sweep()
        else:
            self._cut()


def _give_back_memory() -> None:
    """The allocator of glibc keeps what is freed; others have no such function."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
