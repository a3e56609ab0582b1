"""The observer leaves no trace: not in the numbers, not in torch, not in a copy of the model."""

import copy
import functools
import gc
import io
import logging
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.utils.data.dataloader import DataLoader, _BaseDataLoaderIter

import probe
from probe.collectors import COLLECTORS
from probe.hooks import taps


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(256, 3)

    def forward(self, x):
        return self.head(F.dropout(F.relu(self.norm(self.conv(x)), inplace=True), 0.25, self.training).flatten(1))


def plain(model, optimizer, x, y, step):
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()


def clipped(model, optimizer, x, y, step):
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.3)
    optimizer.step()


def accumulated(model, optimizer, x, y, step):
    (F.cross_entropy(model(x), y) / 2).backward()
    if step % 2:
        optimizer.step()
        optimizer.zero_grad()


def evaluated(model, optimizer, x, y, step):
    plain(model, optimizer, x, y, step)
    model.eval()
    with torch.no_grad():
        F.cross_entropy(model(x), y)
    model.train()


SCALER = {}


def scaled(model, optimizer, x, y, step):
    scaler = SCALER.setdefault(id(optimizer), GradScaler("cpu", init_scale=256.0))
    optimizer.zero_grad()
    scaler.scale(F.cross_entropy(model(x), y)).backward()
    scaler.step(optimizer)
    scaler.update()


def outcome(one_step, with_probe):
    """Every bit that a training of 25 steps leaves behind: weights, buffers, optimizer state, random state."""
    torch.manual_seed(3)
    np.random.seed(3)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    run = probe.attach(model, optimizer, every=2) if with_probe else None
    for step in range(25):
        x, y = torch.randn(8, 1, 8, 8), torch.randint(0, 3, (8,))
        one_step(model, optimizer, x + 0.1 * torch.randn_like(x), y, step)
    if run is not None:
        run.detach()
    tensors = [*model.state_dict().values()]
    tensors += [value for state in optimizer.state.values() for value in state.values()]
    return [
        *(t.detach().numpy().tobytes() for t in tensors),
        torch.get_rng_state().numpy().tobytes(),
        np.random.get_state()[1].tobytes(),
    ]


@pytest.mark.parametrize("one_step", [plain, clipped, accumulated, evaluated, scaled])
def test_training_is_the_same_bit_for_bit(one_step):
    assert outcome(one_step, with_probe=True) == outcome(one_step, with_probe=False)


def functions():
    return {
        "F.cross_entropy": F.cross_entropy,
        "F.mse_loss": F.mse_loss,
        "nn.functional": nn.functional.cross_entropy,
        "backward": torch.autograd.backward,
        "clip": nn.utils.clip_grad_norm_,
        "clip in its module": nn.utils.clip_grad.clip_grad_norm_,
        "clip by value": nn.utils.clip_grad_value_,
        "save": torch.save,
        "save in its module": torch.serialization.save,
        "scale": GradScaler.__dict__["scale"],
        "scaler step": GradScaler.__dict__["step"],
        "loader": DataLoader.__dict__["__iter__"],
        "batch": _BaseDataLoaderIter.__dict__["__next__"],
        "excepthook": sys.excepthook,
    }


def hooks_of(model, optimizer):
    owned = [
        getattr(module, name)
        for module in model.modules()
        for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_forward_hooks_with_kwargs")
    ]
    owned += [optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks]
    return sum(len(hooks) for hooks in owned)


def test_detach_puts_back_the_very_same_functions_and_takes_off_every_hook():
    model = Net()
    model.loss_function = F.cross_entropy
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before, original, threads = functions(), F.cross_entropy, threading.active_count()
    run = probe.attach(model, optimizer, nn.CrossEntropyLoss(), every=1)
    during = functions()
    plain(model, optimizer, torch.randn(4, 1, 8, 8), torch.zeros(4, dtype=torch.long), 0)
    assert hooks_of(model, optimizer) > 0
    assert all(during[name] is not before[name] for name in before)
    run.detach()
    assert all(now is before[name] for name, now in functions().items())
    assert model.loss_function is original
    assert hooks_of(model, optimizer) == 0
    assert threading.active_count() == threads


def test_detach_leaves_alone_what_somebody_else_has_put_on_since(monkeypatch):
    model = Net()
    run = probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1))
    ours = F.mse_loss

    @functools.wraps(ours)
    def theirs(*args, **kwargs):
        return ours(*args, **kwargs)

    original = ours.__wrapped__
    monkeypatch.setattr(F, "mse_loss", theirs)
    run.detach()
    assert F.mse_loss is theirs
    assert F.mse_loss(torch.ones(2), torch.zeros(2)) == 1.0
    monkeypatch.setattr(F, "mse_loss", original)


def test_two_probes_hear_each_their_own_model(senders):
    models = [Net(), Net()]
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]
    runs = [probe.attach(model, optimizer) for model, optimizer in zip(models, optimizers, strict=True)]
    printed = {0: [], 1: []}
    for which in (0, 1, 1, 0, 1):
        loss = F.cross_entropy(models[which](torch.randn(4, 1, 8, 8)), torch.zeros(4, dtype=torch.long))
        loss.backward()
        optimizers[which].step()
        printed[which].append(loss.item())
    for which in (0, 1):
        assert senders.made[which].values("train/loss") == pytest.approx(printed[which])
    runs[0].detach()
    assert taps.hears(F.cross_entropy)
    runs[1].detach()
    assert not taps.hears(F.cross_entropy)


