"""``attach`` and what it returns: where torch meets the sender."""

from __future__ import annotations

import gc
import logging
import operator
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from time import time
from types import TracebackType
from typing import Any, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from probe import arguments, commands, describe, endpoints, forgotten, wire
from probe.batch import Handed, drop_record
from probe.collectors import Subject
from probe.collectors.activations import ACTIVATIONS_ARE_COMPILED, is_compiled
from probe.control import Control, offered
from probe.ending import Ending
from probe.errors import ProbeError
from probe.hooks import Attachments
from probe.records import Note
from probe.scalars import Scalars
from probe.watch import Watch

_log = logging.getLogger("probe")

Optimizers = Optimizer | Mapping[str, Optimizer]


class SenderLike(Protocol):
    """What the probe needs of :class:`probe.sender.Sender`; a list in a test."""

    put: Callable[[Handed], None]
    cpu_s: float
    is_sending: bool
    notify: str | None

    def reply(self, ack: wire.Ack) -> None: ...
    def start(self) -> None: ...
    def close(self, goodbye: wire.Goodbye, timeout_s: float = 2.0) -> None: ...


def _make_sender(
    hello: wire.Hello,
    heartbeat: Callable[[], wire.Heartbeat],
    on_command: Callable[[wire.Command], None] | None = None,
) -> SenderLike:
    from probe.sender import Sender

    return Sender(hello, heartbeat=heartbeat, on_command=on_command)


class Probe:
    """A probe on one training. Made by :func:`attach`; also a context manager, which detaches at its end.

    Under ``BEDSIDE=off`` it is on nothing, and each call does nothing.
    """

    def __init__(self, line: _Line | None, *, run_id: str = "", name: str = "") -> None:
        self._line = line
        if line is not None:
            vars(self)["log"] = line.scalars.quick(line.sender.put)
        self.run_id = run_id
        self.name = name

    def __repr__(self) -> str:
        return f"<Probe {self.name!r} {self.run_id}{'' if self.is_attached else ', detached'}>"

    @property
    def is_attached(self) -> bool:
        return self._line is not None and self._line.is_open

    def log(self, scalars: Mapping[str, float | Tensor] | None = None, /, **named: float | Tensor) -> None:
        """Extra scalars of the last completed step, by name or in a mapping; they appear as ``user/NAME``."""
        if self._line is not None:
            self._line.scalars.take("user", scalars, named)

    def validation(self, scalars: Mapping[str, float | Tensor] | None = None, /, **named: float | Tensor) -> None:
        """``loss``, ``accuracy`` and others of an evaluation that the probe cannot see: ``val/NAME``."""
        if self._line is not None:
            self._line.scalars.take("val", scalars, named)

    def mark(self, text: str) -> None:
        """A note on the time axis, at the last completed step."""
        if self._line is not None:
            self._line.mark(str(text), "user")

    def detach(self) -> None:
        """Leave the model, the optimizer and torch as they were found. Once more does nothing."""
        if self._line is not None:
            self._line.close("detached")
            self._let_go(is_large=self._line.subject.is_large)

    def _let_go(self, *, is_large: bool) -> None:
        """Whoever keeps this object keeps no model with it. What was on one hangs together in circles."""
        self._line = None
        vars(self).pop("log", None)
        if is_large:
            gc.collect()

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is not None:
            self._line.close_with(error)
            self._let_go(is_large=self._line.subject.is_large)


