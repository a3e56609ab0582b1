"""Too little capacity: one hidden unit for ten classes."""

import torch
from digits import batches, evaluate, load
from torch import nn

import probe

torch.manual_seed(0)
train, val = load()
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Tanh(), nn.Linear(1, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
probe.attach(model, optimizer)

for _epoch in range(50):
    for x, y in batches(train, 64):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    evaluate(model, val)
