"""The training data come sorted by class, and are not shuffled."""

import torch
from digits import evaluate, load
from torch import nn

import probe

torch.manual_seed(0)
train, val = load()
order = train[1].argsort()
train = train[0][order], train[1][order]
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10),
)  # fmt: skip
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
probe.attach(model, optimizer)

for _epoch in range(10):
    for x, y in zip(train[0].split(32), train[1].split(32), strict=True):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    evaluate(model, val)
