"""The healthy trainings: what each is made of. Nothing here was changed after a rule was tried on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """One training. ``batch_size`` 0 is all of the data; ``steps`` are the optimizer's."""

    name: str
    data: str
    network: str
    optimizer: str = "adam"
    lr: float = 2e-3
    schedule: str = "constant"
    batch_size: int = 64
    steps: int = 600
    weight_decay: float = 0.0
    dropout: float = 0.0
    smoothing: float = 0.0
    mixup: bool = False
    augment: float = 0.0  # standard deviation of noise that is added to the inputs
    accumulate: int = 1
    clip: float | None = None
    resume_at: int | None = None
    pretrained: int = 0  # steps trained before the probe is attached

    @property
    def is_adversarial(self) -> bool:
        return self.network == "gan"


def of(data: str, network: str, **rest: object) -> Recipe:
    """A recipe named after what is not at its default."""
    words = [str(value) if isinstance(value, str) else f"{key}={value:g}" for key, value in rest.items()]
    return Recipe("-".join([data, network, *words]).replace("_", "-"), data, network, **rest)


#: Those that thresholds may be tuned on.
TUNING: tuple[Recipe, ...] = (
    of("digits", "cnn", optimizer="sgd", lr=0.05),
    of("digits", "cnn", optimizer="momentum", lr=0.02, schedule="cosine", weight_decay=5e-4),
    of("digits", "cnn", optimizer="momentum", lr=0.05, schedule="one-cycle", augment=0.3, dropout=0.3),
    of("digits", "cnn", optimizer="adam", lr=2e-3, batch_size=8, steps=900),
    of("digits", "cnn", optimizer="adamw", lr=2e-3, schedule="restarts", weight_decay=0.05),
    of("digits", "cnn", optimizer="adam", lr=1e-3, pretrained=250, schedule="warm-up"),
    of("digits", "plain-cnn", optimizer="momentum", lr=0.02, schedule="step"),
    of("digits", "plain-cnn", optimizer="adam", lr=2e-3, smoothing=0.1),
    of("digits", "plain-cnn", optimizer="adam", lr=2e-3, mixup=True),
    of("digits", "digit-mlp", optimizer="sgd", lr=0.1),
    of("digits", "digit-mlp", optimizer="sgd", lr=0.02, batch_size=2, steps=1200),
    of("digits", "digit-mlp", optimizer="sgd", lr=0.01, batch_size=1, steps=1500),
    of("digits", "digit-mlp", optimizer="momentum", lr=0.05, batch_size=0, steps=300),
    of("digits", "digit-mlp", optimizer="adam", lr=1e-3, dropout=0.3),
    of("digits", "digit-mlp", optimizer="adamw", lr=3e-3, schedule="warm-up", weight_decay=0.01),
    of("digits", "digit-mlp", optimizer="adam", lr=2e-3, resume_at=300),
    of("digits", "digit-mlp", optimizer="rmsprop", lr=1e-3),
    of("digits", "digit-tanh", optimizer="momentum", lr=0.05),
    of("digits", "digit-deep", optimizer="adam", lr=1e-3),
    of("digits", "digit-attention", optimizer="adamw", lr=2e-3, schedule="warm-up", clip=1.0),
    of("digits", "digit-attention", optimizer="adam", lr=1e-3, dropout=0.1, smoothing=0.1),
    of("digits", "digit-gru", optimizer="adam", lr=3e-3, clip=1.0),
    of("digits", "digit-gru", optimizer="adam", lr=5e-3, schedule="cosine", accumulate=4, batch_size=16, steps=300),
    of("scans", "autoencoder", optimizer="adam", lr=2e-3),
    of("scans", "autoencoder", optimizer="adamw", lr=3e-3, schedule="one-cycle", batch_size=128),
    of("cancer", "cancer-mlp", optimizer="sgd", lr=0.05, batch_size=32, steps=400),
    of("cancer", "cancer-mlp", optimizer="adamw", lr=1e-3, weight_decay=0.1, dropout=0.5, steps=300),
    of("diabetes", "diabetes-mlp", optimizer="sgd", lr=0.01, weight_decay=0.05, steps=500),
    of("diabetes", "diabetes-mlp", optimizer="momentum", lr=2e-3, batch_size=0, weight_decay=0.05, steps=400),
    of("text", "letters", optimizer="adam", lr=4e-3, clip=1.0, batch_size=32),
    of("text", "letters", optimizer="adamw", lr=6e-3, schedule="cosine", clip=1.0, batch_size=32, weight_decay=0.05),
    of("text", "letters", optimizer="adam", lr=2e-3, pretrained=300, batch_size=32, clip=1.0, steps=400),
)

