"""A GAN: two networks and two optimizers under one probe. Steps are those of the first optimizer that is named."""

import torch
from sklearn.datasets import load_digits
from torch import nn

import probe

NOISE = 16

torch.manual_seed(0)
scans = torch.tensor(load_digits().data, dtype=torch.float32) / 8 - 1

generator = nn.Sequential(nn.Linear(NOISE, 128), nn.ReLU(), nn.Linear(128, 64), nn.Tanh())
discriminator = nn.Sequential(nn.Linear(64, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1))
opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
opt_d = torch.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.5, 0.999))
gan = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
probe.attach(gan, {"g": opt_g, "d": opt_d})


def judge(images: torch.Tensor, verdict: float) -> torch.Tensor:
    """How far the discriminator is from calling these images real (1) or generated (0)."""
    logits = discriminator(images)
    return nn.functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, verdict))


for epoch in range(1, 11):
    for real in scans[torch.randperm(len(scans))].split(64):
        generated = generator(torch.randn(len(real), NOISE))

        loss_d = judge(real, 1.0) + judge(generated.detach(), 0.0)
        opt_d.zero_grad()
        loss_d.backward()
        opt_d.step()

        loss_g = judge(generated, 1.0)
        opt_g.zero_grad()
        loss_g.backward()
        opt_g.step()
    print(f"epoch {epoch}: generator {loss_g:.6f}, discriminator {loss_d:.6f}")
