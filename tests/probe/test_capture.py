"""What the two lines see, in the shapes that real loops have. Expectations come from the loop's own loss.item()."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as everybody calls it
from loops import close, sgd, train
from torch import nn
from torch.nn.functional import cross_entropy as imported_cross_entropy

import probe
from probe.capture import losses


# Functions look the loss up when they are called, as a loop does; the test module's own name is rebound too.
def functional(logits, y):
    return F.cross_entropy(logits, y)


def from_import(logits, y):
    return imported_cross_entropy(logits, y)


CLASSIFICATION = {
    "nn.CrossEntropyLoss": nn.CrossEntropyLoss(),
    "F.cross_entropy": functional,
    "from-import": from_import,
    "label smoothing": nn.CrossEntropyLoss(label_smoothing=0.1),
    "class weights": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0])),
    "nll over log_softmax": lambda logits, y: F.nll_loss(F.log_softmax(logits, 1), y),
    "mean of unreduced": lambda logits, y: F.cross_entropy(logits, y, reduction="none").mean(),
}


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_training_loss_is_what_the_loop_printed(net, batches, senders, name):
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    printed = train(net, optimizer, batches, CLASSIFICATION[name])
    assert senders.last.series("train/loss") == [(step, close(loss)) for step, loss in enumerate(printed, 1)]


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_validation_loss_and_accuracy_are_seen_at_the_last_training_step(net, batches, senders, name):
    optimizer = sgd(net)
    run = probe.attach(net, optimizer)
    train(net, optimizer, batches, CLASSIFICATION[name])
    net.eval()
    with torch.no_grad():
        logits, y = net(batches[0][0]), batches[0][1]
        expected = CLASSIFICATION[name](logits, y).item()
    run.detach()
    right = (logits.argmax(1) == y).float().mean().item()
    assert senders.last.series("val/loss") == [(6, close(expected))]
    assert senders.last.series("val/accuracy") == [(6, close(right))]


def test_validation_is_weighted_by_samples_with_a_ragged_last_batch(net, batches, senders):
    optimizer, criterion = sgd(net), nn.CrossEntropyLoss()
    run = probe.attach(net, optimizer)
    train(net, optimizer, batches, criterion)
    x = torch.cat([x for x, _ in batches])[:37]
    y = torch.cat([y for _, y in batches])[:37]
    net.eval()
    with torch.inference_mode():
        for start in range(0, 37, 16):
            criterion(net(x[start : start + 16]), y[start : start + 16])
        whole = net(x)
    run.detach()
    twice = F.cross_entropy(whole, y).item()  # after detach: not heard
    assert senders.last.values("val/loss") == [close(twice)]
    assert senders.last.values("val/accuracy") == [close((whole.argmax(1) == y).float().mean().item())]


def test_an_evaluation_before_the_first_step_belongs_to_step_zero(net, batches, senders):
    optimizer, criterion = sgd(net), nn.CrossEntropyLoss()
    probe.attach(net, optimizer)
    with torch.no_grad():
        before = criterion(net(batches[0][0]), batches[0][1]).item()
    train(net, optimizer, batches, criterion)
    assert senders.last.series("val/loss") == [(0, close(before))]
    assert [step for step, _ in senders.last.rows()] == [0, 1, 2, 3, 4, 5, 6]


def test_a_validation_loss_with_other_settings_is_another_term(net, batches, senders):
    optimizer = sgd(net)
    run = probe.attach(net, optimizer)
    train(net, optimizer, batches, nn.CrossEntropyLoss(label_smoothing=0.1))
    with torch.no_grad():
        expected = F.cross_entropy(net(batches[0][0]), batches[0][1]).item()
    run.detach()
    assert senders.last.values("val/cross_entropy") == [close(expected)]
    assert "val/loss" not in senders.last.names()


def test_a_sum_of_terms_gives_each_term_and_its_twin(net, batches, senders):
    optimizer = sgd(net)
    run = probe.attach(net, optimizer)
    terms = []

    def loss_of(logits, y):
        with torch.no_grad():  # for the list below; made without a gradient, it is no term of the loss
            terms.append(F.cross_entropy(logits, y).item())
        return F.cross_entropy(logits, y) + 0.1 * F.mse_loss(logits, torch.zeros_like(logits))

    printed = train(net, optimizer, batches, loss_of)
    with torch.no_grad():
        F.cross_entropy(net(batches[0][0]), batches[0][1])
    run.detach()
    assert senders.last.values("train/loss") == close(printed)
    assert senders.last.values("train/cross_entropy") == close(terms)
    assert senders.last.names() >= {"train/mse_loss", "val/cross_entropy"}
    assert "val/loss" not in senders.last.names()


@pytest.mark.parametrize("divide", [True, False])
def test_accumulated_micro_batches_are_averaged(net, batches, senders, divide):
    optimizer, criterion = sgd(net), nn.CrossEntropyLoss()
    probe.attach(net, optimizer)
    printed = []
    for i, (x, y) in enumerate(batches):
        loss = criterion(net(x), y)
        printed.append(loss.item())
        (loss / 3 if divide else loss).backward()
        if i % 3 == 2:
            optimizer.step()
            optimizer.zero_grad()
    assert senders.last.values("train/loss") == close([sum(printed[:3]) / 3, sum(printed[3:]) / 3])


def test_sums_that_are_divided_by_a_constant_are_added_up(net, batches, senders):
    """Hugging Face divides the summed loss of each micro-batch by the items of all of them."""
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    printed = []
    for x, y in batches[:3]:
        loss = F.cross_entropy(net(x), y, reduction="sum") / 48
        loss.backward()
        printed.append(loss.item())
    optimizer.step()
    assert senders.last.values("train/loss") == close([sum(printed)])


def test_two_backward_passes_over_one_forward_add_up(net, batches, senders):
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    x, y = batches[0]
    logits = net(x)
    first, second = F.cross_entropy(logits, y), logits.square().mean()
    first.backward(retain_graph=True)
    second.backward()
    optimizer.step()
    assert senders.last.values("train/loss") == close([first.item() + second.item()])


def test_the_first_pass_of_an_lbfgs_closure_is_the_loss(batches, senders):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    probe.attach(model, optimizer)
    x, y = batches[0]
    seen = []

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        seen.append(loss.item())
        return loss

    firsts = []
    for _ in range(2):
        firsts.append(len(seen))
        optimizer.step(closure)
    assert len(seen) > 4
    assert senders.last.values("train/loss") == close([seen[i] for i in firsts])


def test_the_scale_of_amp_is_not_in_the_loss_nor_in_the_norm(net, batches, senders):
    optimizer, criterion = sgd(net), nn.CrossEntropyLoss()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    probe.attach(net, optimizer)
    printed, norms = [], []
    for x, y in batches:
        optimizer.zero_grad()
        loss = criterion(net(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        norms.append(math.sqrt(sum(p.grad.square().sum().item() for p in net.parameters())))
        scaler.step(optimizer)
        scaler.update()
        printed.append(loss.item())
    assert senders.last.values("train/loss") == close(printed)
    assert senders.last.values("grad/norm") == close(norms)
    assert senders.last.values("amp/scale") == [1024.0] * 6
    assert senders.last.values("amp/skipped_total") == [0.0] * 6


def test_a_step_that_amp_skips_only_raises_the_count(net, batches, senders):
    optimizer = sgd(net)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    probe.attach(net, optimizer)
    printed = []
    for i, (x, y) in enumerate(batches):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        scaler.scale(loss).backward()
        if i == 2:
            net.head.weight.grad[0, 0] = math.inf
        scaler.step(optimizer)
        scaler.update()
        printed.append(loss.item())
    assert senders.last.series("train/loss") == [(s, close(v)) for s, v in enumerate(printed[:2] + printed[3:], 1)]
    assert senders.last.values("amp/skipped_total") == [0.0, 0.0, 1.0, 1.0, 1.0]
    assert senders.last.values("amp/scale") == [64.0, 64.0, 32.0, 32.0, 32.0]


def test_a_loss_on_a_device_is_kept_as_it_was_when_the_loop_divides_it_in_place():
    """Its value comes to the host later. A tensor that shares its numbers counts the changes that are made to it."""
    x, y = torch.ones(4, device="meta"), torch.ones(4, device="meta", requires_grad=True)
    loss = F.mse_loss(x, y)
    kept = [
        losses.read_loss("mse_loss", (x, y), {}, loss, count=False),
        losses.read_criterion("Own", (x, y), loss, [], count=False),
        losses.read_model_loss(loss, 4),
    ]
    loss /= 4
    assert loss._version == 1
    assert [call.value._version for call in kept] == [0, 0, 0]


class WithLoss(nn.Module):
    """Returns a dictionary with its own loss, as the models of Hugging Face do."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, images, labels=None):
        logits = self.layer(images.flatten(1))
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


