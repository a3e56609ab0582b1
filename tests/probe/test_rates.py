"""A learning rate held elsewhere: the schedule does not notice, the weights move as with the rate set by hand."""

from __future__ import annotations

import inspect
import itertools

import pytest
import torch
from interventions import Desk
from torch import nn, optim
from torch.optim import lr_scheduler

import probe

STEPS = 24


def sgd_in_two_groups(parameters):
    first, *rest = parameters
    return optim.SGD([{"params": [first], "lr": 0.05, "name": "first"}, {"params": rest}], lr=0.2, momentum=0.9)


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "SGD foreach": lambda p: optim.SGD(p, lr=0.1, foreach=True),
    "SGD fused": lambda p: optim.SGD(p, lr=0.1, fused=True),
    "SGD in two groups": sgd_in_two_groups,
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "Adam foreach": lambda p: optim.Adam(p, lr=0.01, foreach=True),
    "Adam fused": lambda p: optim.Adam(p, lr=0.01, fused=True),
    "Adam tensor": lambda p: optim.Adam(p, lr=torch.tensor(0.01)),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "AdamW foreach": lambda p: optim.AdamW(p, lr=0.01, foreach=True),
    "AdamW fused": lambda p: optim.AdamW(p, lr=0.01, fused=True),
    "AdamW tensor": lambda p: optim.AdamW(p, lr=torch.tensor(0.01)),
    "AdamW fused tensor": lambda p: optim.AdamW(p, lr=torch.tensor(0.01), fused=True),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.05),
    "Adafactor": lambda p: optim.Adafactor(p, lr=0.01),
    "LBFGS": lambda p: optim.LBFGS(p, lr=0.5, max_iter=4),
}


def one_cycle(optimizer):
    groups = len(optimizer.param_groups)
    has_momentum = "momentum" in optimizer.defaults or "betas" in optimizer.defaults
    return lr_scheduler.OneCycleLR(optimizer, [0.1] * groups, total_steps=STEPS, cycle_momentum=has_momentum)


def cyclic(optimizer):
    has_momentum = "momentum" in optimizer.defaults or "betas" in optimizer.defaults
    return lr_scheduler.CyclicLR(optimizer, 0.01, 0.1, step_size_up=5, cycle_momentum=has_momentum)


def sequential(optimizer):
    warm_up = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=5)
    return lr_scheduler.SequentialLR(optimizer, [warm_up, lr_scheduler.CosineAnnealingLR(optimizer, 15)], [5])


def chained(optimizer):
    parts = [lr_scheduler.ConstantLR(optimizer, 0.5, 6), lr_scheduler.ExponentialLR(optimizer, 0.95)]
    return lr_scheduler.ChainedScheduler(parts, optimizer)


SCHEDULERS = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.95**epoch),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda epoch: 0.95),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 5),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [4, 9, 14]),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, 0.5, 12),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=12),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.95),
    "SequentialLR": sequential,
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS),
    "ChainedScheduler": chained,
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1, factor=0.5),
    "CyclicLR": cyclic,
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 7),
    "OneCycleLR": one_cycle,
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, STEPS),
}

#: What ReduceLROnPlateau is shown: not the loss, which the intervention changes.
METRIC = [1.0, 0.9, 0.9, 0.9, 0.9, 0.8] * 4


