"""A training as people write it: one file, no function that a tool could hook, nothing of Bedside.

Given FIRST and LAST it halves its learning rate for those steps: what a monitor does from outside, written down.
"""

import hashlib
import sys
import time
from pathlib import Path

import torch
from torch import nn

end, *halved = sys.argv[1:]
first, last = map(int, halved or (1, 0))

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
while step < int(end):
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
        time.sleep(0.003)
        if step == int(end):
            break
    model.eval()
    with torch.no_grad():
        accuracy = (model(images).argmax(1) == labels).float().mean()

digest = hashlib.sha256()
for value in model.state_dict().values():
    digest.update(value.numpy().tobytes())
digest.update(torch.get_rng_state().numpy().tobytes())
print(Path(__file__).name, f"{accuracy:.4f}", digest.hexdigest())