def test_the_loss_that_a_model_returns_is_seen_in_training_and_validation(batches, senders):
    model = WithLoss()
    optimizer = sgd(model)
    run = probe.attach(model, optimizer)
    printed = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = model(images=x, labels=y)["loss"]
        loss.backward()
        optimizer.step()
        printed.append(loss.item())
    with torch.no_grad():
        expected = model(images=batches[0][0], labels=batches[0][1])
    run.detach()
    right = (expected["logits"].argmax(1) == batches[0][1]).float().mean().item()
    assert senders.last.values("train/loss") == close(printed)
    assert senders.last.values("val/loss") == close([expected["loss"].item()])
    assert senders.last.values("val/accuracy") == close([right])
    assert not {key for key in senders.last.names() if key.endswith("cross_entropy")}


class Focal(nn.Module):
    def forward(self, logits, target):
        p = logits.log_softmax(1).gather(1, target[:, None]).squeeze(1)
        return (-((1 - p.exp()) ** 2) * p).mean()


def focal_function(logits, target):
    return Focal()(logits, target)


@pytest.mark.parametrize(("criterion", "name"), [(Focal(), "Focal"), (focal_function, "focal_function")])
def test_a_criterion_of_ones_own_gives_loss_accuracy_and_validation(net, batches, senders, criterion, name):
    optimizer = sgd(net)
    run = probe.attach(net, optimizer, criterion)

    def call(logits, y):
        return criterion(logits, y) if isinstance(criterion, nn.Module) else focal_function(logits, y)

    printed = train(net, optimizer, batches, call)
    with torch.no_grad():
        expected = call(net(batches[0][0]), batches[0][1]).item()
    run.detach()
    assert senders.last.values("train/loss") == close(printed)
    assert senders.last.values("val/loss") == close([expected])
    assert len(senders.last.values("train/accuracy")) == 6
    assert senders.last.facts()["criterion"] == name


