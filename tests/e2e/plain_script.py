"""A training as people write it: one file, no function that a tool could hook, nothing of Bedside.

It trains until there is a file named ``stop``. Given FIRST, LAST and END it halves its learning rate for the steps
FIRST to LAST and ends with step END: what a monitor does from outside, written down.
"""

import hashlib
import sys
import time
from pathlib import Path

import torch
from torch import nn

first, last, end = map(int, sys.argv[1:] or (1, 0, 10**9))

torch.manual_seed(0)
torch.set_num_threads(1)
images = torch.randn(512, 1, 8, 8)
labels = images.mean(dim=(1, 2, 3)).mul(8).add(1.5).clamp(0, 3).long()
model = nn.Sequential(
    nn.Conv2d(1, 8, 3, padding=1),
    nn.ReLU(),
    nn.Flatten(),
    nn.Dropout(0.2),
    nn.Linear(512, 4),
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3000)
step = 0
goes_on = True
while goes_on:
    for rows in torch.randperm(512).split(32):
        step += 1
        model.train()
        optimizer.zero_grad()
        loss = criterion(model(images[rows]), labels[rows])
        loss.backward()
        scheduled = optimizer.param_groups[0]["lr"]
        if first <= step <= last:
            optimizer.param_groups[0]["lr"] = scheduled * 0.5
        optimizer.step()
        optimizer.param_groups[0]["lr"] = scheduled
        scheduler.step()
        time.sleep(0.005)
        goes_on = step < end and not Path("stop").exists()
        if not goes_on:
            break
    model.eval()
    with torch.no_grad():
        accuracy = (model(images).argmax(1) == labels).float().mean()
    print(f"accuracy {accuracy:.4f} after step {step}", flush=True)

digest = hashlib.sha256()
for value in model.state_dict().values():
    digest.update(value.numpy().tobytes())
digest.update(torch.get_rng_state().numpy().tobytes())
print(step, digest.hexdigest())
