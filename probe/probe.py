"""``attach`` and what it returns: where torch meets the sender."""

from __future__ import annotations

import logging
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from time import time
from types import TracebackType
from typing import Any, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from probe import describe, wire
from probe.batch import Record
from probe.collectors import Subject
from probe.collectors.activations import is_compiled
from probe.ending import Ending
from probe.errors import ProbeError
from probe.handles import generation
from probe.hooks import Attachments
from probe.host import Number, number
from probe.records import Note, StepRecord
from probe.watch import Watch

_log = logging.getLogger("probe")

Optimizers = Optimizer | Mapping[str, Optimizer]


class SenderLike(Protocol):
    """What the probe needs of :class:`probe.sender.Sender`; a list in a test."""

    put: Callable[[Record], None]
    cpu_s: float

    def start(self) -> None: ...
    def close(self, goodbye: wire.Goodbye, timeout_s: float = 2.0) -> None: ...


def _make_sender(hello: wire.Hello, heartbeat: Callable[[], wire.Heartbeat]) -> SenderLike:
    from probe.sender import Sender

    return Sender(hello, heartbeat=heartbeat)


class Probe:
    """A probe on one training. Made by :func:`attach`; also a context manager, which detaches at its end.

    Under ``BEDSIDE=off`` it is on nothing, and each call does nothing.
    """

    def __init__(self, line: _Line | None, *, run_id: str = "", name: str = "") -> None:
        self._line = line
        self.run_id = run_id
        self.name = name

    def __repr__(self) -> str:
        return f"<Probe {self.name!r} {self.run_id}{'' if self.is_attached else ', detached'}>"

    @property
    def is_attached(self) -> bool:
        return self._line is not None and self._line.is_open

    def log(self, **scalars: float | Tensor) -> None:
        """Extra scalars of the last completed step; they appear as ``user/NAME``."""
        if self._line is not None:
            self._line.row("user", scalars)

    def validation(self, **scalars: float | Tensor) -> None:
        """``loss``, ``accuracy`` and others of an evaluation that the probe cannot see: ``val/NAME``."""
        if self._line is not None:
            self._line.row("val", scalars)

    def mark(self, text: str) -> None:
        """A note on the time axis, at the last completed step."""
        if self._line is not None:
            self._line.mark(str(text), "user")

    def detach(self) -> None:
        """Leave the model, the optimizer and torch as they were found. Once more does nothing."""
        if self._line is not None:
            self._line.close("detached")

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is not None:
            self._line.close_with(error)


class _Line:
    """What hangs together while a probe is on: the watch, what it has put on, the sender, the ending."""

    def __init__(self, subject: Subject, hello: wire.Hello, criterion: Any) -> None:
        self.subject = subject
        self.criterion = criterion
        self.is_open = False
        self._generation = generation()
        self._refused: set[str] = set()
        sender = self._sender = _make_sender(hello, self._heartbeat)
        self._watch = Watch(
            subject,
            every=hello.every,
            step=hello.first_step,
            put=self._put,
            sender_cpu_s=lambda: sender.cpu_s,
        )
        self._attachments = Attachments(self._watch, subject.model)
        self._ending = Ending(self._close, lambda: self._watch.step)

    def open(self, resume: str | None) -> None:
        try:
            self._attachments.put_on(roots_of(self.subject.model), self.subject.optimizers.values(), self.criterion)
        except BaseException:
            self._attachments.remove()
            raise
        self.is_open = True
        self._ending.watch()
        self._watch.fact("optimizers", len(self.subject.optimizers))
        if hidden := _hidden(self.subject):
            self._watch.fact("hidden", hidden)
        if resume:
            self.mark(f"resumed from {resume}", "resume")
        self._sender.start()

    def row(self, area: str, scalars: Mapping[str, float | Tensor]) -> None:
        if not self.is_here:
            return
        found: dict[str, Number] = {}
        for name, value in scalars.items():
            if type(value) is float or type(value) is int:
                found[f"{area}/{name}"] = value
            elif isinstance(value, Tensor) and value.numel() == 1:
                found[f"{area}/{name}"] = number(value.detach().clone())
            else:
                self._convert(found, area, name, value)
        if found:
            self._sender.put(StepRecord(self._watch.step, time(), found))

    def _put(self, record: Record) -> None:
        self._sender.put(record)  # looked up each time: a sender that gives up puts another in its place

    def _convert(self, found: dict[str, Number], area: str, name: str, value: Any) -> None:
        try:
            found[f"{area}/{name}"] = float(value)
        except (TypeError, ValueError, RuntimeError):
            if name not in self._refused:  # training goes on; one line says what is missing
                self._refused.add(name)
                kind = type(value).__name__
                _log.warning(
                    "Bedside left out %s/%s: a %s. Numbers and tensors of one element are taken.", area, name, kind
                )

    def mark(self, text: str, kind: str) -> None:
        if self.is_here:
            self._sender.put(Note.mark(self._watch.step, time(), text, kind))

    def close(self, reason: str) -> None:
        self._close(wire.Goodbye(time_s=time(), reason=reason, step=self._watch.step))

    def close_with(self, error: BaseException | None) -> None:
        self._close(self._ending.goodbye(error))

    def _close(self, goodbye: wire.Goodbye) -> None:
        if not self.is_here:
            return
        self.is_open = False
        self._attachments.remove()
        self._watch.close()
        self._ending.unwatch()
        self._sender.close(goodbye)

    @property
    def is_here(self) -> bool:
        """Open, and in the process that attached: a forked child has the object and not the training."""
        return self.is_open and self._generation == generation()

    def _heartbeat(self) -> wire.Heartbeat:
        """Called in the sender's thread."""
        watch = self._watch
        return wire.Heartbeat(
            time_s=time(),
            phase=watch.phase,
            step=watch.step,
            cost_us=watch.budget.cost_us,
            cost_share=watch.budget.cost_share,
            faults=list(watch.guard.faults.values()),
        )


