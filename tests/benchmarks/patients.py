"""Real trainings that fall ill, for rescue.py: handwritten digits, a small network, one thing wrong with each.

    python tests/benchmarks/patients.py CASE --seed 0

Prints the validation loss, the accuracy and the steps at its end, or with ``--evaluate CHECKPOINT`` those of that.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from sklearn.datasets import load_digits
from torch import nn

import probe


class Case(NamedTuple):
    """``rate`` gives the learning rate of Adam at a share of the run, 0 to 1."""

    steps: int
    rate: Callable[[float], float]
    train_images: int = 1400
    wrong_labels: float = 0.0


CASES = {
    # the warm-up, over a quarter of the run, goes on to a rate that this network does not bear
    "lr-too-high": Case(3000, lambda at: 0.1 * min(1.0, 4 * at)),
    # a constant rate, three times too high to settle with
    "plateau": Case(4000, lambda _: 0.05),
    # few images, some of them labelled wrong, and nothing that regularises
    "overfitting": Case(4000, lambda _: 1e-3, train_images=300, wrong_labels=0.2),
}
#: A loop of a millisecond would be over before anybody has looked at it.
PACE_S = 0.002


Data = tuple[torch.Tensor, torch.Tensor]


def digits(case: Case, seed: int) -> tuple[Data, Data]:
    """Scans float32[n, 64] with their digits int64[n], to train on and to validate on."""
    scans, labels = load_digits(return_X_y=True)
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(scans), generator=draw)
    inputs, targets = torch.tensor(scans / 16, dtype=torch.float32)[order], torch.tensor(labels)[order]
    wrong = torch.rand(case.train_images, generator=draw) < case.wrong_labels
    train_targets = targets[: case.train_images] + wrong * torch.randint(1, 10, wrong.shape, generator=draw)
    return (inputs[: case.train_images], train_targets % 10), (inputs[1400:], targets[1400:])


@torch.no_grad()
def validate(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
    model.eval()
    logits = model(inputs)
    loss = nn.functional.cross_entropy(logits, targets)
    model.train()
    return loss.item(), (logits.argmax(1) == targets).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate", metavar="CHECKPOINT")
    args = parser.parse_args()
    case = CASES[args.case]
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    (inputs, targets), held_out = digits(case, args.seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: case.rate(step / case.steps))
    steps = case.steps
    if args.evaluate:
        steps = probe.load_checkpoint(args.evaluate, model, optimizer, scheduler).step
    else:
        probe.attach(model, optimizer, name=args.case, total_steps=steps)
        for step in range(1, steps + 1):
            batch = torch.randint(0, len(inputs), (64,))
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[batch]), targets[batch]).backward()
            optimizer.step()
            scheduler.step()
            time.sleep(PACE_S)
            if step % 100 == 0:
                validate(model, *held_out)
    print(*validate(model, *held_out), steps)


if __name__ == "__main__":
    main()
