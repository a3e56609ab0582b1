"""Training loops of every shape, without a line of Bedside. Each notes its own losses, and a digest at the end.

It trains ``--steps`` steps, or until the file ``--until`` is there.
"""

import argparse
import gc
import hashlib
import json
import sys
import threading
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

arguments = argparse.ArgumentParser()
arguments.add_argument("shape")
arguments.add_argument("--steps", type=int, default=10**9)
arguments.add_argument("--until", type=Path, default=Path("/nowhere"))
arguments.add_argument("--notes", type=Path, required=True)
arguments.add_argument("--pace-s", type=float, default=0.002)
arguments.add_argument("--after", type=Path, default=Path("/"), help="what must be there before it makes a model")
args = arguments.parse_args()
torch.manual_seed(0)
torch.set_num_threads(1)
losses: list[float] = []
traces: dict[str, list[str]] = {}


class Network(nn.Module):
    """Images float32[n, 1, 8, 8] to logits float32[n, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(4 * 8 * 8, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(F.dropout(F.relu(self.conv(images)).flatten(1), 0.1, self.training))


def goes_on(loss: torch.Tensor) -> bool:
    """Note the loss of a step, and say whether there is another."""
    losses.append(loss.item())
    if len(losses) == 3:
        args.notes.with_suffix(".begun").touch()
    time.sleep(args.pace_s)
    return len(losses) < args.steps and not args.until.exists()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(16, 1, 8, 8), torch.randint(0, 4, (16,))


def ordinary_step(network: nn.Module, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    """As in ``functional``, for loops that are about something else."""
    images, labels = batch()
    optimizer.zero_grad()
    loss = F.cross_entropy(network(images), labels)
    loss.backward()
    optimizer.step()
    return loss


def criterion_module() -> nn.Module:
    network, criterion = Network(), nn.CrossEntropyLoss()
    sgd = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    while True:
        images, labels = batch()
        sgd.zero_grad()
        loss = criterion(network(images), labels)
        loss.backward()
        sgd.step()
        if not goes_on(loss):
            return network


def functional() -> nn.Module:
    network = Network()
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    while True:
        images, labels = batch()
        adam.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        adam.step()
        if not goes_on(loss):
            return network


def accumulated_amp() -> nn.Module:
    """Two micro-batches a step, float16 with a scaler, clipped."""
    network = Network()
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    while True:
        adam.zero_grad()
        parts = []
        for _ in range(2):
            images, labels = batch()
            with torch.autocast("cpu", torch.bfloat16):
                loss = F.cross_entropy(network(images), labels)
            scaler.scale(loss / 2).backward()
            parts.append(loss.detach())
        scaler.unscale_(adam)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        scaler.step(adam)
        scaler.update()
        if not goes_on(torch.stack(parts).double().mean()):
            return network


def scheduled() -> nn.Module:
    network = Network()
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 1000)
    while True:
        loss = ordinary_step(network, adam)
        scheduler.step()
        if not goes_on(loss):
            return network


def imported_name() -> nn.Module:
    network = Network()
    adamw = torch.optim.AdamW(network.parameters(), lr=1e-3)
    while True:
        images, labels = batch()
        adamw.zero_grad()
        loss = cross_entropy(network(images), labels)
        loss.backward()
        adamw.step()
        if not goes_on(loss):
            return network


def loader_with_workers() -> nn.Module:
    network = Network()
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    data = TensorDataset(torch.randn(64, 1, 8, 8), torch.randint(0, 4, (64,)))
    loader = DataLoader(data, batch_size=16, shuffle=True, num_workers=2, persistent_workers=True)
    while True:
        for images, labels in loader:
            adam.zero_grad()
            loss = F.cross_entropy(network(images), labels)
            loss.backward()
            adam.step()
            if not goes_on(loss):
                return network


def hidden_from_the_collector() -> nn.Module:
    gc.freeze()
    gc.disable()
    return functional()


class Trainer:
    """Keeps what it trains in attributes of attributes, where no frame shows it."""

    def __init__(self) -> None:
        self.parts = {"networks": [Network()]}
        self.tools = {"optimizers": [torch.optim.Adam(self.parts["networks"][0].parameters(), lr=1e-3)]}

    def step(self) -> torch.Tensor:
        images, labels = batch()
        for optimizer in self.tools["optimizers"]:
            optimizer.zero_grad()
        loss = F.cross_entropy(self.parts["networks"][0](images), labels)
        loss.backward()
        for optimizer in self.tools["optimizers"]:
            optimizer.step()
        return loss


def deep_in_objects() -> nn.Module:
    trainer = Trainer()
    while goes_on(trainer.step()):
        pass
    return trainer.parts["networks"][0]


def compiled_model() -> nn.Module:
    network = Network().eval()  # no dropout: its random numbers are the compiler's own
    compiled = torch.compile(network)
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    while True:
        images, labels = batch()
        adam.zero_grad()
        loss = F.cross_entropy(compiled(images), labels)
        loss.backward()
        adam.step()
        if not goes_on(loss):
            return network


def compiled_step() -> nn.Module:
    network = Network().eval()
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)

    @torch.compile
    def step(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        adam.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        adam.step()
        return loss

    while goes_on(step(*batch())):
        pass
    return network


def gan() -> nn.Module:
    """Two networks with an optimizer each; the losses noted are the discriminator's."""
    generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8))
    discriminator = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
    opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3)
    opt_d = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    while True:
        made = generator(torch.randn(16, 4))
        opt_d.zero_grad()
        verdicts = torch.cat([discriminator(torch.randn(16, 8)), discriminator(made.detach())])
        loss = F.binary_cross_entropy_with_logits(verdicts, torch.cat([torch.ones(16, 1), torch.zeros(16, 1)]))
        loss.backward()
        opt_d.step()
        opt_g.zero_grad()
        F.binary_cross_entropy_with_logits(discriminator(made), torch.ones(16, 1)).backward()
        opt_g.step()
        if not goes_on(loss):
            return nn.ModuleList([generator, discriminator])


