"""What is measured of inputs, labels, groups, time and devices, against a second, plainer computation."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import probe
from probe.capture import stages
from probe.collectors.inputs import input_statistics
from probe.collectors.labels import label_mixture

ROOT = Path(__file__).parents[2]


#: A module looks its function up when it is called; a default that is the function itself would not be heard.
CROSS_ENTROPY = nn.CrossEntropyLoss()


def close(values):
    return pytest.approx(values, rel=1e-4, abs=1e-6)


def steps(model, optimizer, batches, loss_of=CROSS_ENTROPY):
    for x, y in batches:
        optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()


def found(reading):
    """What a reading of CPU tensors amounts to."""
    return dict(reading.interpret([tensor.reshape(-1).tolist() for tensor in reading.tensors]).scalars)


# ------------------------------------------------------------------------------------------------------ weight decay


def test_weight_decay_of_every_group_is_said_on_detailed_steps(net, batches, senders):
    groups = [
        {"params": [net.conv.weight], "weight_decay": 0.1, "name": "convolutions"},
        {"params": [net.head.weight]},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    probe.attach(net, optimizer, every=2)
    steps(net, optimizer, batches[:3])
    optimizer.param_groups[1]["weight_decay"] = 0.02
    steps(net, optimizer, batches[3:])
    assert senders.last.series("weight_decay/convolutions") == [(2, 0.1), (4, 0.1), (6, 0.1)]
    assert senders.last.series("weight_decay/1") == [(2, 0.01), (4, 0.02), (6, 0.02)]


def test_an_optimizer_without_weight_decay_has_none(batches, senders):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=1)
    probe.attach(model, optimizer, every=1)

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batches[0][0]), batches[0][1])
        loss.backward()
        return loss

    optimizer.step(closure)
    assert "lr/0" in senders.last.names()
    assert not any(name.startswith("weight_decay") for name in senders.last.names())


# ------------------------------------------------------------------------------------------------------------ inputs


def test_input_statistics_are_those_of_the_batches_of_the_first_ten_steps(senders):
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe.attach(model, optimizer)
    batches = [(20 + 5 * torch.randn(40, 6), torch.randint(0, 3, (40,))) for _ in range(13)]
    steps(model, optimizer, batches)
    first = [x for x, _ in batches[:10]]
    assert senders.last.series("input/min") == [(i, x.min().item()) for i, x in enumerate(first, 1)]
    assert senders.last.series("input/max") == [(i, x.max().item()) for i, x in enumerate(first, 1)]
    assert senders.last.values("input/mean") == close([x.mean().item() for x in first])
    assert senders.last.values("input/std") == close([x.std(unbiased=False).item() for x in first])
    spreads = [x.std(0, unbiased=False) for x in first]
    assert senders.last.values("input/std_ratio") == close([(s.max() / s.min()).item() for s in spreads])


def test_only_the_first_micro_batch_of_a_step_is_looked_at(senders):
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe.attach(model, optimizer)
    for x in (torch.full((2, 4), 3.0), torch.full((2, 4), 9.0)):
        F.cross_entropy(model(x), torch.tensor([0, 1])).backward()
    optimizer.step()
    assert senders.last.series("input/max") == [(1, 3.0)]


def test_the_spread_of_channels_leaves_constant_ones_out():
    images = torch.randn(32, 3, 5, 5) * torch.tensor([1.0, 100.0, 0.0]).view(1, 3, 1, 1) + 0.1
    deviation = images.transpose(0, 1).flatten(1).std(1, unbiased=False)
    assert found(input_statistics(images))["input/std_ratio"] == close((deviation[1] / deviation[0]).item())


def test_few_samples_have_no_spread_and_half_precision_is_not_summed_in_half():
    images = torch.full((31, 1, 64, 64), 300.0, dtype=torch.float16)
    assert found(input_statistics(images)) == {
        "input/min": 300.0,
        "input/max": 300.0,
        "input/mean": close(300.0),
        "input/std": close(0.0),
    }


def test_of_a_large_batch_256_samples_are_looked_at():
    batch = torch.cat([torch.zeros(256, 2), torch.ones(10, 2)])
    assert found(input_statistics(batch))["input/max"] == 0.0


def test_an_input_that_is_not_a_number_shows(senders):
    assert math.isnan(found(input_statistics(torch.tensor([[1.0, math.nan]])))["input/max"])


def test_whole_numbers_are_no_scale():
    assert input_statistics(torch.randint(0, 9, (4, 5))) is None


# ------------------------------------------------------------------------------------------------------------ labels


def test_label_entropy_is_that_of_the_shares_of_the_classes_in_a_batch(net, senders):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    probe.attach(net, optimizer)
    targets = [[0, 0, 0, 0], [0, 1, 2, 2], [0, 1, 1, 1]]
    steps(net, optimizer, [(torch.randn(4, 1, 8, 8), torch.tensor(y)) for y in targets])
    shares = [torch.bincount(torch.tensor(y), minlength=3) / 4 for y in targets]
    expected = [torch.distributions.Categorical(probs=share).entropy().item() for share in shares]
    assert senders.last.values("labels/entropy") == close(expected)
    assert senders.last.values("labels/distinct_frac") == close([1 / 3, 1.0, 2 / 3])


def test_labels_are_looked_at_on_fifty_steps_and_then_on_detailed_ones(net, batches, senders):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    run = probe.attach(net, optimizer, every=10)
    run._line.watch.steps.budget.judge = lambda *_: False  # else a slow machine makes the counts rarer
    steps(net, optimizer, batches * 12)
    assert [step for step, _ in senders.last.series("labels/entropy")] == [*range(1, 51), 60, 70]


def test_a_batch_without_counted_targets_has_no_entropy():
    assert found(label_mixture(torch.zeros(3, 4, dtype=torch.int64))) == {}


# -------------------------------------------------------------------------------------------------------------- time


class Sleeper(nn.Module):
    """Each part of a step takes its own time on a clock that is turned by hand."""

    def __init__(self, clock):
        super().__init__()
        self.linear, self.clock = nn.Linear(4, 2), clock

    def forward(self, x):
        self.clock.now_s += 2.0
        return Slow.apply(self.linear(x), self.clock)


class Slow(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, clock):
        ctx.clock = clock
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        ctx.clock.now_s += 5.0
        return gradient, None


class SlowOptimizer(torch.optim.Optimizer):
    def __init__(self, parameters, clock):
        super().__init__(parameters, {"lr": 0.1})
        self.clock = clock

    def step(self, closure=None):
        if closure is not None:
            closure()
        self.clock.now_s += 0.5


class Clock:
    now_s = 100.0


@pytest.fixture
def slow(monkeypatch):
    """A model and an optimizer whose forward takes 2 s, backward 5 s and step 0.5 s; 0.1 s pass in between."""
    clock = Clock()
    monkeypatch.setattr(stages, "perf_counter", lambda: clock.now_s)
    model = Sleeper(clock)
    return model, SlowOptimizer(model.parameters(), clock), clock


STAGES = ("time/forward_s", "time/backward_s", "time/optimizer_s")


def test_the_seconds_of_a_step_are_split_after_each_detailed_step(slow, senders):
    model, optimizer, clock = slow
    probe.attach(model, optimizer, every=2)
    for _ in range(5):
        optimizer.zero_grad()
        for _ in range(3):  # micro-batches
            loss = F.cross_entropy(model(torch.randn(2, 4)), torch.tensor([0, 1]))
            clock.now_s += 0.1
            loss.backward()
            clock.now_s += 0.1
        with torch.no_grad():
            model(torch.randn(2, 4))
        optimizer.step()
    assert [senders.last.series(key) for key in STAGES] == [
        [(3, close(6.0)), (5, close(6.0))],
        [(3, close(15.0)), (5, close(15.0))],
        [(3, close(0.5)), (5, close(0.5))],
    ]


def test_what_a_closure_runs_inside_the_optimizers_step_is_not_the_optimizers(slow, senders):
    model, optimizer, _ = slow
    probe.attach(model, optimizer, every=1)

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(torch.randn(2, 4)), torch.tensor([0, 1]))
        loss.backward()
        return loss

    for _ in range(2):
        optimizer.step(closure)
    assert [senders.last.series(key) for key in STAGES] == [[(2, close(2.0))], [(2, close(5.0))], [(2, close(0.5))]]


def test_the_parts_of_a_real_step_are_no_longer_than_the_step(net, batches, senders):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    probe.attach(net, optimizer, every=1)
    steps(net, optimizer, batches)
    parts = [senders.last.values(key) for key in STAGES]
    whole = senders.last.values("time/step_s")
    assert len(whole) == 5
    assert all(0 < sum(part) < step_s for *part, step_s in zip(*parts, whole, strict=True))


class FakeEvent:
    """A CUDA event's interface, on a clock that is turned by hand."""

    now_ms, done_ms = 0.0, math.inf

    def __init__(self, *, enable_timing):
        assert enable_timing

    def record(self):
        self.at_ms = FakeEvent.now_ms

    def query(self):
        return self.at_ms <= FakeEvent.done_ms

    def elapsed_time(self, end):
        return end.at_ms - self.at_ms


