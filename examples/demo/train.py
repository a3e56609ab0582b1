"""A real training on real data with the probe in it: what ``bedside demo`` runs.

    python examples/demo/train.py                       handwritten digits, a small CNN, about half a minute
    python examples/demo/train.py --fault lr-too-high   the same training, made sick for a real cause

The two lines that matter are marked. Everything else is an ordinary training loop.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from torchvision_ops import import_torchvision

import_torchvision()

import data
import models
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR
from torch.utils.data import DataLoader

import probe


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One training. A fault changes one or two of these, and nothing else."""

    model: str = "simplecnn"
    data: str = "digits"
    epochs: int = 36
    batch_size: int = 64
    lr: float = 0.05
    momentum: float = 0.9
    warmup_epochs: int = 2
    weight_decay: float = 5e-4
    clip: float = 1.0
    dropout: float = 0.25
    batch_norm: bool = True
    augment: bool = True
    conv_bias: float | None = None
    train_images: int | None = None
    rare: dict[int, int] = dataclasses.field(default_factory=dict)
    per_image: bool = False
    blank_from_epoch: int | None = None


#: Each fault as the cause that people meet; the alarm that it raises is named beside it.
FAULTS: dict[str, dict[str, object]] = {
    # divergence: the warm-up goes on to a rate 300 times too high for this network
    "lr-too-high": {"lr": 15.0, "warmup_epochs": 8},
    # slow: a rate four orders of magnitude too low
    "lr-too-low": {"lr": 5e-6},
    # overfitting: forty images, and nothing that regularises
    "overfit": {
        "train_images": 40,
        "batch_size": 8,
        "epochs": 150,
        "weight_decay": 0.0,
        "dropout": 0.0,
        "augment": False,
        "batch_norm": False,
    },
    # non-finite: from epoch 6 on the data hold a blank scan, and standardising it divides 0 by 0
    "nan": {"per_image": True, "blank_from_epoch": 6},
    # dead-units: without batch normalisation, biases far below zero keep every ReLU shut
    "dead-relu": {"batch_norm": False, "conv_bias": -4.0},
    # class-collapse: two classes are left with one image each
    "imbalance": {"rare": {3: 1, 8: 1}, "augment": False},
}


def load(recipe: Recipe, root: Path, seed: int) -> data.Splits:
    """The splits that a recipe asks for."""
    if recipe.data == "cifar10":
        return data.cifar10(root, augment=recipe.augment)
    splits = data.digits(augment=recipe.augment, per_image=recipe.per_image, seed=seed)
    if recipe.rare:
        splits = splits._replace(train=data.thin_out(splits.train, recipe.rare))
    if recipe.train_images is not None:
        splits = splits._replace(train=torch.utils.data.Subset(splits.train, range(recipe.train_images)))
    return splits


def network(recipe: Recipe, classes: int) -> nn.Module:
    """The network that a recipe asks for, with PyTorch's own initialisation unless the recipe spoils it."""
    options = {"batch_norm": recipe.batch_norm, "dropout": recipe.dropout} if recipe.model == "simplecnn" else {}
    model = models.build(recipe.model, classes, **options)
    if recipe.conv_bias is not None:
        models.push_below_zero(model, recipe.conv_bias)
    return model


@torch.no_grad()
def validate(model: nn.Module, criterion: nn.Module, loader: DataLoader, device: torch.device) -> None:
    """One pass over the validation set; the probe sees its loss and accuracy from the forward passes."""
    model.eval()
    for images, labels in loader:
        criterion(model(images.to(device)), labels.to(device))
    model.train()


def schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> LRScheduler:
    """A linear warm-up, then a cosine down to zero; stepped once a batch."""
    warmup, total = recipe.warmup_epochs * steps_per_epoch, recipe.epochs * steps_per_epoch
    rise = LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup)
    fall = CosineAnnealingLR(optimizer, T_max=max(1, total - warmup))
    return SequentialLR(optimizer, [rise, fall], milestones=[warmup])


def train(recipe: Recipe, splits: data.Splits, name: str, device: torch.device) -> None:
    """The loop."""
    loader = DataLoader(splits.train, batch_size=recipe.batch_size, shuffle=True)
    val_loader = DataLoader(splits.val, batch_size=256)
    model = network(recipe, len(splits.classes)).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    scheduler = schedule(optimizer, recipe, len(loader))

    total_steps = recipe.epochs * len(loader)
    # These two lines (the import stands at the top) are all that Bedside needs; the names are for the screen.
    probe.attach(
        model,
        optimizer,
        name=name,
        classes=splits.classes,
        config=dataclasses.asdict(recipe),
        total_steps=total_steps,
    )

    for epoch in range(recipe.epochs):
        if epoch == recipe.blank_from_epoch:
            loader = DataLoader(data.with_blank_scan(splits.train), batch_size=recipe.batch_size, shuffle=True)
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(images.to(device)), labels.to(device))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            scheduler.step()
        validate(model, criterion, val_loader, device)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fault", choices=sorted(FAULTS), help="make this training sick, for a real cause")
    parser.add_argument("--model", choices=["simplecnn", "vgg11_bn"], default="simplecnn")
    parser.add_argument("--data", choices=["digits", "cifar10"], default="digits")
    parser.add_argument("--data-root", type=Path, default=Path.home() / ".cache" / "torchvision", metavar="DIR")
    parser.add_argument("--epochs", type=int, metavar="N", help="how many passes over the training set")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.fault and (args.data, args.model) != ("digits", "simplecnn"):
        parser.error("--fault makes the small CNN on the digits sick; leave out --data and --model")
    if args.epochs is not None and args.epochs < 1:
        parser.error(f"--epochs {args.epochs}: one epoch is the least")
    return args


def main() -> None:
    args = arguments()
    recipe = Recipe(model=args.model, data=args.data, **FAULTS.get(args.fault, {}))
    if args.epochs is not None:
        recipe = dataclasses.replace(recipe, epochs=args.epochs)
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        splits = load(recipe, args.data_root, args.seed)
    except data.DataUnavailableError as error:
        sys.exit(f"error: {error}")
    train(recipe, splits, "-".join(filter(None, [args.model, args.data, args.fault])), device)


if __name__ == "__main__":
    main()