class Training:
    """A small net on fixed data; ``lrs`` and ``weights`` are what tells two of them apart."""

    def __init__(self, make_optimizer, make_scheduler, device="cpu") -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).to(device)
        self.optimizer = make_optimizer(list(self.model.parameters()))
        self.scheduler = make_scheduler(self.optimizer)
        self.lrs: list[list[float]] = []
        data = [(torch.randn(10, 6), torch.randint(0, 3, (10,))) for _ in range(STEPS)]
        self.data = [(inputs.to(device), targets.to(device)) for inputs, targets in data]

    def step(self, index: int) -> None:
        inputs, targets = self.data[index]

        def closure():
            self.optimizer.zero_grad()
            loss = nn.functional.cross_entropy(self.model(inputs), targets)
            loss.backward()
            return loss

        if isinstance(self.optimizer, optim.LBFGS):
            self.optimizer.step(closure)
        else:
            closure()
            self.optimizer.step()
        self.lrs.append([float(group["lr"]) for group in self.optimizer.param_groups])

    def schedule(self, index: int) -> None:
        is_plateau = isinstance(self.scheduler, lr_scheduler.ReduceLROnPlateau)
        self.scheduler.step(*([METRIC[index]] if is_plateau else []))

    @property
    def weights(self) -> list[float]:
        return torch.cat([p.detach().flatten() for p in self.model.parameters()]).tolist()

    def by_hand(self, rate_of, steps) -> Training:
        """Trained with the rates of these steps set by hand around the optimizer's step."""
        for index in range(STEPS):
            before = [group["lr"] for group in self.optimizer.param_groups]
            if index + 1 in steps:
                for group in self.optimizer.param_groups:
                    group["lr"] = rate_of(group["lr"])
            self.step(index)
            self.lrs[-1] = [float(lr) for lr in before]
            for group, lr in zip(self.optimizer.param_groups, before, strict=True):
                group["lr"] = lr
            self.schedule(index)
        return self

    def under(self, senders, **args) -> tuple[Training, range]:
        """Trained with ``lr`` given after step 6 and taken back after step 15; and the steps that it held for."""
        run = probe.attach(self.model, self.optimizer)
        desk, asked = Desk(senders.last), []
        for index in range(STEPS):
            self.step(index)
            self.schedule(index)
            if index + 1 == 6:
                asked.append(desk.ask("lr", **args))
            if index + 1 == 15:
                asked.append(desk.ask("undo"))
        run.detach()
        return self, range(*(desk.answer(each).applied["from_step"] for each in asked))


def test_the_table_has_every_scheduler_of_torch():
    kinds = inspect.getmembers(lr_scheduler, lambda each: isinstance(each, type))
    named = {n for n, kind in kinds if issubclass(kind, lr_scheduler.LRScheduler) and not n.startswith("_")}

    assert set(SCHEDULERS) == named - {"LRScheduler"}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's own, about what a scheduler's epoch argument was
def test_the_schedule_goes_on_and_the_weights_move_as_by_hand(optimizer, scheduler, senders):
    make = OPTIMIZERS[optimizer], SCHEDULERS[scheduler]

    held, steps = Training(*make).under(senders, factor=0.1)
    by_hand = Training(*make).by_hand(lambda lr: lr * 0.1, steps)
    alone = Training(*make).by_hand(lambda lr: lr, range(0))

    assert len(steps) == 9
    assert held.lrs == alone.lrs
    assert held.weights == by_hand.weights
    assert held.weights != alone.weights


@pytest.mark.parametrize("optimizer", ["SGD", "Adam fused", "AdamW tensor", "SGD in two groups"])
def test_a_pinned_rate_is_used_whatever_the_schedule_says(optimizer, senders):
    make = OPTIMIZERS[optimizer], SCHEDULERS["OneCycleLR"]

    held, steps = Training(*make).under(senders, pin=0.03)
    by_hand = Training(*make).by_hand(lambda lr: torch.full_like(lr, 0.03) if torch.is_tensor(lr) else 0.03, steps)

    assert held.weights == by_hand.weights
    assert held.lrs == Training(*make).by_hand(lambda lr: lr, range(0)).lrs


@pytest.mark.skipif(not torch.cuda.is_available(), reason="capturable optimizers step on an accelerator only")
@pytest.mark.parametrize("kind", [optim.Adam, optim.AdamW])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_capturable_optimizer_with_a_tensor_as_its_rate_moves_as_by_hand(kind, scheduler, senders):
    def train() -> Training:
        return Training(lambda p: kind(p, lr=torch.tensor(0.01), capturable=True), SCHEDULERS[scheduler], "cuda")

    held, steps = train().under(senders, factor=0.1)

    assert held.lrs == train().by_hand(lambda lr: lr, range(0)).lrs
    assert held.weights == train().by_hand(lambda lr: lr * 0.1, steps).weights


# --------------------------------------------------------------------------------------------- in one loop, closely


