"""Answers a monitor's question for what it lacks, a part at a time, so that no answer holds up the recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from monitor.record.keeper import Keeper
from monitor.record.overview import Overviews
from monitor.record.replies import Replies
from probe import wire

PART_BYTES = 512 * 1024


@dataclass
class _Answer:
    """``part`` is the next part, encoded, once it is made; ``seq`` is the last batch in it or before it.

    ``ahead`` are the frames that go before the first batch, each in a part of its own.
    """

    client: bytes
    id: str
    first_seq: int
    seq: int
    ahead: Iterator[bytes] = field(default_factory=lambda: iter(()))
    part: bytes = b""
    is_begun: bool = False
    is_complete: bool = False


class HistoryDesk:
    """The answers under way. Of each one part is made, and the next one only when that could be sent."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
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

    def turn(self, keeper: Keeper, hello: bytes, overviews: Overviews) -> None:
        """One part of each answer, to those that can take it now."""
        going = []
        self.is_blocked = bool(self._answers)
        for answer in self._answers:
            if not answer.part:
                if not answer.is_begun and answer.first_seq == 0:
                    answer.ahead = overviews.frames(PART_BYTES)
                _prepare(answer, keeper, hello)
            sent = self._replies.offer(answer.client, answer.part)
            if sent:
                answer.part, answer.is_begun = b"", True
                self.is_blocked = False
            if sent is False or (sent and not answer.is_complete):
                going.append(answer)
        self._answers = going


def _prepare(answer: _Answer, keeper: Keeper, hello: bytes) -> None:
    """Make the next part of an answer."""
    frames = [] if answer.is_begun else [hello]
    if (overview := next(answer.ahead, None)) is not None:
        answer.part = wire.encode(wire.History(id=answer.id, frames=[*frames, overview], share=0.0))
        return
    size, answer.is_complete = 0, True
    for batch, frame in keeper.batches_after(answer.seq):
        if size and size + len(frame) > PART_BYTES:
            answer.is_complete = False
            break
        frames.append(frame)
        size += len(frame)
        answer.seq = batch.seq
    if answer.is_complete:
        frames += keeper.others()
    span = max(1, keeper.last_seq - answer.first_seq)
    share = 1.0 if answer.is_complete else min(1.0, (answer.seq - answer.first_seq) / span)
    answer.part = wire.encode(wire.History(id=answer.id, frames=frames, share=share, done=answer.is_complete))