def evaluating() -> nn.Module:
    """A step, and then an evaluation that takes most of the time."""
    network = Network()
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    images, labels = batch()
    while True:
        loss = ordinary_step(network, adam)
        network.eval()
        with torch.no_grad():
            for _ in range(100):
                F.cross_entropy(network(images), labels)
        network.train()
        if not goes_on(loss):
            return network


def saving() -> nn.Module:
    """A step, and then a checkpoint that takes most of the time."""
    network = Network()
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    while True:
        loss = ordinary_step(network, adam)
        for _ in range(20):
            torch.save({"model": network.state_dict(), "adam": adam.state_dict()}, args.notes.with_suffix(".pt"))
        if not goes_on(loss):
            return network


def two_ranks() -> nn.Module:
    """Under torchrun; each rank has batches of its own."""
    torch.distributed.init_process_group("gloo")
    network = nn.parallel.DistributedDataParallel(Network())
    torch.manual_seed(torch.distributed.get_rank())
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    ends = torch.zeros(1)
    while not ends:
        loss = ordinary_step(network, adam)
        ends = torch.tensor([0.0 if goes_on(loss) else 1.0])
        torch.distributed.all_reduce(ends)  # all end on the same step
    if torch.distributed.get_rank():
        args.notes = args.notes.with_suffix(f".{torch.distributed.get_rank()}")
    return network


def look(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    """All that could be put on here: hooks, functions replaced, entries of the search for modules, threads."""
    hooks = [name for module in model.modules() for name, value in vars(module).items() if "hooks" in name and value]
    hooks += [name for name, value in vars(optimizer).items() if "hooks" in name and value]
    hooks += [name for name, value in vars(sys.modules["torch.optim.optimizer"]).items() if "hooks" in name and value]
    owners = (F, nn.utils, torch.autograd, torch, torch.optim.Optimizer, nn.Module, torch.utils.data.DataLoader)
    functions = [f"{name} {id(value)}" for owner in owners for name, value in vars(owner).items() if callable(value)]
    names = [f"{name} {id(value)}" for name, value in globals().items() if callable(value)]
    search = [*map(str, sys.meta_path), *sys.path, str(sys.excepthook)]
    return [*hooks, *functions, *names, *search, *sorted(thread.name for thread in threading.enumerate())]


def looks_at_itself() -> nn.Module:
    network = Network()
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    traces["at first"] = look(network, adam)
    while True:
        loss = ordinary_step(network, adam)
        if look(network, adam) != traces["at first"]:
            traces["meanwhile"] = look(network, adam)
        if not goes_on(loss):
            traces["at last"] = look(network, adam)
            return network


while not args.after.exists():
    time.sleep(0.01)
trained = globals()[args.shape]()
digest = hashlib.sha256()
for value in trained.state_dict().values():
    digest.update(value.numpy().tobytes())
digest.update(torch.get_rng_state().numpy().tobytes())
args.notes.write_text(json.dumps({"losses": losses, "digest": digest.hexdigest(), "traces": traces}))
