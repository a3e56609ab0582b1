"""A compiled model is trained as ever, in one graph, and what cannot be seen of it is said."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import probe


@pytest.fixture(autouse=True)
def fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("attach_first", [True, False])
def test_loss_norm_and_accuracy_of_a_compiled_model_are_seen(senders, attach_first):
    compiled = torch.compile(
        nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), backend="eager", fullgraph=True
    )
    optimizer = torch.optim.SGD(compiled.parameters(), lr=0.1)
    x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
    if not attach_first:
        compiled(x)
    run = probe.attach(compiled, optimizer, every=1)
    printed = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = F.cross_entropy(compiled(x), y)
        loss.backward()
        optimizer.step()
        printed.append(loss.item())
    with torch.no_grad():
        expected = F.cross_entropy(compiled(x), y).item()
    run.detach()
    compiled(x)
    assert senders.last.values("train/loss") == pytest.approx(printed)
    assert senders.last.values("val/loss") == pytest.approx([expected])
    assert senders.last.names() >= {"grad/norm", "train/accuracy"}
    assert [layer.name for layer in senders.last.hello.layers] == ["0", "2"]
    assert senders.last.facts()["hidden"] == "Activations are not available: the model is compiled."


def test_a_loss_inside_the_compiled_region_breaks_no_graph_and_is_seen_at_its_root(senders):
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe.attach(model, optimizer)

    @torch.compile(backend="eager", fullgraph=True)
    def loss_of(x, y):
        return F.cross_entropy(model(x), y)

    loss = loss_of(torch.randn(8, 4), torch.randint(0, 3, (8,)))
    loss.backward()
    optimizer.step()
    assert senders.last.values("train/loss") == pytest.approx([loss.item()])


def test_of_a_step_that_is_compiled_whole_loss_rate_and_norm_are_seen_and_the_rest_is_said_to_be_hidden(
    senders, caplog
):
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
    probe.attach(model, optimizer)

    @torch.compile(backend="eager")
    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    printed = [step().item() for _ in range(5)]
    assert senders.last.values("train/loss") == pytest.approx(printed)
    assert senders.last.values("lr/0") == [0.1] * 5
    assert len(senders.last.values("grad/norm")) == 5
    (said,) = [record.getMessage() for record in caplog.records if record.name == "probe.hidden"]
    assert said == f"Bedside: {senders.last.facts()['hidden']}"
    assert said.startswith("Bedside: Validation, accuracy and activations are not available: no forward pass")


def test_a_model_that_is_compiled_after_attach_is_said_to_hide_its_activations(senders, caplog):
    model = nn.Linear(4, 3)
    probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1))
    torch.compile(model, backend="eager")
    assert senders.last.facts()["hidden"] == "Activations are not available: the model is compiled."
    assert [record.getMessage() for record in caplog.records if record.name == "probe.hidden"] == [
        "Bedside: Activations are not available: the model is compiled."
    ]
