"""Commands out, acknowledgements in: the one way by which a screen and a script intervene in a run.

A command goes to the run's recorder, which hands it to the training and the answer back. What a command takes and
what its answer says is in ``docs/reference/interventions.md``.
"""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import time
from typing import Final

import zmq

from monitor.feeds.line import OPTIONS, Curve
from monitor.model import Action
from probe import wire

#: How long a recorder may take to come to the line: it is on this machine, and it is there or not.
CONNECT_S: Final = 5.0
#: How long the answer is waited for: the loop may be in an evaluation.
ANSWER_S: Final = 60.0


class NoAnswer(Exception):  # noqa: N818  what it is, in the words of the one who asked
    """Nobody said what became of a command; the message is one line for a person."""


def command(run_id: str, action: Action) -> wire.Command:
    """The command of this moment and this person; its id is used once."""
    return wire.Command(
        id=secrets.token_hex(8), run_id=run_id, name=action.name, time_s=time.time(), by=person(), args=action.args
    )


def person() -> str:
    """Who asks, as the record will say: ``ada@node7``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def give(address: str, order: wire.Command, *, curve: Curve | None = None, answer_s: float = ANSWER_S) -> wire.Ack:
    """Give a command to the recorder at ``address`` and wait for its answer. Raises :class:`NoAnswer`."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        line = context.socket(zmq.DEALER)
        for option, value in (*OPTIONS, (zmq.IMMEDIATE, 1)):  # nothing waits in a queue for a recorder to come
            line.setsockopt(option, value)
        if curve is not None:
            curve.put_on(line)
        line.connect(address)
        if not line.poll(round(1000 * CONNECT_S), zmq.POLLOUT):
            raise NoAnswer("the recorder of this run is not there; nothing was sent")
        line.send(wire.encode(order))
        return _answer(line, order.id, answer_s)
    finally:
        context.destroy(linger=0)


def _answer(line: zmq.Socket[bytes], id_: str, answer_s: float) -> wire.Ack:
    deadline = time.monotonic() + answer_s
    while (left_s := deadline - time.monotonic()) > 0:
        if line.poll(round(1000 * left_s)):
            message = wire.decode(line.recv())
            if isinstance(message, wire.Ack) and message.id == id_:
                return message
    raise NoAnswer(f"no answer in {answer_s:g} s; it may still be carried out, when the loop comes to its next step")
