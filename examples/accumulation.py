"""Gradient accumulation: a step on the screen is an optimizer step, and its loss the mean over the micro-batches."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import probe

ACCUMULATE = 4

torch.manual_seed(0)
images, digits = load_digits(return_X_y=True)
scans = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(digits))
train, val = random_split(scans, [1408, 389])
train_loader = DataLoader(train, batch_size=16, shuffle=True)
val_loader = DataLoader(val, batch_size=100)

model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
criterion = nn.CrossEntropyLoss()
probe.attach(model, optimizer, criterion, total_steps=10 * len(train_loader) // ACCUMULATE)

for epoch in range(1, 11):
    step_loss = 0.0
    for index, (batch, labels) in enumerate(train_loader, start=1):
        loss = criterion(model(batch), labels)
        (loss / ACCUMULATE).backward()
        step_loss += loss.item() / ACCUMULATE
        if index % ACCUMULATE == 0:
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            last_loss, step_loss = step_loss, 0.0
    lr = scheduler.get_last_lr()[0]
    scheduler.step()

    model.eval()
    with torch.no_grad():
        val_loss = sum(criterion(model(batch), labels).item() * len(labels) for batch, labels in val_loader) / len(
            val
        )
    model.train()
    print(f"epoch {epoch}: loss {last_loss:.6f}, gradient norm {norm:.6f}, lr {lr:.6f}, val loss {val_loss:.6f}")