class Loop:
    """A loop with a probe on it: one call a step, its scheduler halving the rate every fourth step."""

    def __init__(self, senders, optimizer=None) -> None:
        self.model = nn.Linear(4, 2)
        self.optimizer = optimizer or optim.SGD(
            [{"params": [self.model.weight]}, {"params": [self.model.bias], "lr": 0.4}], lr=0.8
        )
        self.scheduler = lr_scheduler.StepLR(self.optimizer, 4, 0.5)
        self.run = probe.attach(self.model, self.optimizer)
        self.sender = senders.last
        self.desk = Desk(self.sender)

    def steps(self, count: int) -> Loop:
        for _ in range(count):
            self.optimizer.zero_grad()
            self.model(torch.randn(3, 4)).square().mean().backward()
            self.optimizer.step()
            self.scheduler.step()
        return self


def test_one_group_is_held_and_both_rates_are_recorded(senders):
    loop = Loop(senders).steps(1)
    loop.desk.ask("lr", group="1", factor=0.5)
    loop.steps(4)
    loop.desk.ask("lr", group="1", factor=1)
    loop.steps(3)

    assert loop.sender.values("lr/0") == [0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.4]
    assert loop.sender.values("lr/1") == [0.4, 0.4, 0.2, 0.2, 0.1, 0.1, 0.2, 0.2]
    assert loop.sender.series("lr_schedule/1") == [(3, 0.4), (4, 0.4), (5, 0.2), (6, 0.2)]
    assert "lr_schedule/0" not in loop.sender.names()


def test_the_answer_says_what_was_applied_and_from_which_step(senders):
    loop = Loop(senders).steps(1)
    asked = loop.desk.ask("lr", group="1", factor=0.5)
    loop.steps(2)

    ack = loop.desk.answer(asked)
    assert (ack.ok, ack.step) == (True, 2)
    assert ack.text == "learning rate x0.5, from step 3; 1: schedule 0.4, effective 0.2"
    assert ack.applied == {"groups": {"1": {"schedule": 0.4, "factor": 0.5, "effective": 0.2}}, "from_step": 3}


def test_a_factor_is_of_the_schedule_and_not_of_what_was_in_force(senders):
    loop = Loop(senders).steps(1)
    loop.desk.ask("lr", factor=0.5)
    loop.steps(1)
    loop.desk.ask("lr", factor=0.25)
    loop.steps(2)

    assert loop.sender.values("lr/0")[-1] == 0.2


def test_each_undo_takes_one_more_change_back(senders):
    loop = Loop(senders).steps(1)
    for name, args in [("lr", {"factor": 0.25}), ("lr", {"pin": 0.05}), ("undo", {}), ("undo", {})]:
        loop.desk.ask(name, **args)
        loop.steps(2)
    asked = loop.desk.ask("undo")
    loop.steps(2)

    assert loop.sender.values("lr/0") == [0.8, 0.8, 0.2, 0.2, 0.05, 0.05, 0.1, 0.1, 0.2, 0.2, 0.2]
    assert loop.desk.answer(asked).text == "nothing to undo"


def test_a_group_that_is_added_later_is_held_with_all(senders):
    loop = Loop(senders).steps(1)
    loop.desk.ask("lr", factor=0.5)
    loop.steps(1)
    loop.optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": 0.6})
    loop.steps(1)

    assert loop.sender.values("lr/2") == [0.3]


def test_the_scripts_own_hooks_and_checkpoints_see_the_schedule(senders):
    loop = Loop(senders)
    seen = []
    loop.optimizer.register_step_post_hook(lambda o, *_: seen.append(o.state_dict()["param_groups"][0]["lr"]))
    loop.desk.ask("lr", factor=0.5)
    loop.steps(3)

    assert loop.sender.values("lr/0") == [0.8, 0.4, 0.4]
    assert seen == [0.8, 0.8, 0.8]