def attach(
    model: nn.Module,
    optimizer: Optimizers,
    criterion: nn.Module | Callable[..., Tensor] | None = None,
    *,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    config: Mapping[str, Any] | None = None,
    total_steps: int | None = None,
    every: int = 10,
    resume: str | None = None,
    step: int = 0,
    control: bool = True,  # noqa: ARG001  part of the interface; this version takes no commands
) -> Probe:
    """Put a probe on a training loop: ``probe.attach(model, optimizer)`` is all that is needed.

    ``optimizer`` may be a dictionary of several (``{"g": ..., "d": ...}``); the first one's steps count.
    ``criterion`` makes loss, logits and targets exact where the loss is not one of ``torch.nn.functional``.
    ``every`` is the number of steps between two looks at the layers; scalars come each step. ``resume`` is the id
    of the run that this one goes on from, at ``step``.

    Raises :class:`ProbeError` for a mistake in the arguments; nothing later on raises into the training.
    """
    if os.environ.get("BEDSIDE", "").lower() == "off":
        return Probe(None, name=name or "")
    optimizers = _checked(model, optimizer, every, step)
    if (attached := _attached_to(model, optimizers)) is not None:
        return attached
    subject = Subject(model, describe.layers_of(model), optimizers)
    hello = describe.hello(
        subject, name=name, classes=classes, config=config, total_steps=total_steps, every=every, step=step
    )
    line = _Line(subject, hello, criterion)
    line.open(resume or os.environ.get("BEDSIDE_RESUME"))
    run = Probe(line, run_id=hello.run_id, name=hello.name)
    _attached[:] = [*(other for other in _attached if other[0].is_open), (line, run)]
    return run


#: Who is attached; kept here because a script seldom keeps what ``attach`` returns.
_attached: list[tuple[_Line, Probe]] = []


def _attached_to(model: nn.Module, optimizers: dict[str, Optimizer]) -> Probe | None:
    """The probe that is on this model already, if it was asked for in the same words."""
    for line, run in _attached:
        if line.is_here and line.subject.model is model:
            before = list(line.subject.optimizers.values())
            if len(before) == len(optimizers) and all(map(operator.is_, before, optimizers.values())):
                return run
            raise ProbeError(
                f"This {type(model).__name__} has a probe already (run {run.run_id}), with another optimizer. "
                "One model has one probe at a time: call detach() on the first, or give all optimizers at once "
                'as probe.attach(model, {"a": first, "b": second}).'
            )
    return None


def roots_of(model: nn.Module) -> list[nn.Module]:
    """The modules whose call is a forward pass: the model, or its children where it only holds them together."""
    if type(model).forward is nn.Module.forward:
        return [root for child in model.children() for root in roots_of(child)]
    return [model]


def _checked(model: object, optimizer: object, every: object, step: object) -> dict[str, Optimizer]:
    if not isinstance(model, nn.Module):
        raise ProbeError(
            f"The model is of type {type(model).__name__}; a torch.nn.Module is needed. "
            "Call probe.attach(model, optimizer) with the module that the loop trains."
        )
    parameters = list(model.parameters())
    if not parameters:
        raise ProbeError(
            f"This {type(model).__name__} has no parameters, so there is nothing to watch. "
            "Call probe.attach once its layers are in place."
        )
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in parameters):
        raise ProbeError(
            f"This {type(model).__name__} has lazy layers without a shape yet; they must have one. "
            "Run one forward pass before probe.attach."
        )
    optimizers: dict[Any, Any] = dict(optimizer) if isinstance(optimizer, Mapping) else {"": optimizer}
    if not optimizers:
        raise ProbeError(
            'There is no optimizer in the dictionary; give at least one, as in {"g": opt_g, "d": opt_d}.'
        )
    for key, each in optimizers.items():
        _check_optimizer(model, str(key), each)
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise ProbeError(f"every={every!r}; a whole number of steps, 1 or more, is needed. The default is 10.")
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        raise ProbeError(f"step={step!r}; the number of steps done before, 0 or more, is needed. The default is 0.")
    return {str(key): each for key, each in optimizers.items()}


def _check_optimizer(model: nn.Module, key: str, optimizer: object) -> None:
    called = f"The optimizer {key!r}" if key else "The optimizer"
    if not isinstance(optimizer, Optimizer):
        raise ProbeError(
            f"{called} is of type {type(optimizer).__name__}; a torch.optim.Optimizer is needed, "
            "or a dictionary of them. A scheduler or an accelerator wrapper holds one as its .optimizer."
        )
    own = {id(p) for p in model.parameters()}
    if not any(id(p) in own for group in optimizer.param_groups for p in group["params"]):
        raise ProbeError(
            f"{called} ({type(optimizer).__name__}) holds none of the parameters of this {type(model).__name__}. "
            "Attach the model that it was made for; one made before model parameters were replaced must be made anew."
        )


def _hidden(subject: Subject) -> str:
    """What cannot be seen of this training, in a sentence; empty if nothing is known to be hidden."""
    hidden = []
    if is_compiled(subject.model):
        hidden.append("Activations are not available: the model is compiled.")
    if subject.is_sharded:
        hidden.append("Gradient and weight norms are not available: the parameters are sharded over ranks.")
    return " ".join(hidden)
