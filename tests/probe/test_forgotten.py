"""Several trainings in one process, one after the other: what stays of those that are over."""

import gc
import linecache
import logging
import weakref

import pytest
import torch
from torch import nn

import probe
from probe.collectors import collector


class Other(nn.Linear): ...


def attached(kind=nn.Linear):
    """A probe on a new model: each is put on by the same line."""
    model = kind(4, 2)
    return probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1))


def said(first):
    return (
        f"An earlier probe on another Linear (run {first.run_id}), put on by the same line of code, is still on "
        "and keeps its model and optimizer in memory; if that training is over, detach() it or attach in a with "
        "statement."
    )


def test_a_line_that_attaches_again_and_again_is_told_once_of_the_probe_that_is_still_on(caplog):
    first, *_ = [attached() for _ in range(4)]
    assert caplog.messages == [said(first)]


@pytest.mark.parametrize("name", ["detached", "another class", "another line"])
def test_nothing_is_said_where_no_probe_seems_forgotten(caplog, name):
    run = attached()
    if name == "detached":
        run.detach()
        attached()
    elif name == "another class":
        attached(Other)
    else:
        model = nn.Linear(4, 2)
        probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert caplog.messages == []


CELL = """
model = nn.Linear(4, 2)
run = probe.attach(model, torch.optim.SGD(model.parameters(), lr=LR))
"""


def cell(number, rate):
    """What a notebook does when a cell is run: its text is a file of its own that is only in ``linecache``."""
    name, text = f"<cell {number}>", CELL.replace("LR", "rate") + f"# lr {rate}\n"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space = {"nn": nn, "torch": torch, "probe": probe, "rate": rate, "__name__": "__main__"}
    exec(compile(text, name, "exec"), space)
    return space["run"]


def test_a_cell_that_is_changed_and_run_again_is_told_too(caplog):
    first = cell(1, 0.1)
    cell(2, 0.2)
    assert caplog.messages == [said(first)]


def test_what_bedside_itself_puts_on_is_not_the_scripts_to_take_off(caplog):
    from probe.zero.clip import begin

    try:
        for _ in range(2):
            model = nn.Linear(4, 2)
            assert begin([torch.optim.SGD(model.parameters(), lr=0.1)])
        assert caplog.messages == []
    finally:
        logging.getLogger("probe.hidden").setLevel(logging.NOTSET)  # which it has quieted for the whole process


def train(senders):
    """One training, from its model to its end; what is left of it, by weak references, and its probe."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    with probe.attach(model, optimizer, every=2) as run:
        for _ in range(5):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(torch.randn(3, 4)), torch.zeros(3, 2)).backward()
            optimizer.step()
        senders.made.clear()  # which would keep what its heartbeat asks
    return [weakref.ref(model), weakref.ref(optimizer), weakref.ref(model[0].weight)], run


def test_a_training_that_is_over_is_freed_with_its_last_name_also_where_its_probe_is_kept(senders, monkeypatch):
    monkeypatch.setattr(collector, "MUCH_BYTES", 0)
    gc.collect()
    gc.disable()
    try:
        left, run = train(senders)
        assert [reference() for reference in left] == [None, None, None]
    finally:
        gc.enable()
    assert not run.is_attached
    run.log(reward=1.0)
