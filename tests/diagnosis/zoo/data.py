"""The zoo's data: what ships inside scikit-learn, and what a few lines generate. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor


class Data(NamedTuple):
    """Inputs and targets to train on and to validate on. ``outputs`` is what the network has to give for a sample."""

    x: Tensor
    y: Tensor
    val_x: Tensor
    val_y: Tensor
    outputs: int


def split(x: np.ndarray, y: np.ndarray, outputs: int, rng: np.random.Generator, share: float = 0.75) -> Data:
    order = rng.permutation(len(x))
    cut = int(share * len(x))
    values = torch.from_numpy(x if x.dtype.kind == "i" else x.astype(np.float32))
    targets = torch.from_numpy(y if y.dtype.kind == "i" else y.astype(np.float32))
    train, val = torch.from_numpy(order[:cut]), torch.from_numpy(order[cut:])
    return Data(values[train], targets[train], values[val], targets[val], outputs)


def standard(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)) / x.std(0)


# ---------------------------------------------------------------------------------------------------- for tuning


def digits(rng: np.random.Generator) -> Data:
    """1,797 handwritten digits, float[n, 1, 8, 8]."""
    bunch = datasets.load_digits()
    return split(((bunch.images - 4.88) / 6.02)[:, None], bunch.target.astype(np.int64), 10, rng)


def scans(rng: np.random.Generator) -> Data:
    """The same digits as their own targets, float[n, 64] from 0 to 1."""
    x = datasets.load_digits().data / 16
    return split(x, x, 64, rng)


def cancer(rng: np.random.Generator) -> Data:
    """569 tumours by 30 features; benign or not."""
    bunch = datasets.load_breast_cancer()
    return split(standard(bunch.data), bunch.target[:, None].astype(np.float64), 1, rng)


def diabetes(rng: np.random.Generator) -> Data:
    """442 patients by 10 features; how far the disease went in a year."""
    bunch = datasets.load_diabetes()
    return split(standard(bunch.data), standard(bunch.target[:, None]), 1, rng)


def text(rng: np.random.Generator, length: int = 32) -> Data:
    """Characters of the prose that describes scikit-learn's data sets, each with the one that follows."""
    bunches = (datasets.load_digits(), datasets.load_breast_cancer(), datasets.load_diabetes(), datasets.load_wine())
    prose = "".join(bunch.DESCR for bunch in bunches)
    alphabet = sorted(set(prose))
    codes = np.array([alphabet.index(letter) for letter in prose], np.int64)
    blocks = codes[: len(codes) // (4 * length) * (4 * length)].reshape(-1, 4 * length)
    order = rng.permutation(len(blocks))
    cut = len(blocks) * 4 // 5
    (x, y), (val_x, val_y) = (windows(blocks[part], length) for part in (order[:cut], order[cut:]))
    return Data(x, y, val_x, val_y, len(alphabet))


def windows(blocks: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
    """Every fourth window of the blocks, int64[n, length], and the same one character later."""
    cut = np.lib.stride_tricks.sliding_window_view(blocks, length + 1, axis=1)[:, ::4].reshape(-1, length + 1)
    return torch.from_numpy(cut[:, :-1].copy()), torch.from_numpy(cut[:, 1:].copy())


# ------------------------------------------------------------------------------------------------------ held out


def shapes(rng: np.random.Generator, samples: int = 1600) -> Data:
    """Noisy pictures of five shapes, float[n, 1, 12, 12]."""
    label = rng.integers(0, 5, samples)
    column, row = np.meshgrid(np.arange(12), np.arange(12))
    centre = rng.uniform(4, 7, (2, samples, 1, 1))
    size = rng.uniform(2, 4, (samples, 1, 1))
    across, down = np.abs(column - centre[0]), np.abs(row - centre[1])
    drawn = np.stack(
        [
            np.hypot(across, down) < size,
            np.maximum(across, down) < size,
            np.minimum(across, down) < 1,
            np.abs(np.hypot(across, down) - size) < 1,
            (down < 1) | (down > 3),
        ]
    )
    images = drawn[label, np.arange(samples)] + rng.normal(0, 0.5, (samples, 12, 12))
    return split(standard(images.reshape(samples, -1)).reshape(samples, 1, 12, 12), label, 5, rng)


def spirals(rng: np.random.Generator, samples: int = 1500) -> Data:
    """Three arms in the plane, float[n, 2]."""
    label = rng.integers(0, 3, samples)
    radius = rng.uniform(0.1, 1, samples)
    angle = 4 * radius + label * 2 * np.pi / 3 + rng.normal(0, 0.15, samples)
    return split(standard(np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)), label, 3, rng)


def friedman(rng: np.random.Generator, samples: int = 2000) -> Data:
    """Friedman's first regression problem, with noise; float[n, 10]."""
    x, y = datasets.make_friedman1(samples, noise=1.0, random_state=int(rng.integers(1 << 31)))
    return split(standard(x), standard(y[:, None]), 1, rng)


def waves(rng: np.random.Generator, samples: int = 1600) -> Data:
    """Sines, squares, saws and chirps of any phase, float[n, 1, 48]."""
    label = rng.integers(0, 4, samples)
    time = np.linspace(0, 1, 48)
    turn = rng.uniform(2, 4, (samples, 1)) * time + rng.uniform(0, 1, (samples, 1))
    drawn = np.stack(
        [np.sin(2 * np.pi * turn), np.sign(np.sin(2 * np.pi * turn)), 2 * (turn % 1) - 1, np.sin(9 * turn**2)]
    )
    return split((drawn[label, np.arange(samples)] + rng.normal(0, 0.4, (samples, 48)))[:, None], label, 4, rng)


def echoes(rng: np.random.Generator, samples: int = 1600) -> Data:
    """Clean waves as their own targets, float[n, 48]."""
    time = np.linspace(0, 1, 48)
    parts = [
        rng.normal(0, 1, (samples, 1)) * np.sin(2 * np.pi * (k * time + rng.uniform(0, 1, (samples, 1))))
        for k in (1, 2, 3)
    ]
    x = standard(np.sum(parts, 0))
    return split(x, x, 48, rng)


def majority(rng: np.random.Generator, samples: int = 2000) -> Data:
    """Which of four signs is most frequent in a row of 20, int64[n, 20]."""
    tokens = rng.integers(0, 4, (samples, 20))
    favourite = rng.integers(0, 4, samples)
    tokens = np.where(rng.random((samples, 20)) < 0.35, favourite[:, None], tokens)
    counts = (tokens[:, :, None] == np.arange(4)).sum(1)
    return split(tokens, counts.argmax(1), 4, rng)


def brackets(rng: np.random.Generator, samples: int = 2000, length: int = 24) -> Data:
    """Rows of three kinds of brackets, closed in the order in which they were opened; each with the next sign."""
    rows = np.array([bracket_row(rng, length + 1) for _ in range(samples)], np.int64)
    cut = samples * 3 // 4
    x, y = torch.from_numpy(rows[:, :-1].copy()), torch.from_numpy(rows[:, 1:].copy())
    return Data(x[:cut], y[:cut], x[cut:], y[cut:], 6)


def bracket_row(rng: np.random.Generator, length: int) -> list[int]:
    row: list[int] = []
    still_open: list[int] = []
    for kind, opens in zip(rng.integers(0, 3, length), rng.random(length) < 0.5, strict=True):
        if opens or not still_open:
            still_open.append(int(kind))
            row.append(int(kind))
        else:
            row.append(3 + still_open.pop())
    return row


def ring(rng: np.random.Generator, samples: int = 2000) -> Data:
    """Eight heaps on a circle, float[n, 2]: what a GAN is to imitate."""
    angle = rng.integers(0, 8, samples) * np.pi / 4
    x = np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(0, 0.05, (samples, 2))
    return split(x, x, 2, rng)


# --------------------------------------------------------------------------------------------------------- fresh


def wine(rng: np.random.Generator) -> Data:
    """178 wines of three growers by 13 measurements."""
    bunch = datasets.load_wine()
    return split(standard(bunch.data), bunch.target.astype(np.int64), 3, rng)


def textures(rng: np.random.Generator, samples: int = 1500) -> Data:
    """Coloured gratings, each of one of six directions, in noise; float[n, 3, 16, 16]."""
    label = rng.integers(0, 6, samples)
    column, row = np.meshgrid(np.arange(16), np.arange(16))
    angle = (label * np.pi / 6 + rng.normal(0, 0.06, samples))[:, None, None]
    phase, pitch = rng.uniform(0, 2 * np.pi, (samples, 1, 1)), rng.uniform(0.8, 1.4, (samples, 1, 1))
    grating = np.sin(pitch * (np.cos(angle) * column + np.sin(angle) * row) + phase)
    colour = rng.normal(0, 1, (samples, 3, 1, 1))
    return split(grating[:, None] * colour + rng.normal(0, 0.6, (samples, 3, 16, 16)), label, 6, rng)


def blobs(rng: np.random.Generator, samples: int = 600) -> Data:
    """Noisy pictures, float[n, 1, 16, 16], and for each pixel whether it is ground, disc or bar, int64[n, 256]."""
    column, row = np.meshgrid(np.arange(16), np.arange(16))
    x, y, across = rng.uniform(3, 13, (3, samples, 1, 1))
    disc = np.hypot(column - x, row - y) < rng.uniform(2, 4, (samples, 1, 1))
    label = np.where(disc, 1, np.where(np.abs(row - across) < 1.5, 2, 0))
    brightness = np.array([0.0, 1.5, -1.5])[label] + rng.normal(0, 1, label.shape)
    return split(brightness[:, None], label.reshape(samples, -1), 3, rng)


def demand(rng: np.random.Generator, samples: int = 1500) -> Data:
    """The next eight values of a seasonal, noisy series after 48 of them; float[n, 1, 48] and float[n, 8]."""
    time = np.arange(56)
    season = rng.uniform(0.5, 2, (samples, 1)) * np.sin(2 * np.pi * (time / 12 + rng.uniform(0, 1, (samples, 1))))
    trend = rng.normal(0, 0.03, (samples, 1)) * (time - 28)
    series = season + trend + rng.normal(0, 0.3, (samples, 56))
    return split(series[:, None, :48], series[:, 48:], 8, rng)


def ratings(rng: np.random.Generator, samples: int = 6000) -> Data:
    """What one of 60 people gives one of 40 films: int64[n, 2] and float[n, 1], of rank three, with noise."""
    pairs = np.stack([rng.integers(0, 60, samples), rng.integers(0, 40, samples)], 1)
    people, films = rng.normal(0, 1, (60, 3)), rng.normal(0, 1, (40, 3))
    given = (people[pairs[:, 0]] * films[pairs[:, 1]]).sum(1) / np.sqrt(3) + rng.normal(0, 0.5, samples)
    return split(pairs, given[:, None], 1, rng)


def topics(rng: np.random.Generator, samples: int = 2000) -> Data:
    """Which of eight topics a text is about, any number of them, from its counts of 40 words."""
    x, y = datasets.make_multilabel_classification(
        samples, 40, n_classes=8, n_labels=3, length=80, random_state=int(rng.integers(1 << 31))
    )
    return split(standard(x), y.astype(np.float64), 8, rng)


def moons(rng: np.random.Generator, samples: int = 3000) -> Data:
    """The noise in points of two half moons, at any level of it, as a diffusion model learns it; float[n, 3]."""
    points, _ = datasets.make_moons(samples, noise=0.05, random_state=int(rng.integers(1 << 31)))
    level, noise = rng.uniform(0.1, 1, (samples, 1)), rng.normal(0, 1, (samples, 2))
    return split(np.concatenate([standard(points) + level * noise, level], 1), noise, 2, rng)


def rows(rng: np.random.Generator, samples: int = 2000) -> Data:
    """Rows of twelve signs, and the same signs in order; int64[n, 12]."""
    given = rng.integers(0, 8, (samples, 12))
    return split(given, np.sort(given, 1), 8, rng)


DATA: dict[str, Callable[[np.random.Generator], Data]] = {
    made.__name__: made
    for made in (
        digits,
        scans,
        cancer,
        diabetes,
        text,
        shapes,
        spirals,
        friedman,
        waves,
        echoes,
        majority,
        brackets,
        ring,
        wine,
        textures,
        blobs,
        demand,
        ratings,
        topics,
        moons,
        rows,
    )
}
