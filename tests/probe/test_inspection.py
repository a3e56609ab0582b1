"""Facts about how a loop is built: said where it is so, and nothing said of a loop that is as it should be."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, MultiStepLR, SequentialLR, StepLR

import probe
from probe.capture.inspection import Settled

CROSS_ENTROPY = nn.CrossEntropyLoss()


def sgd(model, lr=0.05):
    return torch.optim.SGD(model.parameters(), lr=lr)


def facts(senders, name):
    """Each value of a fact, with the step at which it was said."""
    return [(fact.step, fact.value) for fact in senders.last.batch().facts if fact.name == name]


def train(model, optimizer, batches, *, clear=True, loss_of=CROSS_ENTROPY):
    for x, y in batches:
        if clear:
            optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()


#: What is said only of a loop that is not as it should be.
FAULTS = (
    "gradients_kept",
    "probabilities_into",
    "evaluates_in_train_mode",
    "trains_in_eval_mode",
    "ungrouped_parameters",
    "ungrouped_layers",
)


def test_nothing_is_said_of_a_loop_as_it_should_be(net, batches, senders):
    optimizer = sgd(net)
    probe.attach(net, optimizer, every=2)
    for _ in range(20):
        net.train()
        train(net, optimizer, batches)
        net.eval()
        with torch.no_grad():
            F.cross_entropy(net(batches[0][0]), batches[0][1])
    assert not set(FAULTS) & set(senders.last.facts())


# --------------------------------------------------------------------------------------------------------- gradients


def test_gradients_that_are_never_cleared_are_said_after_three_steps(net, batches, senders):
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    train(net, optimizer, batches, clear=False)
    assert facts(senders, "gradients_kept") == [(4, True)]  # step 1 has none before it


@pytest.mark.parametrize("to_none", [True, False])
@pytest.mark.parametrize("when", ["before forward", "before backward", "after step"])
def test_gradients_may_be_cleared_anywhere_before_the_backward_pass(net, batches, senders, when, to_none):
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    for x, y in batches:
        if when == "before forward":
            optimizer.zero_grad(set_to_none=to_none)
        loss = F.cross_entropy(net(x), y)
        if when == "before backward":
            net.zero_grad(set_to_none=to_none)
        loss.backward()
        optimizer.step()
        if when == "after step":
            optimizer.zero_grad(set_to_none=to_none)
    assert facts(senders, "gradients_kept") == []


def test_sparse_gradients_and_an_empty_batch_are_no_fault_of_the_inspection(senders):
    model = nn.Embedding(10, 3, sparse=True)
    optimizer = sgd(model)
    run = probe.attach(model, optimizer)
    train(model, optimizer, [(torch.randint(0, 10, (n,)), torch.randint(0, 3, (n,))) for n in (4, 4, 0, 4)])
    assert facts(senders, "gradients_kept") == []
    assert "inspection" not in run._line.watch.guard.faults


def test_accumulated_gradients_are_not_kept_ones(net, batches, senders):
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        for x, y in batches:
            (F.cross_entropy(net(x), y) / 6).backward()
        optimizer.step()
    assert facts(senders, "gradients_kept") == []


def test_the_gradients_that_one_optimizer_of_a_gan_leaves_in_the_others_network_are_no_fault(senders):
    generator, critic = nn.Linear(2, 2), nn.Linear(2, 1)
    both = nn.ModuleDict({"g": generator, "c": critic})
    optimizers = {"c": sgd(critic), "g": sgd(generator)}
    probe.attach(both, optimizers)
    for _ in range(8):
        for name, other in (("c", False), ("g", True)):
            optimizers[name].zero_grad()
            made = generator(torch.randn(4, 2))
            critic(made if other else made.detach()).mean().backward()
            optimizers[name].step()
    assert facts(senders, "gradients_kept") == []


# ------------------------------------------------------------------------------------------------------------ losses


@pytest.mark.parametrize("shape", [(16, 3), (16, 3, 5, 5)])
def test_probabilities_into_cross_entropy_are_said_at_the_second_step(senders, shape):
    model = nn.Conv2d(1, 3, 1) if len(shape) > 2 else nn.Linear(1, 3)
    x = torch.randn(16, 1, 5, 5) if len(shape) > 2 else torch.randn(16, 1)
    y = torch.randint(0, 3, (16, *shape[2:]))
    optimizer = sgd(model)
    probe.attach(model, optimizer)
    train(model, optimizer, [(x, y)] * 4, loss_of=lambda logits, y: nn.CrossEntropyLoss()(logits.softmax(1), y))
    assert facts(senders, "probabilities_into") == [(2, "cross_entropy")]


def test_probabilities_into_binary_cross_entropy_with_logits_are_said_once_they_have_been_there_for_long(senders):
    model = nn.Linear(4, 1)
    optimizer = sgd(model)
    probe.attach(model, optimizer)
    batches = [(torch.randn(16, 4), torch.randint(0, 2, (16, 1)).float())] * 110
    train(model, optimizer, batches, loss_of=lambda z, y: F.binary_cross_entropy_with_logits(z.sigmoid(), y))
    assert facts(senders, "probabilities_into") == [(100, "binary_cross_entropy_with_logits")]


def test_binary_logits_that_lie_between_0_and_1_until_something_is_learned_are_no_probabilities(senders):
    model = nn.Linear(4, 1)
    nn.init.constant_(model.bias, 0.5)
    nn.init.normal_(model.weight, std=0.02)
    optimizer = sgd(model, lr=0.5)
    probe.attach(model, optimizer)
    x = torch.randn(64, 4)
    train(model, optimizer, [(x, (x[:, :1] > 0).float())] * 120, loss_of=F.binary_cross_entropy_with_logits)
    assert facts(senders, "probabilities_into") == []


HARMLESS = {
    "logits": CROSS_ENTROPY,
    "log-probabilities": lambda z, y: F.cross_entropy(z.log_softmax(1), y),
    "probabilities as targets": lambda z, y: F.cross_entropy(z, z.detach().softmax(1)),
    "rectified": lambda z, y: F.cross_entropy(z.relu(), y),
    "binary logits": lambda z, y: F.binary_cross_entropy_with_logits(z[:, 0], (y > 0).float()),
    "zeros": lambda z, y: F.binary_cross_entropy_with_logits(0 * z[:, 0], (y > 0).float()),
}


@pytest.mark.parametrize("loss_of", HARMLESS.values(), ids=HARMLESS)
def test_what_only_resembles_probabilities_is_not_said(net, batches, senders, loss_of):
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    train(net, optimizer, batches, loss_of=loss_of)
    assert facts(senders, "probabilities_into") == []


# ------------------------------------------------------------------------------------------------------------- modes


def test_an_evaluation_in_training_mode_is_said_until_one_is_in_evaluation_mode(net, batches, senders):
    optimizer = sgd(net)
    run = probe.attach(net, optimizer)
    for _ in range(2):
        train(net, optimizer, batches)
        with torch.no_grad():
            F.cross_entropy(net(batches[0][0]), batches[0][1])
    train(net.train(), optimizer, batches)
    net.eval()
    with torch.no_grad():
        F.cross_entropy(net(batches[0][0]), batches[0][1])
    run.detach()
    assert facts(senders, "evaluates_in_train_mode") == [(6, True), (18, False)]


def test_a_pass_without_gradients_and_without_a_loss_is_no_evaluation_in_the_wrong_mode(net, batches, senders):
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    for batch in batches:
        with torch.no_grad():  # as for batch statistics, or for what a generator makes
            net(batch[0])
        train(net, optimizer, [batch])
    assert facts(senders, "evaluates_in_train_mode") == []


def test_the_mode_is_nothing_to_a_model_that_behaves_the_same_in_both(batches, senders):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Dropout(0.0), nn.LayerNorm(3))
    optimizer = sgd(model)
    probe.attach(model, optimizer)
    with torch.no_grad():
        F.cross_entropy(model(batches[0][0]), batches[0][1])
    model.eval()
    train(model, optimizer, batches * 2)
    assert not {"evaluates_in_train_mode", "trains_in_eval_mode"} & set(senders.last.facts())


def test_a_model_left_in_evaluation_mode_is_said_at_a_detailed_step(net, batches, senders):
    optimizer = sgd(net)
    probe.attach(net, optimizer, every=10)
    train(net, optimizer, batches * 2)
    net.eval()  # after step 12, and never back
    train(net, optimizer, batches * 2)
    net.train()
    train(net, optimizer, batches)
    assert facts(senders, "trains_in_eval_mode") == [(20, True), (30, False)]


def test_frozen_normalisation_alone_is_not_evaluation_mode(net, batches, senders):
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    net.eval()
    net.drop.train()
    train(net, optimizer, batches * 4)
    assert facts(senders, "trains_in_eval_mode") == []


# ------------------------------------------------------------------------------------------------------------ groups


def test_trainable_parameters_in_no_group_are_said_and_taken_back_once_they_are_in_one(net, batches, senders):
    net.norm.requires_grad_(requires_grad=False)
    optimizer = sgd(net.head)
    probe.attach(net, optimizer)
    train(net, optimizer, batches[:3])
    optimizer.add_param_group({"params": list(net.conv.parameters())})
    train(net, optimizer, batches[3:])
    assert facts(senders, "ungrouped_parameters") == [(2, 40), (4, 0)]
    assert facts(senders, "ungrouped_layers") == [(2, "conv"), (4, "")]


def test_parameters_that_another_optimizer_moves_are_not_left_out(net, batches, senders):
    optimizer, other = sgd(net.head), sgd(nn.ModuleList([net.conv, net.norm]))
    probe.attach(net, optimizer)
    for batch in batches:
        train(net, optimizer, [batch])
        other.step()
    assert facts(senders, "ungrouped_parameters") == [(2, 0)]


def test_of_many_layers_in_no_group_five_are_named(senders):
    model = nn.Sequential(*[nn.Linear(2, 2, bias=False) for _ in range(8)])
    optimizer = sgd(model[7])
    probe.attach(model, optimizer)
    train(model, optimizer, [(torch.randn(4, 2), torch.tensor([0, 1, 0, 1]))] * 3)
    assert facts(senders, "ungrouped_parameters") == [(2, 28)]
    assert facts(senders, "ungrouped_layers") == [(2, "0, 1, 2, 3, 4 and 2 more")]


# --------------------------------------------------------------------------------------------------------- schedules


SCHEDULERS = {
    "CosineAnnealingLR": (lambda o: CosineAnnealingLR(o, T_max=30), 30.0),
    "StepLR": (lambda o: StepLR(o, step_size=7), 7.0),
    "MultiStepLR": (lambda o: MultiStepLR(o, milestones=[4, 9]), 9.0),
    "OneCycleLR": (lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=50), 50.0),
    "CosineAnnealingWarmRestarts": (lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=8), 8.0),
    "SequentialLR": (lambda o: SequentialLR(o, [LinearLR(o), StepLR(o, 9)], milestones=[2]), None),
    "LambdaLR": (lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 0.9**step), None),
}


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("per", ["step", "epoch"])
@pytest.mark.parametrize("attach_first", [True, False])
def test_a_scheduler_is_stepped_per_step_or_per_epoch(net, batches, senders, name, per, attach_first):
    optimizer = sgd(net)
    make, period = SCHEDULERS[name]
    scheduler = None if attach_first else make(optimizer)
    probe.attach(net, optimizer)
    scheduler = scheduler or make(optimizer)
    for _ in range(4):
        for batch in batches[:3]:
            train(net, optimizer, [batch])
            if per == "step":
                scheduler.step()
        if per == "epoch":
            scheduler.step()
    assert facts(senders, "scheduler_steps_per") == [(3 if per == "step" else 9, per)]
    assert [value for _, value in facts(senders, "scheduler")] == [name]
    assert [value for _, value in facts(senders, "scheduler_period")] == [period]


def test_another_optimizers_scheduler_is_not_this_trainings(net, batches, senders):
    optimizer, other = sgd(net), sgd(nn.Linear(2, 2))
    scheduler = StepLR(other, step_size=7)
    probe.attach(net, optimizer)
    for batch in batches:
        train(net, optimizer, [batch])
        other.step()
        scheduler.step()
    assert not {"scheduler", "scheduler_steps_per"} & set(senders.last.facts())


def test_detach_gives_the_schedulers_back_as_they_were(net):
    before = [cls.__dict__["step"] for cls in (torch.optim.lr_scheduler.LRScheduler, SequentialLR)]
    run = probe.attach(net, sgd(net))
    during = [cls.__dict__["step"] for cls in (torch.optim.lr_scheduler.LRScheduler, SequentialLR)]
    run.detach()
    after = [cls.__dict__["step"] for cls in (torch.optim.lr_scheduler.LRScheduler, SequentialLR)]
    assert all(now is then for now, then in zip(after, before, strict=True))
    assert all(now is not then for now, then in zip(during, before, strict=True))


# ------------------------------------------------------------------------------------------------------------- parts


def test_an_answer_changes_only_when_the_other_was_met_often_enough_in_a_row():
    answer = Settled(2)
    seen = [answer.see(value) for value in (True, False, True, True, True, False, False)]
    assert seen == [False, False, False, True, False, False, True]
    assert answer.value is False


def test_a_fault_in_the_inspection_switches_off_the_inspection_and_nothing_else(net, batches, senders, monkeypatch):
    def fail(*_):
        raise RuntimeError("no")

    optimizer = sgd(net)
    run = probe.attach(net, optimizer)
    monkeypatch.setattr(run._line.watch._inspection, "forward", fail)
    train(net, optimizer, batches)
    assert list(run._line.watch.guard.faults) == ["inspection"]
    assert len(senders.last.values("train/loss")) == len(senders.last.values("grad/norm")) == 6
