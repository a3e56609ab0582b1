"""On an accelerator nothing is read in the training thread, which would wait there for the device.

The tensors of these trainings are on the device ``meta``, which has shapes and no values: whoever asks one for its
value, or for a shape that depends on values (``item``, ``tolist``, ``nonzero``, a mask, ``bincount``), gets an
error, and the probe reports that as a fault of the part that asked.
"""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import probe
from probe import host


class NeverReady:
    """A copy that never arrives; what it should bring is kept."""

    copies: list[int] = []

    def __init__(self, device, tensors):
        assert device.type == "meta"
        self.copies.append(sum(tensor.numel() for _, tensor in tensors))

    def ready(self):
        return False


@pytest.fixture
def copies(monkeypatch):
    monkeypatch.setattr(host, "_Copy", NeverReady)
    monkeypatch.setattr(NeverReady, "copies", [])
    return NeverReady.copies


def cnn():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(8 * 36, 5), nn.Tanh()
    )


def language_model():
    return nn.Sequential(
        nn.Embedding(50, 16), nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), nn.Linear(16, 5)
    )


def cross_entropy(model, x, y):
    return F.cross_entropy(model(x), y)


def tokens(model, x, y):
    return F.cross_entropy(model(x).transpose(1, 2), y, ignore_index=-100)


def binary(model, x, y):
    return F.binary_cross_entropy_with_logits(model(x)[:, 0], (y > 2).float())


def regression(model, x, y):
    return F.mse_loss(model(x)[:, 0], y.float()) + 0.1 * F.l1_loss(model(x)[:, 1], y.float())


IMAGES = (32, 3, 8, 8)
TRAININGS = {
    "images": (cnn, torch.rand(IMAGES), torch.zeros(32, dtype=torch.long), cross_entropy),
    "tokens": (language_model, torch.zeros(8, 12, dtype=torch.long), torch.zeros(8, 12, dtype=torch.long), tokens),
    "binary": (cnn, torch.rand(IMAGES), torch.zeros(32, dtype=torch.long), binary),
    "regression": (cnn, torch.rand(IMAGES), torch.zeros(32, dtype=torch.long), regression),
}


@pytest.mark.parametrize("clip", [None, nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_])
@pytest.mark.parametrize("name", TRAININGS)
def test_no_value_is_asked_of_a_device_in_the_training_thread(senders, copies, name, clip):
    make, x, y, loss_of = TRAININGS[name]
    with torch.device("meta"):
        model = make()
    x, y = x.to("meta"), y.to("meta")
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    with probe.attach(model, optimizer, every=3) as run:
        for _ in range(12):
            optimizer.zero_grad()
            loss_of(model, x, y).backward()
            if clip is not None:
                clip(model.parameters(), 1.0)
            optimizer.step()
            run.log(largest=x.float().amax() if x.is_floating_point() else 1.0)
        with torch.no_grad():
            loss_of(model, x, y)
        assert run._line.watch.guard.faults == {}
        assert run._line.watch.step == 12
    assert len(copies) >= 13, "each step and the evaluation bring something"
    assert max(copies) > 20, "detailed steps bring the layers"


def test_a_collector_that_asks_for_a_value_is_found_out(senders, copies, monkeypatch):
    """The test above can fail: this is what it sees then."""
    from probe.collectors.weights import Weights

    monkeypatch.setattr(Weights, "collect", lambda self, _: self._parameters[0].sum().item())
    with torch.device("meta"):
        model = cnn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with probe.attach(model, optimizer, every=1) as run:
        cross_entropy(
            model, torch.empty(IMAGES, device="meta"), torch.zeros(32, dtype=torch.long, device="meta")
        ).backward()
        optimizer.step()
        assert list(run._line.watch.guard.faults) == ["weight statistics"]
