"""Commands in the training process: where they are applied, what they do, when they are refused."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from interventions import Desk, command
from torch import nn, optim

import probe
from probe import commands, wire

ROOT = Path(__file__).parent.parent.parent


class Loop:
    """A loop with a scheduler; ``log`` holds what it did, in order."""

    def __init__(self, senders, **attach) -> None:
        self.model = nn.Linear(4, 2)
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.1)
        self.scheduler = optim.lr_scheduler.StepLR(self.optimizer, 4, 0.5)
        self.run = probe.attach(self.model, self.optimizer, every=100, **attach)
        self.sender = senders.last
        self.desk = Desk(self.sender)
        self.log: list[str] = []

    def steps(self, count: int) -> Loop:
        for _ in range(count):
            self.optimizer.zero_grad()
            self.log.append("forward")
            self.model(torch.randn(3, 4)).square().mean().backward()
            self.optimizer.step()
            self.log.append("step")
            self.scheduler.step()
            self.log.append("schedule")
        return self

    def adam_steps(self) -> set[float]:
        return {state["step"].item() for state in self.optimizer.state.values()}


# ------------------------------------------------------------------------------------------- where it is applied


def test_a_run_offers_all_commands_and_none_where_control_is_false(senders):
    assert Loop(senders).sender.hello.control == list(commands.NAMES)

    off = Loop(senders, control=False)
    assert (off.sender.hello.control, off.sender.on_command) == ([], None)


def test_a_stop_comes_between_two_whole_steps(senders):
    loop = Loop(senders).steps(3)
    loop.desk.ask("stop", checkpoint=False)
    with pytest.raises(SystemExit) as stopped:
        loop.steps(10)

    assert stopped.value.code == 0
    assert loop.log[-4:] == ["forward", "step", "schedule", "forward"]
    assert loop.adam_steps() == {4.0}
    assert loop.scheduler.last_epoch == 4


def test_a_stop_passes_a_loop_that_swallows_every_exception(senders):
    loop = Loop(senders).steps(1)
    loop.desk.ask("stop", checkpoint=False)

    def train() -> None:
        for _ in range(10):
            try:
                loop.steps(1)
            except Exception:
                continue

    with pytest.raises(SystemExit):
        train()


def test_an_interrupt_is_what_ctrl_c_raises(senders):
    loop = Loop(senders).steps(1)
    loop.desk.ask("interrupt")
    with pytest.raises(KeyboardInterrupt) as interrupted:
        loop.steps(10)

    assert isinstance(interrupted.value, probe.Interrupt)
    assert str(interrupted.value) == "asked for by ada at step 2"


def test_nothing_is_applied_in_an_evaluation_or_between_micro_batches(senders):
    loop = Loop(senders).steps(1)
    asked = loop.desk.ask("pause"), loop.desk.ask("resume")
    steps = []
    loop.model(torch.randn(3, 4)).sum().backward()
    loop.model(torch.randn(3, 4)).sum().backward()
    steps.append(loop.desk.answer(asked[0]))
    loop.optimizer.step()
    loop.model.eval()
    with torch.no_grad():
        loop.model(torch.randn(3, 4))
    loop.model(torch.randn(3, 4))  # an evaluation that left gradients on
    steps.append(loop.desk.answer(asked[0]))
    loop.model.train()
    loop.model(torch.randn(3, 4))

    assert steps == [None, None]
    assert [loop.desk.answer(each).step for each in asked] == [2, 2]


def test_where_no_forward_pass_is_seen_the_post_hook_of_the_second_step_applies_it(senders):
    loop = Loop(senders).steps(1)
    loop.desk.ask("lr", factor=0.5)
    for _ in range(3):
        loop.model.weight.grad = torch.ones(2, 4)
        loop.optimizer.step()

    assert loop.sender.values("lr/0") == [0.1, 0.1, 0.1, 0.05]
    assert loop.sender.acks[-1].step == 3
    assert loop.sender.acks[-1].applied["from_step"] == 4


def test_in_a_closure_the_step_under_way_keeps_its_rate(senders):
    model = nn.Linear(4, 2)
    optimizer = optim.LBFGS(model.parameters(), lr=0.5, max_iter=3)
    probe.attach(model, optimizer)
    desk = Desk(senders.last)

    def closure():
        optimizer.zero_grad()
        loss = (model(torch.ones(3, 4)) - 1).square().mean()
        loss.backward()
        return loss

    asked = desk.ask("lr", factor=0.5)
    for _ in range(4):
        optimizer.step(closure)

    assert (desk.answer(asked).step, desk.answer(asked).applied["from_step"]) == (1, 3)
    assert senders.last.values("lr/0") == [0.5, 0.5, 0.25, 0.25]


def test_a_step_that_amp_skips_is_no_obstacle(senders):
    model = nn.Linear(4, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    probe.attach(model, optimizer)
    desk = Desk(senders.last)

    def step(factor: float) -> None:
        optimizer.zero_grad()
        scaler.scale(model(torch.randn(3, 4)).sum() * factor).backward()
        scaler.step(optimizer)
        scaler.update()

    step(1.0)
    desk.ask("stop", checkpoint=False)
    step(float("inf"))
    with pytest.raises(SystemExit):
        step(float("inf"))


# ------------------------------------------------------------------------------------------------- the commands


def test_while_paused_the_loop_stands_and_the_heartbeat_says_so(senders):
    loop = Loop(senders).steps(1)
    paused, noted = loop.desk.ask("pause"), []

    def watch() -> None:
        while loop.sender.heartbeat().phase is not wire.Phase.PAUSED:
            time.sleep(0.001)
        noted.append((loop.log.count("step"), loop.sender.heartbeat().step))
        rated = loop.desk.ask("lr", factor=0.5)
        while loop.desk.answer(rated) is None:
            time.sleep(0.001)
        noted.append((loop.log.count("step"), loop.desk.answer(rated).step))
        time.sleep(0.3)
        loop.desk.ask("resume")

    watcher = threading.Thread(target=watch)
    watcher.start()
    loop.steps(4)
    watcher.join()

    assert noted == [(2, 2), (2, 2)]
    assert loop.desk.answer(paused).text == "paused after step 2"
    assert [mark.command for mark in loop.desk.marks()] == ["pause", "lr", "resume"]
    assert loop.desk.marks()[-1].applied["paused_s"] >= 0.3
    assert loop.sender.heartbeat().phase is wire.Phase.TRAINING
    assert dict(loop.sender.series("time/step_s"))[3] < 0.3


def test_a_pause_ends_by_itself_when_the_recorder_is_gone_for_good(senders):
    loop = Loop(senders).steps(1)
    loop.desk.ask("pause")
    loop.sender.is_sending = False
    loop.steps(3)

    assert [mark.command for mark in loop.desk.marks()] == ["pause", "resume"]
    assert loop.desk.marks()[-1].by == "the probe: its recorder is gone"


def test_detail_looks_at_the_layers_at_each_of_so_many_steps(senders):
    loop = Loop(senders).steps(2)
    asked = loop.desk.ask("detail", steps=3)
    loop.steps(8)

    assert loop.desk.answer(asked).applied == {"steps": 3, "from_step": 5}
    assert [stats.step for stats in loop.sender.batch().layers] == [5, 6, 7]


def test_a_note_waits_for_no_step(senders):
    loop = Loop(senders).steps(2)
    loop.desk.ask("note", text=" looks fine ")

    (mark,) = loop.desk.marks()
    assert (mark.step, mark.text, mark.command, mark.by) == (2, "looks fine", "note", "ada")


def test_what_was_done_is_marked_with_who_and_from_which_step(senders):
    loop = Loop(senders).steps(1)
    loop.desk.ask("lr", factor=0.5)
    loop.desk.ask("lr", factor=0.0)
    loop.steps(2)

    (mark,) = loop.desk.marks()
    ack = loop.sender.acks[-1]
    assert (mark.step, mark.by, mark.command, mark.text) == (2, "ada", "lr", ack.text)
    assert mark.applied == ack.applied


def test_an_error_in_a_command_is_its_answer_and_training_goes_on(senders, monkeypatch):
    loop = Loop(senders).steps(1)

    def broken(*_):
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("probe.checkpoint.write", broken)
    asked = loop.desk.ask("checkpoint")
    later = loop.desk.ask("lr", factor=0.5)
    loop.steps(3)

    assert loop.desk.answer(asked).text == "ZeroDivisionError: of all things"
    assert loop.desk.answer(later).ok


def test_what_is_still_waiting_at_the_end_is_refused(senders):
    loop = Loop(senders).steps(1)
    asked = loop.desk.ask("pause")
    loop.run.detach()

    assert loop.desk.answer(asked).text == "the run ended before its next step"


# ------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("name", "args", "text"),
    [
        ("lr", {"factor": 0}, "factor is 0; a number above 0, at most 100, is needed"),
        ("lr", {"factor": -1.0}, "factor is -1.0; a number above 0, at most 100, is needed"),
        ("lr", {"factor": float("nan")}, "factor is nan; a number above 0, at most 100, is needed"),
        ("lr", {"factor": 100.1}, "factor is 100.1; a number above 0, at most 100, is needed"),
        ("lr", {"factor": True}, "factor is True; a number above 0, at most 100, is needed"),
        ("lr", {"pin": float("inf")}, "pin is inf; a number above 0, at most 100, is needed"),
        ("lr", {"pin": "1e-3"}, "pin is '1e-3'; a number above 0, at most 100, is needed"),
        ("lr", {}, "lr needs either factor or pin"),
        ("lr", {"factor": 0.5, "pin": 0.1}, "lr needs either factor or pin"),
        ("lr", {"factor": 0.5, "step": 3}, "lr takes group, factor, pin; not 'step'"),
        ("lr", {"factor": 0.5, "group": 0}, "group is 0; a name is needed, or nothing for all"),
        ("lr", {"factor": 0.5, "group": "x"}, "no parameter group 'x'; the groups are 0"),
        ("detail", {}, "steps is missing; a whole number, 1 to 10000, is needed"),
        ("detail", {"steps": 2.5}, "steps is 2.5; a whole number, 1 to 10000, is needed"),
        ("detail", {"steps": 10001}, "steps is 10001; a whole number, 1 to 10000, is needed"),
        ("note", {"text": "  "}, "text is '  '; 1 to 500 characters are needed"),
        ("stop", {"checkpoint": "no"}, "checkpoint is 'no'; true or false is needed"),
        ("pause", {"seconds": 3}, "pause takes nothing; not 'seconds'"),
        ("resume", {}, "it is not paused"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused_at_once(name, args, text, senders):
    assert Loop(senders).desk.refusal(name, **args) == text


def test_a_second_pause_is_refused(senders):
    loop = Loop(senders)
    loop.desk.ask("pause")

    assert loop.desk.refusal("pause") == "it is paused already"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"run_id": "11112222"}, "this is run 0a1b2c3d, not 11112222"),
        ({"name": "jump"}, f"no command 'jump'; there are {', '.join(commands.NAMES)}"),
        ({"id": "seen"}, "command seen was given before"),
        ({"id": ""}, "an id of 1 to 64 characters is needed"),
        ({"time_s": 905.0}, "asked 95 s ago by this machine's clock; a command is good for 60 s"),
        ({"time_s": float("nan")}, "asked nan s ago by this machine's clock; a command is good for 60 s"),
    ],
)
def test_a_command_that_is_not_for_now_and_here_does_not_pass_the_gate(fields, text):
    gate = commands.Gate("0a1b2c3d", clock=lambda: 1000.0)
    gate.check(command("0a1b2c3d", "pause", id="seen", time_s=1000.0))

    with pytest.raises(commands.Refusal) as refused:
        gate.check(command(**{"run_id": "0a1b2c3d", "name": "pause", "time_s": 1000.0, **fields}))
    assert str(refused.value) == text


def test_many_commands_at_once_are_refused_but_never_the_one_that_resumes():
    now = 1000.0
    gate = commands.Gate("0a1b2c3d", clock=lambda: now)
    for _ in range(20):
        gate.check(command("0a1b2c3d", "lr", time_s=now))

    with pytest.raises(commands.Refusal, match="more than 20 commands in 10 s"):
        gate.check(command("0a1b2c3d", "lr", time_s=now))
    gate.check(command("0a1b2c3d", "resume", time_s=now))
    now = 1010.0
    gate.check(command("0a1b2c3d", "lr", time_s=now))


# --------------------------------------------------------------------------------------------------- a whole process


def test_a_script_that_saves_on_ctrl_c_saves_on_an_interrupt(tmp_path):
    code = """
import sys, torch
sys.path.insert(0, "tests/probe")
from conftest import CollectingSender
from interventions import Desk
from probe import probe as module
import probe
made = []
module._make_sender = lambda *args: made.append(CollectingSender(*args)) or made[0]
model = torch.nn.Linear(3, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
probe.attach(model, optimizer)
Desk(made[0]).ask("interrupt")
steps = 0
try:
    while True:
        model(torch.randn(1, 3)).sum().backward()
        optimizer.step()
        steps += 1
except KeyboardInterrupt:
    print("saved at", steps)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "saved at 1\n"
