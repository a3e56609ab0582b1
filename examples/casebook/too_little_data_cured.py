"""too_little_data.py, cured: all of the data, dropout, weight decay."""

import torch
from digits import batches, evaluate, load
from torch import nn

import probe

torch.manual_seed(0)
train, val = load()
model = nn.Sequential(
    nn.Flatten(), nn.Linear(64, 512), nn.ReLU(), nn.Dropout(0.3), nn.Linear(512, 10),
)  # fmt: skip
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
probe.attach(model, optimizer)

for _epoch in range(30):
    for x, y in batches(train, 64):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    evaluate(model, val)
