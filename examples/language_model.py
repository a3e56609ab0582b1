"""A small language model: it learns to write Python, byte by byte, from the standard library's own source."""

import argparse
from pathlib import Path

import torch
from torch import nn

import probe

CONTEXT, BATCH, STEPS = 64, 16, 150


class LanguageModel(nn.Module):
    """A causal transformer over bytes: int64[batch, time] to logits float32[batch, time, 256]."""

    def __init__(self, width: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.token = nn.Embedding(256, width)
        self.position = nn.Embedding(CONTEXT, width)
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, 256)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(text.shape[1])
        hidden = self.token(text) + self.position(torch.arange(text.shape[1]))
        return self.head(self.blocks(hidden, mask=mask, is_causal=True))


def batch_of(text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of the text, and the same windows one byte on; int64[batch, time] each."""
    windows = torch.stack(
        [text[start : start + CONTEXT + 1] for start in torch.randint(len(text) - CONTEXT, (BATCH,))]
    )
    return windows[:, :-1], windows[:, 1:]


def loss_of(model: nn.Module, text: torch.Tensor) -> torch.Tensor:
    inputs, targets = batch_of(text)
    return nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


torch.manual_seed(0)
source = torch.tensor(list(Path(argparse.__file__).read_bytes()))
train, val = source[: len(source) * 9 // 10], source[len(source) * 9 // 10 :]

model = LanguageModel()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=STEPS)
run = probe.attach(model, optimizer, name="stdlib-bytes", total_steps=STEPS)

for step in range(1, STEPS + 1):
    loss = loss_of(model, train)
    optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
    run.log(perplexity=loss.exp())  # a number of your own, after optimizer.step()
    if step % 50 == 0:
        model.eval()
        with torch.no_grad():
            val_loss = loss_of(model, val)
        model.train()
        print(f"step {step}: loss {loss:.6f}, gradient norm {norm:.6f}, val loss {val_loss:.6f}")
