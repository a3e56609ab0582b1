"""Whatever fails in the probe itself, and wherever: what it had put on is taken off."""

import os
import sys

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import probe
from probe.collectors import COLLECTORS
from probe.collectors.units import Units
from probe.control import Control
from probe.steps import Steps


def hooks_of(model, optimizer):
    owned = [hooks for module in model.modules() for hooks in (module._forward_hooks, module._forward_pre_hooks)]
    return sum(map(len, [*owned, optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks]))


def open_files():
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0  # noqa: PTH208


@pytest.fixture
def training(net):
    """A model and its optimizer."""
    return net, torch.optim.SGD(net.parameters(), lr=0.1)


def one_step(model, optimizer):
    optimizer.zero_grad()
    F.cross_entropy(model(torch.randn(4, 1, 8, 8)), torch.zeros(4, dtype=torch.long)).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.3)
    optimizer.step()


def fail(*_args, **_kwargs):
    raise RuntimeError("out of cheese")


@pytest.mark.parametrize("method", ["prepare", "before_clip", "before_step", "collect", "rest", "close"])
@pytest.mark.parametrize("collector", COLLECTORS, ids=lambda collector: collector.name)
def test_wherever_a_collector_fails_it_leaves_no_hook_and_no_file_behind(
    training, senders, monkeypatch, collector, method
):
    work = getattr(collector, method)

    def work_and_fail(*args, **kwargs):
        work(*args, **kwargs)
        fail()

    monkeypatch.setattr(collector, method, work_and_fail)
    files = open_files()
    run = probe.attach(*training, every=2)
    for _ in range(4):
        one_step(*training)
    run.detach()
    assert senders.last.heartbeat().faults == [f"{collector.name}: RuntimeError: out of cheese"]
    assert (hooks_of(*training), open_files()) == (0, files)


def test_a_collector_that_fails_in_the_middle_of_a_pass_takes_its_hooks_off_at_once(training, monkeypatch, caplog):
    monkeypatch.setattr(Units, "width_of", fail)
    model, _ = training
    probe.attach(*training, every=1)
    assert all(layer._forward_hooks for layer in (model.conv, model.norm, model.act, model.head))
    model(torch.randn(4, 1, 8, 8))
    assert not any(layer._forward_hooks for layer in (model.conv, model.norm, model.act, model.head))
    assert caplog.messages == [
        "Bedside switched its activation statistics off; training goes on. RuntimeError: out of cheese"
    ]


def test_what_fails_while_it_is_cleared_up_is_said_and_the_rest_is_cleared_up(training, senders, monkeypatch, caplog):
    monkeypatch.setattr(COLLECTORS[0], "rest", fail)
    model, _ = training
    probe.attach(*training, every=2)
    for _ in range(2):
        one_step(*training)
    assert senders.last.heartbeat().faults == ["learning rates: RuntimeError: out of cheese"]
    assert caplog.messages == [
        "Bedside could not clear up after its learning rates; training goes on. RuntimeError: out of cheese"
    ]
    assert not model.conv._forward_hooks


def test_where_the_end_of_a_step_fails_no_leaf_keeps_a_hook(training, senders, monkeypatch):
    monkeypatch.setattr(Steps, "ends", fail)
    model, _ = training
    probe.attach(*training, every=1)
    one_step(*training)
    assert senders.last.heartbeat().faults == ["step: RuntimeError: out of cheese"]
    assert not model.conv._forward_hooks


def test_an_attach_that_fails_half_way_leaves_no_hook_and_no_file_behind(training, monkeypatch):
    monkeypatch.setattr(Control, "put_on", fail)
    files = open_files()
    with pytest.raises(RuntimeError, match="out of cheese"):
        probe.attach(*training, every=1)
    assert (hooks_of(*training), open_files()) == (0, files)
