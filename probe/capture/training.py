"""What one optimizer step learned from: the roots of its backward passes, and the loss calls behind them.

The loss of a step is the mean over its micro-batches. A micro-batch is a backward pass with a forward pass before
it; a second backward pass over the same forward adds to it. Where each root is one known loss term, the loss is the
mean of what the loss function returned, so it does not matter by what constant it is divided for accumulation.
Where it is not, roots that a constant divides are summed (Hugging Face divides a sum by the items of all
micro-batches), and others averaged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from probe.capture.losses import LossCall, Term
from probe.host import Number

#: Loss calls that may wait for their backward pass.
_MAX_PENDING = 64


@dataclass(slots=True)
class StepLosses:
    """What an optimizer step learned from."""

    loss: Number | None = None
    term: Term | None = None  # the one term that the loss is, if it is one
    parts: dict[Term, Number] = field(default_factory=dict)  # every term, mean over the micro-batches
    counts: Tensor | None = None
    samples: int = 0
    tokens: int = 0
    root_is_loss: bool = False  # each backward pass began at what a loss function had returned, unscaled


class Training:
    """Gathers between two optimizer steps; constant in memory whatever the loop does."""

    def __init__(self) -> None:
        self._pending: deque[LossCall] = deque(maxlen=_MAX_PENDING)
        self._in_training_mode = True
        self.clear()

    def clear(self) -> None:
        """Forget what has gathered: the step is over, or AMP has skipped it."""
        self._pending.clear()
        self._is_fresh = False  # a forward pass that no backward pass has followed yet
        self._batch_samples = self._samples = 0
        self._batch_tokens = self._tokens = 0
        self._micro_batches = self._roots = self._known_roots = 0
        self._root_sum: Number = 0.0
        self._known_sum: Number = 0.0
        self._term: Term | None = None
        self._terms_agree = True
        self._is_scaled = False
        self._parts: dict[Term, Number] = {}
        self._counts: Tensor | None = None
        self.is_in_step = self._is_repeat = False
        self._passes_in_step = 0

    def forward(self, samples: int, tokens: int = 0, *, in_training_mode: bool) -> None:
        """A forward pass with gradients begins."""
        if in_training_mode != self._in_training_mode:
            self._pending.clear()  # an evaluation that left gradients on; no backward pass came
            self._in_training_mode = in_training_mode
        self._is_fresh = True
        self._batch_samples, self._batch_tokens = samples, tokens

    def loss(self, call: LossCall) -> None:
        self._pending.append(call)

    @property
    def has_heard_a_loss(self) -> bool:
        """Whether a loss function was listened at since the last backward pass."""
        return bool(self._pending)

    def step_begins(self) -> None:
        """The optimizer is about to step; a closure may run forward and backward inside it, LBFGS several times."""
        self.is_in_step = True

    def backward(self, value: Number, call: LossCall | None, *, is_scaled: bool) -> None:
        """A backward pass from a root of this value, without AMP's scale; ``call`` is the loss term that it is."""
        if self._is_fresh:
            self._begin_micro_batch()
        if self._is_repeat:
            self._pending.clear()
            return
        self._is_scaled = self._is_scaled or is_scaled
        self._roots += 1
        self._root_sum = self._root_sum + value
        if call is not None and not call.is_sum:
            self._known_roots += 1
            self._known_sum = self._known_sum + call.value
        term = None if call is None else call.term
        self._terms_agree = self._terms_agree and (self._roots == 1 or term == self._term)
        self._term = term
        self._credit()

    def root(self, value: Number) -> None:
        """A backward pass from the loss itself, of which no more is asked."""
        if self._is_fresh:
            self._begin_micro_batch()
        if not self._is_repeat:
            self._roots += 1
            self._root_sum = self._root_sum + value

    def _begin_micro_batch(self) -> None:
        self._is_fresh = False
        self._passes_in_step += self.is_in_step
        # LBFGS evaluates its closure again and again; its first pass is the loss that the step started from.
        self._is_repeat = self._passes_in_step > 1
        if not self._is_repeat:
            self._micro_batches += 1
            self._samples += self._batch_samples
            self._tokens += self._batch_tokens

    def _credit(self) -> None:
        for call in self._pending:
            self._parts[call.term] = self._parts.get(call.term, 0.0) + call.value
            if call.counts is not None:
                self.count(call.counts)
        self._pending.clear()

    def count(self, counts: Tensor) -> None:
        """Class counts of this step, int64[3, classes]."""
        same = self._counts is not None and self._counts.shape == counts.shape
        self._counts = self._counts + counts if same and self._counts is not None else counts

    def take(self) -> StepLosses:
        """The step's losses; a new step begins."""
        micro_batches = max(1, self._micro_batches)
        is_one_term = self._terms_agree and self._term is not None and self._roots == micro_batches
        losses = StepLosses(
            loss=self._loss(micro_batches),
            term=self._term if is_one_term else None,
            parts={term: value / micro_batches for term, value in self._parts.items()},
            counts=self._counts,
            samples=self._samples,
            tokens=self._tokens,
            root_is_loss=is_one_term and not self._is_scaled and self._known_roots == self._roots,
        )
        self.clear()
        return losses

    def take_root(self) -> tuple[Number | None, int, int]:
        """The same where only roots were told: their mean over the micro-batches, samples, tokens."""
        loss = self._root_sum / max(1, self._micro_batches) if self._roots else None
        samples, tokens = self._samples, self._tokens
        self._pending.clear()
        self._is_fresh = self.is_in_step = self._is_repeat = False
        self._samples = self._tokens = self._micro_batches = self._roots = self._passes_in_step = 0
        self._root_sum = 0.0
        return loss, samples, tokens

    def _loss(self, micro_batches: int) -> Number | None:
        if not self._roots:
            return None
        if self._terms_agree and self._known_roots == self._roots == micro_batches:
            return self._known_sum / micro_batches
        return self._root_sum if self._is_scaled else self._root_sum / micro_batches


def batch_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    """The first tensor with dimensions that a forward pass was given, in whatever it is packed."""
    if args and type(args[0]) is Tensor and args[0].dim():  # nearly always
        return args[0]
    return _first_tensor((*args, *kwargs.values()))


def _first_tensor(values: Any) -> Tensor | None:
    if isinstance(values, Tensor):
        return values if values.dim() else None
    if isinstance(values, (Mapping, tuple, list)):
        inner = values.values() if isinstance(values, Mapping) else values
        return next((found for value in inner if (found := _first_tensor(value)) is not None), None)
    return None
