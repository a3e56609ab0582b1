"""Layers in other precisions, quantised ones, and those whose output is not what a layer's mostly is."""

import math
import weakref

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import probe
from probe.collectors.gradients import norms


def close(values):
    return pytest.approx(values, rel=2e-4, abs=1e-6)


def one_step(model, x, y, lr=0.1):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=lr)
    probe.attach(model, optimizer, every=1)
    F.cross_entropy(model(x), y).backward()
    optimizer.step()


@pytest.fixture
def data():
    return torch.randn(40, 6), torch.randint(0, 3, (40,))


class Copies(TorchDispatchMode):
    """The most float32 tensors of a size or more that are alive at one moment."""

    def __init__(self, size):
        super().__init__()
        self.most, self._size, self._alive = 0, size, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if isinstance(tensor, torch.Tensor) and tensor.dtype is torch.float32 and tensor.numel() >= self._size:
                self._alive.append(weakref.ref(tensor))
        self._alive = [each for each in self._alive if each() is not None]
        self.most = max(self.most, len(self._alive))
        return output


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_norms_of_a_model_in_half_precision_need_no_float32_copy_of_it(senders, dtype):
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64)).to(dtype)
    model[2].requires_grad_(requires_grad=False)
    optimizer = torch.optim.SGD([*model[0].parameters()], lr=0.1)
    probe.attach(model, optimizer, every=1)
    F.cross_entropy(model(torch.randn(8, 64, dtype=dtype)).float(), torch.arange(8)).backward()
    with Copies(64 * 256) as copies:
        optimizer.step()
    gradients, weights = (
        {name: torch.cat([tensor.double().flatten() for tensor in tensors]).norm().item() for name, tensors in found}
        for found in (
            [("0", [p.grad for p in model[0].parameters()])],
            [(name, [p.detach() for p in model[int(name)].parameters()]) for name in ("0", "2")],
        )
    )
    assert copies.most == 0
    assert senders.last.values("grad/norm") == close([gradients["0"]])
    assert senders.last.layer("grad_norm", 1) == close(gradients)
    assert senders.last.layer("weight_norm", 1) == close(weights)


def test_of_several_precisions_each_has_its_norm_at_its_place_and_half_is_not_summed_in_half():
    tensors = [
        torch.full((1000,), 300.0, dtype=torch.float16),  # the squares' sum is beyond float16
        torch.tensor([3.0, 4.0]),
        torch.full((10_000,), 1.0, dtype=torch.bfloat16),  # a sum in bfloat16 would stop at 256
        torch.tensor([5.0, 12.0], dtype=torch.float64),
    ]
    assert norms(tensors).tolist() == close([300 * 1000**0.5, 5.0, 100.0, 13.0])


class Quantised(nn.Module):
    """Weights of 8 bits, which go with a scale."""

    def __init__(self, packed, scale):
        super().__init__()
        self.packed = nn.Parameter(packed, requires_grad=False)
        if scale is not None:
            self.scale = nn.Parameter(torch.tensor([scale]))

    def forward(self, x):
        return x * getattr(self, "scale", 1.0)


def test_quantised_weights_have_no_norm_and_the_others_keep_theirs(senders, data):
    model = nn.Sequential(
        nn.Linear(6, 8),
        Quantised(torch.ones(8, dtype=torch.uint8), None),
        Quantised(torch.ones(8).to(torch.float8_e4m3fn), 3.0),
        Quantised(torch.ones(8, dtype=torch.float16), None),  # until it is moved to its device
        nn.Linear(8, 3),
    )
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.0)
    probe.attach(model, optimizer, every=1)
    model[3].packed.data = model[3].packed.data.to(torch.uint8)
    F.cross_entropy(model(data[0]), data[1]).backward()
    optimizer.step()
    linear = {name: math.hypot(*(p.norm().item() for p in model[int(name)].parameters())) for name in ("0", "4")}
    assert senders.last.heartbeat().faults == []
    assert senders.last.layer("weight_norm", 1) == close({**linear, "2": 3.0})
    assert senders.last.layer("update_ratio", 1) == {"0": 0.0, "2": 0.0, "4": 0.0}


class Odd(nn.Module):
    """A module with parameters in the middle of others, whose output is not what a layer's mostly is."""

    def __init__(self, output_of):
        super().__init__()
        self.weight, self.output_of = nn.Parameter(torch.ones(8)), output_of

    def forward(self, x):
        return self.output_of(x, self.weight)


class Restored(nn.Module):
    """What comes out of an odd module as a plain tensor [40, 8] again."""

    def __init__(self, restore):
        super().__init__()
        self.restore = restore

    def forward(self, x):
        return self.restore(x)


ODD = {
    "one number": (lambda x, w: w.sum() * x.sum(), lambda y: y * torch.ones(40, 8)),
    "sparse": (lambda x, w: (x * w).to_sparse(), lambda y: y.to_dense()),
    "nested": (
        lambda x, w: torch.nested.as_nested_tensor([x * w]),
        lambda y: torch.nested.to_padded_tensor(y, 0.0)[0],
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_a_layer_whose_output_is_no_plain_tensor_has_no_activations_and_the_others_have_theirs(senders, data, name):
    output_of, restore = ODD[name]
    model = nn.Sequential(nn.Linear(6, 8), Odd(output_of), nn.ReLU(), Restored(restore), nn.Linear(8, 3))
    one_step(model, *data)
    assert senders.last.heartbeat().faults == []
    assert list(senders.last.layer("act_std", 1)) == ["0", "4"]


def test_a_scripted_part_of_a_model_has_no_activations_and_the_others_have_theirs(senders, data):
    scripted = torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.ReLU()))
    one_step(nn.Sequential(nn.Linear(6, 8), scripted, nn.Linear(8, 3)), *data)
    assert senders.last.heartbeat().faults == []
    assert list(senders.last.layer("act_std", 1)) == ["0", "2"]
    assert list(senders.last.layer("weight_norm", 1)) == ["0", "1.0", "2"]


def test_the_units_of_a_layer_whose_width_changes_are_counted_anew(senders, data):
    model = nn.Sequential(Odd(lambda x, w: w.sum() * x @ x.T), nn.ReLU(), Restored(lambda y: y.mean(1, keepdim=True)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe.attach(model, optimizer, every=1)
    for samples in (20, 19, 40):
        model(data[0][:samples]).mean().backward()
        optimizer.step()
    assert senders.last.heartbeat().faults == []
    assert senders.last.layer("dead_frac", 3) == {"0": 0.0}
