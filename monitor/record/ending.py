"""How the training process ended, seen by another process that is not its parent.

Its own goodbye tells of an exception and of an orderly end; a pidfd tells at once that it is gone, and on Linux
6.15 and up with which exit code or signal; ``/proc`` tells the same of a zombie; and the memory control group
counts the processes that it had to kill. What none of them tells is left open.
"""

from __future__ import annotations

import array
import contextlib
import os
import signal
import struct
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from monitor.record import registry
from probe.wire import Goodbye

# linux/pidfd.h: _IOWR(0xFF, 11, struct pidfd_info) for its first published size of 64 bytes.
_PIDFD_GET_INFO = (3 << 30) | (64 << 16) | (0xFF << 8) | 11
_PIDFD_INFO_EXIT = 1 << 3
_MASK = struct.Struct("=Q")
_EXIT_CODE_OFFSET = 60

_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Exit:
    """What is known of the end; all of it may be open."""

    exit_code: int | None = None
    signal: str = ""
    is_out_of_memory: bool = False


class Watch:
    """Watches one process. ``pidfd`` may be inherited from it; without one its id is asked for."""

    def __init__(self, pid: int, pidfd: int | None = None) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.ticks = registry.start_ticks(pid)
        self._counter = _oom_counter(pid)
        self._oom_kills = _oom_kills(self._counter)

    def is_gone(self) -> bool:
        """Whether the process has ended, be it that nobody has reaped it yet. Cheap: a stat or a poll."""
        if self.pidfd is None:
            return not registry.is_alive(self.pid, self.ticks)
        import select

        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def exit(self) -> Exit | None:
        """How it ended, or ``None`` if that cannot be told (yet: a parent may still have to reap it)."""
        status = self._status_from_pidfd()
        if status is None:
            status = self._status_from_proc()
        out_of_memory = _oom_kills(self._counter) > self._oom_kills
        if status is None:
            return Exit(is_out_of_memory=True) if out_of_memory else None
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return Exit(signal=_signal_name(number), is_out_of_memory=out_of_memory and number == signal.SIGKILL)
        return Exit(exit_code=os.WEXITSTATUS(status))

    def _status_from_pidfd(self) -> int | None:
        if self.pidfd is None:
            return None
        import fcntl

        info = array.array("B", bytes(64))
        _MASK.pack_into(info, 0, _PIDFD_INFO_EXIT)
        try:
            fcntl.ioctl(self.pidfd, _PIDFD_GET_INFO, info)
        except OSError:  # an older kernel, or not reaped yet
            return None
        (mask,) = _MASK.unpack_from(info)
        if not mask & _PIDFD_INFO_EXIT:
            return None
        return int(struct.unpack_from("=i", info, _EXIT_CODE_OFFSET)[0])

    def _status_from_proc(self) -> int | None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            if fields[0] == "Z" and int(fields[19]) == self.ticks:
                return int(fields[-1])
        return None


def goodbye(told: Goodbye | None, seen: Exit | None, *, step: int) -> Goodbye:
    """The training process's own goodbye and what was seen of its end, as one.

    An exception stays the reason, whatever the exit code; an orderly goodbye with an exit code other than 0 was a
    ``sys.exit``; and a signal after a goodbye (in a slow ``atexit``, say) is worth more than the goodbye.
    """
    base = told or Goodbye(time_s=time.time(), reason="vanished", step=step)
    if seen is None:
        return base
    reason = base.reason
    if seen.is_out_of_memory:
        reason = "out-of-memory"
    elif seen.signal and reason != "exception":
        reason = "signal"
    elif seen.exit_code and reason != "exception":
        reason = "exit"
    elif told is None and seen.exit_code == 0:
        reason = "finished"
    return msgspec.structs.replace(base, reason=reason, exit_code=seen.exit_code, signal=seen.signal)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"  # a real-time signal


def _oom_counter(pid: int) -> Path | None:
    """The file in which the process's memory control group counts, version 2 or 1."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                file = _CGROUPS / path.lstrip("/") / "memory.events"
            elif "memory" in controllers.split(","):
                file = _CGROUPS / "memory" / path.lstrip("/") / "memory.oom_control"
            else:
                continue
            if file.is_file():
                return file
    # In a container the path is often the host's; its own root is then what can be seen.
    for file in (_CGROUPS / "memory.events", _CGROUPS / "memory" / "memory.oom_control"):
        if file.is_file():
            return file
    return None


def _oom_kills(counter: Path | None) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in counter.read_text().splitlines() if counter else ():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0
