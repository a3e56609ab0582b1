"""Real processes for the end-to-end tests: trainings, monitors, terminals; all gone when a test ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from monitor.record.runfile import RunFileError, read_run

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
#: Patience, not an expectation: how long a condition may take on a busy two-core machine before the test gives up.
PATIENCE_S = 60.0
Message = TypeVar("Message")


def eventually(condition: Callable[[], object], what: Callable[[], str] | str = "") -> object:
    """Wait until the condition holds and return its value; fail with ``what`` was there instead."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    return pytest.fail(f"not within {PATIENCE_S:.0f} s; there was:\n{what() if callable(what) else what}")


class World:
    """An empty home, and the processes that were started in it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.folder = folder
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("BEDSIDE")},
            "HOME": str(folder),
            "BEDSIDE_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
        }
        self.started: list[subprocess.Popen[str]] = []

    def train(self, *options: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the small training."""
        process = subprocess.Popen(
            [sys.executable, str(HERE / "small_training.py"), *options],
            env={**self.env, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def python(self, code: str, **options: Any) -> subprocess.Popen[str]:
        """Start a program of one line or so, and wait until it prints a line."""
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            **{"env": self.env, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},
        )
        self.started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def live_entries(self) -> list[Path]:
        return sorted((self.home / "live").glob("*.json")) if (self.home / "live").is_dir() else []

    def run_files(self) -> list[Path]:
        return sorted((self.home / "runs").glob("*.bedside")) if (self.home / "runs").is_dir() else []

    def recorded(self, kind: type[Message]) -> list[Message]:
        """The messages of a kind in all run files, as far as they are written."""
        found = []
        for path in self.run_files():
            with contextlib.suppress(RunFileError):  # nothing in it yet
                found += [message for message in read_run(path) if isinstance(message, kind)]
        return found

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                _kill(process)
        for process in self.started:  # after all are killed: one may hold another's end, as a debugger does
            process.communicate()
        eventually(lambda: not self.live_entries(), lambda: f"recorders left: {self.live_entries()}")


def _kill(process: subprocess.Popen[str]) -> None:
    """With those that it started: a launcher's ranks outlive it, and are in sessions of their own."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    pids = [process.pid, *map(int, children.read_text().split())] if children.exists() else [process.pid]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Terminal:
    """A real tmux with one window of a given size."""

    def __init__(self, world: World, columns: int, rows: int) -> None:
        self.socket = f"bedside-{uuid.uuid4().hex[:8]}"
        self.env = {**world.env, "TERM": "xterm-256color"}
        for name in ("TMUX", "COLUMNS", "LINES"):  # a size in the environment goes before that of the terminal
            self.env.pop(name, None)
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "bash --norc --noprofile"
        )
        self._tmux("set-option", "-g", "default-terminal", "tmux-256color")

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self.socket, *arguments], env=self.env, capture_output=True, text=True, check=True
        )
        return done.stdout

    def run(self, *words: str) -> None:
        """Type a command that runs Bedside from this checkout."""
        self._tmux("send-keys", "-l", f"{sys.executable} -m monitor {' '.join(words)}")
        self.press("Enter")

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def shows(self, *parts: str) -> str:
        """Wait until all parts stand on the screen at once, and return it."""
        eventually(lambda: all(part in self.screen() for part in parts), lambda: f"{parts} not on\n{self.screen()}")
        return self.screen()

    def shows_no_more(self, part: str) -> str:
        eventually(lambda: part not in self.screen(), lambda: f"{part!r} still on\n{self.screen()}")
        return self.screen()

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], env=self.env, capture_output=True, check=False)


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL, as the memory killer of a machine does it."""
    process.send_signal(signal.SIGKILL)
    process.wait()
