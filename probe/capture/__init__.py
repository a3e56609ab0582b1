"""What the events of a training loop amount to: losses, evaluations, epochs, times. No hook and no socket here."""

from __future__ import annotations

from probe.capture.clock import Clock
from probe.capture.epochs import Epochs
from probe.capture.evaluation import Evaluation
from probe.capture.inspection import Inspection
from probe.capture.losses import (
    OBJECTIVES,
    LossCall,
    Term,
    counts_in,
    is_learned_from,
    is_training_loss,
    read_criterion,
    read_loss,
    read_model_loss,
    recall,
    remember,
)
from probe.capture.training import StepLosses, Training, batch_of

__all__ = [
    "OBJECTIVES",
    "Clock",
    "Epochs",
    "Evaluation",
    "Inspection",
    "LossCall",
    "StepLosses",
    "Term",
    "Training",
    "batch_of",
    "counts_in",
    "is_learned_from",
    "is_training_loss",
    "read_criterion",
    "read_loss",
    "read_model_loss",
    "recall",
    "remember",
]
