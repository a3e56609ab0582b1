"""TCP, for those whose key is authorised: a second way to the recorder's sockets, each connection encrypted (CURVE).

The Unix sockets stay as they are. A key that is revoked closes the door for a moment: that cuts every connection,
and those who may come back do so by themselves.
"""

from __future__ import annotations

import contextlib
import time

import zmq

from monitor.keys import Keyring, KeyringError
from probe import wire

#: Between two looks at who is still authorised.
LOOK_S = 0.5
_OPTIONS = (
    (zmq.IPV6, 1),
    (zmq.HANDSHAKE_IVL, 2000),
    (zmq.HEARTBEAT_IVL, 2000),
    (zmq.HEARTBEAT_TIMEOUT, 6000),
)
#: The longest frame of a handshake with keys has some 350 bytes.
_HANDSHAKE_BYTES = 512
_DOMAIN = b"bedside"
#: Of a connection through a name in this user's private folder, which needs no key.
OWN_DOMAIN = b"own"
#: Asked by ZeroMQ about each connection; see RFC 27, ZAP.
_ZAP = "inproc://zeromq.zap.01"


class Door:
    """``ask`` is bound at the port of the endpoint, ``live`` at the next one. One thread, the recorder's."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], ask: zmq.Socket[bytes], live: zmq.Socket[bytes], ring: Keyring
    ) -> None:
        self._sockets = (ask, live)
        self._ring = ring
        self._places: tuple[str, str] | None = None
        self._bound: set[str] = set()
        self._allowed: set[str] = set()
        self._secret = b""
        self._next_look_s = 0.0
        #: To be polled; :meth:`turn` reads it.
        self.requests = context.socket(zmq.REP)
        self.requests.bind(_ZAP)

    def open(self, hello: wire.Hello) -> str | None:
        """Let them in where the run has an endpoint; what to say if that cannot be."""
        if not hello.endpoint or hello.rank:
            return None
        try:
            self._open_at(hello.endpoint, insecure=hello.insecure)
        except (zmq.ZMQError, KeyringError, ValueError) as error:
            return f"This run cannot be watched at {hello.endpoint} ({error}); on this machine it can."
        return None

    def _open_at(self, endpoint: str, *, insecure: bool) -> None:
        host, _, port = endpoint.rpartition(":")
        places = (endpoint, f"{host}:{int(port) + 1}")
        self._allowed = set(self._ring.authorised().values())
        self._secret = b"" if insecure else self._ring.own().secret
        self._places = places  # last: from here on it is bound whenever it is not, with a secret or without
        self._bind()

    @property
    def is_open(self) -> bool:
        """Whether the run has an endpoint."""
        return self._places is not None

    def turn(self) -> None:
        """Answer who may come in; close and open once more when somebody may not any longer."""
        while self.requests.poll(0):
            self.requests.send_multipart(self._verdict(self.requests.recv_multipart()))
        now = time.monotonic()
        if self._places is None or now < self._next_look_s:
            return
        self._next_look_s = now + LOOK_S
        allowed = set(self._ring.authorised().values())
        if self._allowed - allowed:
            self.sweep()
        self._allowed = allowed
        with contextlib.suppress(zmq.ZMQError):  # the port is not free yet: at the next look
            self._bind()

    def _verdict(self, request: list[bytes]) -> list[bytes]:
        """The answer to a ZAP request: version, id, domain, address, identity, mechanism, public key."""
        version, id_ = (*request, b"", b"")[:2]
        if len(request) == 6 and request[2] == OWN_DOMAIN and request[5] == b"NULL":
            return [version, id_, b"200", b"OK", b"", b""]
        is_curve = len(request) == 7 and request[2] == _DOMAIN and request[5] == b"CURVE"
        key = request[6].hex() if is_curve else ""
        if key and key in self._ring.authorised().values():
            return [version, id_, b"200", b"OK", key[:16].encode(), b""]
        return [version, id_, b"400", b"not authorised", b"", b""]

    def _bind(self) -> None:
        for socket, place in zip(self._sockets, self._places or (), strict=False):
            if place not in self._bound:
                self._prepare(socket)
                socket.bind(place)
                self._bound.add(place)

    def _prepare(self, socket: zmq.Socket[bytes]) -> None:
        """Options hold for what is bound after them."""
        for option, value in _OPTIONS:
            socket.setsockopt(option, value)
        socket.setsockopt(zmq.MAXMSGSIZE, max(_HANDSHAKE_BYTES, socket.getsockopt(zmq.MAXMSGSIZE)))
        if self._secret:
            socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN)
            socket.setsockopt(zmq.CURVE_SERVER, 1)
            socket.setsockopt(zmq.CURVE_SECRETKEY, self._secret)

    def sweep(self) -> None:
        """Cut every connection; they may come back at the next look."""
        for socket, place in zip(self._sockets, self._places or (), strict=False):
            if place in self._bound:
                socket.unbind(place)
                self._bound.discard(place)
