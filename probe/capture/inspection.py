"""How the loop is built and what it is fed, looked at closely on the first steps and then now and again.

What is so is said as a fact, for rules to judge: nothing here is a threshold on a number that moves. A fact whose
answer is read from a device is found in the sender's thread.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from probe.collectors import Moment, Subject, inputs
from probe.collectors.sampling import sample
from probe.host import Found, Reading

#: Steps at the start that are all looked at, and how often one is after them.
_FIRST_STEPS, _EVERY = 10, 100
#: Steps in evaluation mode before it is not just a pass on the side.
_ENOUGH_STEPS = 5
#: Readings of one step: of very many micro-batches the first are looked at.
_MAX_READINGS = 8
#: The logits that are looked at: whole rows, and so many elements at most.
_ROWS, _ELEMENTS = 16, 65536
#: Layers that are named in a fact.
_MAX_NAMES = 5
#: Where the schedulers of torch keep after how many calls they repeat or end.
_PERIODS = ("T_max", "T_0", "step_size", "total_steps", "total_iters")


class Inspection:
    """Asked by the watch at the events of a step; ``say`` puts a fact. ``is_due`` holds for the step to come."""

    def __init__(self, subject: Subject, step: int, say: Callable[[str, str | float | bool | None], None]) -> None:
        self.is_due = False
        #: Whether the model is given tokens ``[n, tokens]``, as integers.
        self.takes_tokens = False
        #: The model's mode in the last training forward pass.
        self.in_training_mode = True
        self._subject, self._say = subject, say
        self._step, self._first_until, self._mode_since = step, step + _FIRST_STEPS, step
        self._readings: list[Reading] = []
        self._has_seen_input = self._has_seen_backward = False
        self._with_gradient: nn.Parameter | None = None  # one that had a gradient when the last step ended
        self._ungrouped: dict[nn.Parameter, int] = {}  # with their versions, which each change in place raises
        self._behaves_by_mode = any(_behaves_by_mode(module) for module in subject.model.modules())
        self._schedule = _Schedule(subject, say)
        self._gradients_kept = Settled(3)
        self._trains_in_eval_mode, self._evaluates_in_train_mode = Settled(1), Settled(1)
        self._probabilities = {"cross_entropy": Lasting(1), "binary_cross_entropy_with_logits": Lasting(90)}

    # -------------------------------------------------------------------------------------- while the step goes on

    def forward(self, step: int, model: nn.Module, batch: Tensor | None) -> None:
        """A training forward pass of ``step`` begins: that step is due, or the model has changed its mode."""
        if model.training is not self.in_training_mode:
            self.in_training_mode, self._mode_since = model.training, step
        if not self.is_due or self._has_seen_input:
            return
        self._has_seen_input = True
        if batch is not None:
            self.takes_tokens = batch.dim() == 2 and not batch.is_floating_point()
            if self._step <= self._first_until and _is_plain(batch):
                self._add(inputs.input_statistics(batch))

    def backward(self) -> None:
        """A backward pass begins; before the first of a step, gradients of the step before should be gone.

        With several optimizers one clears its gradients only after another's backward pass has added to them.
        """
        if self._has_seen_backward or self._with_gradient is None or len(self._subject.optimizers) > 1:
            return
        self._has_seen_backward = True
        gradient = self._with_gradient.grad
        if gradient is None or _is_plain(gradient):
            tensors = [] if gradient is None else [sample(gradient).any()]
            self._add(Reading(tensors, self._read_gradient))

    def _read_gradient(self, lists: list[list[float]]) -> Found:
        is_kept = bool(lists and lists[0][0])
        return Found(facts={"gradients_kept": is_kept} if self._gradients_kept.see(is_kept) else {})

    def loss(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A loss of ``torch.nn.functional`` is computed in training."""
        values = args[0] if args else kwargs.get("input")
        if name not in self._probabilities or not isinstance(values, Tensor) or not _is_plain(values):
            return
        if name == "cross_entropy":
            tensors = _distances_from_shares(values)
        else:
            tensors = [extreme.float() for extreme in sample(values).aminmax()]

        step = self._step

        def interpret(lists: list[list[float]]) -> Found:
            are_probabilities = _LOOK_LIKE_PROBABILITIES[name](*[value for (value,) in lists])
            if not self._probabilities[name].see(are_probabilities, step):
                return Found()
            return Found(facts={"probabilities_into": name if are_probabilities else None})

        if tensors:
            self._add(Reading(tensors, interpret))

    def _add(self, reading: Reading | None) -> None:
        if reading is not None and len(self._readings) < _MAX_READINGS:
            self._readings.append(reading)

    # ------------------------------------------------------------------------------------------- between the steps

    def step_ends(self, moment: Moment) -> None:
        """A step that was due or detailed is complete: hand over what was found."""
        self._look_at_mode()
        if self.is_due:
            moment.readings.extend(self._readings)
            self._readings = []
            self._has_seen_input = self._has_seen_backward = False
            self._look_at_groups()

    def plan(self, step: int) -> None:
        """``step`` begins; whether it is due."""
        self._step = step
        self.is_due = step <= self._first_until or not step % _EVERY
        if self.is_due:
            groups = self._subject.main.param_groups
            # From the end: the last layer's bias has a gradient that is not all zero, an embedding's rows do not.
            each = (p for group in reversed(groups) for p in reversed(group["params"]) if p.grad is not None)
            self._with_gradient = next(each, None)

    def next_after(self, step: int) -> int:
        """The first step after ``step`` that is due."""
        return step + 1 if step < self._first_until else _EVERY * (step // _EVERY + 1)

    def evaluated(self, *, in_training_mode: bool) -> None:
        """An evaluation in which a loss was seen is over."""
        if self._behaves_by_mode and self._evaluates_in_train_mode.see(in_training_mode):
            self._say("evaluates_in_train_mode", in_training_mode)

    def scheduler_steps(self, scheduler: Any, step: int) -> None:
        self._schedule.steps(scheduler, step)

    def _look_at_mode(self) -> None:
        """A model that stands in evaluation mode, all of it, while it is trained."""
        is_long = self._step - self._mode_since >= _ENOUGH_STEPS
        modules = self._subject.model.modules()
        stands = is_long and not self.in_training_mode and not any(module.training for module in modules)
        if self._behaves_by_mode and self._trains_in_eval_mode.see(stands):
            self._say("trains_in_eval_mode", stands)

    def _look_at_groups(self) -> None:
        """Trainable parameters in no group, which nobody else has changed since the last look either."""
        optimizers = self._subject.optimizers.values()
        grouped = {p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
        layers = {p: layer.name for layer in self._subject.layers for p in layer.parameters if p.requires_grad}
        before, self._ungrouped = self._ungrouped, {p: p._version for p in layers if p not in grouped}
        left_out = [p for p, version in self._ungrouped.items() if before.get(p) == version]
        names = list(dict.fromkeys(layers[p] for p in left_out))
        more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
        if left_out or before:
            self._say("ungrouped_parameters", sum(p.numel() for p in left_out))
            self._say("ungrouped_layers", ", ".join(names[:_MAX_NAMES]) + more)


class Settled:
    """A yes or no that changes only when the other was met ``needed`` times in a row. It starts as no."""

    def __init__(self, needed: int) -> None:
        self.value = False
        self._needed = needed
        self._against = 0

    def see(self, value: bool) -> bool:
        """Whether the answer has changed, to ``value``."""
        self._against = self._against + 1 if value != self.value else 0
        if self._against < self._needed:
            return False
        self.value, self._against = value, 0
        return True


class Lasting:
    """A yes that counts once all looks have agreed for ``span`` steps; a single no takes it back. It starts as no."""

    def __init__(self, span: int) -> None:
        self.value = False
        self._span, self._since = span, -1

    def see(self, value: bool, step: int) -> bool:
        """Whether the answer has changed, to ``value``."""
        before = self.value
        if not value:
            self.value, self._since = False, -1
        elif self._since < 0:
            self._since = step
        else:
            self.value = self.value or step - self._since >= self._span
        return self.value is not before


class _Schedule:
    """Whether a learning rate scheduler is stepped per step or per epoch, from two equal gaps between its calls."""

    def __init__(self, subject: Subject, say: Callable[[str, str | float | bool | None], None]) -> None:
        self._subject, self._say = subject, say
        self._scheduler: weakref.ref[Any] | None = None
        self._stepped_at = 0
        self._was_per_step: bool | None = None

    def steps(self, scheduler: Any, step: int) -> None:
        """A scheduler is about to be stepped after ``step`` steps."""
        if getattr(scheduler, "last_epoch", 0) < 0:
            return  # its own construction does that once
        if all(getattr(scheduler, "optimizer", None) is not own for own in self._subject.optimizers.values()):
            return
        if self._scheduler is None or self._scheduler() is None:
            self._scheduler, self._stepped_at, self._was_per_step = weakref.ref(scheduler), step, None
            self._say("scheduler", type(scheduler).__name__)
            self._say("scheduler_period", _period(scheduler))
        elif self._scheduler() is scheduler:  # not one that it calls itself
            is_per_step = step - self._stepped_at <= 1
            if is_per_step == self._was_per_step:
                self._say("scheduler_steps_per", "step" if is_per_step else "epoch")
            self._stepped_at, self._was_per_step = step, is_per_step


def _period(scheduler: Any) -> float | None:
    """After how many of its calls a scheduler repeats or ends."""
    found = [getattr(scheduler, name, None) for name in _PERIODS]
    found.append(max(getattr(scheduler, "milestones", None) or [0]))
    return next((float(value) for value in found if isinstance(value, (int, float)) and value), None)


def _is_plain(tensor: Tensor) -> bool:
    """Whether its elements can simply be looked at: dense, not spread over ranks, and at least one."""
    return tensor.layout is torch.strided and not hasattr(tensor, "device_mesh") and tensor.numel() > 0


def _behaves_by_mode(module: nn.Module) -> bool:
    """Whether ``train()`` and ``eval()`` make a difference to a module itself."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return True
    rate = module.p if isinstance(module, nn.modules.dropout._DropoutNd) else getattr(module, "dropout", 0.0)
    return isinstance(rate, float) and rate > 0


#: How probabilities look where logits should be. A sum of 1 is hardly met by chance; values between 0 and 1 are, by a
#: network that has learned nothing yet.
_LOOK_LIKE_PROBABILITIES: dict[str, Callable[[float, float], bool]] = {
    "cross_entropy": lambda lowest, furthest_from_one: lowest >= 0 and furthest_from_one <= 1e-3,
    "binary_cross_entropy_with_logits": lambda lowest, highest: 0 <= lowest < highest <= 1,
}


def _distances_from_shares(logits: Tensor) -> list[Tensor]:
    """The lowest of some rows' elements, and how far their sums are from 1 at most; none for a single class."""
    values = logits.detach() if logits.dim() > 1 else logits.detach().unsqueeze(0)
    while values.dim() > 2:
        values = values[..., 0]
    if values.shape[1] < 2:
        return []
    rows = values[: max(1, min(_ROWS, _ELEMENTS // values.shape[1]))].float()
    return [rows.amin(), (rows.sum(1) - 1).abs_().amax()]
