"""Whether the training thread has hung: it has stood at one place for far longer than a step takes.

An evaluation that the hooks cannot see, of a copy of the model or of another object around it, makes no step either;
but its thread is met at another place each time, or batches come out of a loader. A thread that goes round and round
in Python is not told from it.

Asked in the sender's thread with each heartbeat, which comes each second while no step completes, and costs one walk
through the frames of the stack. It is seen as long as that thread runs: not in a process that is stopped, nor in one
that waits in C code without giving up Python's lock. What passes meanwhile is no time that the training stood still:
a process that was suspended has not hung when it goes on.
"""

from __future__ import annotations

import functools
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from types import CodeType, FrameType

from probe.wire import Phase

#: A run has hung after so many of its own steps' time at one place, and at least so many seconds.
STEPS, PATIENCE_S = 20, 60.0
#: Looks come each second, or each ten while steps complete. So many seconds without one: the process was stopped.
_STOPPED_S = 15.0
#: Steps before which its own pace is not known.
_FIRST_STEPS = 10
#: Compiling takes minutes, and is no hang.
_COMPILERS = ("torch/_dynamo/", "torch/_inductor/", "torch/_functorch/")
_LOADER, _TORCH = "torch/utils/data/", "/torch/"
_STANDARD = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib"))
_PACKAGES = tuple(sysconfig.get_paths()[name] for name in ("purelib", "platlib"))
_INSTALLED = (*_STANDARD, *_PACKAGES)

#: Where a thread stands: the instruction of each frame that counts, innermost first.
Place = tuple[tuple[CodeType, int], ...]


class Silence:
    """``say`` puts a fact: ``stalled`` is ``data``, ``step`` or ``loop``, and ``None`` once it goes on."""

    def __init__(self, say: Callable[[str, str | None], None], now: Callable[[], float] = monotonic) -> None:
        self._say, self._now = say, now
        self._thread = threading.get_ident()
        self._standing: tuple[int, int, Place] = (0, 0, ())
        self._since = self._looked = now()
        self._is_said = False

    def look(self, step: int, phase: Phase, trained_s: float, trained_steps: int, batches: int) -> None:
        """The newest completed step, how long all of ``trained_steps`` took, and how many batches were loaded."""
        now = self._now()
        away_s, self._looked = now - self._looked, now
        if away_s > _STOPPED_S:
            self._since += away_s
        frames = list(_frames(sys._current_frames().get(self._thread)))
        standing = (step, batches, _place(frames))
        if standing != self._standing or phase is not Phase.TRAINING:
            self._standing, self._since = standing, now
            self._take_back()
            return
        if self._is_said or trained_steps < _FIRST_STEPS:
            return
        if now - self._since > max(PATIENCE_S, STEPS * trained_s / trained_steps):
            self._find(frames)

    def _take_back(self) -> None:
        if self._is_said:
            self._is_said = False
            self._say("stalled", None)

    def _find(self, frames: list[FrameType]) -> None:
        files = [Path(frame.f_code.co_filename).as_posix() for frame in frames]
        if any(part in file for file in files for part in _COMPILERS):
            return
        self._is_said = True
        where = "data" if any(_LOADER in file for file in files) else "loop"
        if where == "loop" and any(_TORCH in file for file in files):
            where = "step"
        own = [frame for frame in frames if not frame.f_code.co_filename.startswith(_INSTALLED)]
        self._say("stalled_at", ", in ".join(dict.fromkeys(_line(frame) for frame in (*own[:1], *frames[:1]))))
        self._say("stalled", where)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _place(frames: list[FrameType]) -> Place:
    return tuple((frame.f_code, frame.f_lasti) for frame in frames if not _polls(frame.f_code.co_filename))


@functools.cache
def _polls(file: str) -> bool:
    """Whether its code may move while it only waits: loaders and the queues of the standard library wait in turns."""
    return _LOADER in Path(file).as_posix() or (file.startswith(_STANDARD) and not file.startswith(_PACKAGES))


def _line(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
