"""Commands: heard in the sender's thread, carried out in the training thread between two optimizer steps.

The place is the root module's forward pre-hook of the first training pass after a step. There the optimizer is not
half way through its parameters, and the scheduler has stepped: of 150 stops each, SIGINT left 65 optimizers half
updated, the step's post-hook 150 schedulers behind, this place none. Where no such pass comes between two steps, the
post-hook of the second has to do. The contract is ``docs/reference/interventions.md``.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic, time
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from probe import checkpoint, commands, wire
from probe.batch import Handed
from probe.collectors import Subject
from probe.commands import Refusal
from probe.errors import Interrupt
from probe.ranks import Ranks, rank_and_size
from probe.rates import Rates, Setting, describe, wanted
from probe.records import Note
from probe.trainers import ask_to_stop
from probe.watch import Watch

#: With several ranks, how long rank 0 waits for the random states of the others, which are at the same boundary; how
#: long the others wait until it has written the checkpoint; how long it waits until they have seen that.
_RANDOM_S, _OUTCOME_S, _SEEN_S = 60.0, 1800.0, 10.0

Outcome = tuple[str, dict[str, Any]]


class Outlet(Protocol):
    """What control needs of the sender."""

    put: Callable[[Handed], None]
    is_sending: bool

    def reply(self, ack: wire.Ack) -> None: ...


def offered() -> list[str]:
    """The commands that this process takes: all, or none where it is not the rank that speaks for the job."""
    return list(commands.NAMES) if rank_and_size()[0] == 0 else []


class Control:
    """What one training is told to do, and what of it holds at present."""

    def __init__(self, subject: Subject, hello: wire.Hello, watch: Watch, outlet: Outlet) -> None:
        self.rates = Rates(subject.optimizers)
        watch.steps.effective_lr = self.rates.effective
        self._subject, self._hello, self._watch, self._outlet = subject, hello, watch, outlet
        self._gate = commands.Gate(hello.run_id)
        self._folder = checkpoint.folder_of(hello.run_id)
        self._planned: deque[tuple[int, wire.Command]] = deque()  # after which step at the earliest
        self._news = threading.Condition()
        self.is_due = False  # something is planned, or about to be agreed on
        self._is_ahead = False  # of the watch, which is told of a step's end a little later
        self._is_ready = False  # a step has ended since: the next training pass is the place
        self._from_step = 0  # the first step that a change of the rates acts on
        self._skipped = 0
        self._random: checkpoint.State = {}
        self._was_training = True
        self._held_at: int | None = None  # a pause is in force or planned, after this step
        self._paused: float | None = None
        self._undo: deque[tuple[str, Callable[[], None]]] = deque(maxlen=64)
        self._ranks: Ranks | None = None

    # ------------------------------------------------------------------------------------------------- on and off

    @property
    def step(self) -> int:
        """The last completed step."""
        return self._watch.step + self._is_ahead

    def put_on(self) -> None:
        if settings := wanted(self._subject.main):
            self.rates.replace(settings)
            self._undo.append(("lr", lambda: self.rates.replace({})))
            self._mark("lr", f"learning rate as in the checkpoint: {describe(settings)}", "checkpoint", {})

    def listen(self) -> None:
        """From here on commands are taken; with several ranks a thread agrees with the others."""
        if rank_and_size()[1] > 1:
            self._ranks = Ranks(
                self._hello.run_id,
                steps=lambda: self.step,
                held_at=lambda: self._held_at,
                arm=self._arm,
                plan=self._plan,
                refuse=self._refuse,
            )

    def remove(self) -> None:
        self.rates.close()
        if self._ranks is not None:
            self._ranks.close()
        while self._planned:
            self._refuse(self._planned.popleft()[1], "the run ended before its next step")
        with self._news:  # from another thread: who would say now that it may go on?
            self._paused = None
            self._news.notify_all()

    # ------------------------------------------------------------------------------------- in the sender's thread

    def receive(self, command: wire.Command) -> None:
        try:
            self._gate.check(command)
            given = commands.arguments(command)
            self._check(command.name, given)
            if command.name == "note":
                self._done(command, given["text"], {})
            elif self._ranks is None:
                self._plan(self.step, command)
            else:
                self._ranks.propose(command)
        except Refusal as refusal:
            self._refuse(command, str(refusal))

    def _check(self, name: str, given: dict[str, Any]) -> None:
        """What can be said before the next step."""
        if "control" in self._watch.guard.faults:
            raise Refusal(f"commands were switched off: {self._watch.guard.faults['control']}")
        if self._ranks is None and self._hello.world_size > 1:
            raise Refusal("the ranks cannot agree: call torch.distributed.init_process_group before probe.attach")
        if name == "lr":
            self._check_groups(given["group"])
        elif name == "pause" and self._held_at is not None:
            raise Refusal("it is paused already")
        elif name == "resume" and self._held_at is None:
            raise Refusal("it is not paused")
        elif (name == "checkpoint" or given.get("checkpoint")) and self._subject.is_sharded:
            raise Refusal("the parameters are sharded over ranks; such a checkpoint is not written")

    def _check_groups(self, name: str | None) -> None:
        groups = self.rates.groups()
        if name is not None and name not in groups:
            raise Refusal(f"no parameter group {name!r}; the groups are {', '.join(groups)}")
        for each, group in groups.items():
            if name in (None, each) and group.get("lr") is None:
                optimizer = type(self._subject.main).__name__
                raise Refusal(f"group {each} of {optimizer} has no learning rate of its own")

    def _arm(self) -> None:
        with self._news:
            self._skipped = self._watch.steps.skipped
            self.is_due = True

    def _plan(self, step: int, command: wire.Command) -> None:
        with self._news:
            if command.name == "pause":
                self._held_at = step
            elif command.name == "resume":
                self._held_at = None
            self._planned.append((step, command))
            self._arm()
            self._news.notify_all()

    # ------------------------------------------------------------------------------------ in the training thread

    def step_ends(self, optimizer: Optimizer) -> None:
        """Called first of all that hear of it, if ``is_due`` or the rates are in use."""
        self.rates.restore(optimizer)
        if self.is_due and optimizer is self._subject.main:
            self._is_ahead = True
            try:
                self._watch.guard.attempt("control", self._step_ended)
            finally:
                self._is_ahead = False

    def _step_ended(self) -> None:
        is_second = self._is_ready
        self._is_ready, self._was_training = True, self._subject.model.training
        self._random = checkpoint.random_state()  # before the next batch is drawn
        if is_second:
            self._boundary(self.step + 1)

    def forward_begins(self, module: nn.Module) -> None:
        """Called before anything else hears of it, if ``is_due``."""
        if torch.is_grad_enabled():
            self._watch.guard.attempt("control", self._training_pass, module)

    def _training_pass(self, module: nn.Module) -> None:
        if self._watch.steps.skipped != self._skipped:  # AMP has skipped a step, whose post-hook did not come
            self._step_ended()
        if self._is_ready and module.training == self._was_training:
            # A closure runs forward inside the step, which keeps the rate that it began with.
            self._boundary(self.step + 1 + self._watch.is_in_step)

    def _boundary(self, from_step: int) -> None:
        self._is_ready, self._from_step, self._skipped = False, from_step, self._watch.steps.skipped
        self._watch.hold_begins()
        try:
            if self._ranks is not None:
                self._ranks.wait()
            self._carry_out_due()
            if self._paused is not None:
                self._hold()
        finally:
            self._watch.hold_ends()
            with self._news:
                self.is_due = bool(self._planned) or (self._ranks is not None and self._ranks.is_armed)

    def _carry_out_due(self) -> None:
        while self._has_due():
            self._carry_out(self._planned.popleft()[1])
            self._watch.hold_begins()  # once more: the end of torch.save ends it

    def _has_due(self) -> bool:
        return bool(self._planned) and self._planned[0][0] <= self.step

    def _hold(self) -> None:
        """Until resumed. A recorder that is gone for good can never say so, and then the run goes on by itself."""
        try:
            while self._paused is not None:
                self._watch.phase = wire.Phase.PAUSED
                with self._news:
                    self._news.wait_for(self._has_due, 1.0)
                if not self._outlet.is_sending and self._held_at is not None:
                    self._resume_by_itself()
                self._carry_out_due()
        finally:
            self._paused = None
            if self._ranks is None:  # with others, what was agreed on counts
                self._held_at = None

    def _resume_by_itself(self) -> None:
        command = wire.Command(id="", run_id="", name="resume", time_s=time(), by="the probe: its recorder is gone")
        if self._ranks is None:
            self._plan(self.step, command)
        elif self._ranks.rank == 0:
            self._ranks.propose(command)

    def _carry_out(self, command: wire.Command) -> None:
        given = commands.arguments(command)
        try:
            text, applied = self._apply(command, given)
        except Refusal as refusal:
            self._refuse(command, str(refusal))
            return
        except Exception as error:  # noqa: BLE001  whatever went wrong, the one who asked must hear of it
            self._refuse(command, f"{type(error).__name__}: {error}")
            return
        self._done(command, text, applied)
        if command.name == "stop":
            self._paused = None
            if not ask_to_stop(self._subject.model):
                raise SystemExit(0)
        if command.name == "interrupt":
            raise Interrupt(f"asked for by {command.by or 'a monitor'} at step {self.step}")

    def _apply(self, command: wire.Command, given: dict[str, Any]) -> Outcome:
        if command.name == "lr":
            return self._hold_rate(**given)
        if command.name == "detail":
            return self._detail(**given)
        if command.name == "undo":
            return self._take_back()
        if command.name == "pause":
            self._paused = monotonic()
            return f"paused after step {self.step}", {"ranks": 1 if self._ranks is None else self._ranks.size}
        if command.name == "resume":
            paused_s = monotonic() - (self._paused or monotonic())
            self._paused = None
            return f"resumed after {paused_s:.1f} s", {"paused_s": paused_s}
        return self._save(command, given)

    # ---------------------------------------------------------------------------------------------- the commands

    def _hold_rate(self, group: str | None, factor: float | None, pin: float | None) -> Outcome:
        before = self.rates.settings
        setting = Setting(factor, pin)
        self.rates.change(group, setting)
        self._undo.append(("lr", lambda: self.rates.replace(before)))
        return self._rates_told(f"learning rate {setting}", group)

    def _rates_told(self, what: str, group: str | None = None) -> Outcome:
        groups = self.rates.report(group)
        told = [f"{name}: schedule {r['schedule']:.3g}, effective {r['effective']:.3g}" for name, r in groups.items()]
        return (
            f"{what}, from step {self._from_step}; {'; '.join(told)}",
            {"groups": groups, "from_step": self._from_step},
        )

    def _detail(self, steps: int) -> Outcome:
        before = self._watch.steps.budget.detailed_until
        from_step = self.step + 2  # what the next step looks at is settled already
        self._watch.steps.detail_until(from_step + steps - 1)

        def take_back() -> None:
            self._watch.steps.detail_until(before)

        self._undo.append(("detail", take_back))
        return f"layers at each of {steps} steps, from step {from_step}", {"steps": steps, "from_step": from_step}

    def _take_back(self) -> Outcome:
        if not self._undo:
            raise Refusal("nothing to undo")
        name, take_back = self._undo.pop()
        take_back()
        if name == "lr":
            text, applied = self._rates_told("learning rate as before")
            return text, {**applied, "undone": name}
        return "layers as before", {"from_step": self.step + 2, "undone": name}

    def _save(self, command: wire.Command, given: dict[str, Any]) -> Outcome:
        """``checkpoint``, ``stop`` and ``interrupt``."""
        text, applied = f"{command.name} at step {self.step}", {}
        if command.name == "checkpoint" or given["checkpoint"]:
            if self._ranks is None:
                applied = self._write([self._random])
            elif self._ranks.rank == 0:
                applied = self._write_for_all(self._ranks, command)
            else:
                self._leave_to_rank_0(self._ranks, command)
            text += f"; {applied['path']}" if applied else "; rank 0 has the checkpoint"
        return text, applied

    def _write(self, random: list[checkpoint.State]) -> dict[str, Any]:
        subject, hello = self._subject, self._hello
        with self.rates.as_scheduled():
            state = checkpoint.state_of(
                subject.model, subject.optimizers, self._watch.steps.scaler, self.rates.settings
            )
            about = {"run_id": hello.run_id, "name": hello.name, "step": self.step, "time_s": time()}
            written = checkpoint.write({**state, **about, "random": random}, self._folder)
        return {
            "path": str(written.path),
            "bytes": written.bytes,
            "seconds": written.seconds,
            "schedulers": len(state["schedulers"]),
            "scalers": len(state["scalers"]),
        }

    def _write_for_all(self, ranks: Ranks, command: wire.Command) -> dict[str, Any]:
        try:
            others = [ranks.ask(command, "random", rank, _RANDOM_S) for rank in range(1, ranks.size)]
            loaded = [torch.load(io.BytesIO(other), weights_only=True) for other in others]
            applied = self._write([self._random, *loaded])
        except Exception as error:
            ranks.tell(command, "outcome", str(error).encode() or b"?")
            raise
        ranks.tell(command, "outcome", b"")
        for rank in range(1, ranks.size):  # the store may end with this process
            with contextlib.suppress(Refusal):
                ranks.ask(command, "seen", rank, _SEEN_S)
        return applied

    def _leave_to_rank_0(self, ranks: Ranks, command: wire.Command) -> None:
        """Hand over this rank's random state, and wait until rank 0 has written, outside of any collective."""
        buffer = io.BytesIO()
        torch.save(self._random, buffer)
        ranks.tell(command, "random", buffer.getvalue())
        reason = ranks.ask(command, "outcome", 0, _OUTCOME_S)
        ranks.tell(command, "seen", b"")
        if reason:
            raise Refusal(reason.decode())

    # -------------------------------------------------------------------------------------------------- the answer

    def _done(self, command: wire.Command, text: str, applied: dict[str, Any]) -> None:
        self._mark(command.name, text, command.by, applied)
        self._reply(wire.Ack(id=command.id, ok=True, text=text, step=self.step, applied=applied))

    def _refuse(self, command: wire.Command, text: str) -> None:
        self._reply(wire.Ack(id=command.id, ok=False, text=text, step=self.step))

    def _reply(self, ack: wire.Ack) -> None:
        if self._ranks is None or self._ranks.rank == 0:  # the one that was asked
            self._outlet.reply(ack)

    def _mark(self, name: str, text: str, by: str, applied: dict[str, Any]) -> None:
        mark = wire.Mark(
            step=self.step, time_s=time(), text=text, kind="command", command=name, by=by, applied=applied
        )
        self._outlet.put(Note(lambda batch: batch.mark(mark)))
