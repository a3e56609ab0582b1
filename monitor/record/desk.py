"""Answers a monitor's question for what it lacks, a part at a time, so that no answer holds up the recording."""

from __future__ import annotations

from dataclasses import dataclass

import zmq

from monitor.record.keeper import Keeper
from probe import wire

PART_BYTES = 1024 * 1024


@dataclass
class _Answer:
    client: bytes
    id: str
    first_seq: int
    seq: int
    is_begun: bool = False


class HistoryDesk:
    """The answers under way. ``socket`` is a ROUTER that refuses (rather than drops) what cannot be sent."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._answers: list[_Answer] = []
        self.is_blocked = False

    @property
    def is_idle(self) -> bool:
        return not self._answers

    def ask(self, client: bytes, request: wire.HistoryRequest) -> None:
        """Begin an answer. It takes the place of one to the same client that is still under way."""
        self._answers = [answer for answer in self._answers if answer.client != client]
        after_seq = max(0, min(request.after_seq, 1 << 62))
        self._answers.append(_Answer(client, request.id, after_seq, after_seq))

    def turn(self, keeper: Keeper, hello: bytes) -> None:
        """One part of each answer, to those that can take it now."""
        going = []
        self.is_blocked = bool(self._answers)
        for answer in self._answers:
            part, seq = _part(answer, keeper, hello)
            sent = self._send(answer.client, part)
            if sent:
                answer.seq, answer.is_begun = seq, True
                self.is_blocked = False
            if sent is False or (sent and not part.done):
                going.append(answer)
        self._answers = going

    def _send(self, client: bytes, part: wire.History) -> bool | None:
        """True if sent, False if the client is slow, ``None`` if it is gone."""
        try:
            self._socket.send_multipart([client, wire.encode(part)], zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError:
            return None
        return True


def _part(answer: _Answer, keeper: Keeper, hello: bytes) -> tuple[wire.History, int]:
    """The next part of an answer and the last batch in it; made anew if it could not be sent."""
    frames = [] if answer.is_begun else [hello]
    size, seq, is_complete = 0, answer.seq, True
    for batch, frame in keeper.batches_after(answer.seq):
        if size and size + len(frame) > PART_BYTES:
            is_complete = False
            break
        frames.append(frame)
        size += len(frame)
        seq = batch.seq
    if is_complete:
        frames += keeper.others()
    span = max(1, keeper.last_seq - answer.first_seq)
    share = 1.0 if is_complete else min(1.0, (seq - answer.first_seq) / span)
    return wire.History(id=answer.id, frames=frames, share=share, done=is_complete), seq
