"""A real terminal without a screen: a pty whose bytes are counted as they come."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_KEPT = 1 << 18


class PseudoTerminal:
    """Runs a command in a terminal of a given size, reads all that it writes, and answers as a modern one does."""

    def __init__(self, command: Sequence[str], columns: int, rows: int, env: Mapping[str, str]) -> None:
        self.started_s = time.monotonic()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, {**env, "TERM": "xterm-256color", "COLORTERM": "truecolor"})
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.bytes = 0
        self._text = b""
        self._lock = threading.Condition()
        self.reads = threading.Event()
        self.reads.set()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            self.reads.wait()
            ready, _, _ = select.select([self._fd], [], [], 0.1)
            if not ready or not self.reads.is_set():
                continue
            try:
                data = os.read(self._fd, 65536)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self.bytes += len(data)
                self._text = (self._text + data)[-_KEPT:]
                self._lock.notify_all()
            if b"\x1b[?2026$p" in data:
                os.write(self._fd, b"\x1b[?2026;2$y")

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def forget(self) -> None:
        """Look only at what comes from now on."""
        with self._lock:
            self._text = b""

    def shows(self, pattern: str, timeout_s: float = 60.0) -> float:
        """Wait until a text came since it was last told to forget; returns when it did, on the monotonic clock."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            while not re.search(pattern.encode(), self._text):
                if not self._lock.wait(max(deadline - time.monotonic(), 0)):
                    raise TimeoutError(
                        f"{pattern!r} did not come in {timeout_s:.0f} s; the end was {self._text[-300:]!r}"
                    )
            return time.monotonic()

    @property
    def cpu_s(self) -> float:
        """What the process used so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def peak_mib(self) -> float:
        """The most memory that it held, resident."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    def rates(self, seconds: float) -> tuple[float, float]:
        """Bytes a second, and percent of a core, over so long a time."""
        sent, used, begun = self.bytes, self.cpu_s, time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - begun
        return (self.bytes - sent) / took, 100 * (self.cpu_s - used) / took

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._thread.join(2.0)
        os.close(self._fd)
