"""The zoo's networks, each small enough for a CPU, with PyTorch's own initialisation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def mlp(
    inputs: int,
    outputs: int,
    *,
    hidden: tuple[int, ...] = (64, 64),
    activation: type[nn.Module] = nn.ReLU,
    norm: Callable[[int], nn.Module] | None = None,
    dropout: float = 0.0,
) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for width in hidden:
        layers += [nn.Linear(inputs, width), *([norm(width)] if norm else []), activation()]
        layers += [nn.Dropout(dropout)] if dropout else []
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def cnn(outputs: int, *, norm: bool = True, dropout: float = 0.0) -> nn.Sequential:
    """Two convolutions with pooling on [n, 1, 8, 8]."""
    layers: list[nn.Module] = []
    for before, after in ((1, 12), (12, 24)):
        layers += [nn.Conv2d(before, after, 3, padding=1), *([nn.BatchNorm2d(after)] if norm else [])]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(dropout), nn.Linear(24 * 4, outputs))


class Attention(nn.Module):
    """A transformer over the eight rows of a digit."""

    def __init__(self, outputs: int, dropout: float = 0.0, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.place = nn.Parameter(0.02 * torch.randn(8, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x.squeeze(1)) + self.place).mean(1))


class Rows(nn.Module):
    """A GRU that reads a digit row by row."""

    def __init__(self, outputs: int, width: int = 32) -> None:
        super().__init__()
        self.rnn = nn.GRU(8, width, batch_first=True)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x.squeeze(1))[0][:, -1])


class Letters(nn.Module):
    """A GRU that guesses the next character."""

    def __init__(self, outputs: int, width: int = 48) -> None:
        super().__init__()
        self.embed = nn.Embedding(outputs, 24)
        self.rnn = nn.GRU(24, width, batch_first=True)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(self.embed(x))[0])


class Signs(nn.Module):
    """An LSTM that reads a row of signs and says one thing about it."""

    def __init__(self, outputs: int, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Embedding(4, 8)
        self.rnn = nn.LSTM(8, width, batch_first=True)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(self.embed(x))[0][:, -1])


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.second, self.norm2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.norm1(self.first(x)))
        return torch.relu(x + self.norm2(self.second(inner)))


def residual(outputs: int, dropout: float = 0.0) -> nn.Sequential:
    """Two residual blocks on [n, 1, 12, 12]."""
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, stride=2, padding=1),
        Block(12),
        Block(12),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(48, outputs),
    )


def fcn(outputs: int) -> nn.Sequential:
    """Convolutions over time, with group normalisation and SiLU, on [n, 1, 48]."""
    layers: list[nn.Module] = []
    for before, after in ((1, 16), (16, 32)):
        layers += [nn.Conv1d(before, after, 7, stride=2, padding=3), nn.GroupNorm(4, after), nn.SiLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, outputs))


class Causal(nn.Module):
    """A small GPT."""

    def __init__(self, outputs: int, dropout: float = 0.0, width: int = 32, length: int = 24) -> None:
        super().__init__()
        self.embed = nn.Embedding(outputs, width)
        self.place = nn.Embedding(length, width)
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        inner = self.blocks(self.embed(x) + self.place(torch.arange(length)), mask=mask, is_causal=True)
        return self.head(self.norm(inner))


#: Each network by its name: a function of what it has to give, and of the dropout.
NETWORKS: dict[str, Callable[[int, float], nn.Module]] = {
    "cnn": lambda outputs, dropout: cnn(outputs, dropout=dropout),
    "plain-cnn": lambda outputs, dropout: cnn(outputs, norm=False, dropout=dropout),
    "digit-mlp": lambda outputs, dropout: mlp(64, outputs, dropout=dropout),
    "digit-attention": Attention,
    "digit-gru": lambda outputs, _dropout: Rows(outputs),
    "digit-deep": lambda outputs, _dropout: mlp(64, outputs, hidden=(48,) * 6),
    "digit-tanh": lambda outputs, _dropout: mlp(64, outputs, activation=nn.Tanh),
    "autoencoder": lambda outputs, _dropout: mlp(64, outputs, hidden=(48, 12, 48)),
    "cancer-mlp": lambda outputs, dropout: mlp(30, outputs, hidden=(32,), dropout=dropout),
    "diabetes-mlp": lambda outputs, dropout: mlp(10, outputs, hidden=(16,), dropout=dropout),
    "letters": lambda outputs, _dropout: Letters(outputs),
    "residual": residual,
    "spiral-tanh": lambda outputs, dropout: mlp(2, outputs, activation=nn.Tanh, dropout=dropout),
    "spiral-relu": lambda outputs, dropout: mlp(2, outputs, hidden=(96, 96), dropout=dropout),
    "spiral-deep": lambda outputs, _dropout: mlp(2, outputs, hidden=(48,) * 5, activation=nn.Tanh),
    "friedman-mlp": lambda outputs, dropout: mlp(
        10, outputs, hidden=(48, 48), activation=nn.SELU, norm=nn.LayerNorm, dropout=dropout
    ),
    "wave-fcn": lambda outputs, _dropout: fcn(outputs),
    "wave-autoencoder": lambda outputs, _dropout: mlp(48, outputs, hidden=(32, 8, 32), activation=nn.GELU),
    "signs": lambda outputs, _dropout: Signs(outputs),
    "causal": Causal,
}