def test_a_loss_without_a_known_function_is_seen_at_its_root(net, batches, senders):
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    printed = train(net, optimizer, batches, Focal())
    assert senders.last.values("train/loss") == close(printed)
    assert "train/accuracy" not in senders.last.names()


def test_binary_targets_give_two_classes(batches, senders):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    optimizer, criterion = sgd(model), nn.BCEWithLogitsLoss()
    probe.attach(model, optimizer)
    pairs = [(x, (y > 0).float()[:, None]) for x, y in batches]
    rights = []

    def loss_of(logits, y):
        rights.append(((logits > 0) == (y > 0.5)).float().mean().item())
        return criterion(logits, y)

    printed = train(model, optimizer, pairs, loss_of)
    assert senders.last.values("train/loss") == close(printed)
    assert senders.last.values("train/accuracy") == close(rights)
    facts = senders.last.facts()
    facts.pop("memory_limit_bytes", None)  # the machine's, where there is one
    assert facts == {
        "optimizers": 1,
        "objective": "binary_cross_entropy",
        "criterion": "binary_cross_entropy_with_logits",
        "classes": 2,
        "batch_size": 16,
    }


def test_a_regression_has_no_accuracy(batches, senders):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    optimizer = sgd(model, 0.01)
    probe.attach(model, optimizer)
    printed = train(model, optimizer, [(x, x.mean((2, 3))) for x, _ in batches], nn.MSELoss())
    assert senders.last.values("train/loss") == close(printed)
    assert "train/accuracy" not in senders.last.names()
    assert senders.last.facts()["objective"] == "mse"


def test_that_a_loss_is_a_sum_over_the_batch_is_a_fact(net, batches, senders):
    optimizer = sgd(net, 0.001)
    probe.attach(net, optimizer)
    printed = train(net, optimizer, batches, nn.CrossEntropyLoss(reduction="sum"))
    assert senders.last.values("train/loss") == close(printed)
    assert senders.last.facts()["reduction"] == "sum"


def test_a_loss_with_its_sign_turned_stands_beside_its_term(net, batches, senders):
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    printed = train(net, optimizer, batches, lambda logits, y: -F.cross_entropy(logits, y))
    assert senders.last.values("train/loss") == close(printed)
    assert senders.last.values("train/cross_entropy") == close([-loss for loss in printed])


class Gan(nn.Module):
    """Holds two networks together and has no forward of its own."""

    def __init__(self):
        super().__init__()
        self.g = nn.Linear(4, 8)
        self.d = nn.Linear(8, 1)


def test_of_two_optimizers_the_first_counts_the_steps(senders):
    model = Gan()
    opt_g, opt_d = sgd(model.g, 0.1), sgd(model.d, 0.2)
    probe.attach(model, {"g": opt_g, "d": opt_d})
    g_losses, d_losses = [], []
    ones, zeros = torch.ones(8, 1), torch.zeros(8, 1)
    for _ in range(3):
        opt_d.zero_grad()
        real = F.binary_cross_entropy_with_logits(model.d(torch.randn(8, 8)), ones)
        fake = F.binary_cross_entropy_with_logits(model.d(model.g(torch.randn(8, 4)).detach()), zeros)
        (real + fake).backward()
        opt_d.step()
        opt_g.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model.d(model.g(torch.randn(8, 4))), ones)
        loss.backward()
        opt_g.step()
        d_losses.append((real + fake).item())
        g_losses.append(loss.item())
    assert senders.last.series("train/loss") == [(step, close(loss)) for step, loss in enumerate(g_losses, 1)]
    assert senders.last.values("train/loss/d") == close(d_losses)
    assert senders.last.values("lr/g/0") == [0.1] * 3
    assert senders.last.values("lr/d/0") == [0.2] * 3
    assert "train/accuracy" not in senders.last.names()
    assert senders.last.facts()["optimizers"] == 2
