"""A training that hangs: it is said where, by the stack of its thread, and taken back once it goes on."""

import copy
import multiprocessing
import sys
import threading
import time
import traceback

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

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


def train(data_hangs, step_hangs, loop_hangs, workers=0):
    """Forty steps, which hang before or in step 21 or after it; the heartbeats meanwhile are the caller's."""
    model = nn.Sequential(nn.Linear(4, 2), Gate(step_hangs, 21))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe.attach(model, optimizer)
    for i, (x, y) in enumerate(DataLoader(Images(data_hangs, 200), batch_size=10, num_workers=workers), 1):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        if i == 21:
            loop_hangs.wait()


def is_on(senders):
    """Whether the probe that another thread attaches has its sender at work."""
    return bool(senders.made) and senders.last.started


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
        if is_on(senders):
            senders.last.heartbeat()  # the sender's thread asks with each
    hanging[where].let_go()
    training.join()
    senders.last.heartbeat()
    facts = [(fact.name, fact.step, fact.value) for fact in senders.last.batch().facts if "stalled" in fact.name]
    step = {"data": 20, "step": 20, "loop": 21}[where]
    assert facts[1:] == [("stalled", step, where), ("stalled", 40, None)]
    assert facts[0][2].startswith("test_silence.py:") and " wait, in threading.py:" in facts[0][2]


def started(*args):
    """A training in a thread of its own."""
    training = threading.Thread(target=args[0], args=args[1:])
    training.start()
    return training


def waits_for_data(training):
    frames = traceback.extract_stack(sys._current_frames()[training.ident])
    return any(frame.name == "_try_get_data" for frame in frames)


def seconds_pass(senders, wait, seconds=100):
    """So many heartbeats, a second from each to the next by the probe's own clock, and the wait before each."""
    now = [time.monotonic()]
    probe.probe._attached[-1][0].watch._silence._now = lambda: now[0]
    for _ in range(seconds):
        wait()
        now[0] += 1.0
        senders.last.heartbeat()
    return [(fact.name, fact.value) for fact in senders.last.batch().facts if fact.name == "stalled"]


def test_a_loader_that_asks_after_its_stuck_worker_again_and_again_has_hung(senders, monkeypatch):
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.0,))
    hanging, passed = multiprocessing.Event(), Hanging()
    passed.let_go()
    training = started(train, hanging, passed, passed, 1)
    while not is_on(senders) or senders.last.heartbeat().step < 20 or not waits_for_data(training):
        time.sleep(0.01)
    said = seconds_pass(senders, lambda: time.sleep(0.002))
    hanging.set()
    training.join()
    # Asked so much more often than in life, it may once be met in what Python does between two questions.
    assert said[:1] == [("stalled", "data")]


X, Y = torch.randn(10, 4), torch.arange(10) % 2


def train_and_evaluate_a_copy(evaluate):
    """The copy has none of the hooks: no pass of it is seen."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe.attach(model, optimizer)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()
    with torch.no_grad():
        evaluate(copy.deepcopy(model))


def test_an_evaluation_of_a_copy_of_the_model_is_no_hang_until_it_stands_still(senders):
    losses, last, hanging = [], threading.Event(), Hanging()

    def evaluate(model):
        while not last.is_set():
            losses.append(F.cross_entropy(model(X), Y))
        model.append(Gate(hanging, 1))(X)

    def one_more():
        before = len(losses)
        while len(losses) == before:
            time.sleep(0.001)

    training = started(train_and_evaluate_a_copy, evaluate)
    one_more()
    said = [seconds_pass(senders, one_more)]
    last.set()
    said.append(seconds_pass(senders, lambda: time.sleep(0.002)))
    hanging.let_go()
    training.join()
    assert said == [[], [("stalled", "step")]]


class Turnstile(Dataset):
    """A hundred samples; whoever wants one stands at the same place until it is let through."""

    def __init__(self):
        self.arrivals, self.passes = threading.Semaphore(0), threading.Semaphore(0)

    def __len__(self):
        return 100

    def __getitem__(self, index):
        self.arrivals.release()
        assert self.passes.acquire(timeout=30)
        return torch.ones(4)


def test_an_evaluation_that_is_always_met_at_its_loader_is_no_hang_while_batches_come(senders):
    samples = Turnstile()

    def evaluate(model):
        for x in DataLoader(samples, batch_size=1):
            model(x)

    def next_arrival():
        samples.passes.release()
        assert samples.arrivals.acquire(timeout=30)
        time.sleep(0.002)

    training = started(train_and_evaluate_a_copy, evaluate)
    assert samples.arrivals.acquire(timeout=30)
    said = seconds_pass(senders, next_arrival, 99)
    samples.passes.release()
    training.join()
    assert said == []


def said_at(*looks):
    """What is said after these looks, each a second, a step, a phase, and how long so many steps took.

    All come from one line, since where the thread stands would tell them apart.
    """
    facts, now = [], [0.0]
    silent = Silence(lambda *fact: facts.append(fact), lambda: now[0])
    for now[0], *seen in looks:
        silent.look(*seen, 0)
    return [name for name, _ in facts]


def each_second(first_s, last_s, step, trained_s, steps):
    return [(s, step, Phase.TRAINING, trained_s, steps) for s in range(first_s, last_s + 1)]


def test_an_evaluation_a_checkpoint_a_pause_and_a_slow_training_are_no_hang():
    quiet = []
    for i, phase in enumerate((Phase.EVALUATING, Phase.CHECKPOINTING, Phase.PAUSED)):
        quiet += [(1000 * i, 100, phase, 10.0, 100), (1000 * i + 999, 100, phase, 10.0, 100)]
    quiet += each_second(3000, 3059, 101, 10.0, 100)  # a minute is nothing
    quiet += each_second(3060, 3280, 102, 1100.0, 100)  # 20 take 220 s
    assert said_at(*quiet) == []
    assert said_at(*quiet, (3281, 102, Phase.TRAINING, 1100.0, 100)) == ["stalled_at", "stalled"]


def test_the_time_that_the_process_was_stopped_is_no_hang():
    before, after = each_second(0, 30, 100, 10.0, 100), each_second(1030, 1060, 100, 10.0, 100)
    assert said_at(*before, *after) == []  # 30 s before it and 30 s after it
    assert said_at(*before, *after, (1061, 100, Phase.TRAINING, 10.0, 100)) == ["stalled_at", "stalled"]


def test_the_first_steps_and_a_compilation_are_no_hang(monkeypatch):
    assert said_at(*each_second(0, 600, 9, 1.0, 9)) == []
    monkeypatch.setattr(silence, "_COMPILERS", ("test_silence.py",))
    assert said_at(*each_second(0, 600, 9, 1.0, 20)) == []
