"""The kinds of loops and models beyond plain classification; each is a row of ``docs/reference/what-it-sees.md``."""

import functools
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from loops import close, sgd
from torch import nn

import probe
from probe.capture import unseen


def train(optimizer, loss_of, steps=5):
    """A plain loop; the losses as the script itself would print them."""
    printed = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        printed.append(loss.item())
    return printed


@dataclass
class Output:
    """As the outputs of Hugging Face models are: attributes, the loss among them."""

    logits: torch.Tensor
    loss: torch.Tensor | None = None


class Wraps(nn.Module):
    """A linear model whose forward returns its logits in some wrapping."""

    def __init__(self, wrap):
        super().__init__()
        self.layer, self.wrap = nn.Linear(8, 3), wrap

    def forward(self, x, labels=None):
        logits = self.layer(x)
        return self.wrap(logits, None if labels is None else F.cross_entropy(logits, labels))


X, Y = torch.randn(16, 8, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 3


@pytest.mark.parametrize(
    ("wrap", "logits_of"),
    [
        (lambda logits, _: (logits, logits.mean()), lambda output: output[0]),
        (lambda logits, _: {"logits": logits}, lambda output: output["logits"]),
        (lambda logits, _: Output(logits), lambda output: output.logits),
    ],
    ids=["tuple", "dict", "dataclass"],
)
def test_whatever_a_model_returns_its_logits_in_loss_and_accuracy_are_seen(senders, wrap, logits_of):
    model = Wraps(wrap)
    optimizer = sgd(model)
    run = probe.attach(model, optimizer)
    printed = train(optimizer, lambda: F.cross_entropy(logits_of(model(X)), Y))
    with torch.no_grad():
        logits = logits_of(model(X))
        expected = F.cross_entropy(logits, Y).item()
    run.detach()
    assert senders.last.values("train/loss") == close(printed)
    assert senders.last.values("val/loss") == close([expected])
    assert senders.last.values("val/accuracy") == close([(logits.argmax(1) == Y).float().mean().item()])


def test_the_loss_attribute_of_an_output_is_the_loss_of_training_and_validation(senders):
    model = Wraps(Output)
    optimizer = sgd(model)
    run = probe.attach(model, optimizer)
    printed = train(optimizer, lambda: model(X, labels=Y).loss)
    with torch.no_grad():
        expected = model(X, labels=Y).loss.item()
    run.detach()
    assert senders.last.values("train/loss") == close(printed)
    assert senders.last.values("val/loss") == close([expected])


def test_of_segmentation_each_pixel_is_counted_and_ignored_ones_are_not(senders):
    model = nn.Conv2d(2, 4, 3, padding=1)
    optimizer = sgd(model)
    probe.attach(model, optimizer, every=1)
    images, masks = torch.randn(3, 2, 5, 5), torch.randint(0, 4, (3, 5, 5))
    masks[0, 0] = 255
    shares, counts = [], []

    def loss_of():
        logits = model(images)
        assert logits.shape == (3, 4, 5, 5)
        counted = masks != 255
        right = (logits.argmax(1) == masks) & counted
        shares.append((right.sum() / counted.sum()).item())
        counts.append([int(((masks == k) & counted).sum()) for k in range(4)])
        return F.cross_entropy(logits, masks, ignore_index=255)

    printed = train(optimizer, loss_of)
    assert senders.last.values("train/loss") == close(printed)
    assert senders.last.values("train/accuracy") == close(shares)
    assert [total for _, _, total, _ in senders.last.classes("train")] == counts


class LanguageModel(nn.Module):
    """Tokens int64[n, t] to logits float32[n, t, vocabulary]."""

    def __init__(self, vocabulary=20):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 8)
        self.head = nn.Linear(8, vocabulary)

    def forward(self, tokens):
        return self.head(self.embedding(tokens))


def test_of_a_language_model_tokens_are_counted_and_padding_is_not(senders):
    model = LanguageModel()
    optimizer = sgd(model)
    run = probe.attach(model, optimizer)
    tokens = torch.randint(0, 20, (4, 9))
    targets = tokens[:, 1:].clone()
    targets[:, 5:] = -100
    shares = []

    def loss_of():
        logits = model(tokens[:, :-1])
        counted = targets != -100
        shares.append(((logits.argmax(2) == targets) & counted).sum().item() / counted.sum().item())
        return F.cross_entropy(logits.reshape(-1, 20), targets.reshape(-1), ignore_index=-100)

    printed = train(optimizer, loss_of)
    with torch.no_grad():
        expected = loss_of().item()
    run.detach()
    assert senders.last.values("train/loss") == close(printed)
    assert senders.last.values("train/accuracy") == close(shares[:-1])
    assert senders.last.values("val/loss") == close([expected])
    assert [rate > 0 for rate in senders.last.values("rate/tokens_per_s")] == [True] * 4


