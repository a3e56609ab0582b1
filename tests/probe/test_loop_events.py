"""What a loop does beside learning, as the two lines see it: clipping, schedules, epochs, phases, its own numbers."""

import contextlib
import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from loops import close, sgd, train
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import probe
from monitor.rows import confused_of


def test_the_norm_is_taken_before_clipping_and_after(net, batches, senders):
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    before, after = [], []
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        before.append(nn.utils.clip_grad_norm_(net.parameters(), 0.5).item())
        after.append(math.sqrt(sum(p.grad.square().sum().item() for p in net.parameters())))
        optimizer.step()
    assert senders.last.values("grad/norm") == close(before)
    assert senders.last.values("grad/norm_applied") == close(after)


def test_clipping_by_value_is_measured_before_and_after(net, batches, senders):
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    norms = []
    F.cross_entropy(net(batches[0][0]), batches[0][1]).backward()
    for limit in (math.inf, 0.01):
        nn.utils.clip_grad_value_(net.parameters(), limit) if limit < 1 else None
        norms.append(math.sqrt(sum(p.grad.square().sum().item() for p in net.parameters())))
    optimizer.step()
    assert senders.last.values("grad/norm") == close(norms[:1])
    assert senders.last.values("grad/norm_applied") == close(norms[1:])


def test_the_learning_rate_is_the_one_that_the_step_used(net, batches, senders):
    optimizer = torch.optim.SGD(
        [{"params": net.conv.parameters(), "lr": 0.1, "name": "conv"}, {"params": net.head.parameters()}], lr=0.2
    )
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    probe.attach(net, optimizer)
    for x, y in batches[:3]:
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
        scheduler.step()
    assert senders.last.values("lr/conv") == [0.1, 0.05, 0.025]
    assert senders.last.values("lr/1") == [0.2, 0.1, 0.05]
    assert [group.name for group in senders.last.hello.groups] == ["conv", "1"]


def test_a_metric_on_the_side_and_a_forward_that_is_not_learned_from_change_nothing(net, batches, senders):
    optimizer = sgd(net)
    probe.attach(net, optimizer, every=3)
    printed = []
    for x, y in batches:
        optimizer.zero_grad()
        logits = net(x)
        with torch.no_grad():
            F.mse_loss(logits, torch.zeros_like(logits))
        loss = F.cross_entropy(logits, y)
        loss.backward()
        optimizer.step()
        printed.append(loss.item())
        net.eval()
        F.cross_entropy(net(x), 2 - y)  # an evaluation that left gradients on
        net.train()
    assert senders.last.values("train/loss") == close(printed)
    assert [(step, sum(total)) for step, _, total, _ in senders.last.classes("train")] == [(3, 48), (6, 48)]
    assert not {key for key in senders.last.names() if key.startswith(("val/", "train/mse"))}


def test_class_counts_are_those_of_a_plain_count(net, batches, senders):
    optimizer = sgd(net)
    run = probe.attach(net, optimizer, every=3, classes=["a", "b", "c"])
    predictions, targets = [], []

    def loss_of(logits, y):
        predictions.append(logits.argmax(1))
        targets.append(y)
        return F.cross_entropy(logits, y)

    train(net, optimizer, batches, loss_of)
    net.eval()
    with torch.no_grad():
        for x, y in batches[:2]:
            loss_of(net(x), y)
    run.detach()

    def plain(part):
        p, t = torch.cat(predictions[part]).tolist(), torch.cat(targets[part]).tolist()
        return (
            [sum(a == b == k for a, b in zip(p, t, strict=True)) for k in range(3)],
            [t.count(k) for k in range(3)],
            [p.count(k) for k in range(3)],
        )

    assert senders.last.classes("train") == [(3, *plain(slice(0, 3))), (6, *plain(slice(3, 6)))]
    assert senders.last.classes("val") == [(6, *plain(slice(6, 8)))]


def test_a_validation_tells_which_class_was_taken_for_which_and_training_does_not(net, batches, senders):
    optimizer = sgd(net)
    run = probe.attach(net, optimizer, every=3)
    train(net, optimizer, batches, F.cross_entropy)
    taken = torch.zeros(3, 3, dtype=torch.long)
    net.eval()
    with torch.no_grad():
        for x, y in batches:
            logits = net(x)
            F.cross_entropy(logits, y)
            for target, predicted in zip(y.tolist(), logits.argmax(1).tolist(), strict=True):
                taken[target, predicted] += target != predicted
    run.detach()

    training, validation = (
        [c for c in senders.last.batch().classes if c.split == split] for split in ("train", "val")
    )
    assert [confused_of(counts) for counts in training] == [None, None]
    assert [confused_of(counts).tolist() for counts in validation] == [taken.tolist()]
    assert taken.sum() > 0