def trained(every=1):
    model = Net()
    model.loss_function = F.cross_entropy
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe.attach(model, optimizer, every=every)
    plain(model, optimizer, torch.randn(4, 1, 8, 8), torch.zeros(4, dtype=torch.long), 0)
    return model, optimizer


def test_a_deep_copy_of_the_model_works_and_reports_nothing(senders):
    model, _ = trained()
    twin = copy.deepcopy(model)
    rows = len(senders.last.records)
    x = torch.randn(4, 1, 8, 8)
    assert torch.equal(twin.eval()(x), model.eval()(x))
    with torch.no_grad():
        twin(x)
    assert senders.last.heartbeat().phase.value == "training"
    assert len(senders.last.records) == rows


@pytest.mark.parametrize("save", [torch.save, pickle.dump])
def test_a_hooked_model_is_saved_and_loaded(save):
    model, _ = trained()
    file = io.BytesIO()
    save(model, file)
    file.seek(0)
    twin = torch.load(file, weights_only=False) if file.getvalue()[:2] == b"PK" else pickle.load(file)
    x = torch.randn(4, 1, 8, 8)
    assert torch.equal(twin.eval()(x), model.eval()(x))


def test_a_saved_model_loads_where_the_probe_is_not_installed(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), every=1)
    torch.save(model, tmp_path / "model.pt")
    code = (
        "import sys; sys.modules['probe'] = None; import torch;"
        f"print(torch.load({str(tmp_path / 'model.pt')!r}, weights_only=False)(torch.zeros(1, 2)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, "torch.Size([1, 2])\n")


def test_the_optimizer_is_pickled_as_ever():
    _, optimizer = trained()
    assert pickle.loads(pickle.dumps(optimizer)).param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize("collector", COLLECTORS, ids=lambda collector: collector.name)
def test_a_collector_that_raises_switches_off_itself_and_nothing_else(senders, monkeypatch, caplog, collector):
    def fail(self, moment):
        raise RuntimeError("out of cheese")

    monkeypatch.setattr(collector, "collect", fail)
    with caplog.at_level(logging.WARNING, logger="probe"):
        model, optimizer = trained()
        plain(model, optimizer, torch.randn(4, 1, 8, 8), torch.zeros(4, dtype=torch.long), 0)
    sender = senders.last
    assert len(sender.values("train/loss")) == 2
    assert sender.heartbeat().faults == [f"{collector.name}: RuntimeError: out of cheese"]
    assert [record.getMessage() for record in caplog.records] == [
        f"Bedside switched its {collector.name} off; training goes on. RuntimeError: out of cheese"
    ]
    others = {"lr/0", "grad/norm", "memory/rss_bytes"}
    missing = {"learning rates": {"lr/0"}, "gradient norms": {"grad/norm"}, "memory": {"memory/rss_bytes"}}
    assert others - sender.names() == missing.get(collector.name, set())


def test_a_forked_child_reports_nothing(senders):
    model, optimizer = trained()
    rows = len(senders.last.records)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        plain(model, optimizer, torch.randn(4, 1, 8, 8), torch.zeros(4, dtype=torch.long), 0)
        with torch.no_grad():
            model(torch.randn(4, 1, 8, 8))
        probe.probe._attached[0][1].log(reward=1.0)
        os.write(writer, f"{len(senders.last.records)} {senders.last.heartbeat().phase.value}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 64).decode() == f"{rows} training"
    os.close(reader)
    os.close(writer)


def test_nothing_grows_while_another_model_trains(senders):
    trained()
    line = probe.probe._attached[0][0]
    other = nn.Linear(2, 2)
    for _ in range(300):
        F.mse_loss(other(torch.randn(3, 2)), torch.zeros(3, 2)).backward()
    gc.collect()
    assert len(line.watch._training._pending) <= 64
    assert len(line.watch._scaled) <= 8
    assert len(senders.last.values("train/loss")) == 1


EXITS = {
    "raise ValueError('bad batch')": ("exception", "ValueError: bad batch"),
    "raise KeyboardInterrupt": ("exception", "KeyboardInterrupt"),
    "pass": ("finished", ""),
}


@pytest.mark.parametrize("last_line", EXITS)
def test_the_end_of_the_process_says_goodbye(tmp_path, last_line):
    script = tmp_path / "train.py"
    script.write_text(f"""
import torch
import probe
from probe import probe as module

class Sender:
    cpu_s = 0.0
    def __init__(self, hello, heartbeat, on_command): self.put = lambda record: None
    def start(self): pass
    def close(self, goodbye, timeout_s=2.0): print(goodbye.reason, goodbye.error, sep="|")

module._make_sender = Sender
model = torch.nn.Linear(1, 1)
probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1))
{last_line}
""")
    root = os.path.dirname(os.path.dirname(probe.__file__))  # noqa: PTH120
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout == "|".join(EXITS[last_line]) + "\n"
    assert (done.returncode == 0) == (last_line == "pass")


def test_an_exception_still_prints_its_traceback_first(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import torch, probe\nfrom probe import probe as module\n"
        "class S:\n cpu_s = 0.0\n put = staticmethod(id)\n"
        " def __init__(self, *a): pass\n def start(self): pass\n def close(self, *a): raise SystemError('late')\n"
        "module._make_sender = S\nmodel = torch.nn.Linear(1, 1)\n"
        "probe.attach(model, torch.optim.SGD(model.parameters(), lr=0.1))\nraise ValueError('bad batch')\n"
    )
    root = os.path.dirname(os.path.dirname(probe.__file__))  # noqa: PTH120
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, check=False)
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert "ValueError: bad batch" in done.stderr.splitlines()