def test_several_labels_at_once_give_a_loss_and_no_class_counts(senders):
    model = nn.Linear(8, 5)
    optimizer, criterion = sgd(model), nn.BCEWithLogitsLoss()
    run = probe.attach(model, optimizer)
    targets = (torch.randn(16, 5) > 0).float()
    printed = train(optimizer, lambda: criterion(model(X), targets))
    with torch.no_grad():
        expected = criterion(model(X), targets).item()
    run.detach()
    assert senders.last.values("train/loss") == close(printed)
    assert senders.last.values("val/loss") == close([expected])
    assert "train/accuracy" not in senders.last.names()


@pytest.mark.parametrize("ignored", [-100, 2])
def test_a_loss_that_cannot_be_listened_at_still_tells_the_classes_of_its_targets(senders, ignored):
    """A ``partial`` that was made before ``attach`` holds torch's own function."""
    criterion = functools.partial(F.cross_entropy, ignore_index=ignored, label_smoothing=0.1)
    model = nn.Linear(8, 3)
    optimizer = sgd(model)
    probe.attach(model, optimizer, every=1)
    shares = []

    def loss_of():
        logits = model(X)
        counted = ignored != Y
        shares.append(((logits.argmax(1) == Y) & counted).sum().item() / counted.sum().item())
        return 0.5 * criterion(logits, Y) + 0.01 * logits.square().mean()

    printed = train(optimizer, loss_of)
    assert senders.last.values("train/loss") == close(printed)
    assert senders.last.values("train/accuracy") == close(shares)
    assert [sum(total) for _, _, total, _ in senders.last.classes("train")] == [int((ignored != Y).sum())] * 5


def test_gradients_that_come_without_a_backward_pass_have_a_norm_and_that_their_loss_is_hidden_is_said(
    senders, caplog
):
    model = nn.Linear(8, 3)
    optimizer = sgd(model)
    probe.attach(model, optimizer)
    norms = []
    for _ in range(4):
        gradients = torch.autograd.grad(F.cross_entropy(model(X), Y), [*model.parameters()])
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient
        norms.append(sum(gradient.square().sum().item() for gradient in gradients) ** 0.5)
        optimizer.step()
    assert senders.last.values("grad/norm") == close(norms)
    assert "train/loss" not in senders.last.names()
    assert [record.getMessage() for record in caplog.records] == [f"Bedside: {unseen.NO_LOSS}"]


SILENT = {
    "their own loss": (lambda run, model: (model(X) - 1).square().mean(), True),
    "their own loss, told": (
        lambda run, model: run.validation(accuracy=(model(X).argmax(1) == Y).float().mean()),
        False,
    ),
    "a known loss": (lambda run, model: F.cross_entropy(model(X), Y), False),
}


@pytest.mark.parametrize("name", SILENT)
def test_evaluations_in_which_no_loss_is_heard_are_said_to_hide_it_unless_the_script_tells_it(senders, caplog, name):
    evaluate, is_hidden = SILENT[name]
    model = nn.Linear(8, 3)
    optimizer = sgd(model)
    run = probe.attach(model, optimizer)
    for _ in range(4):
        train(optimizer, lambda: F.cross_entropy(model(X), Y), steps=2)
        with torch.no_grad():
            evaluate(run, model)
    run.detach()
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"Bedside: {unseen.NO_VALIDATION}"] * is_hidden
    assert senders.last.facts().get("hidden") == (unseen.NO_VALIDATION if is_hidden else None)


def test_frozen_layers_have_weights_and_no_gradients(senders):
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    probe.attach(model, optimizer, every=1)
    train(optimizer, lambda: F.cross_entropy(model(X), Y), steps=2)
    norm = sum(p.grad.square().sum().item() for p in model[2].parameters()) ** 0.5
    assert [layer.trainable for layer in senders.last.hello.layers] == [False, True]
    assert senders.last.layer("grad_norm", 2) == {"2": close(norm)}
    assert set(senders.last.layer("weight_norm", 2)) == set(senders.last.layer("act_mean", 2)) == {"0", "2"}
    assert senders.last.layer("update_ratio", 2)["0"] == 0.0


def test_a_group_that_is_added_later_has_its_rate_and_its_part_in_the_norm_from_then_on(senders):
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    probe.attach(model, optimizer)

    def norm():
        return sum(p.grad.square().sum().item() for g in optimizer.param_groups for p in g["params"]) ** 0.5

    norms = []
    for step in range(4):
        if step == 2:
            optimizer.add_param_group({"params": model[0].parameters(), "lr": 0.01})
        train(optimizer, lambda: F.cross_entropy(model(X), Y), steps=1)
        norms.append(norm())
    assert senders.last.series("lr/0") == [(1, 0.1), (2, 0.1), (3, 0.1), (4, 0.1)]
    assert senders.last.series("lr/1") == [(3, 0.01), (4, 0.01)]
    assert senders.last.values("grad/norm") == close(norms)


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, lambda model: torch.compile(model, backend="eager")], ids=["DataParallel", "compile"]
)
def test_a_model_that_is_wrapped_after_attach_is_seen_as_before(senders, wrap):
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = sgd(model)
    run = probe.attach(model, optimizer)
    wrapped = wrap(model)
    printed = train(optimizer, lambda: F.cross_entropy(wrapped(X), Y))
    with torch.no_grad():
        expected = F.cross_entropy(wrapped(X), Y).item()
    run.detach()
    assert senders.last.values("train/loss") == close(printed)
    assert senders.last.values("val/loss") == close([expected])


