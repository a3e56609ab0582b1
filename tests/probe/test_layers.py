"""Per-layer statistics against a second, plainer computation."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import probe


def close(values):
    return pytest.approx(values, rel=2e-4, abs=1e-6)


def one_step(model, x, y, loss_of=F.cross_entropy, clip=None, lr=0.1, every=1):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    probe.attach(model, optimizer, every=every)
    loss_of(model(x), y).backward()
    norms = {name: p.grad.norm().item() for name, p in model.named_parameters() if p.grad is not None}
    if clip:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return norms


def small():
    """Every output has fewer than 1024 elements, so the sample is the whole."""
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.fixture
def data():
    return torch.randn(40, 6), torch.randint(0, 3, (40,))


def test_the_layers_are_the_modules_that_own_parameters(senders):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2, bias=False))
    model[1].requires_grad_(requires_grad=False)
    probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1))
    layers = [(layer.name, layer.kind, layer.parameters, layer.trainable) for layer in senders.last.hello.layers]
    assert layers == [("0", "Conv2d", 20, True), ("1", "BatchNorm2d", 4, False), ("4", "Linear", 4, True)]


def test_a_shared_parameter_belongs_to_its_first_layer(senders):
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert [layer.name for layer in senders.last.hello.layers] == ["0"]


@pytest.mark.parametrize("clip", [None, 0.1])
def test_gradient_norms_per_layer_are_those_before_clipping(senders, data, clip):
    norms = one_step(small(), *data, clip=clip)
    expected = {name: math.hypot(norms[f"{name}.weight"], norms[f"{name}.bias"]) for name in ("0", "2")}
    assert senders.last.layer("grad_norm", 1) == close(expected)


def test_weight_norm_and_update_ratio(senders, data):
    model = small()
    before = {name: torch.cat([p.detach().flatten() for p in model[int(name)].parameters()]) for name in ("0", "2")}
    one_step(model, *data)
    after = {name: torch.cat([p.detach().flatten() for p in model[int(name)].parameters()]) for name in ("0", "2")}
    assert senders.last.layer("weight_norm", 1) == close({name: after[name].norm().item() for name in after})
    ratio = {name: ((after[name] - before[name]).norm() / before[name].norm()).item() for name in after}
    assert senders.last.layer("update_ratio", 1) == close(ratio)


def test_the_update_ratio_of_large_weights_comes_from_a_sample(senders):
    model = nn.Linear(300, 100, bias=False)
    before = model.weight.detach().clone()
    one_step(model, torch.randn(64, 300), torch.randint(0, 100, (64,)), lr=5.0)
    exact = ((model.weight.detach() - before).norm() / before.norm()).item()
    assert senders.last.layer("update_ratio", 1)["Linear"] == pytest.approx(exact, rel=0.15)


def test_no_update_ratio_where_the_weights_are_zero(senders):
    model = nn.Linear(2, 2)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    one_step(model, torch.randn(4, 2), torch.zeros(4, dtype=torch.long))
    assert senders.last.layer("update_ratio", 1) == {}


@pytest.mark.parametrize("inplace", [False, True])
def test_activation_mean_and_deviation_are_of_the_layers_own_output(senders, data, inplace):
    model = small()
    model[1] = nn.ReLU(inplace=inplace)
    with torch.no_grad():
        first = model[0](data[0])
        last = model[2](F.relu(first))
    one_step(model, *data)
    assert senders.last.layer("act_mean", 1) == close({"0": first.mean().item(), "2": last.mean().item()})
    deviation = {"0": first.std(unbiased=False).item(), "2": last.std(unbiased=False).item()}
    assert senders.last.layer("act_std", 1) == close(deviation)


class Functional(nn.Module):
    """The same network with the rectifier as a function."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, x):
        return self.layers[2](F.relu(self.layers[0](x)))


@pytest.mark.parametrize("wrap", [lambda model: model, Functional], ids=["nn.ReLU", "F.relu"])
def test_zeros_and_dead_units_are_credited_to_the_layer_before_the_rectifier(senders, data, wrap):
    model = small()
    with torch.no_grad():
        model[0].bias[:3] = -100.0
        rectified = F.relu(model[0](data[0]))
    one_step(wrap(model), *data)
    prefix = "layers." if wrap is Functional else ""
    assert senders.last.layer("dead_frac", 1) == close({f"{prefix}0": 3 / 8})
    zeros = senders.last.layer("act_zero_frac", 1)
    assert zeros == close({f"{prefix}0": (rectified == 0).float().mean().item(), f"{prefix}2": 0.0})


def test_an_input_that_is_no_rectifiers_is_not_taken_for_one(senders, data):
    model = nn.Sequential(nn.Linear(6, 8), nn.Softplus(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 3))
    one_step(model, *data)
    assert all("dead_frac" not in stats.stats for stats in senders.last.batch().layers)


class Convolutional(nn.Module):
    def __init__(self, *, as_function):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4 * 16, 3)
        self.act = F.relu if as_function else nn.ReLU(inplace=True)

    def forward(self, x):
        return self.head(F.max_pool2d(self.act(self.conv(x)), 2).flatten(1))


@pytest.mark.parametrize("as_function", [True, False])
def test_a_channel_is_dead_if_it_is_zero_in_all_of_space(senders, as_function):
    model = Convolutional(as_function=as_function)
    with torch.no_grad():
        model.conv.bias[1] = -100.0
    one_step(model, torch.randn(32, 1, 8, 8), torch.randint(0, 3, (32,)))
    assert senders.last.layer("dead_frac", 1) == {"conv": 0.25}


