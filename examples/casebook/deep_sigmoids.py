"""Ten layers of sigmoids: the gradient is gone before it reaches the first of them."""

import torch
from digits import batches, evaluate, load
from torch import nn

import probe

torch.manual_seed(0)
train, val = load()
model = nn.Sequential(
    nn.Flatten(), nn.Linear(64, 64), nn.Sigmoid(),
    *[layer for _ in range(8) for layer in (nn.Linear(64, 64), nn.Sigmoid())],
    nn.Linear(64, 10),
)  # fmt: skip
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
probe.attach(model, optimizer)

for _epoch in range(30):
    for x, y in batches(train, 64):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    evaluate(model, val)
