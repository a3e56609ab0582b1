"""too_little_data.py, cured: more data, augmented, dropout, weight decay; the best weights are kept."""

from copy import deepcopy
from math import inf

import torch
from digits import batches, evaluate, load
from torch import nn

import probe

PATIENCE = 8  # epochs without a lower validation loss

torch.manual_seed(0)
train, val = load()
train[1][::5] = torch.randint(10, (280,))
model = nn.Sequential(
    nn.Flatten(), nn.Linear(64, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10),
)  # fmt: skip
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
probe.attach(model, optimizer)

best, best_weights, epochs_since = inf, model.state_dict(), 0
while epochs_since < PATIENCE:
    for x, y in batches(train, 64):
        shift = torch.randint(-1, 2, (2,)).tolist()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x.roll(shift, (2, 3))), y)
        loss.backward()
        optimizer.step()
    val_loss, epochs_since = evaluate(model, val), epochs_since + 1
    if val_loss < best:
        best, best_weights, epochs_since = val_loss, deepcopy(model.state_dict()), 0
model.load_state_dict(best_weights)
