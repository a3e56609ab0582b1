"""A learning rate is held also where torch.compile has taken the model, the optimizer or the whole step."""

from __future__ import annotations

import pytest
import torch
from interventions import Desk
from torch import nn, optim

import probe


class Compiled:
    """Ten steps on fixed data, part of them compiled or none."""

    def __init__(self, part: str) -> None:
        torch._dynamo.reset()
        torch.manual_seed(0)
        self.model = self.called = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.1)
        self.batches = torch.randn(10, 4, 6)
        self.part = part

    def compile(self) -> None:
        if self.part == "model":
            self.called = torch.compile(self.model, backend="aot_eager")
        elif self.part == "optimizer step":
            self.optimizer.step = torch.compile(self.optimizer.step, backend="aot_eager")
        elif self.part == "whole step":
            self.step = torch.compile(self.step, backend="aot_eager")

    def step(self, inputs: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        self.called(inputs).square().mean().backward()
        self.optimizer.step()


@pytest.mark.parametrize("part", ["model", "optimizer step", "whole step"])
def test_what_torch_compiles_is_held_like_the_rest(part, senders):
    held, by_hand = Compiled(part), Compiled("none")
    probe.attach(held.model, held.optimizer)
    held.compile()
    desk = Desk(senders.last)
    for number, inputs in enumerate(held.batches, start=1):
        held.step(inputs)
        if number == 3:
            asked = desk.ask("lr", factor=0.5)
    for number, inputs in enumerate(by_hand.batches, start=1):
        by_hand.optimizer.param_groups[0]["lr"] = 0.05 if number >= desk.answer(asked).applied["from_step"] else 0.1
        by_hand.step(inputs)

    assert held.model[0].weight.flatten().tolist() == pytest.approx(by_hand.model[0].weight.flatten().tolist())
    assert senders.last.values("lr/0")[-1] == 0.05