def test_small_batches_are_taken_together_until_there_are_32_samples(senders):
    model = small()
    with torch.no_grad():
        model[0].bias[:2] = -100.0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    probe.attach(model, optimizer, every=1)
    for _ in range(8):
        F.cross_entropy(model(torch.randn(8, 6)), torch.zeros(8, dtype=torch.long)).backward()
        optimizer.step()
    steps = [stats.step for stats in senders.last.batch().layers if "dead_frac" in stats.stats]
    assert steps == [4, 8]
    assert senders.last.layer("dead_frac", 4) == {"0": 0.25}


@pytest.mark.parametrize(("squash", "beyond"), [(nn.Tanh(), 50.0), (nn.Sigmoid(), 50.0)])
def test_saturated_units_are_those_beyond_the_bend_nearly_always(senders, data, squash, beyond):
    model = nn.Sequential(nn.Linear(6, 8), squash, nn.Linear(8, 3))
    with torch.no_grad():
        model[0].bias[:2] = beyond
        model[0].bias[2:4] = -beyond
    one_step(model, *data)
    assert senders.last.layer("saturated_frac", 1) == {"0": 0.5}


def test_norms_of_sharded_parameters_are_not_read_and_that_is_said(senders, data):
    model = small()
    model[0].weight.device_mesh = "a mesh"  # what marks a DTensor
    one_step(model, *data)
    assert {"train/loss", "lr/0"} <= senders.last.names()
    assert "grad/norm" not in senders.last.names()
    assert not {"grad_norm", "weight_norm"} & set(senders.last.batch().layers[0].stats)
    assert senders.last.facts()["hidden"] == (
        "Gradient and weight norms are not available: the parameters are sharded over ranks."
    )


def test_layers_are_looked_at_each_nth_step_and_never_in_an_evaluation(senders, data):
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe.attach(model, optimizer, every=3)
    x, y = data
    for _ in range(7):
        with torch.no_grad():
            F.cross_entropy(model(1000 * x), y)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert [stats.step for stats in senders.last.batch().layers] == [3, 6]
    assert abs(senders.last.layer("act_mean", 6)["0"]) < 10


def test_hooks_stand_on_the_leaves_only_for_the_step_that_is_measured(data):
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe.attach(model, optimizer, every=2)
    standing = []
    for _ in range(4):
        standing.append(len(model[0]._forward_hooks))
        F.cross_entropy(model(data[0]), data[1]).backward()
        optimizer.step()
    assert standing == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("shape", "classes", "ignore"), [((50, 4), 4, -100), ((6, 5, 3, 3), 5, 2), ((2, 3, 7), 3, -100)]
)
def test_class_counts_on_host_and_on_device_are_those_of_a_plain_count(shape, classes, ignore):
    from probe.collectors.classes import count_categories, count_on_device

    logits = torch.randn(shape)
    target = torch.randint(0, classes, (shape[0], *shape[2:]))
    target.view(-1)[0] = -100
    predicted = logits.argmax(1).reshape(-1)
    pairs = [
        (p, t)
        for p, t in zip(predicted.tolist(), target.reshape(-1).tolist(), strict=True)
        if t not in (-100, ignore)
    ]
    expected = [
        [sum(p == t == k for p, t in pairs) for k in range(classes)],
        [sum(t == k for _, t in pairs) for k in range(classes)],
        [sum(p == k for p, _ in pairs) for k in range(classes)],
    ]
    assert count_categories(logits, target, ignore).tolist() == expected
    assert count_on_device(predicted, target.reshape(-1), classes, ignore).tolist() == expected

    matrix = [[sum((t, p) == (row, column) for p, t in pairs) for column in range(classes)] for row in range(classes)]
    assert count_categories(logits, target, ignore, pairs=True).tolist() == matrix
    assert count_on_device(predicted, target.reshape(-1), classes, ignore, pairs=True).tolist() == matrix


def test_of_more_than_64_classes_each_is_counted_and_no_pairs():
    from probe.collectors import confusion
    from probe.collectors.classes import count_categories
    from probe.wire import PAIRED_CLASSES

    assert confusion.MAX_CLASSES == PAIRED_CLASSES == 64
    target = torch.arange(65)
    assert count_categories(torch.eye(65), target, -100, pairs=True).tolist() == [[1] * 65] * 3
    assert count_categories(torch.eye(64), target[:64], -100, pairs=True).tolist() == torch.eye(64).tolist()


def test_soft_targets_and_too_many_classes_are_not_counted():
    from probe.collectors.classes import count_binary, count_categories

    assert count_categories(torch.randn(4, 3), torch.rand(4, 3), -100) is None
    assert count_categories(torch.randn(4, 1001), torch.zeros(4, dtype=torch.long), -100) is None
    assert count_binary(torch.randn(4, 3), torch.rand(4, 3), 0.0) is None


@pytest.mark.parametrize("size", [10, 1023, 1024, 2048, 5000, 65536])
def test_a_sample_is_even_and_does_not_keep_step_with_powers_of_two(size):
    from probe.collectors.sampling import sample

    taken = sample(torch.arange(float(size)))
    assert len(taken) == min(size, 1024)
    if size >= 4096:
        assert set((taken.long() % 2).tolist()) == {0, 1}


def test_a_channels_last_tensor_is_sampled_without_a_copy():
    from probe.collectors.sampling import sample

    images = torch.randn(8, 16, 8, 8).to(memory_format=torch.channels_last)
    assert sample(images).untyped_storage().data_ptr() == images.untyped_storage().data_ptr()
