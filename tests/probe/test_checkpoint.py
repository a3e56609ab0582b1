"""Checkpoints: whole or not at all, and a training goes on from one bit for bit."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from interventions import Desk
from test_rates import OPTIMIZERS, SCHEDULERS, Training
from torch import nn, optim

import probe
from probe import checkpoint

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BEDSIDE_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return tmp_path / "checkpoints"


class Digits:
    """AdamW, OneCycle, GradScaler, BatchNorm, Dropout, and batches drawn from three random generators."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Linear(20, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10)
        )
        self.optimizer = optim.AdamW(self.model.parameters(), lr=1e-2)
        self.scheduler = optim.lr_scheduler.OneCycleLR(self.optimizer, 0.05, total_steps=60)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=256.0, growth_interval=7)
        self.parts = self.model, self.optimizer, self.scheduler, self.scaler
        self.losses: list[float] = []

    def steps(self, count: int) -> Digits:
        for _ in range(count):
            inputs = torch.randn(16, 20) + random.random() + float(np.random.normal())
            targets = torch.randint(0, 10, (16,))
            self.optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = nn.functional.cross_entropy(self.model(inputs).float(), targets)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.scheduler.step()
            self.losses.append(loss.item())
        return self


def written(digits, senders, steps: int = 20, **asked) -> Path:
    """Train to the step with a probe on, and have the checkpoint of it written."""
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    probe.attach(digits.model, digits.optimizer, name="digits")
    desk = Desk(senders.last)
    digits.steps(steps - 1)
    if asked:
        desk.ask("lr", **asked)
    saved = desk.ask("checkpoint")
    digits.steps(2)
    assert desk.answer(saved).step == steps
    return Path(desk.answer(saved).applied["path"])


def test_a_training_goes_on_from_its_checkpoint_bit_for_bit(senders):
    first = Digits()
    path = written(first, senders)
    first.steps(19)

    second = Digits()
    start = probe.load_checkpoint(path, *second.parts)
    second.steps(20)

    assert (start.step, start.name, start.run_id) == (20, "digits", senders.last.hello.run_id)
    assert second.losses == first.losses[20:]
    assert [p.tolist() for p in second.model.parameters()] == [p.tolist() for p in first.model.parameters()]


def test_a_factor_is_in_the_checkpoint_and_said(senders, caplog):
    first = Digits()
    path = written(first, senders, factor=0.5)
    first.steps(9)
    second = Digits()
    with caplog.at_level(logging.WARNING, "probe"):
        start = probe.load_checkpoint(path, *second.parts)
    probe.attach(second.model, second.optimizer, resume=start.run_id, step=start.step)
    second.steps(10)

    assert caplog.messages == [
        "Bedside held the learning rate when this checkpoint was written: all groups x0.5. It does so again once "
        "probe.attach is called, and not without it."
    ]
    assert second.losses == first.losses[20:]
    assert senders.last.series("lr/0") == senders.made[0].series("lr/0")[20:]
    assert [mark.text for mark in Desk(senders.last).marks()] == [
        "learning rate as in the checkpoint: all groups x0.5"
    ]


def test_a_factor_is_in_force_at_once_where_the_probe_is_on_already(senders):
    path = written(Digits(), senders, factor=0.5)
    second = Digits()
    probe.attach(second.model, second.optimizer)
    probe.load_checkpoint(path, *second.parts)
    second.steps(1)

    assert senders.last.values("lr/0") == [senders.last.values("lr_schedule/0")[0] * 0.5]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_state_of_every_scheduler_comes_back(scheduler, senders):
    def make() -> Training:
        return Training(OPTIMIZERS["AdamW"], SCHEDULERS[scheduler])

    first = make()
    probe.attach(first.model, first.optimizer)
    desk = Desk(senders.last)
    for index in range(24):
        if index == 9:
            saved = desk.ask("checkpoint")
        first.step(index)
        first.schedule(index)

    second = make()
    start = probe.load_checkpoint(
        desk.answer(saved).applied["path"], second.model, second.optimizer, second.scheduler
    )
    for index in range(start.step, 24):
        second.step(index)
        second.schedule(index)

    assert start.step == 10
    assert second.lrs == first.lrs[10:]
    assert second.weights == first.weights


def test_it_is_plain_data_that_torch_reads_without_running_code(senders):
    path = written(Digits(), senders)

    state = torch.load(path, weights_only=True)

    about = {"bedside", "run_id", "name", "step", "time_s"}
    assert set(state) == about | {"model", "optimizers", "schedulers", "scalers", "rates", "random"}
    assert [each["class"] for each in state["schedulers"]] == ["OneCycleLR"]
    assert [set(each) for each in state["random"]] == [{"torch", "python", "numpy"}]


def test_the_three_newest_of_a_run_are_kept_and_no_other_file_is_touched(senders, folder):
    digits = Digits()
    probe.attach(digits.model, digits.optimizer)
    desk = Desk(senders.last)
    own = folder / senders.last.hello.run_id
    own.mkdir(parents=True)
    (own / "mine.pt").write_text("the user's own")
    for _ in range(5):
        desk.ask("checkpoint")
        digits.steps(2)

    assert sorted(path.name for path in own.iterdir()) == ["mine.pt", "step-5.pt", "step-7.pt", "step-9.pt"]


def test_a_checkpoint_that_is_there_is_never_written_over(senders, folder):
    digits = Digits()
    probe.attach(digits.model, digits.optimizer)
    desk = Desk(senders.last)
    own = folder / senders.last.hello.run_id
    own.mkdir(parents=True)
    (own / "step-1.pt").write_text("from before a restart")
    desk.ask("checkpoint")
    digits.steps(2)

    assert sorted(path.name for path in own.iterdir()) == ["step-1.2.pt", "step-1.pt"]
    assert (own / "step-1.pt").read_text() == "from before a restart"


