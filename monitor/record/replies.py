"""What goes back to monitors. ZeroMQ takes a few frames a client; answers beyond them wait here, and none is lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import zmq

from probe import wire

#: Answers that may wait for one client; each has some hundred bytes.
MAX_WAITING = 4096

_DEAF = "This monitor has not read what it asked for; the answers that waited for it were thrown away."


class Replies:
    """``socket`` is a ROUTER that refuses (rather than drops) what cannot be sent.

    Who lets so many answers wait is not reading any: they are thrown away, with a word in their place, and
    ``notify`` is told the first time.
    """

    def __init__(self, socket: zmq.Socket[bytes], notify: Callable[[str], None]) -> None:
        self._socket, self._notify = socket, notify
        self._waiting: dict[bytes, deque[bytes]] = {}
        self._was_deaf = False

    @property
    def is_idle(self) -> bool:
        return not self._waiting

    def put(self, client: bytes, frame: bytes) -> None:
        """An answer: if it cannot be sent now, it is as soon as the client reads."""
        queue = self._waiting.setdefault(client, deque())
        queue.append(frame)
        self._flush(client)
        if len(queue) > MAX_WAITING:
            self._waiting[client] = deque([wire.encode(wire.Notice(text=_DEAF))])
            if not self._was_deaf:
                self._was_deaf = True
                self._notify("A monitor asks for more than it reads; what waited for it was thrown away.")

    def offer(self, client: bytes, frame: bytes) -> bool | None:
        """What can be made again. True if sent, False if the client is slow, ``None`` if it is gone."""
        return False if client in self._waiting else self._send(client, frame)

    def turn(self) -> None:
        """Send what can be sent by now."""
        for client in list(self._waiting):
            self._flush(client)

    def _flush(self, client: bytes) -> None:
        queue = self._waiting[client]
        while queue and (sent := self._send(client, queue[0])) is not False:
            queue.popleft() if sent else queue.clear()
        if not queue:
            del self._waiting[client]

    def _send(self, client: bytes, frame: bytes) -> bool | None:
        try:
            self._socket.send_multipart([client, frame], zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError:
            return None
        return True
