"""Real runs for tests: a home of their own, the toy trainer as a process, and a plain monitor on its sockets."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import zmq

from monitor import rows
from monitor.record import registry
from monitor.record.runfile import RunFileError, read_run
from monitor.record.summary import summary
from probe import runtime, wire

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def until(condition, *, timeout_s: float = 15.0):
    """The first true value of ``condition()``; fails after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{condition} stayed {value!r} for {timeout_s} s"
        time.sleep(0.01)
    return value


class ToyRun:
    """One run: where it lives and what is running of it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.run_id = secrets.token_hex(4)
        self.processes: list[subprocess.Popen] = []
        self.recorders: set[int] = set()

    def train(
        self, steps: int, end: str, pace_s: float = 0.0, *, under: Sequence[str] = (), **environment: str
    ) -> subprocess.Popen:
        """``under`` is a program that runs the trainer, with its arguments."""
        env = {**os.environ, "PYTHONPATH": str(ROOT), "BEDSIDE_HOME": str(self.home), "RUN_ID": self.run_id}
        process = subprocess.Popen(
            [*under, sys.executable, str(HERE / "toy_trainer.py"), str(steps), end, str(pace_s)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**env, **environment},
        )
        self.processes.append(process)
        return process

    def live(self) -> registry.LiveRun | None:
        live = next((run for run in registry.live_runs() if run.run_id == self.run_id), None)
        if live is not None and live.is_here:
            self.recorders.add(live.recorder_pid)
        return live

    def wait_live(self) -> registry.LiveRun:
        return until(self.live)

    def file(self) -> Path:
        path = next((self.home / "runs").glob(f"*-{self.run_id}.bedside"), None)
        if path is None:
            raise FileNotFoundError(f"no run file of {self.run_id}")
        return path

    def committed_steps(self) -> list[int]:
        try:
            return list(points(read_run(self.file()), "train/loss")[0])
        except (FileNotFoundError, RunFileError):  # not made yet
            return []

    def summary_step(self) -> int:
        """The newest step in the file, without reading the rest."""
        return summary(self.file()).step

    def lose_machine(self, process: subprocess.Popen) -> None:
        """Training and recorder end at once, neither of them seeing the end of the other."""
        live = self.wait_live()
        os.kill(live.recorder_pid, signal.SIGSTOP)
        process.kill()
        process.wait()
        os.kill(live.recorder_pid, signal.SIGKILL)
        until(lambda: not live.is_reachable)  # its last thread ends later than the process seems to

    def wait_recorder_gone(self) -> None:
        until(lambda: not any(registry.is_alive(pid) for pid in self.recorders))

    def clean_up(self) -> None:
        with contextlib.suppress(AssertionError):
            self.live()
        for process in self.processes:
            process.kill()
            process.communicate()
        for pid in self.recorders:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for socket in runtime.socket_folder().glob(f"{self.run_id}.*"):
            socket.unlink()


class Monitor:
    """A monitor's side of the sockets, nothing more."""

    def __init__(self, live: registry.LiveRun) -> None:
        self.context = zmq.Context()
        self._live = self.context.socket(zmq.SUB)
        self._live.subscribe(b"")
        self._live.connect(live.live)
        self.ask_socket = self.context.socket(zmq.DEALER)
        self.ask_socket.connect(live.ask)

    def history(self, after_seq: int = 0) -> tuple[list[wire.History], list[wire.Message]]:
        """The parts of the answer, and the messages in them."""
        self.ask_socket.send(wire.encode(wire.HistoryRequest(id="h", after_seq=after_seq)))
        parts = [self.answer()]
        while not parts[-1].done:
            parts.append(self.answer())
        return parts, [wire.decode(frame) for part in parts for frame in part.frames]

    def answer(self) -> wire.Message:
        assert self.ask_socket.poll(15_000), "no answer within 15 s"
        return wire.decode(self.ask_socket.recv())

    def next(self, kind: type, timeout_s: float = 15.0):
        """The next live message of that kind."""
        deadline = time.monotonic() + timeout_s
        while True:
            assert self._live.poll(max(1, int(1000 * (deadline - time.monotonic())))), f"no {kind.__name__}"
            message = wire.decode(self._live.recv())
            if isinstance(message, kind):
                return message

    def close(self) -> None:
        self.context.destroy(linger=0)


def points(messages, key: str) -> tuple[np.ndarray, np.ndarray]:
    """All points of a series, in the order in which the batches have them."""
    found = [rows.points_of(message, key) for message in messages if isinstance(message, wire.Batch)]
    if not found:
        return np.empty(0, np.int64), np.empty(0)
    return np.concatenate([steps for steps, _ in found]), np.concatenate([values for _, values in found])


def only(messages, kind: type):
    """The one message of that kind."""
    (message,) = [message for message in messages if isinstance(message, kind)]
    return message


@pytest.fixture
def toy_run(tmp_path, monkeypatch) -> Iterator[ToyRun]:
    home = tmp_path / "home"
    monkeypatch.setenv("BEDSIDE_HOME", str(home))
    run = ToyRun(home)
    yield run
    run.clean_up()


@pytest.fixture
def monitor_of() -> Iterator:
    monitors = []

    def connect(live: registry.LiveRun) -> Monitor:
        monitors.append(Monitor(live))
        return monitors[-1]

    yield connect
    for monitor in monitors:
        monitor.close()
