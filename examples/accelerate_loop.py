"""Accelerate: the two lines, on what ``prepare`` returned. ``accelerate launch`` runs it on several GPUs as well."""

import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import probe

torch.manual_seed(0)
images, digits = load_digits(return_X_y=True)
scans = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(digits))
train, val = random_split(scans, [1408, 389])

accelerator = Accelerator(gradient_accumulation_steps=2)
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=44, gamma=0.5)
model, optimizer, scheduler, train_loader, val_loader = accelerator.prepare(
    model, optimizer, scheduler, DataLoader(train, batch_size=32, shuffle=True), DataLoader(val, batch_size=100)
)
probe.attach(model, optimizer)

for epoch in range(1, 6):
    micro_losses = []
    for batch, labels in train_loader:
        with accelerator.accumulate(model):
            loss = nn.functional.cross_entropy(model(batch), labels)
            accelerator.backward(loss)
            micro_losses.append(loss.item())
            if accelerator.sync_gradients:
                norm = accelerator.clip_grad_norm_(model.parameters(), 1.0)
                lr = scheduler.get_last_lr()[0]
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    step_loss = sum(micro_losses[-2:]) / 2  # the last step's two micro-batches

    model.eval()
    with torch.no_grad():
        losses = [nn.functional.cross_entropy(model(batch), labels) * len(labels) for batch, labels in val_loader]
    model.train()
    val_loss = accelerator.gather(torch.stack(losses)).sum() / len(val)
    accelerator.print(
        f"epoch {epoch}: loss {step_loss:.6f}, gradient norm {norm:.6f}, lr {lr:.6f}, val loss {val_loss:.6f}"
    )
