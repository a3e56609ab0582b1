"""Mixed precision with a GradScaler: the loss and the gradient norm on the screen are those without its scale."""

import torch
from sklearn.datasets import load_digits
from torch import nn

import probe

torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
images, digits = (torch.tensor(column, device=device) for column in load_digits(return_X_y=True))
images = images.float() / 16
train, val = slice(0, 1408), slice(1408, None)

model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)).to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
scaler = torch.amp.GradScaler(device, init_scale=2.0**30)  # far too high: the first steps overflow
probe.attach(model, optimizer)  # finds the scaler by itself

skipped = 0
for epoch in range(1, 11):
    for batch in torch.randperm(1408, device=device).split(64):
        with torch.autocast(device, dtype=torch.float16):
            loss = nn.functional.cross_entropy(model(images[train][batch]), digits[train][batch])
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scale = scaler.get_scale()
        scaler.step(optimizer)  # leaves the weights alone if a gradient has overflowed
        scaler.update()
        skipped += scaler.get_scale() < scale

    with torch.no_grad(), torch.autocast(device, dtype=torch.float16):
        logits = model(images[val])
        val_loss = nn.functional.cross_entropy(logits, digits[val])
    accuracy = (logits.argmax(1) == digits[val]).float().mean()
    print(f"epoch {epoch}: loss {loss:.6f}, val loss {val_loss:.6f}, val accuracy {accuracy:.6f}")
print(f"gradient norm {norm:.6f}, scale {scale:.0f}, steps skipped {skipped}")
