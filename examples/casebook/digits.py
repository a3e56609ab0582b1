"""What all cases train on: the 1,797 handwritten digits of scikit-learn, 8x8 pixels, and how they are evaluated."""

from collections.abc import Iterator

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

Samples = tuple[Tensor, Tensor]


def load(samples: int = 1400) -> tuple[Samples, Samples]:
    """So many to train on and the last 397 to validate: images float32[n, 1, 8, 8], standardised, and labels."""
    pixels, labels = (torch.tensor(column) for column in load_digits(return_X_y=True))
    images = pixels.float().reshape(-1, 1, 8, 8)
    images = (images - images.mean()) / images.std()
    return (images[:samples], labels[:samples]), (images[1400:], labels[1400:])


def batches(samples: Samples, size: int) -> Iterator[Samples]:
    """One epoch in random order."""
    for index in torch.randperm(len(samples[0])).split(size):
        yield samples[0][index], samples[1][index]


def evaluate(model: nn.Module, samples: Samples) -> float:
    """The validation loss."""
    model.eval()
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(samples[0]), samples[1])
    model.train()
    return loss.item()
