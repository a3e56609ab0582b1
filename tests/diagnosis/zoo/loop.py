"""The zoo's trainings: ordinary loops with a probe in them, as a user would write them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer, lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

import probe
from tests.diagnosis.zoo.data import DATA, Data
from tests.diagnosis.zoo.fault import NONE, Fault
from tests.diagnosis.zoo.networks import NETWORKS, mlp
from tests.diagnosis.zoo.recipes import Recipe
from tests.diagnosis.zoo.sick import Case

Criterion = Callable[[Tensor, Tensor], Tensor]

#: The most steps between two validations, and the fewest; within these it is an epoch.
EVERY, AT_LEAST = 60, 25


@dataclass
class Outcome:
    """What became of a training, as the loop itself saw it: no word of it comes from the probe."""

    onset: int  # the first step that the fault could touch; 1 for one that was there from the start
    steps: int
    val: list[tuple[int, float]] = field(default_factory=list)  # step and mean loss of each validation


def train(case: Case) -> Outcome:
    """Run one training under a probe."""
    torch.manual_seed(case.seed)
    rng = np.random.default_rng(case.seed)
    recipe, fault = case.fault.recipe(case.recipe), case.fault
    onset = int(rng.uniform(0.3, 0.6) * recipe.steps) if fault.starts == "later" else 1
    if recipe.is_adversarial:
        return adversarial(recipe, case.name, DATA[recipe.data](rng))
    data = fault.data(DATA[recipe.data](rng), torch.Generator().manual_seed(case.seed))
    model = fault.model(NETWORKS[recipe.network](data.outputs, recipe.dropout))
    criterion = criterion_of(data, recipe)
    if recipe.pretrained:
        pretrain(model, criterion, data, recipe.pretrained)
    optimizer = optimizer_of(recipe, fault.parameters(model))
    scheduler = scheduler_of(recipe, optimizer)
    loop = Loop(recipe, fault, onset, data, model, criterion, optimizer, scheduler)
    run = probe.attach(model, optimizer, name=case.name)
    if recipe.resume_at is not None:
        loop.until(recipe.resume_at)
        run.detach()
        run = probe.attach(model, optimizer, name=case.name, resume=run.run_id, step=loop.step)
    loop.until(recipe.steps)
    run.detach()
    return Outcome(onset, recipe.steps, loop.val)


@dataclass
class Loop:
    recipe: Recipe
    fault: Fault
    onset: int
    data: Data
    model: nn.Module
    criterion: Criterion
    optimizer: Optimizer
    scheduler: lr_scheduler.LRScheduler | None
    step: int = 0
    val: list[tuple[int, float]] = field(default_factory=list)

    def until(self, steps: int) -> None:
        """Train up to this step; the loader begins anew, as it does after a resumption."""
        batches = endless(self._loader() if self.recipe.batch_size else [(self.data.x, self.data.y)])
        per_epoch = max(1, len(self.data.x) // self._batch_size() // self.recipe.accumulate)
        every = min(EVERY, max(per_epoch, AT_LEAST))
        while self.step < steps:
            self.step += 1
            self._train(batches)
            if self.step % every == 0 or self.step == steps:
                self._validate()

    def _batch_size(self) -> int:
        return min(self.recipe.batch_size or len(self.data.x), len(self.data.x))

    def _loader(self) -> DataLoader:
        dataset = TensorDataset(self.data.x, self.data.y)
        return DataLoader(dataset, self._batch_size(), shuffle=self.fault.shuffles(), collate_fn=self._stacked)

    def _stacked(self, samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        self._fault().reading()
        return torch.stack([x for x, _ in samples]), torch.stack([y for _, y in samples])

    def _fault(self) -> Fault:
        """The fault, once it has begun."""
        return self.fault if self.step >= self.onset else NONE

    def _train(self, batches: Iterator[tuple[Tensor, Tensor]]) -> None:
        fault = self._fault()
        if self.step == self.onset:
            fault.on_onset(self.model, self.optimizer)
        if fault.clears():
            self.optimizer.zero_grad()
        for _ in range(self.recipe.accumulate):
            x, y = next(batches)
            if self.recipe.augment:
                x = x + self.recipe.augment * torch.randn_like(x)
            loss, given = self._loss(fault.inputs(x, self.step - self.onset), y, fault)
            fault.loss(loss / self.recipe.accumulate).backward()
        fault.keep(loss, given)
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()

    def _loss(self, x: Tensor, y: Tensor, fault: Fault) -> tuple[Tensor, Tensor]:
        if not self.recipe.mixup:
            given = fault.outputs(self.model(x))
            return self.criterion(given, y), given
        share, order = float(torch.distributions.Beta(0.4, 0.4).sample()), torch.randperm(len(x))
        given = self.model(share * x + (1 - share) * x[order])
        return share * self.criterion(given, y) + (1 - share) * self.criterion(given, y[order]), given

    @torch.no_grad()
    def _validate(self) -> None:
        fault = self._fault()
        fault.before_validation(self.model)
        losses = [
            self.criterion(fault.outputs(self.model(x)), y)
            for x, y in zip(self.data.val_x.split(256), self.data.val_y.split(256), strict=True)
        ]
        fault.after_validation(self.model)
        self.val.append((self.step, float(torch.stack(losses).mean())))


def endless(loader: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader


def criterion_of(data: Data, recipe: Recipe) -> Criterion:
    """Cross entropy for labels, of single samples or of each place in a row; else by what the targets are."""
    if data.y.dtype == torch.int64:
        if data.y.dim() == 2:
            return lambda given, y: functional.cross_entropy(given.flatten(0, 1), y.flatten())
        return nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)
    return nn.BCEWithLogitsLoss() if recipe.data in ("cancer", "topics") else nn.MSELoss()


def pretrain(model: nn.Module, criterion: Criterion, data: Data, steps: int) -> None:
    """What somebody else did to the weights before: most of the way."""
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(steps):
        chosen = torch.randint(len(data.x), (64,))
        optimizer.zero_grad()
        criterion(model(data.x[chosen]), data.y[chosen]).backward()
        optimizer.step()


def optimizer_of(recipe: Recipe, parameters: Iterator[nn.Parameter]) -> Optimizer:
    kinds: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
        "sgd": (torch.optim.SGD, {}),
        "momentum": (torch.optim.SGD, {"momentum": 0.9}),
        "adam": (torch.optim.Adam, {}),
        "adamw": (torch.optim.AdamW, {}),
        "rmsprop": (torch.optim.RMSprop, {}),
        "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        "nadam": (torch.optim.NAdam, {}),
        "adagrad": (torch.optim.Adagrad, {}),
    }
    kind, options = kinds[recipe.optimizer]
    return kind(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, **options)


def scheduler_of(recipe: Recipe, optimizer: Optimizer) -> lr_scheduler.LRScheduler | None:
    """Stepped once a batch."""
    steps = recipe.steps
    warm = steps // 10

    def warm_up(step: int) -> float:
        return min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * max(0, step - warm) / (steps - warm)))

    makers: dict[str, Callable[[], lr_scheduler.LRScheduler | None]] = {
        "constant": lambda: None,
        "step": lambda: lr_scheduler.StepLR(optimizer, steps // 3, gamma=0.1),
        "step-of-30": lambda: lr_scheduler.StepLR(optimizer, 30, gamma=0.1),
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(optimizer, steps),
        "restarts": lambda: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, steps // 4),
        "linear": lambda: lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps),
        "exponential": lambda: lr_scheduler.ExponentialLR(optimizer, 0.02 ** (1 / steps)),
        "growing": lambda: lr_scheduler.ExponentialLR(optimizer, 1.03),
        "one-cycle": lambda: lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps + 1),
        "warm-up": lambda: lr_scheduler.LambdaLR(optimizer, warm_up),
    }
    return makers[recipe.schedule]()


def adversarial(recipe: Recipe, name: str, data: Data) -> Outcome:
    """A generator and a discriminator, turn by turn. Its validation is how far the means of the two clouds differ."""
    generator, critic = mlp(4, 2, hidden=(48, 48)), mlp(2, 1, hidden=(48, 48), activation=nn.LeakyReLU)
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), recipe.lr, betas=(0.5, 0.999)) for net in (generator, critic))
    outcome = Outcome(1, recipe.steps)

    def judge(points: Tensor, verdict: float) -> Tensor:
        logits = critic(points)
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, verdict))

    run = probe.attach(nn.ModuleDict({"generator": generator, "critic": critic}), {"g": opt_g, "d": opt_d}, name=name)
    for step in range(1, recipe.steps + 1):
        real = data.x[torch.randint(len(data.x), (recipe.batch_size,))]
        generated = generator(torch.randn(len(real), 4))
        opt_d.zero_grad()
        (judge(real, 1.0) + judge(generated.detach(), 0.0)).backward()
        opt_d.step()
        opt_g.zero_grad()
        judge(generated, 1.0).backward()
        opt_g.step()
        if step % EVERY == 0:
            outcome.val.append((step, float((generated.std(0) - data.val_x.std(0)).norm())))
    run.detach()
    return outcome
