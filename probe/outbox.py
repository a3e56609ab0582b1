"""Batches on their way to the recorder: kept until it has said that they are in the run file.

Standard library and msgspec only, and no threads: the sender's thread is its only user.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from probe import wire

#: What may wait in the training process while the recorder cannot take it.
LIMIT_BYTES = 16 * 1024 * 1024


class Frame(NamedTuple):
    """An encoded batch; it covers the sequence numbers ``first_seq`` to ``seq``."""

    first_seq: int
    seq: int
    payload: bytes
    is_gap: bool = False


class Outbox:
    """Frames in the order of their numbers: sent and not acknowledged, then not yet sent.

    Beyond ``limit_bytes`` the oldest are given up. One batch without rows takes their place and their sequence
    numbers, with a mark of kind ``gap`` and the marks and facts that were in them, so that the numbers stay
    without a hole and the loss is drawn where it happened.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._sent: deque[Frame] = deque()
        self._unsent: deque[Frame] = deque()
        self._sent_gaps: deque[Frame] = deque()
        self._bytes = 0
        self.last_seq = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._sent) + len(self._unsent) + len(self._sent_gaps)

    @property
    def next_seq(self) -> int:
        return self.last_seq + 1

    @property
    def is_sent(self) -> bool:
        """Whether all of it is on its way."""
        return not self._unsent

    def add(self, batch: wire.Batch) -> None:
        """Take in the batch numbered :attr:`next_seq`."""
        assert batch.seq == self.next_seq
        self.last_seq = batch.seq
        self._append(Frame(batch.seq, batch.seq, wire.encode(batch)))
        if self._bytes > self._limit_bytes:
            self._give_up_oldest()

    def unsent(self) -> Iterator[bytes]:
        """The frames to send, oldest first; a frame counts as sent as soon as the next one is asked for."""
        while self._unsent:
            yield self._unsent[0].payload
            frame = self._unsent.popleft()
            (self._sent_gaps if frame.is_gap else self._sent).append(frame)

    def acknowledge(self, seq: int) -> None:
        """Everything up to ``seq`` is in the run file."""
        for frames in (self._sent_gaps, self._sent, self._unsent):
            while frames and frames[0].seq <= seq:
                self._bytes -= len(frames.popleft().payload)

    def rewind(self) -> None:
        """A new recorder listens: all that is not acknowledged is to be sent again."""
        self._unsent = deque(sorted([*self._sent_gaps, *self._sent, *self._unsent]))
        self._sent_gaps.clear()
        self._sent.clear()

    def _append(self, frame: Frame) -> None:
        self._unsent.append(frame)
        self._bytes += len(frame.payload)

    def _give_up_oldest(self) -> None:
        """Fold a sixteenth of the limit at once, so that an endless outage does not fold at every batch.

        A gap that is already on its way is left alone: told again, it would be drawn twice.
        """
        spared = self._limit_bytes - self._limit_bytes // 16
        folded: list[Frame] = []
        while self._bytes > spared and len(self._sent) + len(self._unsent) > 1:
            folded.append(self._pop_oldest())
        if not folded:
            return
        gap = _gap([batch for frame in folded if isinstance(batch := wire.decode(frame.payload), wire.Batch)])
        self.dropped += sum(frame.seq - frame.first_seq + 1 for frame in folded if not frame.is_gap)
        payload = wire.encode(gap)
        # Also when what it stands for was sent: the recorder then forgets it as well, so that both stay bounded.
        self._unsent.appendleft(Frame(gap.first_seq, gap.seq, payload, is_gap=True))
        self._bytes += len(payload)

    def _pop_oldest(self) -> Frame:
        frames = min((x for x in (self._sent, self._unsent) if x), key=lambda x: x[0].seq)
        oldest = frames.popleft()
        self._bytes -= len(oldest.payload)
        return oldest


def _gap(batches: list[wire.Batch]) -> wire.Batch:
    """One batch without rows in the place of ``batches``; a gap among them grows instead of being said twice.

    Of the facts the newest of each name is kept, as a reader would.
    """
    marks = [mark for batch in batches for mark in batch.marks]
    old = next((mark for mark in marks if mark.kind == "gap"), None)
    steps = [batch.start for batch in batches if batch.rows]
    times_s = [struct.unpack_from("<d", batch.times_s)[0] for batch in batches if batch.rows]
    gap = old or wire.Mark(
        step=min(steps, default=0),
        time_s=min(times_s, default=0.0),
        kind="gap",
        text="Steps from here on were given up: the recorder did not take them, and 16 MiB were waiting",
    )
    return wire.Batch(
        seq=batches[-1].seq,
        first_seq=batches[0].first_seq or batches[0].seq,
        marks=[gap, *(mark for mark in marks if mark.kind != "gap")],
        facts=list({fact.name: fact for batch in batches for fact in batch.facts}.values()),
    )