@pytest.mark.parametrize(("done_ms", "expected"), [(16.0, (0.003, 0.007, 0.006)), (15.9, None)])
def test_on_cuda_events_tell_the_seconds_once_they_have_passed(monkeypatch, done_ms, expected):
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(FakeEvent, "now_ms", 0.0)
    monkeypatch.setattr(FakeEvent, "done_ms", done_ms)
    measured = stages.CudaStages()
    measured.begins(stages.OPTIMIZER)
    for stage, milliseconds in ((stages.FORWARD, 3.0), (stages.BACKWARD, 7.0)):
        measured.begins(stage)
        FakeEvent.now_ms += milliseconds
        measured.ends(stage)
    FakeEvent.now_ms += 6.0
    measured.ends(stages.OPTIMIZER)
    assert found(measured.take()) == ({} if expected is None else close(dict(zip(STAGES, expected, strict=True))))


def test_a_step_of_too_many_micro_batches_is_not_measured():
    measured = stages.Stages()
    for _ in range(2000):
        measured.begins(stages.FORWARD)
        measured.ends(stages.FORWARD)
    assert found(measured.take()) == {}


# -------------------------------------------------------------------------------------------------------- throughput


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(11, 8), nn.Linear(8, 11)

    def forward(self, input_ids, attention_mask=None):
        return self.head(self.embedding(input_ids))


