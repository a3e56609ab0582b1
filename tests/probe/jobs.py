"""Real processes with a probe on them, and a plain monitor's line to their recorder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import zmq
from interventions import command

from monitor import rows
from monitor.record.runfile import read_run
from probe import wire

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "tests" / "probe" / "ranks_training.py"
#: Patience, not an expectation.
PATIENCE_S = 60.0


class Job:
    """The processes of a job, and a plain monitor's line to the recorder of its rank 0."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "BEDSIDE_HOME": str(self.home),
            "MASTER_ADDR": "127.0.0.1",
        }
        self.processes: list[subprocess.Popen[str]] = []
        self.context = zmq.Context()
        self._ask: zmq.Socket[bytes] | None = None

    def start(self, size: int, *options: str, probes: int | None = None) -> None:
        port = str(_free_port())
        for rank in range(size):
            env = {**self.env, "MASTER_PORT": port, "RANK": str(rank), "WORLD_SIZE": str(size)}
            self._spawn([sys.executable, str(SCRIPT), *options], env)
        self.connect(size if probes is None else probes)

    def torchrun(self, size: int, *options: str) -> None:
        run = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={size}", "--master-addr=127.0.0.1"]
        self._spawn([*run, f"--master-port={_free_port()}", str(SCRIPT), *options], self.env)
        self.connect(size)

    def script(self, path: Path, *options: str) -> None:
        self._spawn([sys.executable, str(path), *options], self.env)
        self.connect(1)

    def _spawn(self, words: list[str], env: dict[str, str]) -> None:
        pipe = subprocess.PIPE
        self.processes.append(subprocess.Popen(words, env=env, stdout=pipe, stderr=pipe, text=True))

    def connect(self, size: int) -> None:
        self.live = until(lambda: self.entries(size))
        self.run_id = self.live[0]["run_id"]
        self.reconnect()

    def reconnect(self) -> None:
        """Another monitor in the place of the one before, which is gone."""
        if self._ask is not None:
            self._ask.close(linger=0)
        self._ask = self.context.socket(zmq.DEALER)
        self._ask.connect(self.live[0]["ask"])

    def heartbeat(self) -> wire.Heartbeat:
        """The next one that a monitor hears."""
        with self.context.socket(zmq.SUB) as live:
            live.subscribe(b"")
            live.connect(self.live[0]["live"])
            while live.poll(1000 * PATIENCE_S):
                message = wire.decode(live.recv())
                if isinstance(message, wire.Heartbeat):
                    return message
        raise AssertionError("no heartbeat")

    def marks(self) -> list[wire.Mark]:
        """Those that commands left, from the run file."""
        (path,) = (self.home / "runs").glob("*.bedside")
        batches = [message for message in read_run(path) if isinstance(message, wire.Batch)]
        return [mark for batch in batches for mark in batch.marks if mark.kind == "command"]

    def entries(self, size: int) -> dict[int, dict]:
        """The registered recorders by rank, once they are all there."""
        found = {entry.get("rank", 0): entry for entry in map(_read, (self.home / "live").glob("*.json"))}
        return found if len(found) >= size else {}

    def ask(self, name: str, **args) -> wire.Ack:
        return self.answer(self.send(name, args=args))

    def send(self, name: str, **fields) -> str:
        given = command(self.run_id, name, **{"by": "ada", **fields})
        self._ask.send(wire.encode(given))
        return given.id

    def answer(self, asked: str) -> wire.Ack:
        assert self._ask.poll(1000 * PATIENCE_S), f"no answer to {asked}"
        ack = wire.decode(self._ask.recv())
        assert ack.id == asked
        return ack

    def ended(self) -> dict[int, tuple[int, str]]:
        """Wait for the end; last step and digest of the weights by rank."""
        said = "".join(process.communicate(timeout=PATIENCE_S)[0] for process in self.processes)
        lines = [line.split() for line in said.splitlines() if line.startswith("ended")]
        return {int(rank): (int(step), digest) for _, rank, step, digest in lines}

    def codes(self) -> list[int]:
        return [process.returncode for process in self.processes]

    def rates(self) -> dict[int, list[float]]:
        """The learning rates that each rank's steps used, from its run file."""
        found = {}
        for path in (self.home / "runs").glob("*.bedside"):
            messages = read_run(path)
            rank = next(message.rank for message in messages if isinstance(message, wire.Hello))
            batches = [message for message in messages if isinstance(message, wire.Batch)]
            found[rank] = np.concatenate([rows.points_of(batch, "lr/0")[1] for batch in batches]).tolist()
        return found

    def checkpoints(self) -> list[Path]:
        return list((self.home / "checkpoints").rglob("step-*"))

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
        self.context.destroy(linger=0)
        until(lambda: not list((self.home / "live").glob("*.json")))


def until(condition):
    """The first true value of the condition."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"stayed {value!r}"
        time.sleep(0.02)
    return value


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):  # it has just gone, or is being written
        return {}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
