"""What one evaluation amounts to: means weighted by samples, and class counts."""

from __future__ import annotations

from torch import Tensor

from probe.capture.losses import LossCall, Term
from probe.collectors.confusion import by_class, has_pairs
from probe.host import Number


class Evaluation:
    """The forward passes with gradients disabled, from the first until the training goes on.

    That is the next pass with gradients, or where the loop trains through a method of the model and calls no root,
    the next loss that the optimizers' parameters learn from.

    Nothing is changed in place: under ``torch.inference_mode`` the sums are inference tensors, which must not be
    written to outside it.
    """

    def __init__(self, step: int, *, in_training_mode: bool = False) -> None:
        self.step = step
        self.in_training_mode = in_training_mode  # of the model, at the first of the passes
        self._sums: dict[Term, tuple[Number, int]] = {}
        #: int64[classes, classes] where the classes are few, else int64[3, classes].
        self._counts: Tensor | None = None

    @property
    def pairs(self) -> Tensor | None:
        """int64[classes, classes]: the targets by what they were taken for."""
        return self._counts if self._counts is not None and has_pairs(self._counts.shape[-1]) else None

    @property
    def counts(self) -> Tensor | None:
        """int64[3, classes]: correct, total, predicted."""
        return self._counts if self.pairs is None else by_class(self.pairs)

    @property
    def is_empty(self) -> bool:
        return not self._sums

    def add(self, call: LossCall) -> None:
        total, samples = self._sums.get(call.term, (0.0, 0))
        self._sums[call.term] = total + call.value * call.samples, samples + call.samples
        if call.counts is not None:
            same = self._counts is not None and self._counts.shape == call.counts.shape
            self._counts = self._counts + call.counts if same and self._counts is not None else call.counts

    def losses(self, training_term: Term | None) -> dict[str, Number]:
        """``val/loss`` for the term that training minimises; ``val/NAME`` for every other."""
        found: dict[str, Number] = {}
        for term, (total, samples) in self._sums.items():
            key = "val/loss" if term == training_term else f"val/{term.name}"
            found.setdefault(key, total / max(1, samples))
        return found
