"""Too little data for too large a network, and a fifth of it labelled wrong: it learns all of it by heart."""

import torch
from digits import batches, evaluate, load
from torch import nn

import probe

torch.manual_seed(0)
train, val = load(samples=200)
train[1][::5] = torch.randint(10, (40,))
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
probe.attach(model, optimizer)

for _epoch in range(100):
    for x, y in batches(train, 25):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    evaluate(model, val)
