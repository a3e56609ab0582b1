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


def strided(outputs: int) -> nn.Sequential:
    """Convolutions that halve the picture, without normalisation or pooling, on [n, 3, 16, 16]."""
    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 32)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 4, outputs))


class Patches(nn.Module):
    """A vision transformer over sixteen patches of [n, 3, 16, 16], with a class token."""

    def __init__(self, outputs: int, dropout: float = 0.0, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.place = nn.Parameter(0.02 * torch.randn(17, width))
        layer = nn.TransformerEncoderLayer(
            width, 2, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.embed(x).flatten(2).transpose(1, 2)
        return self.head(self.encoder(torch.cat([self.token.expand(len(x), -1, -1), patches], 1) + self.place)[:, 0])


class Mixing(nn.Module):
    """One block of an MLP-Mixer: over the patches, then over the channels."""

    def __init__(self, patches: int, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.over_patches = nn.Sequential(nn.Linear(patches, 32), nn.GELU(), nn.Linear(32, patches))
        self.over_channels = nn.Sequential(nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.over_patches(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.over_channels(self.norm2(x))


class Mixer(nn.Module):
    def __init__(self, outputs: int, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 4, stride=4)
        self.blocks = nn.Sequential(Mixing(16, width), Mixing(16, width))
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.embed(x).flatten(2).transpose(1, 2)).mean(1))


class UNet(nn.Module):
    """Down once and up once, with a shortcut; what each pixel is, [n, 256, outputs]."""

    def __init__(self, outputs: int, width: int = 12) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.down = nn.Sequential(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.ReLU())
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.head = nn.Conv2d(2 * width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.enter(x)
        return self.head(torch.cat([fine, self.up(self.down(fine))], 1)).flatten(2).transpose(1, 2)


class Dilated(nn.Module):
    """A residual block of two dilated convolutions that see only what was before."""

    def __init__(self, before: int, after: int, dilation: int) -> None:
        super().__init__()
        self.pad = nn.ConstantPad1d((2 * dilation, 0), 0.0)
        self.first = nn.Conv1d(before, after, 3, dilation=dilation)
        self.second = nn.Conv1d(after, after, 3, dilation=dilation)
        self.short = nn.Conv1d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.first(self.pad(x)))
        return torch.relu(self.second(self.pad(inner)) + self.short(x))


class Causally(nn.Module):
    """A temporal convolutional network on [n, 1, 48]; the last place says what comes next."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Dilated(1, 16, 1), Dilated(16, 16, 2), Dilated(16, 16, 4))
        self.head = nn.Linear(16, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x)[:, :, -1])


class Factors(nn.Module):
    """A person's factors times a film's, with a bias of each."""

    def __init__(self, people: int = 60, films: int = 40, rank: int = 4) -> None:
        super().__init__()
        self.people, self.films = nn.Embedding(people, rank), nn.Embedding(films, rank)
        self.person_bias, self.film_bias = nn.Embedding(people, 1), nn.Embedding(films, 1)

    def forward(self, x: Tensor) -> Tensor:
        person, film = x[:, 0], x[:, 1]
        inner = (self.people(person) * self.films(film)).sum(1, keepdim=True)
        return inner + self.person_bias(person) + self.film_bias(film)


class BothWays(nn.Module):
    """An LSTM that reads a row from both ends and says something at each place."""

    def __init__(self, outputs: int, width: int = 48) -> None:
        super().__init__()
        self.embed = nn.Embedding(8, 16)
        self.rnn = nn.LSTM(16, width, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(self.embed(x))[0])


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
    "wine-mlp": lambda outputs, _dropout: mlp(
        13, outputs, hidden=(32, 32), activation=nn.LeakyReLU, norm=nn.BatchNorm1d
    ),
    "strided": lambda outputs, _dropout: strided(outputs),
    "patches": Patches,
    "mixer": lambda outputs, _dropout: Mixer(outputs),
    "unet": lambda outputs, _dropout: UNet(outputs),
    "dilated": lambda outputs, _dropout: Causally(outputs),
    "demand-tanh": lambda outputs, _dropout: mlp(48, outputs, hidden=(48, 48), activation=nn.Tanh),
    "factors": lambda _outputs, _dropout: Factors(),
    "topic-mlp": lambda outputs, dropout: mlp(40, outputs, hidden=(64, 32), activation=nn.ELU, dropout=dropout),
    "denoiser": lambda outputs, _dropout: mlp(3, outputs, hidden=(64, 64, 64), activation=nn.SiLU),
    "both-ways": lambda outputs, _dropout: BothWays(outputs),
}
