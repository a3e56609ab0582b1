"""The events of one training, in order, become records. Knows torch and no sockets."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Mapping
from time import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from probe import capture
from probe.batch import Record
from probe.budget import Budget
from probe.capture import Clock, Epochs, Evaluation, LossCall, StepLosses, Term, Training
from probe.collectors import COLLECTORS, Clip, Moment, Subject
from probe.collectors.gradients import total_norm
from probe.guard import Guard
from probe.host import Number, number
from probe.records import Note, StepRecord, accuracy
from probe.wire import Phase


class Watch:
    """Hears what the hooks and the patched functions report, and puts a record for each completed step.

    Every method is called in the training thread, under ``guard``. ``sender_cpu_s`` tells what the sender's thread
    has used, which is on the probe's account too. Nothing here may build a graph: a tensor that requires gradients
    is detached where it comes in, which is cheaper than a ``no_grad`` a step.
    """

    def __init__(
        self,
        subject: Subject,
        *,
        every: int,
        step: int,
        put: Callable[[Record], None],
        sender_cpu_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.guard = Guard()
        self.budget = Budget()
        self.step = step
        self.phase = Phase.STARTING
        self._subject, self._every, self._put, self._sender_cpu_s = subject, every, put, sender_cpu_s
        self._is_sharded = subject.is_sharded
        chosen = [each for each in COLLECTORS if not (each.reads_parameters and self._is_sharded)]
        self._collectors = [collector(subject) for collector in chosen]
        self._training, self._clock, self._epochs = Training(), Clock(), Epochs()
        self._evaluation: Evaluation | None = None
        self._held: list[Evaluation] = []  # evaluations before the first step: what training minimises is not known
        self._term: Term | None = None
        self._has_trained = False
        self._scopes: list[list[LossCall]] = []
        self._scaled: deque[tuple[weakref.ref[Tensor], tuple[Number, LossCall | None, bool]]] = deque(maxlen=8)
        self._scaler: Any = None
        self._completed: dict[int, int] = {}
        self._skipped = 0
        self._clips: list[Clip] = []
        self._beside: dict[str, Number] = {}  # what further optimizers found since the last step
        self._counts: Tensor | None = None
        self._facts: dict[str, str | float | bool | None] = {}
        self._batch_samples = self._last_samples = 0
        self._phase_before_save = self.phase
        self._spent_s = 0.0
        self._detailed_next = False
        self._plan_next()

    def close(self) -> None:
        """The training is over, or the probe is taken off: hand over what is still open."""
        self.guard.attempt("evaluation", self._end_evaluation)
        for evaluation in self._held:
            self.guard.attempt("evaluation", self._report, evaluation)
        self._held.clear()
        for collector in self._collectors:
            self.guard.attempt(collector.name, collector.close)

    def fact(self, name: str, value: str | float | bool | None) -> None:
        """Say something that is so, unless it is known already."""
        if name not in self._facts or self._facts[name] != value:
            self._facts[name] = value
            self._put(Note.fact(self.step, name, value))

    # ------------------------------------------------------------------------------------------ forward and phases

    def forward_begins(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._scopes = [[]]
        self._batch_samples = capture.batch_size(args, kwargs)
        if not torch.is_grad_enabled():
            if self._evaluation is None:
                self._evaluation = Evaluation(self.step)
                self._clock.pause()
            self.phase = Phase.EVALUATING
            return
        self._end_evaluation()
        self.phase = Phase.TRAINING
        self._clock.forward()
        self._training.forward(self._batch_samples, in_training_mode=module.training)
        if (epoch := self._epochs.training_begins()) is not None:
            self.fact("epoch", epoch)

    def forward_ends(self, output: Any) -> None:
        calls = self._scopes.pop() if self._scopes else []
        if isinstance(output, Tensor):
            loss = None
        else:
            loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
        if isinstance(loss, Tensor) and loss.numel() == 1 and self._is_of_interest(loss):
            call = capture.read_model_loss(loss, self._batch_samples or 1)
            call.counts = next((inner.counts for inner in calls if inner.counts is not None), None)
            capture.remember(call, loss)
            calls = [call]
        for call in calls:
            self._deliver(call)

    def _end_evaluation(self) -> None:
        evaluation, self._evaluation = self._evaluation, None
        if evaluation is None:
            return
        self._clock.resume()
        if not self._has_trained:
            self._held.append(evaluation)
        else:
            self._report(evaluation)

    def _report(self, evaluation: Evaluation) -> None:
        if evaluation.is_empty:
            return
        counts = evaluation.counts
        self._put(
            StepRecord(
                evaluation.step,
                time(),
                evaluation.losses(self._term),
                [] if counts is None else [accuracy("val/accuracy", counts)],
                {} if counts is None else {"val": counts},
            )
        )

    def save_begins(self) -> None:
        if self._evaluation is None:
            self._clock.pause()
        self._phase_before_save, self.phase = self.phase, Phase.CHECKPOINTING

    def save_ends(self) -> None:
        if self._evaluation is None:
            self._clock.resume()
        self.phase = self._phase_before_save

    def epoch_begins(self, _loader: Any, iterator: Any) -> None:
        self._epochs.loader_begins(iterator)

    def batch_loaded(self, iterator: Any, wait_s: float) -> None:
        if self._epochs.batch(iterator):
            self._clock.waited(wait_s)

    # ------------------------------------------------------------------------------------------------------ losses

    def loss_called(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if not self._is_of_interest(output):
            return
        call = capture.read_loss(name, args, kwargs, output, count=self._counts_due())
        if self._evaluation is None:
            capture.remember(call, output)
            if "objective" not in self._facts:
                self.fact("objective", capture.OBJECTIVES.get(name, "other"))
                self.fact("criterion", name)
        self._scope(call)

    def criterion_begins(self) -> None:
        self._scopes.append([])

    def criterion_called(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        inner = self._scopes.pop() if self._scopes else []
        if not self._is_of_interest(output):
            return
        values = (*args, *kwargs.values())
        call = capture.read_criterion(name, values, output, inner, count=self._counts_due())
        if self._evaluation is None:
            capture.remember(call, output)
            self.fact("criterion", name)
            self._facts.setdefault("objective", "other")
        self._scope(call)

    def _counts_due(self) -> bool:
        # With several optimizers targets say "real" or "generated", which is no class.
        return (self._evaluation is not None or self._heavy_next) and len(self._subject.optimizers) == 1

    def _is_of_interest(self, output: Any) -> bool:
        """A term of the training loss, or one of an evaluation; not a metric computed on the side."""
        if self._evaluation is None:
            return capture.is_training_loss(output)
        return isinstance(output, Tensor) and output.is_floating_point() and not output.requires_grad

    def _scope(self, call: LossCall) -> None:
        if self._scopes:
            self._scopes[-1].append(call)
        else:
            self._deliver(call)

    def _deliver(self, call: LossCall) -> None:
        if call.counts is not None:
            self.fact("classes", call.counts.shape[-1])
        if self._evaluation is None:
            self._training.loss(call)
        else:
            self._evaluation.add(call)

    def scaled(self, scaler: Any, plain: Any, scaled: Any) -> None:
        """AMP has scaled losses: remember what they were, without holding their graph."""
        self._scaler = scaler
        pairs = zip(plain, scaled, strict=False) if isinstance(plain, (list, tuple)) else [(plain, scaled)]
        for before, after in pairs:
            if isinstance(after, Tensor) and after.numel() == 1:
                self._scaled.append((weakref.ref(after), (number(before), *capture.recall(before.grad_fn))))

    def backward_begins(self, roots: Any) -> None:
        if self._evaluation is not None:
            return
        for root in roots if isinstance(roots, (list, tuple)) else (roots,):
            if isinstance(root, Tensor) and root.numel() == 1:
                known = next((loss for scaled, loss in self._scaled if scaled() is root), None)
                value, call, is_divided = known or (number(root), *capture.recall(root.grad_fn))
                self._training.backward(value, call, is_scaled=is_divided)

    # ------------------------------------------------------------------------------------------------------- steps

    def clip_begins(self, by_norm: bool) -> None:
        for collector in self._collectors:
            self.guard.attempt(collector.name, self._before_clip, collector, by_norm)

    def _before_clip(self, collector: Any, by_norm: bool) -> None:
        collector.before_clip(detailed=self._detailed_next, heavy=self._heavy_next, by_norm=by_norm)

    def clip_ends(self, norm: Any, max_norm: Any) -> None:
        on_device = isinstance(max_norm, Tensor) and max_norm.device.type != "cpu"
        limit = None if on_device else float(max_norm)
        self._clips.append(Clip(norm.detach() if isinstance(norm, Tensor) else None, limit))

    def completed(self, optimizer: Any) -> int:
        """How many steps an optimizer has completed."""
        return self._completed.get(id(optimizer), 0)

    def scaler_stepped(self, scaler: Any, optimizer: Any, before: int) -> None:
        """GradScaler.step is over; the optimizer has not stepped if gradients were infinite."""
        self._scaler = scaler
        if optimizer is self._subject.main and self.completed(optimizer) == before:
            self._skipped += 1
            self._training.clear()
            self._clips.clear()

    def step_begins(self, optimizer: Optimizer) -> None:
        self._training.step_begins()
        if self._detailed_next and optimizer is self._subject.main:
            for collector in self._collectors:
                self.guard.attempt(collector.name, collector.before_step)

    def step_ends(self, optimizer: Optimizer) -> None:
        self._completed[id(optimizer)] = self.completed(optimizer) + 1
        losses = self._training.take()
        if optimizer is self._subject.main:
            self._end_step(losses)
        else:
            self._end_beside(optimizer, losses)
        self._clips.clear()

    def _end_beside(self, optimizer: Optimizer, losses: StepLosses) -> None:
        """A further optimizer has stepped: its numbers go with the next step of the main one."""
        name = next(name for name, other in self._subject.optimizers.items() if other is optimizer)
        if losses.loss is not None:
            self._beside[f"train/loss/{name}"] = losses.loss
        if self._heavy_next and not self._is_sharded and (norm := total_norm(optimizer)) is not None:
            self._beside[f"grad/norm/{name}"] = norm

    def _end_step(self, losses: StepLosses) -> None:
        if losses.loss is not None:
            self._term, self._has_trained = losses.term, True
        while self._held:
            self._report(self._held.pop(0))
        self.step += 1
        self.phase = Phase.TRAINING
        times = self._clock.completed(losses.samples)
        moment = Moment(
            self.step,
            heavy=self._heavy_next,
            detailed=self._detailed_next,
            clips=tuple(self._clips),
            scaler=self._scaler,
            skipped=self._skipped,
            scalars={**self._losses(losses), **times, **self._beside},
        )
        self._beside.clear()
        for collector in self._collectors:
            if moment.detailed or not collector.is_detail:
                self.guard.attempt(collector.name, collector.collect, moment)
        counts = self._take_counts(losses, moment)
        self._put(StepRecord(self.step, time(), moment.scalars, moment.readings, counts))
        if losses.samples:
            self._say_batch_size(losses.samples)
        self._spend(times.get("time/step_s"))
        self._plan_next()

    def _losses(self, losses: StepLosses) -> dict[str, Number]:
        """``train/loss``, and each term beside it that is not the whole of it: the twin of a ``val/NAME``."""
        found: dict[str, Number] = {} if losses.loss is None else {"train/loss": losses.loss}
        for term, value in losses.parts.items():
            if term != losses.term:
                found.setdefault(f"train/{term.name}", value)
        return found

    def _take_counts(self, losses: StepLosses, moment: Moment) -> dict[str, Tensor]:
        counts = losses.counts
        if counts is not None:
            moment.readings.append(accuracy("train/accuracy", counts))
            so_far = self._counts
            self._counts = counts if so_far is None or so_far.shape != counts.shape else so_far + counts
        if not moment.detailed or self._counts is None:
            return {}
        taken, self._counts = self._counts, None
        return {"train": taken}

    def _say_batch_size(self, samples: int) -> None:
        """Once two steps in a row have the same; the ragged end of an epoch is not it."""
        if samples == self._last_samples:
            self.fact("batch_size", samples)
        self._last_samples = samples

    def _spend(self, step_s: float | None) -> None:
        spent_s = self.guard.cost_s + self._sender_cpu_s()
        if self.budget.spend(spent_s - self._spent_s, step_s):
            self.fact("every_heavy", self.budget.every)
        self._spent_s = spent_s

    def _plan_next(self) -> None:
        self._heavy_next = self.budget.is_heavy(self.step + 1)
        was_detailed, self._detailed_next = self._detailed_next, self.budget.is_detailed(self.step + 1, self._every)
        if self._detailed_next or was_detailed:
            for collector in self._collectors:
                action = collector.prepare if self._detailed_next else collector.rest
                self.guard.attempt(collector.name, action)