def test_epochs_are_passes_over_the_training_loader_only(net, batches, senders):
    data = TensorDataset(torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches]))
    loader, val_loader = DataLoader(data, batch_size=32), DataLoader(data, batch_size=48)
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    for _ in range(2):
        train(net, optimizer, loader, F.cross_entropy)
        with torch.no_grad():
            for x, y in val_loader:
                F.cross_entropy(net(x), y)
    train(net, optimizer, loader, F.cross_entropy)
    epochs = [(fact.step, fact.value) for fact in senders.last.batch().facts if fact.name == "epoch"]
    assert epochs == [(0, 1), (3, 2), (6, 3)]
    assert senders.last.series("val/loss")[0][0] == 3


def test_a_pass_over_the_loader_that_had_begun_before_attach_is_the_first_epoch(net, batches, senders):
    data = TensorDataset(torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches]))
    loader = DataLoader(data, batch_size=32)
    optimizer = sgd(net)
    begun = iter(loader)
    probe.attach(net, optimizer)
    train(net, optimizer, begun, F.cross_entropy)
    train(net, optimizer, loader, F.cross_entropy)
    assert [(fact.step, fact.value) for fact in senders.last.batch().facts if fact.name == "epoch"] == [
        (0, 1),
        (3, 2),
    ]


def test_step_times_leave_evaluation_out_and_count_samples(net, batches, senders, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("probe.capture.clock.perf_counter", lambda: now[0])
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    for i, (x, y) in enumerate(batches[:3]):
        now[0] += 1.0  # before the forward pass
        logits = net(x)
        now[0] += 3.0
        optimizer.zero_grad()
        F.cross_entropy(logits, y).backward()
        optimizer.step()
        if i == 1:
            with torch.no_grad():
                net(x)
                now[0] += 100.0
    assert senders.last.series("time/step_s") == [(2, 4.0), (3, 3.0)]
    assert senders.last.series("rate/samples_per_s") == [(2, 4.0), (3, 16 / 3)]
    assert senders.last.values("time/data_s") == [1.0, 0.0]


def test_a_loss_that_is_nan_arrives_as_nan(net, batches, senders):
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    train(net, optimizer, [(batches[0][0] * math.nan, batches[0][1])], F.cross_entropy)
    assert math.isnan(senders.last.values("train/loss")[0])
    assert math.isnan(senders.last.values("grad/norm")[0])


def test_marks_and_resumption_stand_on_the_time_axis(net, senders):
    run = probe.attach(net, sgd(net), step=40, resume="0badcafe")
    run.mark("curriculum stage 2")
    marks = [(mark.step, mark.text, mark.kind) for mark in senders.last.batch().marks]
    assert marks == [(40, "resumed from 0badcafe", "resume"), (40, "curriculum stage 2", "user")]


def test_the_phase_follows_the_loop(net, batches, senders):
    optimizer = sgd(net)
    probe.attach(net, optimizer)
    phases = [senders.last.heartbeat().phase.value]
    train(net, optimizer, batches[:1], F.cross_entropy)
    phases.append(senders.last.heartbeat().phase.value)
    with torch.no_grad():
        net(batches[0][0])
    phases.append(senders.last.heartbeat().phase.value)

    class Sink:
        def write(self, _data):
            phases.append(senders.last.heartbeat().phase.value)

        def flush(self): ...

    net(batches[0][0])
    torch.save(net.state_dict(), Sink())
    phases = [*dict.fromkeys(phases), senders.last.heartbeat().phase.value]
    assert phases == ["starting", "training", "evaluating", "checkpointing", "training"]


def test_a_body_that_raises_says_goodbye_with_the_exception(net, senders):
    with contextlib.suppress(ValueError), probe.attach(net, sgd(net)):
        raise ValueError("bad batch")
    goodbye = senders.last.goodbye
    assert (goodbye.reason, goodbye.error, goodbye.exit_code) == ("exception", "ValueError: bad batch", 1)
    assert goodbye.traceback.endswith("ValueError: bad batch\n")


@pytest.mark.parametrize(("code", "reason", "exit_code"), [(3, "exit", 3), (0, "finished", 0), ("no", "exit", 1)])
def test_a_body_that_exits_says_goodbye_with_its_code(net, senders, code, reason, exit_code):
    with contextlib.suppress(SystemExit), probe.attach(net, sgd(net)):
        raise SystemExit(code)
    assert (senders.last.goodbye.reason, senders.last.goodbye.exit_code) == (reason, exit_code)
