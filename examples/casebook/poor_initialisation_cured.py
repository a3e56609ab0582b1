"""poor_initialisation.py, cured: He's initialisation and batch normalisation."""

import torch
from digits import batches, evaluate, load
from torch import nn

import probe

torch.manual_seed(0)
train, val = load()


def block(channels_in, channels_out):
    return [nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU()]


model = nn.Sequential(
    *block(1, 16), *block(16, 16), nn.MaxPool2d(2), *block(16, 32), *block(32, 32), nn.MaxPool2d(2),
    *block(32, 64), *block(64, 64), nn.Flatten(), nn.Linear(256, 10),
)  # fmt: skip
for layer in model:
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
probe.attach(model, optimizer)

for _epoch in range(15):
    for x, y in batches(train, 64):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    evaluate(model, val)
