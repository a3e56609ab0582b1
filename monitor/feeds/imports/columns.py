"""What other people's logs call our series."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

#: Our names, those of the command line's ``--map``, with the names in use; after :func:`plain`.
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "step": (
        "step",
        "global_step",
        "trainer_global_step",
        "steps",
        "iter",
        "iteration",
        "iterations",
        "num_updates",
        "update",
    ),
    "epoch": ("epoch", "epochs"),
    "loss": (
        "loss",
        "train_loss",
        "training_loss",
        "loss_train",
        "train_loss_step",
        "train_loss_epoch",
        "tr_loss",
        "train_ce",
        "epoch_loss",
    ),
    "val_loss": (
        "val_loss",
        "valid_loss",
        "validation_loss",
        "eval_loss",
        "loss_val",
        "val_loss_epoch",
        "dev_loss",
        "test_loss",
        "val_epoch_loss",
    ),
    "lr": (
        "lr",
        "learning_rate",
        "lr_0",
        "train_lr",
        "train_learning_rate",
        "lr_pg0",
        "lr_adam",
        "lr_adamw",
        "lr_sgd",
        "epoch_learning_rate",
    ),
    "grad_norm": ("grad_norm", "gradient_norm", "gnorm", "train_grad_norm", "global_grad_norm", "grad_global_norm"),
    "accuracy": (
        "accuracy",
        "acc",
        "train_accuracy",
        "train_acc",
        "training_accuracy",
        "train_acc_epoch",
        "epoch_accuracy",
        "categorical_accuracy",
        "sparse_categorical_accuracy",
        "binary_accuracy",
    ),
    "val_accuracy": (
        "val_accuracy",
        "val_acc",
        "valid_accuracy",
        "valid_acc",
        "validation_accuracy",
        "eval_accuracy",
        "eval_acc",
        "dev_acc",
        "test_accuracy",
        "test_acc",
        "val_epoch_accuracy",
        "val_categorical_accuracy",
        "val_sparse_categorical_accuracy",
        "val_binary_accuracy",
        "metrics_accuracy_top1",
    ),
    "run": ("run", "run_id", "run_name"),
}

#: Our names as series of the wire.
SERIES: Final[Mapping[str, str]] = {
    "loss": "train/loss",
    "val_loss": "val/loss",
    "lr": "lr/0",
    "grad_norm": "grad/norm",
    "accuracy": "train/accuracy",
    "val_accuracy": "val/accuracy",
}


def plain(name: str) -> str:
    """A column's name with its case, spaces and separators made one.

    >>> plain(" Train/Loss"), plain("eval loss"), plain("metrics.val-acc")
    ('train_loss', 'eval_loss', 'metrics_val_acc')
    """
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def match(columns: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    """Which column stands for which of our names: what was given first, then the first alias that is there.

    >>> match(["Step", "train/loss", "ce"], {"val_loss": "ce"})
    {'val_loss': 'ce', 'step': 'Step', 'loss': 'train/loss'}
    """
    found = dict(given)
    by_plain = {plain(column): column for column in reversed(list(columns)) if column not in given.values()}
    for ours, aliases in ALIASES.items():
        theirs = next((by_plain[alias] for alias in aliases if alias in by_plain), None)
        if ours not in found and theirs is not None:
            found[ours] = theirs
    return found
