"""A run that was opened to TCP: ``tcp://[KEY@]HOST:PORT``, KEY being that of the machine that trains."""

from __future__ import annotations

import getpass
import re
import time
from collections import Counter
from dataclasses import dataclass

import zmq
from zmq.utils.monitor import recv_monitor_message

from monitor import keys
from monitor.feeds.line import OPTIONS, Curve
from monitor.keys import Keyring, KeyringError
from monitor.record import registry
from monitor.remote import RemoteError
from probe import wire

#: How long a recorder may take to let us in and say who it is.
KNOCK_S = 10.0
#: Handshakes that may break off: a line may be bad, and so may the key.
_FAILURES = 3

_ADDRESS = re.compile(
    r"tcp://(?:(?P<key>[0-9A-Fa-f]+)@)?(?P<host>\[[0-9A-Fa-f:]+\]|[A-Za-z0-9_.-]+):(?P<port>\d{1,5})/?"
)
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_EVENTS = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the run is; no ``curve`` is for a run that asks nobody for a key."""

    ask: str
    live: str
    curve: Curve | None = None


def parse(text: str) -> Place:
    """The place, with the key that was given, or that was given for it once before. Raises :class:`RemoteError`."""
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65535:
        raise RemoteError(f"{text[:80]!r} names no run; it is tcp://HOST:PORT, the first time tcp://KEY@HOST:PORT")
    place = f"{match['host']}:{match['port']}"
    ask, live = f"tcp://{place}", f"tcp://{match['host']}:{int(match['port']) + 1}"
    ring = Keyring(registry.home() / "keys")
    try:
        key = match["key"] or ring.known().get(place)
        if key is None:
            if match["host"] in _LOOPBACK:
                return Place(ask, live)
            raise RemoteError(
                f"the key of {match['host']} is not known here; 'bedside keys show' prints it there, and then it is "
                f"tcp://KEY@{place}, the first time"
            )
        own = ring.own()
        curve = Curve(keys.as_bytes(key), own.public, own.secret)
        if match["key"]:
            ring.remember(key, place)
    except KeyringError as error:
        raise RemoteError(str(error)) from error
    return Place(ask, live, curve)


def knock(place: Place) -> wire.Hello:
    """Who trains there. Raises :class:`RemoteError`, which says what is amiss with the keys if it is they."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        line = context.socket(zmq.DEALER)
        for option, value in OPTIONS:
            line.setsockopt(option, value)
        if place.curve is not None:
            place.curve.put_on(line)
        events = line.get_monitor_socket(_EVENTS)
        line.connect(place.ask)
        line.send(wire.encode(wire.HistoryRequest(id="knock", after_seq=1 << 62)))
        return _answer(line, events, place)
    finally:
        context.destroy(linger=0)


def _answer(line: zmq.Socket[bytes], events: zmq.Socket[bytes], place: Place) -> wire.Hello:
    seen: Counter[int] = Counter()
    deadline = time.monotonic() + KNOCK_S
    while time.monotonic() < deadline and not (
        seen[zmq.EVENT_HANDSHAKE_FAILED_AUTH] or seen[zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL] > _FAILURES
    ):
        if line.poll(50):
            answer = wire.decode(line.recv())
            frames = answer.frames if isinstance(answer, wire.History) else []
            for message in map(wire.decode, frames):
                if isinstance(message, wire.Hello):
                    return message
        while events.poll(0):
            seen[int(recv_monitor_message(events)["event"])] += 1
    raise RemoteError(_reason(seen, place))


def _reason(seen: Counter[int], place: Place) -> str:
    if zmq.EVENT_HANDSHAKE_FAILED_AUTH in seen and place.curve is not None:
        return (
            f"{place.ask} does not know this machine's key; there: bedside keys authorise "
            f"{keys.as_text(place.curve.public)} {getpass.getuser()}"
        )
    if zmq.EVENT_HANDSHAKE_SUCCEEDED in seen:
        return f"{place.ask} says nothing about a run"
    if zmq.EVENT_CONNECTED in seen and place.curve is None:
        return f"{place.ask} asks for keys; 'bedside keys show' prints its own there, and then it is tcp://KEY@..."
    if zmq.EVENT_CONNECTED in seen:
        return f"{place.ask} answers, but not with the key {keys.as_text(place.curve.server) if place.curve else ''}"
    return (
        f"nobody answers at {place.ask}; is the run live (one that is over is read by ssh:// or from its file), and "
        "does a firewall let that port and the next one through?"
    )
