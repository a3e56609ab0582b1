"""A training that is killed and goes on from its checkpoint, twice, is one story; the processes are real."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from world import eventually, kill

from monitor.commands import watching
from monitor.feeds import LinkChanged
from monitor.history import History
from monitor.record.runfile import RunFileError, read_run
from monitor.rows import points_of
from probe.wire import Batch

SCRIPT = """
import signal, sys
from pathlib import Path
import torch
from torch import nn
import probe

checkpoint, last, resume = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.manual_seed(0)
model = nn.Linear(4, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
step = 0
if resume:
    state = torch.load(checkpoint)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    step = state["step"]
run = probe.attach(model, optimizer, name="story", resume=resume, step=step)
print(run.run_id, flush=True)
while step < last:
    step += 1
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), torch.arange(16) % 3)
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, checkpoint)
signal.pause()
"""


class Story:
    """The processes of one training, one after the other."""

    def __init__(self, world, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.ids: list[str] = []
        (folder / "story.py").write_text(SCRIPT)

    def train(self, last: int, *, resume: str = "") -> subprocess.Popen[str]:
        """Up to that step, which has come into the record when this returns; then it waits to be killed."""
        words = [str(self.folder / "story.py"), str(self.folder / "checkpoint.pt"), str(last), resume]
        process = subprocess.Popen([sys.executable, *words], env=self.world.env, stdout=subprocess.PIPE, text=True)
        self.world.started.append(process)
        assert process.stdout is not None
        self.ids.append(process.stdout.readline().strip())
        eventually(lambda: self.recorded()[-1:] == [last], lambda: f"recorded are {self.recorded()}")
        return process

    def recorded(self) -> list[int]:
        """The steps in the file of the newest process alone."""
        found: list[int] = []
        for path in (self.world.home / "runs").glob(f"*-{self.ids[-1]}.bedside"):
            try:
                batches = [message for message in read_run(path) if isinstance(message, Batch)]
            except RunFileError:  # just being made
                return []
            found = [int(step) for batch in batches for step in points_of(batch, "train/loss")[0]]
        return found


@pytest.fixture
def story(world, tmp_path, monkeypatch) -> Story:
    monkeypatch.setenv("BEDSIDE_HOME", str(world.home))
    return Story(world, tmp_path)


def told(run_id: str, until: int) -> History:
    """What a monitor knows of that run once it has come to a step."""
    feed, history = watching.resolve(run_id).feed, History()
    for event in feed:
        if not isinstance(event, LinkChanged):
            history.apply(event)
        if history.step == until and history.view("train/loss") is not None:
            break
    return history


def losses(history: History) -> tuple[list[int], list[float]]:
    steps, values = history.series()["train/loss"].between(0, 1000)
    return steps.tolist(), values.tolist()


def test_a_training_that_was_resumed_twice_has_the_history_of_one_that_never_stopped(story):
    kill(story.train(60))
    whole = losses(told(story.ids[0], 60))

    kill(story.train(35))
    kill(story.train(50, resume=story.ids[1]))
    third = story.train(60, resume=story.ids[2])
    live = told(story.ids[3], 60)
    kill(third)
    over = told(story.ids[3], 60)

    assert story.recorded() == list(range(41, 61))
    assert whole[0] == list(range(1, 61))
    assert losses(live) == whole
    assert losses(over) == whole
    assert [(mark.step, mark.kind, mark.text) for mark in over.marks] == [
        (20, "resume", f"resumed from {story.ids[1]}"),
        (40, "resume", f"resumed from {story.ids[2]}"),
    ]


def test_where_the_run_before_is_not_here_the_story_begins_at_the_checkpoint_and_says_so(story):
    kill(story.train(25))
    (path,) = (story.world.home / "runs").glob("*.bedside")
    path.unlink()
    kill(story.train(30, resume=story.ids[0]))
    history = told(story.ids[1], 30)

    assert losses(history)[0] == list(range(21, 31))
    assert list(history.notices) == [f"The run before this one, {story.ids[0]}, is not on this machine."]