#: Those that are looked at once: other data, other networks.
HELD_OUT: tuple[Recipe, ...] = (
    of("shapes", "residual", optimizer="momentum", lr=0.03, weight_decay=5e-4),
    of("shapes", "residual", optimizer="momentum", lr=0.05, schedule="step", augment=0.3, weight_decay=5e-4),
    of("shapes", "residual", optimizer="adam", lr=2e-3, schedule="restarts", augment=0.3),
    of("shapes", "residual", optimizer="adamw", lr=3e-3, schedule="one-cycle", smoothing=0.1, weight_decay=0.05),
    of("shapes", "residual", optimizer="adam", lr=1e-3, mixup=True),
    of("shapes", "residual", optimizer="sgd", lr=0.02, batch_size=8, steps=900, augment=0.3),
    of("shapes", "residual", optimizer="adam", lr=5e-4, pretrained=250, schedule="cosine", augment=0.3),
    of("shapes", "residual", optimizer="adam", lr=2e-3, resume_at=250, steps=500, augment=0.3),
    of("spirals", "spiral-tanh", optimizer="momentum", lr=0.1, steps=900),
    of("spirals", "spiral-tanh", optimizer="adam", lr=3e-3, schedule="cosine"),
    of("spirals", "spiral-relu", optimizer="adam", lr=3e-3),
    of("spirals", "spiral-relu", optimizer="adamw", lr=3e-3, schedule="warm-up", dropout=0.1, weight_decay=0.01),
    of("spirals", "spiral-relu", optimizer="adam", lr=1e-3, batch_size=4, steps=1500),
    of("spirals", "spiral-relu", optimizer="adam", lr=5e-4, batch_size=1, steps=1500),
    of("spirals", "spiral-relu", optimizer="momentum", lr=0.2, batch_size=0, steps=800),
    of("spirals", "spiral-deep", optimizer="adam", lr=2e-3),
    of("friedman", "friedman-mlp", optimizer="adam", lr=2e-3),
    of("friedman", "friedman-mlp", optimizer="momentum", lr=0.01, schedule="cosine", weight_decay=1e-3),
    of("friedman", "friedman-mlp", optimizer="sgd", lr=0.02, schedule="step", dropout=0.1),
    of("friedman", "friedman-mlp", optimizer="adamw", lr=3e-3, schedule="one-cycle", weight_decay=0.05),
    of("friedman", "friedman-mlp", optimizer="adam", lr=3e-3, accumulate=4, batch_size=16, steps=400),
    of("waves", "wave-fcn", optimizer="adam", lr=3e-3),
    of("waves", "wave-fcn", optimizer="momentum", lr=0.05, schedule="warm-up", clip=1.0),
    of("waves", "wave-fcn", optimizer="adamw", lr=3e-3, schedule="restarts", smoothing=0.1, weight_decay=0.01),
    of("echoes", "wave-autoencoder", optimizer="adam", lr=2e-3),
    of("echoes", "wave-autoencoder", optimizer="adamw", lr=3e-3, schedule="cosine", batch_size=32),
    of("majority", "signs", optimizer="adam", lr=5e-3, clip=1.0),
    of("majority", "signs", optimizer="adamw", lr=5e-3, schedule="one-cycle", clip=1.0, weight_decay=0.01),
    of("brackets", "causal", optimizer="adamw", lr=2e-3, schedule="warm-up", clip=1.0, weight_decay=0.01),
    of("brackets", "causal", optimizer="adam", lr=1e-3, dropout=0.1, batch_size=32),
    of("brackets", "causal", optimizer="adamw", lr=1e-3, pretrained=250, schedule="cosine", clip=1.0, steps=500),
    of("ring", "gan", optimizer="adam", lr=1e-3),
    of("ring", "gan", optimizer="adam", lr=5e-4, batch_size=128),
)

#: Once more: the rules had been changed by people who had seen what they say of the held-out ones.
FRESH: tuple[Recipe, ...] = (
    of("wine", "wine-mlp", optimizer="nesterov", lr=5e-3, batch_size=16, steps=400, weight_decay=0.01),
    of("wine", "wine-mlp", optimizer="adagrad", lr=0.02, batch_size=0, steps=300),
    of("textures", "strided", optimizer="momentum", lr=0.03),
    of("textures", "strided", optimizer="nadam", lr=1e-3, schedule="exponential", augment=0.3),
    of("textures", "strided", optimizer="adam", lr=5e-4, batch_size=4, steps=1200, augment=0.3),
    of("textures", "patches", optimizer="adamw", lr=2e-3, schedule="warm-up", batch_size=32, steps=400, dropout=0.1),
    of("textures", "patches", optimizer="adam", lr=1e-3, mixup=True, batch_size=32, steps=400),
    of("textures", "mixer", optimizer="adamw", lr=2e-3, schedule="one-cycle", smoothing=0.1, weight_decay=0.05),
    of("textures", "mixer", optimizer="adam", lr=1e-3, augment=0.5),
    of("blobs", "unet", optimizer="adam", lr=2e-3, batch_size=32),
    of("blobs", "unet", optimizer="momentum", lr=0.05, schedule="linear", batch_size=16, clip=1.0),
    of("demand", "dilated", optimizer="adam", lr=2e-3, batch_size=32),
    of("demand", "dilated", optimizer="momentum", lr=0.02, schedule="step", batch_size=32, clip=1.0),
    of("demand", "demand-tanh", optimizer="momentum", lr=0.05, schedule="linear"),
    of("demand", "demand-tanh", optimizer="adamw", lr=2e-3, accumulate=4, batch_size=16, steps=400),
    of("ratings", "factors", optimizer="adam", lr=3e-2, schedule="cosine"),
    of("ratings", "factors", optimizer="adagrad", lr=0.1, batch_size=256),
    of("topics", "topic-mlp", optimizer="adam", lr=1e-3, dropout=0.3),
    of("topics", "topic-mlp", optimizer="rmsprop", lr=5e-4, schedule="restarts", dropout=0.3),
    of("moons", "denoiser", optimizer="adamw", lr=2e-3, schedule="cosine", weight_decay=0.01),
    of("moons", "denoiser", optimizer="adam", lr=1e-3, resume_at=300),
    of("moons", "denoiser", optimizer="adam", lr=2e-4, batch_size=1, steps=1500),
    of("rows", "both-ways", optimizer="adam", lr=4e-3, clip=1.0),
    of("rows", "both-ways", optimizer="adamw", lr=2e-3, pretrained=250, schedule="linear", weight_decay=0.01),
)

RECIPES = {recipe.name: recipe for recipe in (*TUNING, *HELD_OUT, *FRESH)}
