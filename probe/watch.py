"""The events of one training, in order, become records. Knows torch and no sockets."""

from __future__ import annotations

import logging
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from time import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from probe import capture
from probe.batch import Handed
from probe.capture import Clock, Epochs, Evaluation, LossCall, StepLosses, Term, Training
from probe.capture.silence import Silence
from probe.capture.stages import BACKWARD, FORWARD, OPTIMIZER
from probe.capture.unseen import Unseen
from probe.collectors import Clip, Subject
from probe.collectors.activations import ACTIVATIONS_ARE_COMPILED
from probe.host import Number, number
from probe.records import Note, StepRecord, accuracy
from probe.steps import Steps
from probe.wire import Phase

_log = logging.getLogger("probe.hidden")


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
        put: Callable[[Handed], None],
        sender_cpu_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.guard = subject.guard
        self.phase = Phase.STARTING
        self.skips_losses = False  # for now the root of the backward pass tells enough
        self.completed = 0  # steps of all optimizers
        self._facts: dict[str, str | float | bool | None] = {}
        self._put, self._subject, self._main = put, subject, subject.main
        self._is_alone = len(subject.optimizers) == 1
        self._training, self._clock, self._epochs = Training(), Clock(), Epochs()
        self.steps = Steps(
            subject,
            self._clock,
            every=every,
            step=step,
            put=put,
            say=self.fact,
            spent_s=lambda: self.guard.cost_s + sender_cpu_s(),
        )
        self._inspection = self.steps.inspection
        self._silence = Silence(self.fact)
        self._first_step = step
        self._evaluation: Evaluation | None = None
        self._held: list[Evaluation] = []  # evaluations before the first step: what training minimises is not known
        self._term: Term | None = None
        self.unseen = Unseen(self.hidden)
        self._root_is_loss = False  # so it was on the last step whose loss functions were listened at
        self._is_ordinary = False  # the step to come gives what each step gives, and no more
        self._scopes: list[list[LossCall]] = []
        self._scaled: deque[tuple[weakref.ref[Tensor], tuple[Number, LossCall | None, bool]]] = deque(maxlen=8)
        self._batch_samples = 0
        self._phases_before_saves: list[Phase] = []  # one may be inside another

    @property
    def step(self) -> int:
        """The last completed step."""
        return self.steps.step

    @property
    def times_stages(self) -> bool:
        return self.steps.times_stages

    def close(self) -> None:
        """The training is over, or the probe is taken off: hand over what is still open."""
        self.guard.attempt("evaluation", self._end_evaluation)
        for evaluation in self._held:
            self.guard.attempt("evaluation", self._report, evaluation)
        self._held.clear()
        self.steps.close()

    def fact(self, name: str, value: str | float | bool | None) -> None:
        """Say something that is so, unless it is known already."""
        if name not in self._facts or self._facts[name] != value:
            self._facts[name] = value
            self._put(Note.fact(self.step, name, value))

    def look_for_silence(self) -> None:
        """Whether the training has hung; called in the sender's thread."""
        steps, batches = self.step - self._first_step, self._epochs.batches
        self._silence.look(self.step, self.phase, self._clock.trained_s, steps, batches)

    def hidden(self, sentence: str) -> None:
        """Something cannot be seen of this training: it is told to whoever watches, and once in the log."""
        known = str(self._facts.get("hidden", ""))
        if sentence not in known:
            self.fact("hidden", f"{known} {sentence}".strip())
            _log.warning("Bedside: %s", sentence)

    # ------------------------------------------------------------------------------------------ forward and phases

    def forward_begins(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.unseen.forward = True
        batch = capture.batch_of(args, kwargs)
        self._batch_samples = 0 if batch is None else batch.shape[0]
        if not torch.is_grad_enabled():
            if self._evaluation is None:
                self._evaluation = Evaluation(self.step, in_training_mode=module.training)
                self.skips_losses = False
            self._clock.evaluates()
            self.phase = Phase.EVALUATING
            self._scopes = [[]]
            return
        if self._evaluation is not None:
            self._end_evaluation()
        self.phase = Phase.TRAINING
        if not self.skips_losses:
            self._scopes = [[]]
        self._clock.forward()
        if self._inspection.is_due or module.training is not self._inspection.in_training_mode:
            self.guard.attempt("inspection", self._inspection.forward, self.step + 1, module, batch)
        tokens = batch.numel() if self._inspection.takes_tokens and batch is not None else 0
        self._training.forward(self._batch_samples, tokens, in_training_mode=module.training)
        if self._epochs.has_news and (epoch := self._epochs.training_begins()) is not None:
            self.fact("epoch", epoch)
        if self.steps.times_stages:
            self.steps.stages.begins(FORWARD)

    def forward_ends(self, _module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        if self.steps.times_stages:
            self.steps.stages.ends(FORWARD)
        if self._evaluation is not None:
            self._clock.evaluated()
        if self.skips_losses:
            return
        calls = self._scopes.pop() if self._scopes else []
        if isinstance(output, Tensor):
            loss = None
        else:
            loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
        if isinstance(loss, Tensor) and loss.numel() == 1 and self._takes(loss):
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
        self.phase = Phase.TRAINING
        self._clock.resume()
        self._plan_losses()
        if not self.unseen.loss:
            self._held.append(evaluation)
        else:
            self._report(evaluation)

    def _report(self, evaluation: Evaluation) -> None:
        if evaluation.is_empty:
            self.unseen.evaluation_ends()
            return
        self.unseen.validation = True
        self._inspection.evaluated(in_training_mode=evaluation.in_training_mode)
        counts = evaluation.counts
        self._put(
            StepRecord(
                evaluation.step,
                time(),
                evaluation.losses(self._term),
                [] if counts is None else [accuracy("val/accuracy", counts)],
                {} if counts is None else {"val": counts},
                evaluation.pairs,
            )
        )

    def _goes_on(self, outputs: Any) -> bool:
        """Whether training goes on during an evaluation, which is over then: a method of the model calls no root."""
        if capture.is_learned_from(outputs, self._subject):
            self._end_evaluation()
        return self._evaluation is None

    def save_begins(self) -> None:
        if self._epochs.is_training_thread:
            if self._evaluation is None:
                self._clock.pause()
            self._phases_before_saves.append(self.phase)
            self.phase = Phase.CHECKPOINTING

    def save_ends(self) -> None:
        if self._epochs.is_training_thread:
            self.phase = self._phases_before_saves.pop()
            if self._evaluation is None and not self._phases_before_saves:
                self._clock.resume()

    def hold_begins(self) -> None:
        """The loop is held before a training forward pass; what passes until :meth:`hold_ends` is no training."""
        self._end_evaluation()
        self._clock.forward()
        self._clock.pause()

    def hold_ends(self) -> None:
        self._clock.resume()
        self.phase = Phase.TRAINING

    @property
    def is_in_step(self) -> bool:
        """Whether an optimizer step is under way: a closure runs forward and backward inside it."""
        return self._training.is_in_step

    def compiled(self) -> None:
        """The model has been compiled since the probe was put on."""
        self.hidden(ACTIVATIONS_ARE_COMPILED)

    def epoch_begins(self, iterator: Any, wait_s: float) -> None:
        self._epochs.loader_begins(iterator)
        if self._epochs.is_training_thread:
            self._clock.waited(wait_s, for_training=False)

    def batch_loaded(self, iterator: Any, wait_s: float) -> None:
        self._epochs.batch(iterator)
        if self._epochs.is_training_thread:
            self._clock.waited(wait_s, for_training=self._epochs.is_training)

    # ------------------------------------------------------------------------------------------------------ losses

    def loss_called(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if not self._takes(output):
            return
        is_evaluation = self._evaluation is not None
        call = capture.read_loss(name, args, kwargs, output, count=self._counts_due(), pairs=is_evaluation)
        if self._evaluation is None:
            capture.remember(call, output)
            if self._inspection.is_due:
                self.guard.attempt("inspection", self._inspection.loss, name, args, kwargs)
            if "objective" not in self._facts:
                self.fact("objective", capture.OBJECTIVES.get(name, "other"))
                self.fact("criterion", name)
                if call.is_sum:
                    self.fact("reduction", "sum")
        self._scope(call)

    def criterion_begins(self) -> None:
        if not self.skips_losses:
            self._scopes.append([])

    def criterion_called(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        inner = self._scopes.pop() if self._scopes else []
        if not self._takes(output):
            return
        values = (*args, *kwargs.values())
        is_evaluation = self._evaluation is not None
        call = capture.read_criterion(name, values, output, inner, count=self._counts_due(), pairs=is_evaluation)
        if self._evaluation is None:
            capture.remember(call, output)
            self.fact("criterion", name)
            self._facts.setdefault("objective", "other")
        self._scope(call)

    def _counts_due(self) -> bool:
        # With several optimizers targets say "real" or "generated", which is no class.
        return (self._evaluation is not None or self.steps.heavy) and self._is_alone

    def _takes(self, output: Any) -> bool:
        """A term of the training loss, or one of an evaluation; not a metric computed on the side."""
        if capture.is_training_loss(output):
            return (self._evaluation is None or self._goes_on([output])) and not self.skips_losses
        is_value = isinstance(output, Tensor) and output.is_floating_point() and not output.requires_grad
        return is_value and self._evaluation is not None

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
        self.steps.scaler = scaler
        pairs = zip(plain, scaled, strict=False) if isinstance(plain, (list, tuple)) else [(plain, scaled)]
        for before, after in pairs:
            if isinstance(after, Tensor) and after.numel() == 1:
                self._scaled.append((weakref.ref(after), (number(before), *capture.recall(before.grad_fn))))

    def backward_begins(self, roots: Any) -> None:
        roots = roots if isinstance(roots, (list, tuple)) else (roots,)
        if self._evaluation is not None and not self._goes_on(roots):
            return
        for root in roots:
            if isinstance(root, Tensor) and root.numel() == 1:
                known = self._unscaled(root) if self._scaled else None
                if self.skips_losses:
                    self._training.root(number(root) if known is None else known[0])
                else:
                    value, call, is_divided = known or (number(root), *capture.recall(root.grad_fn))
                    if call is None and not self._training.has_heard_a_loss and self._counts_due():
                        self.guard.attempt("classes", self._count_from, root)
                    self._training.backward(value, call, is_scaled=is_divided)
        if self._inspection.is_due:
            self.guard.attempt("inspection", self._inspection.backward)
        if self.steps.times_stages:
            self.steps.stages.begins(BACKWARD)

    def _count_from(self, root: Tensor) -> None:
        counts = None if root.grad_fn is None else capture.counts_in(root.grad_fn)
        if counts is not None:
            self.fact("classes", counts.shape[-1])
            self._training.count(counts)

    def backward_ends(self) -> None:
        self.steps.stages.ends(BACKWARD)

    def _unscaled(self, root: Tensor) -> tuple[Number, LossCall | None, bool] | None:
        return next((loss for scaled, loss in self._scaled if scaled() is root), None)

    # ------------------------------------------------------------------------------------------------------- steps

    def clip_begins(self, by_norm: bool) -> None:
        self._is_ordinary = False
        self.steps.clip_begins(by_norm=by_norm)

    def clip_ends(self, norm: Any, max_norm: Any) -> None:
        on_device = isinstance(max_norm, Tensor) and not max_norm.is_cpu
        limit = None if on_device else float(max_norm)
        self.steps.clips.append(Clip(norm.detach() if isinstance(norm, Tensor) else None, limit))

    def scaler_stepped(self, scaler: Any, optimizer: Any, before: int) -> None:
        """GradScaler.step is over; the optimizer has not stepped if gradients were infinite."""
        self.steps.scaler = scaler
        if optimizer is self._main and self.completed == before:
            self.steps.skipped += 1
            self._training.clear()
            self.steps.clips.clear()

    def scheduler_steps(self, scheduler: Any) -> None:
        self.guard.attempt("inspection", self._inspection.scheduler_steps, scheduler, self.step)

    def step_begins(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        if self._evaluation is not None:
            self._end_evaluation()
        self._training.step_begins()
        if optimizer is self._main:
            self.steps.begins()
        if self.steps.times_stages:
            self.steps.stages.begins(OPTIMIZER)

    def step_ends(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        self.completed += 1
        if self._is_ordinary:
            if self.steps.ordinary_ends(*self._training.take_root()):
                self._plan_losses()
            return
        if self.steps.times_stages:
            self.steps.stages.ends(OPTIMIZER)
        losses = self._training.take()
        if optimizer is self._main:
            self._end_step(losses)
        else:
            self.steps.beside_ends(optimizer, losses)

    def _end_step(self, losses: StepLosses) -> None:
        if losses.loss is not None and not self.skips_losses:
            self._term, self._root_is_loss, self.unseen.loss = losses.term, losses.root_is_loss, True
        while self._held:
            self._report(self._held.pop(0))
        self.phase = Phase.TRAINING
        self.steps.ends(losses)
        self.unseen.step_ends()
        self._plan_losses()

    def _plan_losses(self) -> None:
        """Where the root of the backward pass is the loss itself, a step that is not heavy needs no more than it."""
        self.skips_losses = self._root_is_loss and not (self.steps.heavy or self.steps.detailed)
        self._is_ordinary = self.skips_losses and self.steps.may_be_ordinary
