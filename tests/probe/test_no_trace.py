"""Nothing that can be done with a model or with torch is different because a probe is on it."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.utils.data import DataLoader, Dataset

import probe


class Augmented(Dataset):
    """64 images with a random shift, flip and noise, drawn anew at each look."""

    def __len__(self):
        return 64

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        image = torch.randn(1, 8, 8, generator=generator)
        if random.random() < 0.5:
            image = image.flip(2)
        image = image.roll(int(np.random.randint(3)), 1) + 0.1 * torch.randn(1, 8, 8)
        return image, index % 3


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Dropout2d(0.2), nn.Flatten()
        )
        self.head = nn.Sequential(nn.Linear(216, 16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, 3))

    def forward(self, x):
        return self.head(self.body(x))


class Transformer(nn.Module):
    """Tokens int64[n, 12] to logits float32[n, 3]."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.2, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        tokens = (x.flatten(1)[:, :12].abs() * 10).long().clamp(max=29)
        return self.head(self.encoder(self.embedding(tokens)).mean(1))


def train(make, *, with_probe, autocast=False, accumulate=1, workers=0):
    """Every bit that two epochs leave behind: weights, optimizer state, random states of torch, NumPy and Python."""
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    model = make()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=2 * 64 // 8)
    loader = DataLoader(Augmented(), 8, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    run = probe.attach(model, optimizer, every=2) if with_probe else None
    losses = []
    for _ in range(2):
        for i, (x, y) in enumerate(loader):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = F.cross_entropy(model(x), y) / accumulate
            loss.backward()
            losses.append(loss.item())
            if (i + 1) % accumulate == 0:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                scheduler.step()
        model.eval()
        with torch.inference_mode():
            losses.append(F.cross_entropy(model(x), y).item())
        model.train()
    if run is not None:
        run.detach()
    states = [value for state in optimizer.state.values() for value in state.values()]
    tensors = [*model.state_dict().values(), *states, torch.get_rng_state()]
    return (
        losses,
        [tensor.detach().numpy().tobytes() for tensor in tensors],
        np.random.get_state()[1].tobytes(),
        random.getstate(),
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"autocast": True}, {"accumulate": 4}, {"workers": 2}],
    ids=["plain", "bfloat16", "accumulated", "two workers"],
)
@pytest.mark.parametrize("make", [Cnn, Transformer])
def test_weights_optimizer_and_random_states_are_the_same_bit_for_bit(make, options):
    assert train(make, with_probe=True, **options) == train(make, with_probe=False, **options)


@pytest.fixture
def hooked():
    """A model with the hooks of a detailed step on it, which are the most there are."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), every=1)
    assert model[0]._forward_hooks
    return model


X, Y = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3


def loss_of_sample(model):
    def loss(parameters, x, y):
        logits = torch.func.functional_call(model, parameters, (x[None],))
        return F.cross_entropy(logits, y[None])

    return loss


def test_gradients_per_sample_by_vmap_are_those_of_single_backward_passes(hooked):
    parameters = {name: p.detach() for name, p in hooked.named_parameters()}
    per_sample = torch.func.vmap(torch.func.grad(loss_of_sample(hooked)), in_dims=(None, 0, 0))(parameters, X, Y)
    for i in range(6):
        hooked.zero_grad()
        F.cross_entropy(hooked(X[i : i + 1]), Y[i : i + 1]).backward()
        for name, p in hooked.named_parameters():
            torch.testing.assert_close(per_sample[name][i], p.grad)


def test_jacobian_and_hessian_of_a_hooked_model_can_be_taken(hooked):
    parameters = {name: p.detach() for name, p in hooked.named_parameters()}
    hessian = torch.func.hessian(loss_of_sample(hooked))(parameters, X[0], Y[0])
    assert hessian["2.bias"]["2.bias"].shape == (3, 3)
    assert torch.func.jacrev(hooked)(X).shape == (6, 3, 6, 4)


def test_nothing_that_is_done_under_a_transform_is_taken_for_training_or_switches_anything_off(hooked, senders):
    parameters = {name: p.detach() for name, p in hooked.named_parameters()}
    torch.func.vmap(torch.func.grad(loss_of_sample(hooked)), in_dims=(None, 0, 0))(parameters, X, Y)
    assert senders.last.heartbeat().faults == []
    assert senders.last.heartbeat().step == 0


def test_a_hooked_model_is_traced_as_ever(hooked):
    traced = torch.jit.trace(hooked.eval(), X)
    assert torch.equal(traced(X), hooked(X))


class Scripted(nn.Module):
    """Calls a loss whose name the probe has bound anew."""

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits, target) + F.mse_loss(logits, torch.zeros_like(logits))


def test_a_script_that_calls_a_loss_is_compiled_as_ever(hooked):
    logits = torch.randn(6, 3)
    expected = F.cross_entropy(logits, Y) + F.mse_loss(logits, torch.zeros_like(logits))
    assert torch.equal(torch.jit.script(Scripted())(logits, Y), expected)
    assert torch.equal(torch.jit.script(nn.CrossEntropyLoss())(logits, Y), F.cross_entropy(logits, Y))


def test_a_hooked_model_is_scripted_as_ever_and_goes_on_being_watched(hooked, senders):
    def double(self, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        return 2 * output

    plain = hooked(X)
    hooked.register_forward_hook(double)
    hooks = [dict(module._forward_hooks) for module in hooked.modules()]
    scripted = torch.jit.script(hooked)
    assert [dict(module._forward_hooks) for module in hooked.modules()] == hooks
    assert torch.equal(scripted(X), 2 * plain)
    assert torch.equal(hooked(X), 2 * plain)
    F.cross_entropy(scripted(X), Y).backward()
    assert senders.last.heartbeat().faults == []


def test_a_hooked_model_moves_to_another_type_and_back(hooked, senders):
    hooked.to(torch.float64)
    assert hooked(X.double()).dtype == torch.float64
    hooked.to(torch.float32)
    F.cross_entropy(hooked(X), Y).backward()
    assert senders.last.heartbeat().faults == []
