"""Loops that train through a method of the model and evaluate with the model itself, which alone calls a root."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from loops import close, sgd
from torch import nn

import probe

X, Y = torch.randn(16, 8, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 3


def train(optimizer, loss_of, steps):
    """A plain loop; the losses as the script itself would print them."""
    printed = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        printed.append(loss.item())
    return printed


class ByMethod(nn.Module):
    """Is trained through a method, as flows are and the policies of reinforcement learning: that calls no root."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, x):
        return self.layer(x)

    def loss(self, x, y):
        return F.cross_entropy(self.layer(x), y)

    def energy(self, x, _y):
        return self.layer(x).square().mean()


@pytest.mark.parametrize("every_heavy", [1, 512])
def test_a_loop_that_trains_through_a_method_of_the_model_has_all_its_losses_and_evaluations(senders, every_heavy):
    model = ByMethod()
    optimizer = sgd(model)
    run = probe.attach(model, optimizer)
    run._line.watch.steps.budget.judge = lambda *_: False
    run._line.watch.steps.budget.every = every_heavy
    printed, expected = [], []
    for _ in range(3):
        with torch.no_grad():
            expected.append(F.cross_entropy(model(X), Y).item())
        printed += train(optimizer, lambda: model.loss(X, Y), steps=10)
        assert senders.last.heartbeat().phase.value == "training"
    assert senders.last.series("train/loss") == [(step, close(loss)) for step, loss in enumerate(printed, 1)]
    assert [step for step, _ in senders.last.series("val/loss")] == [0, 10, 20]
    assert senders.last.values("val/loss") == close(expected)
    steps = [step for step, _ in senders.last.rows()]
    assert steps == sorted(steps), "an evaluation comes before the steps after it"
    assert "hidden" not in senders.last.facts()


def test_a_loss_that_no_function_of_torch_has_made_ends_an_evaluation_too(senders):
    model = ByMethod()
    optimizer = sgd(model)
    probe.attach(model, optimizer)
    printed = []
    for _ in range(3):
        with torch.no_grad():
            F.cross_entropy(model(X), Y)
        printed += train(optimizer, lambda: model.energy(X, Y), steps=2)
    assert senders.last.values("train/loss") == close(printed)
    assert [step for step, _ in senders.last.series("val/cross_entropy")] == [0, 2, 4]


def test_a_step_without_a_backward_pass_ends_an_evaluation_at_the_latest(senders):
    model = ByMethod()
    optimizer = sgd(model)
    probe.attach(model, optimizer)
    for _ in range(3):
        with torch.no_grad():
            F.cross_entropy(model(X), Y)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    assert [step for step, _ in senders.last.series("val/cross_entropy")] == [0, 1, 2]
    assert [step for step, _ in senders.last.rows()] == [0, 1, 1, 2, 2, 3]


def test_another_model_that_is_trained_on_the_outputs_of_an_evaluation_is_none_of_the_training(senders):
    model, head = ByMethod(), nn.Linear(3, 3)
    optimizer = sgd(model)
    probe.attach(model, optimizer)
    printed = train(optimizer, lambda: model.loss(X, Y), steps=3)
    with torch.no_grad():
        outputs = model(X)
    train(sgd(head), lambda: F.cross_entropy(head(outputs), Y), steps=5)
    printed += train(optimizer, lambda: model.loss(X, Y), steps=3)
    assert senders.last.values("train/loss") == close(printed)
