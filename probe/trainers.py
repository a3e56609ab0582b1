"""Loops of frameworks that end by a flag of their own, and then do what they always do at the end."""

from __future__ import annotations

import gc
import sys
from typing import Any

from torch import nn

from probe.checkpoint import unwrapped


def ask_to_stop(model: nn.Module) -> bool:
    """Tell the trainer that trains this model to end after the step under way; False where there is none."""
    model = unwrapped(model)
    if (trainer := _of_lightning(model)) is not None:
        trainer.should_stop = True
    elif (trainer := _of_hugging_face(model)) is not None:
        trainer.control.should_training_stop = True
    return trainer is not None


def _of_lightning(model: nn.Module) -> Any:
    """A LightningModule knows its trainer, also when that has ended."""
    is_lightning = any(kind.__name__ == "LightningModule" for kind in type(model).__mro__)
    trainer = getattr(model, "_trainer", None) if is_lightning else None
    return trainer if getattr(trainer, "training", False) else None


def _of_hugging_face(model: nn.Module) -> Any:
    """A transformers.Trainer knows its model, and not the other way round: so the garbage collector is asked."""
    kind = getattr(sys.modules.get("transformers.trainer"), "Trainer", None)
    if kind is None:
        return None
    found = (each for each in gc.get_objects() if kind in type(each).__mro__)
    return next((each for each in found if each.is_in_train and unwrapped(each.model) is model), None)
