"""The two lines in an ordinary loop. Run it, then type ``bedside`` in another terminal."""

import torch
from torch import nn

import probe

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
probe.attach(model, optimizer)

inputs = torch.randn(4096, 20)
targets = (inputs @ torch.randn(20, 3)).argmax(1)

for _epoch in range(40):
    for batch, labels in zip(inputs.split(64), targets.split(64), strict=True):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(batch), labels)
        loss.backward()
        optimizer.step()

print(f"loss {loss:.6f}")