def test_data_parallel_is_attached_to_as_any_model(senders):
    """Without a GPU it passes through to its module, which is what can be tried here."""
    model = nn.DataParallel(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)))
    optimizer = sgd(model)
    probe.attach(model, optimizer, every=1)
    printed = train(optimizer, lambda: F.cross_entropy(model(X), Y))
    assert senders.last.values("train/loss") == close(printed)
    assert set(senders.last.layer("act_mean", 5)) == {layer.name for layer in senders.last.hello.layers}


def test_a_resumed_training_goes_on_from_its_step_and_names_the_run_before(senders, monkeypatch):
    model = nn.Linear(8, 3)
    optimizer = sgd(model)
    with probe.attach(model, optimizer) as first:
        train(optimizer, lambda: F.cross_entropy(model(X), Y), steps=3)
    monkeypatch.setenv("BEDSIDE_RESUME", first.run_id)
    probe.attach(model, optimizer, step=3)
    train(optimizer, lambda: F.cross_entropy(model(X), Y), steps=2)
    assert [step for step, _ in senders.made[0].series("train/loss")] == [1, 2, 3]
    assert [step for step, _ in senders.last.series("train/loss")] == [4, 5]
    assert (senders.last.hello.resumes, senders.last.hello.first_step) == (first.run_id, 3)
    assert [(mark.step, mark.kind) for mark in senders.last.batch().marks] == [(3, "resume")]


def test_a_criterion_that_was_given_makes_no_term_of_its_own_where_little_is_measured(senders):
    model, criterion = nn.Linear(8, 3), nn.CrossEntropyLoss()
    optimizer = sgd(model)
    run = probe.attach(model, optimizer, criterion)
    run._line.watch.steps.budget.judge = lambda *_: False
    run._line.watch.steps.budget.every = 8
    printed = train(optimizer, lambda: criterion(model(X), Y), steps=40)
    assert senders.last.values("train/loss") == close(printed)
    assert len(senders.last.values("grad/norm")) < 20
    assert {key for key in senders.last.names() if key.startswith("train/")} == {"train/loss", "train/accuracy"}


CRITERION = nn.CrossEntropyLoss()
EASY = {
    "plain": lambda model: F.cross_entropy(model(X), Y),
    "criterion": lambda model: CRITERION(model(X), Y),
    "unknown loss": lambda model: model(X).square().mean(),
    "half": lambda model: 0.5 * F.cross_entropy(model(X), Y),
    "sum": lambda model: F.cross_entropy(model(X), Y, reduction="sum"),
    "two terms": lambda model: F.cross_entropy(model(X), Y) + 0.1 * F.mse_loss(model(X), torch.zeros(16, 3)),
}


@pytest.mark.parametrize("micro_batches", [1, 3])
@pytest.mark.parametrize("name", EASY)
def test_a_step_on_which_little_is_measured_tells_the_same_as_one_on_which_all_is(senders, name, micro_batches):
    """When the budget is short most steps give only what each step gives; that must not move the curve."""
    told = []
    for every_heavy in (1, 512):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
        optimizer = sgd(model)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        run = probe.attach(model, optimizer, every=10)
        run._line.watch.steps.budget.judge = lambda *_: False
        for step in range(40):
            if step == 5:
                run._line.watch.steps.budget.every = every_heavy
            for _ in range(micro_batches):
                (EASY[name](model) / micro_batches).backward()
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
            if step % 15 == 14:
                with torch.no_grad():
                    EASY[name](model)
        run.detach()
        told.append(senders.last)
    full, sparse = told
    assert len(full.values("grad/norm")) == 40 > len(sparse.values("grad/norm"))
    everywhere = {"train/loss", "lr/0", "time/step_s", "time/data_s", "rate/samples_per_s"}
    for key in everywhere & full.names():
        assert [step for step, _ in sparse.series(key)] == [step for step, _ in full.series(key)]
    assert sparse.series("train/loss") == [(step, close(value)) for step, value in full.series("train/loss")]
    assert sparse.series("lr/0") == full.series("lr/0")
    validation = {key for key in full.names() if key.startswith("val/")}
    assert {key: sparse.values(key) for key in validation} == {key: close(full.values(key)) for key in validation}
    assert validation == {key for key in sparse.names() if key.startswith("val/")}
