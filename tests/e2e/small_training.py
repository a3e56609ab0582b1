"""A small real training for the end-to-end tests; prints a digest of the weights and the random state at the end."""

import argparse
import hashlib
import time

import torch
from torch import nn

import probe

arguments = argparse.ArgumentParser()
arguments.add_argument("--steps", type=int, default=200)
arguments.add_argument("--name", default="small")
arguments.add_argument(
    "--pace-s", type=float, default=0.0, help="sleep this long in each step, as a larger model takes"
)
arguments.add_argument("--nan-at", type=int, default=0, help="put a NaN into the batch of this step")
arguments.add_argument("--on-alert", nargs=2, action="append", default=[], metavar=("RULE", "ACTION"))
args = arguments.parse_args()

torch.manual_seed(0)
torch.set_num_threads(1)
model = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
    nn.Dropout(0.2), nn.Linear(128, 4),
)  # fmt: skip
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
probe.attach(
    model, optimizer, name=args.name, classes=["north", "east", "south", "west"], total_steps=args.steps,
    on_alert=dict(args.on_alert),
)  # fmt: skip

templates = torch.randn(4, 3, 8, 8)
generator = torch.Generator().manual_seed(1)


def batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.randint(0, 4, (size,), generator=generator)
    return templates[labels] + 2.0 * torch.randn(size, 3, 8, 8, generator=generator), labels


val_images, val_labels = batch(200)
for step in range(1, args.steps + 1):
    images, labels = batch(32)
    if step == args.nan_at:
        images[0, 0, 0, 0] = float("nan")
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    if args.pace_s:
        time.sleep(args.pace_s)
    optimizer.step()
    if step % 20 == 0:
        model.eval()
        with torch.no_grad():
            nn.functional.cross_entropy(model(val_images), val_labels)
        model.train()

digest = hashlib.sha256()
for value in model.state_dict().values():
    digest.update(value.numpy().tobytes())
digest.update(torch.get_rng_state().numpy().tobytes())
print("digest", digest.hexdigest())
