"""When the end of a run is told: what the training process says itself and what is seen of its process, as one."""

from __future__ import annotations

import time

import msgspec

from monitor.record import ending
from probe import wire

#: After the end of the training process: until its last frames are surely in, and until its end is told anyway.
_LAST_FRAMES_S = 0.1
_TELL_S = 0.8
#: After a goodbye from a training process that is still there: until it is told, and until it is believed.
_GOODBYE_S = 1.0
_BELIEVED_S = 30.0


class Farewell:
    """The end of one run, as it comes to be known."""

    def __init__(self, watch: ending.Watch) -> None:
        self._watch = watch
        self._told: tuple[wire.Goodbye, float] | None = None
        self._gone_s: float | None = None
        self._said: wire.Goodbye | None = None
        #: When the run was over, by the monotonic clock.
        self.over_s: float | None = None

    @property
    def is_told(self) -> bool:
        """Whether the training process has said goodbye."""
        return self._told is not None

    @property
    def is_gone(self) -> bool:
        """Whether the training process has ended."""
        return self._gone_s is not None

    @property
    def is_said(self) -> bool:
        """Whether the monitors have been told of the end, be it that more of it comes to be known."""
        return self._said is not None

    def hear(self, goodbye: wire.Goodbye) -> None:
        """The training process's own goodbye."""
        self._told = (goodbye, time.monotonic())

    def turn(self, heard_s: float, step: int) -> wire.Goodbye | None:
        """What is to be told now. ``heard_s`` is when the training process was last heard, ``step`` its last one."""
        now = time.monotonic()
        if self._gone_s is None and self._watch.is_gone():
            self._gone_s = now
        goodbye, is_over = self._seen(now, heard_s, step) if self.is_gone else self._heard(now)
        if goodbye is None:
            return None
        if is_over and self.over_s is None:
            self.over_s = now
        if self._said is not None and msgspec.structs.replace(goodbye, time_s=self._said.time_s) == self._said:
            return None
        self._said = goodbye
        return goodbye

    def _heard(self, now: float) -> tuple[wire.Goodbye | None, bool]:
        """The goodbye of a process that is still there, and whether it is the end."""
        goodbye, told_s = self._told or (None, now)
        if goodbye is None or goodbye.reason == "detached":
            return goodbye, True
        return (goodbye if now - told_s > _GOODBYE_S else None), now - told_s > _BELIEVED_S

    def _seen(self, now: float, heard_s: float, step: int) -> tuple[wire.Goodbye | None, bool]:
        gone_s = self._gone_s or now
        if now - max(gone_s, heard_s) < _LAST_FRAMES_S:
            return None, False
        told = self._told[0] if self._told else None
        seen = None if told is not None and told.reason == "detached" else self._watch.exit()
        if seen is None and now - gone_s <= _TELL_S:
            return None, False
        return ending.goodbye(told, seen, step=step), True