def test_a_disk_without_room_is_said_before_anything_is_written(senders, folder, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 10**6, 10**6))
    digits = Digits()
    probe.attach(digits.model, digits.optimizer)
    desk = Desk(senders.last)
    digits.steps(1)
    asked = [desk.ask("checkpoint"), desk.ask("stop")]
    digits.steps(3)

    place = folder / senders.last.hello.run_id
    text = f"a checkpoint takes 17 MB; 1 MB are free in {place}"
    assert [desk.answer(each).text for each in asked] == [text, text]
    assert list(place.iterdir()) == []
    assert len(digits.losses) == 4


def test_a_write_that_fails_half_way_leaves_the_earlier_one_and_says_so(tmp_path):
    code = """
import sys, time, resource, signal, torch
sys.path.insert(0, "tests/probe")
from conftest import CollectingSender
from interventions import Desk
from probe import probe as module
import probe
made = []
module._make_sender = lambda *args: made.append(CollectingSender(*args)) or made[0]
model = torch.nn.Linear(300, 300)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
probe.attach(model, optimizer)
desk = Desk(made[0])
def steps(count):
    for _ in range(count):
        model(torch.randn(1, 300)).sum().backward()
        optimizer.step()
desk.ask("checkpoint")
steps(2)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
asked = desk.ask("checkpoint")
steps(2)
print(desk.answer(asked).ok, desk.answer(asked).text)
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BEDSIDE_CHECKPOINTS": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)

    assert done.stdout.startswith("False no checkpoint: ")
    assert [path.name for path in tmp_path.glob("*/*")] == ["step-1.pt"]


def test_it_loads_with_and_without_a_wrapper_of_the_model(senders):
    def make() -> tuple[nn.Module, optim.Optimizer]:
        model = nn.Linear(4, 2)
        return model, optim.SGD(model.parameters(), lr=0.1)

    model, optimizer = make()
    wrapped = nn.DataParallel(model)
    probe.attach(wrapped, optimizer)
    desk = Desk(senders.last)
    saved = desk.ask("checkpoint")
    for _ in range(2):
        wrapped(torch.randn(3, 4)).sum().backward()
        optimizer.step()
        weight = model.weight.tolist() if not desk.answer(saved) else weight  # noqa: F821
    plain, its_optimizer = make()
    probe.load_checkpoint(desk.answer(saved).applied["path"], plain, its_optimizer)

    assert plain.weight.tolist() == weight


# ------------------------------------------------------------------------------------------------------- refusals


def test_a_file_that_is_none_of_bedsides_is_refused(tmp_path):
    model = nn.Linear(2, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    torch.save({"model": model.state_dict()}, tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("hello")

    with pytest.raises(probe.ProbeError, match=r"other\.pt was not written by Bedside; load it with torch\.load"):
        probe.load_checkpoint(tmp_path / "other.pt", model, optimizer)
    with pytest.raises(probe.ProbeError, match=r"text\.pt is no checkpoint that can be read"):
        probe.load_checkpoint(tmp_path / "text.pt", model, optimizer)
    with pytest.raises(probe.ProbeError, match=r"none\.pt cannot be read: No such file or directory\."):
        probe.load_checkpoint(tmp_path / "none.pt", model, optimizer)


def test_what_does_not_go_with_the_checkpoint_is_refused_before_anything_is_changed(senders):
    path = written(Digits(), senders)
    fresh = Digits()
    model, optimizer, _, _ = fresh.parts
    before = [p.tolist() for p in model.parameters()]

    with pytest.raises(probe.ProbeError, match="no StepLR of this optimizer; it has OneCycleLR"):
        probe.load_checkpoint(path, model, optimizer, optim.lr_scheduler.StepLR(optimizer, 3))
    with pytest.raises(probe.ProbeError, match="has the optimizers ''; give them under the same names"):
        probe.load_checkpoint(path, model, {"g": optimizer})
    assert [p.tolist() for p in model.parameters()] == before


def test_another_model_or_another_grouping_is_refused_before_anything_is_changed(senders):
    path = written(Digits(), senders)
    wider = nn.Sequential(nn.Linear(20, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 12))
    shorter = nn.Sequential(nn.Linear(20, 64))
    fresh = Digits()
    grouped = optim.AdamW([{"params": fresh.model[0].parameters()}, {"params": fresh.model[4].parameters()}])
    before = [p.tolist() for model in (wider, shorter, fresh.model) for p in model.parameters()]

    with pytest.raises(probe.ProbeError, match=r"model: 4\.weight is \[10, 64\] in it and \[12, 64\] in this"):
        probe.load_checkpoint(path, wider, optim.AdamW(wider.parameters()))
    with pytest.raises(probe.ProbeError, match=r"model: 1\.weight is \[64\] in it and missing in this"):
        probe.load_checkpoint(path, shorter, optim.AdamW(shorter.parameters()))
    with pytest.raises(probe.ProbeError, match=r"AdamW has groups of \[6\] parameters, this one of \[2, 2\]"):
        probe.load_checkpoint(path, fresh.model, grouped)
    assert [p.tolist() for model in (wider, shorter, fresh.model) for p in model.parameters()] == before


def test_a_scheduler_and_a_scaler_that_are_not_given_are_missed_aloud(senders, caplog):
    path = written(Digits(), senders)
    fresh = Digits()
    with caplog.at_level(logging.WARNING, "probe"):
        probe.load_checkpoint(path, fresh.model, fresh.optimizer)

    assert caplog.messages == [
        "The checkpoint has a OneCycleLR that was not given as scheduler=; it begins anew.",
        "The checkpoint has a GradScaler that was not given as scaler=; its scale begins anew.",
    ]