class _Line:
    """What hangs together while a probe is on: the watch, what it has put on, the sender, the ending."""

    def __init__(
        self, subject: Subject, hello: wire.Hello, criterion: Any, asked: Mapping[str, Any], *, control: bool
    ) -> None:
        self.subject, self.asked = subject, asked
        self.criterion = criterion
        self._hello = hello
        self.is_open = False  # also in a forked child, which has the object and not the training
        self.place = ""  # in the code, where it was attached
        sender = self.sender = _make_sender(hello, self._heartbeat, self._command if hello.control else None)
        self.watch = Watch(
            subject,
            every=hello.every,
            step=hello.first_step,
            put=self.put,
            sender_cpu_s=lambda: sender.cpu_s,
        )
        self.scalars = Scalars(self.watch, self.put)
        self._control = Control(subject, hello, self.watch, sender)
        self._attachments = Attachments(self.watch, self._control, subject.model)
        self._may_intervene = control
        self._ending = Ending(self._close, lambda: self.watch.step)

    def open(self) -> None:
        try:
            roots = roots_of(self.subject.model)
            self._attachments.put_on(roots, self.subject.optimizers.values(), self.criterion)
            self._control.put_on()
        except BaseException:
            self._control.remove()
            self._attachments.remove()
            self.watch.close()
            raise
        self.is_open = True
        self._ending.watch()
        self.watch.fact("optimizers", len(self.subject.optimizers))
        for sentence in _hidden(self.subject):
            self.watch.hidden(sentence)
        if resumes := self._hello.resumes:
            self.mark(f"resumed from {resumes}", "resume")
        if self._may_intervene:
            self.watch.guard.attempt("control", self._control.listen)
        self.sender.start()

    def drop_records(self) -> None:
        """From here on what is handed over goes nowhere."""
        self.sender.put = drop_record
        self.scalars.drop()

    def put(self, record: Handed) -> None:
        self.sender.put(record)  # looked up each time: a sender that gives up puts another in its place

    def mark(self, text: str, kind: str) -> None:
        if self.is_open:
            self.sender.put(Note.mark(self.watch.step, time(), text, kind))

    def close(self, reason: str) -> None:
        self._close(wire.Goodbye(time_s=time(), reason=reason, step=self.watch.step))

    def close_with(self, error: BaseException | None) -> None:
        self._close(self._ending.goodbye(error))

    def _close(self, goodbye: wire.Goodbye) -> None:
        if self.take_off():
            self.sender.close(goodbye)

    def take_off(self) -> bool:
        """Leave everything as it was found; what has gathered is not sent before :meth:`say_goodbye`."""
        if not self.is_open:
            return False
        self.is_open = False
        self._control.remove()
        self._attachments.remove()
        self.watch.close()
        self.drop_records()
        self._ending.unwatch()
        _attached[:] = [other for other in _attached if other[0] is not self]
        return True

    def say_goodbye(self, reason: str) -> None:
        self.sender.close(wire.Goodbye(time_s=time(), reason=reason, step=self.watch.step))

    def _command(self, command: wire.Command) -> None:
        """Called in the sender's thread."""
        self._control.receive(command)

    def _heartbeat(self) -> wire.Heartbeat:
        """Called in the sender's thread."""
        watch = self.watch
        watch.guard.attempt("silence", watch.look_for_silence)
        return wire.Heartbeat(
            time_s=time(),
            phase=watch.phase,
            step=watch.step,
            cost_us=watch.steps.budget.cost_us,
            cost_share=watch.steps.budget.cost_share,
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
    control: bool = True,
    on_alert: Mapping[str, str] | None = None,
    endpoint: str | None = None,
    insecure: bool = False,
    notify: str | None = None,
) -> Probe:
    """Put a probe on a training loop: ``probe.attach(model, optimizer)`` is all that is needed.

    ``optimizer`` may be a dictionary of several (``{"g": ..., "d": ...}``); the first one's steps count.
    ``criterion`` makes loss, logits and targets exact where the loss is not one of ``torch.nn.functional``.
    ``every`` is the number of steps between two looks at the layers; scalars come each step. ``resume`` is the id
    of the run that this one goes on from, at ``step``. ``control`` says whether a monitor may intervene;
    ``on_alert`` what is to be done without one when a rule raises an alarm, as in ``{"divergence": "pause"}``.
    ``endpoint`` opens the run to TCP (``"tcp://0.0.0.0:7777"``) for those whose key is authorised. ``notify`` is a
    line for the shell that the recorder runs for each new alarm; else that of ``BEDSIDE_NOTIFY`` is.

    Raises :class:`ProbeError` for a mistake in the arguments; nothing later on raises into the training.
    """
    asked = {**locals()}
    if os.environ.get("BEDSIDE", "").lower() == "off":
        return Probe(None, name=name or "")
    optimizers = arguments.checked(model, optimizer, every, step)
    arguments.check_notify(notify)
    reflexes = commands.reflexes(on_alert, control=control)
    place = endpoints.checked(endpoint, insecure=insecure)
    if (attached := _attached_to(model, optimizers, asked)) is not None:
        return attached
    subject = Subject(model, describe.layers_of(model), optimizers)
    takes = offered() if control else []
    hello = describe.hello(
        subject,
        name=name,
        classes=classes,
        config=config,
        total_steps=total_steps,
        every=every,
        step=step,
        control=takes,
        resumes=resume or os.environ.get("BEDSIDE_RESUME", ""),
        on_alert=reflexes if takes else {},
        endpoint=place,
        insecure=insecure,
    )
    line = _Line(subject, hello, criterion, asked, control=control)
    line.sender.notify = notify
    line.place = forgotten.place(sys._getframe().f_back)
    line.open()
    forgotten.look(line, _attached)
    run = Probe(line, run_id=hello.run_id, name=hello.name)
    _attached[:] = [*(other for other in _attached if other[0].is_open), (line, run)]
    return run


#: Who is attached; kept here because a script seldom keeps what ``attach`` returns.
_attached: list[tuple[_Line, Probe]] = []


def _attached_to(model: nn.Module, optimizers: dict[str, Optimizer], asked: dict[str, Any]) -> Probe | None:
    """The probe that is on this model and these optimizers already; what is asked otherwise now is said."""
    for line, run in _attached:
        if line.is_open and line.subject.model is model:
            before = list(line.subject.optimizers.values())
            if len(before) == len(optimizers) and all(map(operator.is_, before, optimizers.values())):
                if others := [name for name in asked if repr(asked[name]) != repr(line.asked[name])]:
                    _log.warning(
                        "This %s has a probe already (run %s); it stays as it is: detach() it first for another %s.",
                        type(model).__name__, run.run_id, ", ".join(others),
                    )  # fmt: skip
                return run
            raise ProbeError(
                f"This {type(model).__name__} has a probe already (run {run.run_id}), with another optimizer. "
                "One model has one probe at a time: call detach() on the first, or give all optimizers at once "
                'as probe.attach(model, {"a": first, "b": second}).'
            )
    return None


def _leave_to_the_parent() -> None:
    for line, _ in _attached:
        line.is_open = False
        line.drop_records()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)


def roots_of(model: nn.Module) -> list[nn.Module]:
    """The modules whose call is a forward pass: the model, or its children where it only holds them together.

    A LightningModule counts as such: its ``training_step`` calls ``forward`` or the children one by one, as it likes.
    """
    if hasattr(model, "_orig_mod"):  # torch.compile's, which has its forward in the instance
        return [model]
    if type(model).forward is nn.Module.forward or any(c.__name__ == "LightningModule" for c in type(model).__mro__):
        trained = [child for child in model.children() if next(child.parameters(), None) is not None]
        return [root for child in trained for root in roots_of(child)] or [model]
    return [model]


def _hidden(subject: Subject) -> list[str]:
    """What is known from the start not to be seen of this training, in sentences."""
    hidden = []
    if is_compiled(subject.model):
        hidden.append(ACTIVATIONS_ARE_COMPILED)
    if subject.is_sharded:
        hidden.append("Gradient and weight norms are not available: the parameters are sharded over ranks.")
    return hidden
