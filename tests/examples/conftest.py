"""Each example runs once, as a process with a home of its own; the tests read what it printed and recorded."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from world import ROOT, World

from monitor.record.runfile import read_run
from monitor.rows import points_of
from probe.wire import Batch, Goodbye, Hello, Message

PYTHON = [sys.executable]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
BESIDE_TORCHVISION = [sys.executable, str(Path(__file__).parent / "beside_torchvision.py")]

#: How an example is started, where not by Python alone.
COMMANDS = {
    "ddp": TORCHRUN,
    "lightning_trainer": BESIDE_TORCHVISION,
    "hf_trainer": BESIDE_TORCHVISION,
}
#: What they need beside torch.
FRAMEWORKS = {"lightning_trainer": "lightning", "hf_trainer": "transformers", "accelerate_loop": "accelerate"}
WITHOUT_DIGITS = {"minimal", "language_model", "hf_trainer"}

#: A line of results: ``epoch 3: loss 0.1, val loss 0.2``. What frameworks print looks otherwise.
RESULTS = re.compile(r"(?:\w+ \d+: )?((?:[a-z ]+ [0-9.]+(?:, |$))+)")


@dataclass
class Recording:
    """What one rank's run file holds."""

    messages: list[Message]

    @property
    def hello(self) -> Hello:
        return next(message for message in self.messages if isinstance(message, Hello))

    @property
    def ending(self) -> str:
        return next(message.reason for message in self.messages if isinstance(message, Goodbye))

    @property
    def _batches(self) -> list[Batch]:
        return [message for message in self.messages if isinstance(message, Batch)]

    def steps(self, key: str) -> list[int]:
        return [int(step) for batch in self._batches for step in points_of(batch, key)[0]]

    def values(self, key: str) -> list[float]:
        return [float(value) for batch in self._batches for value in points_of(batch, key)[1]]

    def facts(self, name: str) -> list[tuple[int, object]]:
        """Each step at which a fact was said, and its value."""
        return [(fact.step, fact.value) for batch in self._batches for fact in batch.facts if fact.name == name]


@dataclass
class Example:
    """An example that has run to its end. ``recordings`` are in the order of the ranks."""

    output: str
    errors: str
    recordings: list[Recording]

    @property
    def recording(self) -> Recording:
        (recording,) = self.recordings
        return recording

    def printed(self) -> dict[str, float]:
        """The results that the script printed last, by their name."""
        lines = [RESULTS.fullmatch(line) for line in self.output.splitlines()]
        parts = [part for line in lines if line for part in line[1].split(", ")]
        return {name: float(value) for name, _, value in (part.rpartition(" ") for part in parts)}


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Example]:
    """Run an example of ``examples/``, by its name; once in a session."""
    done: dict[str, Example] = {}

    def run(name: str) -> Example:
        framework = FRAMEWORKS.get(name)
        if framework and importlib.util.find_spec(framework) is None:
            pytest.skip(f"{framework} is not installed: pip install 'bedside[frameworks]'")
        if name not in WITHOUT_DIGITS and importlib.util.find_spec("sklearn") is None:
            pytest.skip("the digits ship in scikit-learn: pip install 'bedside[demo]'")
        if name not in done:
            done[name] = _run(name, tmp_path_factory.mktemp(name))
        return done[name]

    return run


def _run(name: str, folder: Path) -> Example:
    world = World(folder)
    command = [*COMMANDS.get(name, PYTHON), str(ROOT / "examples" / f"{name}.py")]
    ran = subprocess.run(command, env=world.env, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    world.close()
    assert ran.returncode == 0, ran.stderr
    recordings = [Recording(list(read_run(file))) for file in world.run_files()]
    return Example(ran.stdout, ran.stderr, sorted(recordings, key=lambda recording: recording.hello.rank))