@pytest.mark.parametrize("by_name", [True, False])
def test_throughput_in_tokens_is_that_of_all_micro_batches(senders, by_name):
    model = Words()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe.attach(model, optimizer)
    for _ in range(2):
        for length in (7, 5):
            ids = torch.randint(0, 11, (4, length))
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)) if by_name else model(ids)
            F.cross_entropy(logits.flatten(0, 1), ids.flatten()).backward()
        optimizer.step()
    (_, step_s), (_, tokens), (_, samples) = (
        senders.last.series(key)[0] for key in ("time/step_s", "rate/tokens_per_s", "rate/samples_per_s")
    )
    assert tokens == close((4 * 7 + 4 * 5) / step_s)
    assert samples == close(8 / step_s)


def test_numbers_that_are_no_tokens_have_no_token_rate(net, batches, senders):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    probe.attach(net, optimizer)
    steps(net, optimizer, batches)
    assert "rate/samples_per_s" in senders.last.names()
    assert "rate/tokens_per_s" not in senders.last.names()


# ------------------------------------------------------------------------------------------------ devices and pages


def test_without_a_cuda_device_the_driver_is_not_asked(net, batches, senders):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    probe.attach(net, optimizer, every=1)
    steps(net, optimizer, batches)
    assert "memory/rss_bytes" in senders.last.names()
    assert not any(name.startswith("gpu/") for name in senders.last.names())


@pytest.mark.parametrize("page", ["wire.md", "probe.md"])
def test_every_key_of_a_training_stands_in_the_reference_with_its_unit(net, batches, senders, page):
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    run = probe.attach(net, optimizer, every=1)
    for x, y in batches:
        optimizer.zero_grad()
        CROSS_ENTROPY(net(x), y).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    run.log(reward=1.0)
    with torch.no_grad():
        CROSS_ENTROPY(net(batches[0][0]), batches[0][1])
    run.detach()
    general = {"lr/0": "lr/GROUP", "weight_decay/0": "weight_decay/GROUP", "user/reward": "user/NAME"}
    keys = {general.get(key, key) for key in senders.last.names()}
    described = (ROOT / "docs" / "reference" / page).read_text()
    assert len(keys) >= 20
    assert [key for key in sorted(keys) if f"`{key}`" not in described] == []
