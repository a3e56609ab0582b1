"""A training that hangs: it is said where, by the stack of its thread, and taken back once it goes on."""

import threading
import time

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.data import DataLoader, Dataset

import probe
from probe.capture import silence
from probe.capture.silence import Silence
from probe.wire import Phase


class Hanging:
    """Something that never comes until it is let go."""

    def __init__(self):
        self._go = threading.Event()

    def wait(self):
        assert self._go.wait(30)

    def let_go(self):
        self._go.set()


class Images(Dataset):
    """400 samples, of which one hangs."""

    def __init__(self, hanging, at):
        self.hanging, self.at = hanging, at

    def __len__(self):
        return 400

    def __getitem__(self, index):
        if index == self.at:
            self.hanging.wait()
        return torch.randn(4), index % 2


class Gate(nn.Module):
    """Hands on what it is given; at the call of this number it hangs."""

    def __init__(self, hanging, at):
        super().__init__()
        self.hanging, self.at, self.calls = hanging, at, 0

    def forward(self, x):
        self.calls += 1
        if self.calls == self.at:
            self.hanging.wait()
        return x


def train(data_hangs, step_hangs, loop_hangs):
    """Forty steps, which hang before or in step 21 or after it; the heartbeats meanwhile are the caller's."""
    model = nn.Sequential(nn.Linear(4, 2), Gate(step_hangs, 21))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe.attach(model, optimizer)
    for i, (x, y) in enumerate(DataLoader(Images(data_hangs, 200), batch_size=10), 1):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        if i == 21:
            loop_hangs.wait()


@pytest.mark.parametrize("where", ["data", "step", "loop"])
def test_where_it_has_hung_is_said_and_taken_back_when_it_goes_on(where, senders, monkeypatch):
    monkeypatch.setattr(silence, "PATIENCE_S", 0.2)
    hanging = {name: Hanging() for name in ("data", "step", "loop")}
    for name, one in hanging.items():
        if name != where:
            one.let_go()
    training = threading.Thread(target=train, args=hanging.values())
    training.start()
    while "stalled" not in (senders.last.facts() if senders.made else {}):
        time.sleep(0.01)
        if senders.made:
            senders.last.heartbeat()  # the sender's thread asks with each
    hanging[where].let_go()
    training.join()
    senders.last.heartbeat()
    facts = [(fact.name, fact.step, fact.value) for fact in senders.last.batch().facts if "stalled" in fact.name]
    step = {"data": 20, "step": 20, "loop": 21}[where]
    assert facts[1:] == [("stalled", step, where), ("stalled", 40, None)]
    assert facts[0][2].startswith("test_silence.py:") and " wait, in threading.py:" in facts[0][2]


def test_an_evaluation_a_checkpoint_a_pause_and_a_slow_training_are_no_hang():
    facts, now = [], [0.0]
    silent = Silence(lambda *fact: facts.append(fact), lambda: now[0])

    def look(at_s, step, phase=Phase.TRAINING, step_s=0.1):
        now[0] = at_s
        silent.look(step, phase, step_s * 100, 100)

    look(0, 100)
    for i, phase in enumerate((Phase.EVALUATING, Phase.CHECKPOINTING, Phase.PAUSED)):
        look(1000 * i, 100, phase)
        look(1000 * i + 999, 100, phase)
    look(3000, 101)
    look(3059, 101)  # a minute is nothing
    look(3060, 102)
    look(3260, 102, step_s=11)  # 20 of its steps take 220 s
    assert facts == []
    look(3281, 102, step_s=11)
    assert [name for name, _ in facts] == ["stalled_at", "stalled"]


def test_the_first_steps_and_a_compilation_are_no_hang(monkeypatch):
    facts, now = [], [0.0]
    silent = Silence(lambda *fact: facts.append(fact), lambda: now[0])
    silent.look(9, Phase.TRAINING, 1.0, 9)
    now[0] = 600.0
    silent.look(9, Phase.TRAINING, 1.0, 9)
    monkeypatch.setattr(silence, "_COMPILERS", ("test_silence.py",))
    silent.look(9, Phase.TRAINING, 1.0, 20)
    assert facts == []
