"""Faults of structure in real trainings, each beside its healthy twin: torch, the probe, and the rules behind it."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import probe
from monitor.engine import Engine
from tests.probe.conftest import Net, senders  # noqa: F401  the fixture keeps what the probe hands over
from tests.synthetic_runs import fail

STRUCTURE = {
    "missing-zero-grad", "frozen-parameters", "double-softmax", "wrong-mode", "unscaled-input", "unshuffled-data",
}  # fmt: skip


@pytest.fixture
def found(senders):  # noqa: F811
    """The rules of structure that a training has raised so far, each with its severity and where."""

    def alerts():
        engine = Engine(on_fault=fail)
        engine.hello(senders.last.hello)
        engine.feed(senders.last.batch())
        engine.finish(None)
        return [(a.rule, a.severity.label, a.where) for a in engine.alerts if a.rule in STRUCTURE]

    return alerts


def data(batches=8, size=16, *, sort=False, scale=1.0, noise=0.5):
    """Batches of images float32[size, 1, 8, 8] whose three classes can be learned, and their labels."""
    generator = torch.Generator().manual_seed(1)
    templates = torch.randn(3, 1, 8, 8, generator=generator)
    labels = torch.randint(0, 3, (batches * size,), generator=generator)
    labels = labels.sort().values if sort else labels
    images = scale * (templates[labels] + noise * torch.randn(batches * size, 1, 8, 8, generator=generator))
    return list(zip(images.split(size), labels.split(size), strict=True))


def train(model, batches, *, epochs=8, parameters=None, clear=True, loss_of=F.cross_entropy, evaluate=None, lr=1e-3):
    optimizer = torch.optim.Adam(parameters or model.parameters(), lr=lr)
    probe.attach(model, optimizer)
    for _ in range(epochs):
        for x, y in batches:
            if clear:
                optimizer.zero_grad()
            loss_of(model(x), y).backward()
            optimizer.step()
        if evaluate is not None:
            evaluate(model)


def validate(model, *, mode="eval", after="train"):
    getattr(model, mode)()
    with torch.no_grad():
        for x, y in data(4):
            F.cross_entropy(model(x), y)
    getattr(model, after)()


def test_nothing_is_found_in_a_training_as_it_should_be(found):
    train(Net(), data(), evaluate=validate)
    assert found() == []


def test_gradients_that_are_never_cleared_are_found(found):
    train(Net(), data(), clear=False)
    assert found() == [("missing-zero-grad", "critical", [])]


def test_accumulation_is_no_missing_zero_grad(found):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    probe.attach(model, optimizer)
    for _ in range(8):
        for i, (x, y) in enumerate(data()):
            (F.cross_entropy(model(x), y) / 2).backward()
            if i % 2:
                optimizer.step()
                optimizer.zero_grad()
    assert found() == []


def test_a_layer_that_no_optimizer_has_is_found(found):
    model = Net()
    train(model, data(), parameters=[*model.norm.parameters(), *model.head.parameters()])
    assert found() == [("frozen-parameters", "warning", ["conv"])]


def test_a_frozen_layer_is_not(found):
    model = Net()
    model.conv.requires_grad_(requires_grad=False)
    train(model, data(), parameters=[*model.norm.parameters(), *model.head.parameters()])
    assert found() == []


class Detached(Net):
    def forward(self, images):
        return self.head(self.drop(self.act(self.norm(self.conv(images)))).flatten(1).detach())


def test_layers_below_a_detach_are_found(found):
    train(Detached(), data())
    assert found() == [("frozen-parameters", "warning", ["conv", "norm"])]


def test_features_taken_without_gradients_below_a_head_are_a_notice_only(found):
    model = Detached()
    train(model, data(), parameters=list(model.head.parameters()))
    assert found() == [("frozen-parameters", "notice", ["conv", "norm"])]


def test_softmax_before_cross_entropy_is_found(found):
    train(Net(), data(), loss_of=lambda z, y: F.cross_entropy(z.softmax(1), y))
    assert found() == [("double-softmax", "critical", [])]


def test_log_probabilities_are_not(found):
    train(Net(), data(), loss_of=lambda z, y: F.cross_entropy(z.log_softmax(1), y))
    assert found() == []


def test_a_validation_in_training_mode_is_found(found):
    train(Net(), data(), evaluate=lambda model: validate(model, mode="train"))
    assert found() == [("wrong-mode", "warning", [])]


def test_a_training_that_stays_in_evaluation_mode_is_found(found):
    train(Net(), data(), evaluate=lambda model: validate(model, after="eval"))
    assert found() == [("wrong-mode", "warning", [])]


def test_normalisation_that_is_frozen_in_evaluation_mode_is_not(found):
    model = Net()
    model.norm.eval()
    train(model, data())
    assert found() == []


def test_the_mode_of_a_model_that_behaves_the_same_in_both_is_nothing(found):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    train(model, data(), evaluate=lambda model: validate(model, mode="train", after="eval"))
    assert found() == []


def test_images_from_0_to_255_are_found(found):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    train(model, data(scale=60.0), epochs=2)
    assert found() == [("unscaled-input", "warning", [])]


class ScalesItself(Net):
    def forward(self, images):
        return super().forward(images / 60)


def test_images_that_the_model_scales_itself_are_not(found):
    train(ScalesItself(), data(scale=60.0), epochs=2)
    assert found() == []


def test_data_sorted_by_class_are_found_and_an_alarm_where_the_validation_suffers(found):
    train(Net(), data(batches=30, sort=True, noise=2.0), epochs=5, evaluate=validate, lr=3e-2)
    assert [rule for rule, severity, _ in found() if severity != "notice"] == ["unshuffled-data"]


def test_the_same_data_shuffled_are_not(found):
    train(Net(), data(batches=30, noise=2.0), epochs=5, evaluate=validate, lr=3e-2)
    assert found() == []