def test_there_is_no_pre_hook_of_rates_unless_one_is_held(senders):
    loop = Loop(senders).steps(1)
    before = len(loop.optimizer._optimizer_step_pre_hooks)
    loop.desk.ask("lr", factor=0.5)
    loop.steps(2)
    held = len(loop.optimizer._optimizer_step_pre_hooks)
    loop.desk.ask("lr", factor=1)
    loop.steps(2)

    assert (held, len(loop.optimizer._optimizer_step_pre_hooks)) == (before + 1, before)


def test_a_step_that_raises_leaves_the_rate_to_the_next_one(senders):
    loop = Loop(senders).steps(1)
    loop.desk.ask("lr", factor=0.25)
    loop.steps(2)

    def closure():
        loop.model(torch.randn(3, 4)).square().mean().backward()
        raise OSError("the data set went away")

    with pytest.raises(OSError, match="went away"):
        loop.optimizer.step(closure)
    left = loop.optimizer.param_groups[0]["lr"]
    loop.steps(1)

    assert left == 0.2
    assert loop.sender.values("lr/0") == [0.8, 0.8, 0.2, 0.2]
    assert loop.optimizer.param_groups[0]["lr"] == 0.4


def test_detach_takes_the_factor_off(senders):
    loop = Loop(senders).steps(1)
    loop.desk.ask("lr", factor=0.5)
    loop.steps(2)
    loop.run.detach()

    assert not loop.optimizer._optimizer_step_pre_hooks
    assert not loop.optimizer._optimizer_step_post_hooks
    assert not loop.model._forward_pre_hooks
    assert loop.optimizer.param_groups[0]["lr"] == 0.8


def test_groups_that_a_loaded_state_dict_makes_anew_are_held_and_recorded(senders):
    loop = Loop(senders).steps(1)
    loop.desk.ask("lr", factor=0.5)
    loop.steps(1)
    state = loop.optimizer.state_dict()
    state["param_groups"][0]["lr"] = 0.2
    loop.optimizer.load_state_dict(state)
    loop.steps(1)

    assert loop.sender.values("lr/0") == [0.8, 0.8, 0.1]
    assert loop.sender.values("lr_schedule/0") == [0.2]


def test_several_optimizers_are_held_by_their_names(senders):
    model = nn.ModuleDict({"g": nn.Linear(2, 2), "d": nn.Linear(2, 2)})
    optimizers = {key: optim.SGD(part.parameters(), lr=0.1) for key, part in model.items()}
    probe.attach(model, optimizers)
    sender, weights = senders.last, []
    desk = Desk(sender)
    for step in range(4):
        for key, part in model.items():
            optimizers[key].zero_grad()
            part(torch.ones(1, 2)).sum().backward()
            optimizers[key].step()
        weights.append(model["d"].weight[0, 0].item())
        if step == 0:
            desk.ask("lr", group="d/0", factor=0.5)

    moved = [before - after for before, after in itertools.pairwise(weights)]
    assert moved == pytest.approx([0.05, 0.05, 0.05])
    assert sender.values("lr/g/0") == [0.1] * 4
    assert sender.values("lr/d/0")[-1] == 0.05


def test_with_a_grad_scaler_and_accumulation_the_step_is_the_scaled_one(senders):
    def train(factor: float) -> list[float]:
        torch.manual_seed(0)
        model = nn.Linear(4, 2)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        run = probe.attach(model, optimizer)
        desk = Desk(senders.last)
        for step in range(6):
            optimizer.zero_grad()
            for _ in range(3):
                scaler.scale(model(torch.randn(5, 4)).square().mean() / 3).backward()
            if step >= 2 and factor == 1.0:
                optimizer.param_groups[0]["lr"] = 0.05
            scaler.step(optimizer)
            scaler.update()
            if step == 0 and factor != 1.0:
                desk.ask("lr", factor=factor)
        run.detach()
        return model.weight.flatten().tolist()

    assert train(0.5) == train(1.0)


def test_a_group_without_a_rate_is_refused(senders):
    loop = Loop(senders)
    loop.optimizer.param_groups[1]["lr"] = None

    assert loop.desk.refusal("lr", group="1", factor=0.5) == "group 1 of SGD has no learning rate of its own"
    assert loop.desk.refusal("lr", group="9", factor=0.5) == "no parameter group '9'; the groups are 0, 1"
