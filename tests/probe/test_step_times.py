"""What a step's time is made of when the loop also loads, evaluates and saves; a clock that is turned by hand."""

import importlib
import threading

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.data import DataLoader, Dataset

import probe


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when the test says so."""
    now = [0.0]
    for name in ("probe.capture.clock", "probe.hooks.taps"):
        monkeypatch.setattr(importlib.import_module(name), "perf_counter", lambda: now[0])
    return now


class Slow(Dataset):
    """Six samples; each takes its time to load."""

    def __init__(self, clock, load_s):
        self.clock, self.load_s = clock, load_s

    def __len__(self):
        return 6

    def __getitem__(self, index):
        self.clock[0] += self.load_s
        return torch.ones(4), index % 3


class SlowStart(DataLoader):
    """Its passes take half a second to begin, as those with worker processes do."""

    def _get_iterator(self):
        self.dataset.clock[0] += 0.5
        return super()._get_iterator()


class Loop:
    """A training step takes 1 s, an evaluation pass 10 s; a training batch loads in 0.2 s, any other in 10 s."""

    def __init__(self, clock):
        self.clock = clock
        self.model = nn.Linear(4, 3)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.training = DataLoader(Slow(clock, 0.1), batch_size=2)
        self.validation = DataLoader(Slow(clock, 5.0), batch_size=2)
        self.run = probe.attach(self.model, self.optimizer)

    def step(self, x, y):
        self.optimizer.zero_grad()
        F.cross_entropy(self.model(x), y).backward()
        self.clock[0] += 1.0
        self.optimizer.step()

    def evaluate(self):
        with torch.no_grad():
            for x, y in self.validation:
                F.cross_entropy(self.model(x), y)
                self.clock[0] += 10.0


def test_an_evaluation_and_the_loading_of_its_batches_are_no_time_of_the_step_after_it(clock, senders):
    loop = Loop(clock)
    for _ in range(2):
        for x, y in loop.training:
            loop.step(x, y)
        loop.evaluate()
    assert senders.last.values("time/step_s") == pytest.approx([1.2] * 5)
    assert senders.last.values("time/data_s") == pytest.approx([0.2] * 5)


def test_the_probes_cost_is_a_share_of_the_time_of_steps_and_evaluations_and_nothing_else(clock, senders, tmp_path):
    loop = Loop(clock)
    for epoch in range(14):
        for x, y in loop.training:
            loop.step(x, y)
        if epoch == 9:  # behind step 30, within the second window of 20 steps; its last pass ends 10 s before it
            loop.evaluate()
            torch.save(loop.model.state_dict(), tmp_path / "best.pt")
            clock[0] += 300.0
    beat = senders.last.heartbeat()
    assert beat.cost_us / beat.cost_share == pytest.approx(1e6 * (20 * 1.2 + 50.0) / 20)


def test_an_evaluation_in_the_middle_of_an_epoch_takes_no_training_batch_with_it(clock, senders):
    loop = Loop(clock)
    for i, (x, y) in enumerate(loop.training):
        if i == 1:
            loop.evaluate()
        loop.step(x, y)
        if i == 1:
            loop.evaluate()
    assert senders.last.values("time/step_s") == pytest.approx([1.2, 1.2])
    assert senders.last.values("time/data_s") == pytest.approx([0.2] * 2)


def test_a_pass_that_is_slow_to_begin_is_waited_for(clock, senders):
    loop = Loop(clock)
    loop.training = SlowStart(Slow(clock, 0.1), batch_size=2)
    for _ in range(2):
        for x, y in loop.training:
            loop.step(x, y)
    assert senders.last.values("time/step_s") == pytest.approx([1.2, 1.2, 1.7, 1.2, 1.2])
    assert senders.last.values("time/data_s") == pytest.approx([0.2, 0.2, 0.7, 0.2, 0.2])


class ByMethod(Loop):
    """Trains as through a method of the model, which calls no root."""

    def step(self, x, y):
        self.optimizer.zero_grad()
        F.cross_entropy(F.linear(x, self.model.weight, self.model.bias), y).backward()
        self.clock[0] += 1.0
        self.optimizer.step()


def test_the_steps_of_a_loop_that_trains_through_a_method_have_their_own_time_and_no_evaluation(clock, senders):
    loop = ByMethod(clock)
    for _ in range(2):
        for x, y in loop.training:
            loop.step(x, y)
        loop.evaluate()
    assert senders.last.values("time/step_s") == pytest.approx([1.2] * 5)
    assert senders.last.values("time/data_s") == pytest.approx([0.2] * 5)


class Disk:
    """Each write to it takes 100 s."""

    def __init__(self, clock):
        self.clock = clock

    def write(self, _data):
        self.clock[0] += 100.0

    def flush(self): ...


def test_a_save_between_a_batch_and_its_step_takes_no_loading_with_it(clock, senders):
    loop = Loop(clock)
    for x, y in loop.training:
        torch.save({}, Disk(clock))
        loop.step(x, y)
    assert senders.last.values("time/step_s") == pytest.approx([1.2, 1.2])
    assert senders.last.values("time/data_s") == pytest.approx([0.2] * 2)


class SavesAnother:
    """To save it is to save something else first."""

    def __init__(self, disk):
        self.disk = disk

    def __reduce__(self):
        torch.save({}, self.disk)
        return int, ()


def test_a_save_inside_another_ends_with_that_one(clock, senders):
    loop, phases = Loop(clock), []
    for x, y in loop.training:
        torch.save(SavesAnother(Disk(clock)), Disk(clock))
        phases.append(senders.last.heartbeat().phase.value)
        loop.step(x, y)
    assert senders.last.values("time/step_s") == pytest.approx([1.2, 1.2])
    assert phases == ["starting", "training", "training"]


class SlowDisk:
    """A write to it takes until it is let go."""

    def __init__(self):
        self.writes, self.goes = threading.Event(), threading.Event()

    def write(self, _data):
        self.writes.set()
        assert self.goes.wait(30)

    def flush(self): ...


def test_a_save_in_another_thread_is_no_pause_of_the_training(clock, senders):
    loop, disk, phases = Loop(clock), SlowDisk(), []
    saving = threading.Thread(target=torch.save, args=({}, disk))
    for i, (x, y) in enumerate(loop.training):
        if i == 1:
            saving.start()
            assert disk.writes.wait(30)
        loop.step(x, y)
        phases.append(senders.last.heartbeat().phase.value)
        if i == 1:
            disk.goes.set()
            saving.join()
    assert senders.last.values("time/step_s") == pytest.approx([1.2, 1.2])
    assert phases == ["training"] * 3
