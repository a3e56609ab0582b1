"""ReduceLROnPlateau is given the loss of each batch: it takes noise for a plateau."""

import torch
from digits import batches, evaluate, load
from torch import nn

import probe

torch.manual_seed(0)
train, val = load()
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
probe.attach(model, optimizer)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)

for _epoch in range(15):
    for x, y in batches(train, 32):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step(loss.item())
    evaluate(model, val)
