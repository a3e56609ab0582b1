"""Several processes: ``torchrun --nproc-per-node 2 examples/ddp.py``, here on CPUs. Each rank has the two lines."""

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import probe

dist.init_process_group("gloo")
torch.manual_seed(0)

images, digits = load_digits(return_X_y=True)
scans = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(digits))
train, val = torch.utils.data.random_split(scans, [1408, 389])
sampler = DistributedSampler(train)
train_loader = DataLoader(train, batch_size=32, sampler=sampler)
val_loader = DataLoader(val, batch_size=389)

model = DistributedDataParallel(nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
probe.attach(model, optimizer, name="digits-ddp")

for epoch in range(1, 6):
    sampler.set_epoch(epoch)
    for batch, labels in train_loader:
        loss = nn.functional.cross_entropy(model(batch), labels)
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    model.eval()
    with torch.no_grad():
        for batch, labels in val_loader:
            val_loss = nn.functional.cross_entropy(model(batch), labels)
    model.train()
    if dist.get_rank() == 0:
        print(f"epoch {epoch}: loss {loss:.6f}, gradient norm {norm:.6f}, val loss {val_loss:.6f}")

dist.destroy_process_group()
