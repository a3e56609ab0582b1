"""Trainings that nobody has prepared, and the commands that enter them."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from world import HERE, World, eventually

from monitor.record.runfile import RunFileError, read_run
from monitor.rows import points_of
from probe import wire


class State(NamedTuple):
    """What a process has open."""

    threads: int
    descriptors: list[str]


class Training:
    """A training of one shape in its own process, and what it notes of itself."""

    def __init__(
        self,
        world: World,
        shape: str,
        *options: str,
        command: tuple[str, ...] = (sys.executable,),
        env: dict[str, str] | None = None,
    ) -> None:
        self.notes = world.folder / f"{shape}-{len(world.started)}.json"
        self._until = self.notes.with_suffix(".end")
        words = [*command, str(HERE / "plain_shapes.py"), shape, "--notes", str(self.notes)]
        words += ["--until", str(self._until), *options]
        env = {**world.env, **(env or {})}
        self.process = subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
        world.started.append(self.process)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until_it_trains(self) -> None:
        eventually(self.notes.with_suffix(".begun").exists)

    def has_torch(self) -> bool:
        return "libtorch_python" in Path(f"/proc/{self.pid}/maps").read_text()

    def ranks(self) -> list[int]:
        """The processes of the ranks, for a launcher."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(pid) for pid in children if "plain_shapes" in Path(f"/proc/{pid}/cmdline").read_text()]

    def state(self) -> State:
        process = Path(f"/proc/{self.pid}")
        links = [str(each.readlink()) for each in process.glob("fd/*")]
        return State(len(list(process.glob("task/*"))), sorted(re.sub(r"\d+", "N", link) for link in links))

    def end(self) -> dict[str, Any]:
        """Let it come to its end; what it noted."""
        self._until.touch()
        _, errors = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, errors
        return self.noted()

    def noted(self, rank: int = 0) -> dict[str, Any]:
        noted: dict[str, Any] = json.loads(self.notes.with_suffix(f".{rank}" if rank else ".json").read_text())
        return noted


def bedside(world, *words):
    """Run a command; gives (status, standard output, standard error)."""
    done = subprocess.run(
        [sys.executable, "-m", "monitor", *map(str, words)],
        env=world.env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def attach(world, training, *options):
    """Attach to a training that has done some steps; what the command said."""
    training.wait_until_it_trains()
    status, out, err = bedside(world, "attach", training.pid, *options)
    assert (status, err) == (0, "")
    return out


def series(run_file, key):
    found = []
    for message in read_run(run_file):
        if isinstance(message, wire.Batch):
            steps, values = points_of(message, key)
            found += zip(steps.tolist(), values.tolist(), strict=True)
    return found


def recorded(world, key="train/loss", least=30):
    """The series of the only run, once it is long enough."""
    (found,) = recorded_by_all(world, 1, key, least).values()
    return found


def recorded_by_all(world, number, key="train/loss", least=30):
    """The series of so many runs by their files, once each is long enough."""

    def enough():
        with contextlib.suppress(RunFileError):  # nothing in it yet
            found = {file: series(file, key) for file in world.run_files()}
            return len(found) == number and min(map(len, found.values())) >= least and found

    return eventually(enough)


def messages(world, kind):
    """The messages of one kind in the only run file."""
    (file,) = world.run_files()
    return [message for message in read_run(file) if isinstance(message, kind)]
