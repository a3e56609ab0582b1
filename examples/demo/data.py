"""The demo's real data: handwritten digits that ship inside scikit-learn, or CIFAR-10, as 3x32x32 tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset
from torchvision import datasets, transforms

CIFAR10_CLASSES = ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


Transform = Callable[[Any], Any]


class DataUnavailableError(Exception):
    """The data are neither on disk nor to be fetched; the message says what to do."""


class Splits(NamedTuple):
    """A training and a validation set of (image float32[3, 32, 32], label) and the names of the classes."""

    train: Dataset
    val: Dataset
    classes: list[str]


class Digits(Dataset):
    """1,797 scans of 8x8 pixels, enlarged once and moved a little each time. ``images`` is uint8[n, 8, 8]."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, move: Transform, normalise: Transform) -> None:
        enlarge = transforms.Compose([transforms.ToPILImage(), transforms.Resize(32)])
        self.pictures = [enlarge(image) for image in images]
        self.labels, self.move, self.normalise = labels, move, normalise
        self.to_tensor = transforms.PILToTensor()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[torch.Tensor, int]]:
        """A batch at once, as a ``DataLoader`` asks for it: a quarter of the work of one image after the other."""
        grey = torch.stack([self.to_tensor(self.move(self.pictures[index])) for index in indices])
        images = self.normalise((grey.float() / 255).expand(-1, 3, -1, -1))
        return list(zip(images, map(int, self.labels[indices]), strict=True))


def standardise_each(images: torch.Tensor) -> torch.Tensor:
    """Zero mean and unit deviation per image; a blank image has a deviation of 0 and becomes 0/0, a NaN."""
    return (images - images.mean((1, 2, 3), keepdim=True)) / images.std((1, 2, 3), keepdim=True)


def leave(picture: Any) -> Any:
    """No augmentation."""
    return picture


def digits(*, augment: bool = True, per_image: bool = False, seed: int = 0) -> Splits:
    """Three quarters to train on, one quarter to validate on, split by ``seed``."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images * (255 / 16)).astype(np.uint8)
    order = np.random.default_rng(seed).permutation(len(images))
    cut = len(order) * 3 // 4
    normalise = standardise_each if per_image else transforms.Normalize([0.306] * 3, [0.376] * 3)
    move = transforms.RandomAffine(degrees=10, translate=(0.08, 0.08)) if augment else leave
    return Splits(
        Digits(images[order[:cut]], bunch.target[order[:cut]], move, normalise),
        Digits(images[order[cut:]], bunch.target[order[cut:]], leave, normalise),
        [str(digit) for digit in range(10)],
    )


def cifar10(root: Path, *, augment: bool = True) -> Splits:
    """CIFAR-10 from ``root``, fetched if it is not there. Raises DataUnavailableError when neither works."""
    normalise = transforms.Normalize([0.491, 0.482, 0.447], [0.247, 0.243, 0.262])
    moves = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()] if augment else []
    plain = transforms.Compose([transforms.ToTensor(), normalise])
    moved = transforms.Compose([*moves, transforms.ToTensor(), normalise])
    try:
        train = datasets.CIFAR10(root, train=True, transform=moved, download=True)
        val = datasets.CIFAR10(root, train=False, transform=plain)
    except (OSError, RuntimeError) as error:
        raise DataUnavailableError(
            f"CIFAR-10 is not under {root} and could not be fetched ({error}). Put cifar-10-python.tar.gz there, "
            "name another folder with --data-root, or use the digits, which need no network: --data digits"
        ) from error
    return Splits(train, val, CIFAR10_CLASSES)


def thin_out(dataset: Digits, keep: dict[int, int]) -> Dataset:
    """The data set with only the first ``keep[label]`` images of each label named there."""
    seen: dict[int, int] = {}
    indices = []
    for index, label in enumerate(map(int, dataset.labels)):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] <= keep.get(label, len(dataset)):
            indices.append(index)
    return Subset(dataset, indices)


def with_blank_scan(dataset: Digits) -> Dataset:
    """The data set and one more image, in which every pixel is 0: what a scanner gives for an empty page."""
    blank = Digits(np.zeros((1, 8, 8), np.uint8), np.array([0]), dataset.move, dataset.normalise)
    return ConcatDataset([dataset, blank])
