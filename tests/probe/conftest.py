"""A training with a probe on it, and what the probe handed over, without a socket."""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from probe import probe as probe_module
from probe import wire
from probe.batch import BatchBuilder, written


class CollectingSender:
    """Keeps the records; ``batch()`` packs them the way the sender's thread does."""

    def __init__(self, hello, heartbeat, on_command=None):
        self.hello, self.heartbeat, self.on_command = hello, heartbeat, on_command
        self.acks = []
        self.reply = self.acks.append
        self.is_sending = True
        self.records = []
        self.put = self.records.append
        self.cpu_s = 0.0
        self.goodbye = None
        self.started = False

    def start(self):
        self.started = True

    def close(self, goodbye, timeout_s=2.0):
        self.goodbye = goodbye

    def batch(self) -> wire.Batch:
        builder = BatchBuilder()
        for record in self.records:
            while not written(record, builder):
                time.sleep(0.001)
        return builder.build(1)

    def rows(self) -> list[tuple[int, dict[str, float]]]:
        """Each row as its step and its scalars."""
        batch = self.batch()
        steps = list(array("q", batch.steps)) or list(range(batch.start, batch.start + batch.rows))
        rows: list[tuple[int, dict[str, float]]] = [(step, {}) for step in steps]
        for key, column in batch.scalars.items():
            values = array("d", column.values)
            at = array("I", column.at) or range(batch.rows)
            values = values * batch.rows if len(values) == 1 and not column.at else values
            for index, value in zip(at, values, strict=True):
                rows[index][1][key] = value
        return rows

    def series(self, key: str) -> list[tuple[int, float]]:
        return [(step, scalars[key]) for step, scalars in self.rows() if key in scalars]

    def values(self, key: str) -> list[float]:
        return [value for _, value in self.series(key)]

    def names(self) -> set[str]:
        return set(self.batch().scalars)

    def layer(self, stat: str, step: int) -> dict[str, float]:
        """A statistic of one step by layer name; layers without a value are left out."""
        names = [layer.name for layer in self.hello.layers]
        stats = next(stats for stats in self.batch().layers if stats.step == step)
        column = stats.stats[stat]
        values = array("f", column.values)
        at = array("I", column.at) or range(len(values))
        return {names[index]: value for index, value in zip(at, values, strict=True)}

    def classes(self, split: str) -> list[tuple[int, list[int], list[int], list[int]]]:
        return [
            (c.step, list(array("q", c.correct)), list(array("q", c.total)), list(array("q", c.predicted)))
            for c in self.batch().classes
            if c.split == split
        ]

    def facts(self) -> dict[str, object]:
        return {fact.name: fact.value for fact in self.batch().facts}


@dataclass
class Senders:
    made: list[CollectingSender] = field(default_factory=list)

    @property
    def last(self) -> CollectingSender:
        return self.made[-1]


@pytest.fixture(autouse=True)
def senders(monkeypatch):
    """Every probe of a test hands its records to a list; each is taken off at the end of the test."""
    senders = Senders()

    def make(hello, heartbeat, on_command=None):
        senders.made.append(CollectingSender(hello, heartbeat, on_command))
        return senders.made[-1]

    monkeypatch.setattr(probe_module, "_make_sender", make)
    monkeypatch.delenv("BEDSIDE", raising=False)
    monkeypatch.delenv("BEDSIDE_RESUME", raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield senders
    torch.set_num_threads(threads)
    for _, run in list(probe_module._attached):
        run.detach()
    probe_module._attached.clear()


class Net(nn.Module):
    """Convolution, ReLU, dropout, linear; images float32[n, 1, 8, 8] to logits float32[n, 3]."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU()
        self.drop = nn.Dropout(0.25)
        self.head = nn.Linear(4 * 8 * 8, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.act(self.norm(self.conv(images)))).flatten(1))


@pytest.fixture
def net():
    return Net()


@pytest.fixture
def batches():
    """Six batches of 16 images with their classes."""
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(16, 1, 8, 8, generator=generator), torch.randint(0, 3, (16,), generator=generator))
        for _ in range(6)
    ]
