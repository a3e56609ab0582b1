"""``bedside do``: a script intervenes in a real training, through its recorder."""

from __future__ import annotations

import getpass
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import zmq
from world import ROOT, eventually

from monitor import actions
from monitor.model import Action
from monitor.rows import points_of
from probe import wire

ME = f"{getpass.getuser()}@{socket.gethostname()}"


@pytest.fixture
def training(world):
    process = world.train("--steps", "1000000", "--pace-s", "0.002", "--name", "patient")
    eventually(world.live_entries)
    eventually(lambda: newest(world, "train/loss"))
    return process


@pytest.fixture
def do(world):
    def call(*words):
        done = subprocess.run(
            [sys.executable, "-m", "monitor", "do", *words],
            env=world.env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    return call


def newest(world, key):
    """The newest value of a series, from the run file."""
    points = [value for batch in world.recorded(wire.Batch) for value in points_of(batch, key)[1].tolist()]
    return points[-1] if points else None


def commands_of(world):
    """The marks that commands left: name, who, what was applied."""
    return [
        (mark.command, mark.by, mark.applied)
        for batch in world.recorded(wire.Batch)
        for mark in batch.marks
        if mark.kind == "command"
    ]


def entry(world):
    return json.loads(world.live_entries()[0].read_text())


def test_a_factor_halves_the_learning_rate_that_the_steps_use_and_undo_takes_it_back(world, training, do):
    status, said, _ = do("patient", "lr", "x0.5")

    assert status == 0
    assert said.startswith("learning rate x0.5, from step ")
    assert said.endswith("; 0: schedule 0.05, effective 0.025")
    eventually(lambda: newest(world, "lr/0") == 0.025)

    status, said, _ = do("patient", "undo")

    assert status == 0
    assert said.endswith("; 0: schedule 0.05, effective 0.05")
    eventually(lambda: newest(world, "lr/0") == 0.05)
    assert [(name, by) for name, by, _ in commands_of(world)] == [("lr", ME), ("undo", ME)]


def test_a_pin_is_the_learning_rate_whatever_the_schedule_says(world, training, do):
    status, said, _ = do("patient", "lr", "3e-4", "--group", "0", "--json")
    answer = json.loads(said)

    assert (status, answer["ok"]) == (0, True)
    assert answer["applied"]["groups"] == {"0": {"schedule": 0.05, "pin": 3e-4, "effective": 3e-4}}
    eventually(lambda: newest(world, "lr/0") == 3e-4)


def test_a_run_is_held_and_goes_on_as_it_is_told(world, training, do):
    assert do("patient", "pause")[0] == 0
    held = do("patient", "checkpoint", "--json")[1]
    again = do("patient", "pause")
    step = json.loads(held)["step"]
    noted = json.loads(do("patient", "note", "looked", "at", "the", "data", "--json")[1])

    assert again == (1, "", "bedside do: refused: it is paused already")
    assert noted["step"] == step
    assert do("patient", "resume")[0] == 0
    assert do("patient", "resume") == (1, "", "bedside do: refused: it is not paused")
    eventually(lambda: len(commands_of(world)) == 4)
    marks = [(mark.command, mark.text) for batch in world.recorded(wire.Batch) for mark in batch.marks]
    assert ("note", "looked at the data") in [(name, text) for name, text in marks if name == "note"]


def test_a_stop_names_the_checkpoint_that_it_wrote_and_the_training_ends_well(world, training, do):
    status, said, _ = do("patient", "stop", "--json")
    path = json.loads(said)["applied"]["path"]
    training.wait(60)

    assert (status, training.returncode) == (0, 0)
    assert Path(path).stat().st_size == json.loads(said)["applied"]["bytes"]


def test_a_stop_without_a_checkpoint_writes_none(world, training, do):
    assert do("patient", "stop", "--no-checkpoint")[0] == 0
    training.wait(60)

    assert list(world.home.rglob("*.pt")) == []


def test_an_interrupt_is_a_ctrl_c(world, training, do):
    assert do("patient", "interrupt")[0] == 0
    training.wait(60)

    assert training.returncode in (1, -signal.SIGINT)
    assert "Interrupt: asked for by" in training.stderr.read()


def test_what_cannot_be_applied_is_refused_with_the_reason(training, do):
    refused = {
        ("lr", "x0"): "factor is 0.0; a number above 0, at most 100, is needed",
        ("lr", "xnan"): "factor is nan; a number above 0, at most 100, is needed",
        ("lr", "x-1"): "factor is -1.0; a number above 0, at most 100, is needed",
        ("lr", "x101"): "factor is 101.0; a number above 0, at most 100, is needed",
        ("lr", "x0.5", "--group", "head"): "no parameter group 'head'; the groups are 0",
        ("detail", "0"): "steps is 0; a whole number, 1 to 10000, is needed",
        ("undo",): "nothing to undo",
    }

    for words, reason in refused.items():
        assert do("patient", *words) == (1, "", f"bedside do: refused: {reason}")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("lr", "half"), "'half' is neither a factor such as x0.5 nor a learning rate such as 3e-4"),
        (("lr",), "lr needs one value: x0.5 or 3e-4"),
        (("pause", "5"), "pause takes no words; not '5'"),
        (("detail", "many"), "'many' is no number of steps"),
        (("note",), "note needs a text"),
        (("pause", "--group", "0"), "--group goes with lr"),
        (("pause", "--checkpoint"), "--checkpoint and --no-checkpoint go with stop and interrupt"),
    ],
)
def test_what_is_no_command_is_a_usage_error(do, words, complaint):
    assert do("nobody", *words) == (2, "", f"bedside do: {complaint}")


def test_a_run_that_is_not_known_is_a_usage_error_and_one_that_is_over_a_refusal(world, do):
    world.train("--steps", "20", "--name", "short").wait(60)
    eventually(lambda: not world.live_entries())

    assert do("nobody", "pause")[0] == 2
    assert do("short", "pause") == (1, "", "bedside do: short is not running")


def test_a_loop_that_is_away_is_waited_for_no_longer_than_was_said(training, do):
    training.send_signal(signal.SIGSTOP)
    waited = do("patient", "pause", "--wait", "0.5")
    training.send_signal(signal.SIGCONT)

    assert waited == (
        1,
        "",
        "bedside do: no answer in 0.5 s; it may still be carried out, when the loop comes to its next step",
    )


# ----------------------------------------------------------------------------------- what the recorder lets through


def test_a_command_for_another_run_is_refused_by_the_recorder(world, training):
    order = wire.Command(id="a", run_id="00000000", name="pause", time_s=time.time())

    assert actions.give(entry(world)["ask"], order).text == "this is not run '00000000'"


def test_the_same_command_again_and_an_old_one_are_refused(world, training):
    known = entry(world)
    order = actions.command(known["run_id"], Action("note", {"text": "once"}))
    old = wire.Command(
        id="old", run_id=known["run_id"], name="note", time_s=time.time() - 3600, args={"text": "from yesterday"}
    )

    answers = [actions.give(known["ask"], each) for each in (order, order, old)]

    assert [answer.ok for answer in answers] == [True, False, False]
    assert answers[1].text == f"command {order.id} was given before"
    assert re.fullmatch(r"asked 36\d\d s ago by this machine's clock; a command is good for 60 s", answers[2].text)


@pytest.mark.slow
def test_a_monitor_that_dies_in_the_middle_of_a_command_leaves_a_run_that_obeys_the_next_one(world, training, do):
    known = entry(world)
    order = actions.command(known["run_id"], Action("lr", {"factor": 0.5}))
    asked = wire.HistoryRequest(id="after it")  # its answer proves that the recorder has the command
    training.send_signal(signal.SIGSTOP)
    code = (
        f"import os, zmq; s = zmq.Context().socket(zmq.DEALER); s.connect({known['ask']!r}); "
        f"s.send({wire.encode(order)!r}); s.send({wire.encode(asked)!r}); s.recv(); os.kill(os.getpid(), 9)"
    )
    assert world.python(code).wait(60) == -signal.SIGKILL
    training.send_signal(signal.SIGCONT)

    eventually(lambda: newest(world, "lr/0") == 0.025)
    assert do("patient", "undo")[0] == 0
    eventually(lambda: len(commands_of(world)) == 2)
    assert [(name, by) for name, by, _ in commands_of(world)] == [("lr", ME), ("undo", ME)]


def test_without_a_recorder_nothing_is_sent(world, tmp_path, monkeypatch):
    monkeypatch.setattr(actions, "CONNECT_S", 0.2)
    order = actions.command("00000000", Action("pause"))

    with pytest.raises(actions.NoAnswer, match="is not there; nothing was sent"):
        actions.give(f"ipc://{tmp_path}/nobody", order)


def test_an_answer_to_somebody_else_is_not_taken_for_ours(tmp_path):
    order = actions.command("00000000", Action("pause"))
    with zmq.Context() as context, context.socket(zmq.ROUTER) as desk:
        desk.bind(f"ipc://{tmp_path}/ask")

        def answer():
            client, _ = desk.recv_multipart()
            for id_, ok in (("other", True), (order.id, False)):
                desk.send_multipart([client, wire.encode(wire.Ack(id=id_, ok=ok))])

        thread = threading.Thread(target=answer)
        thread.start()
        ack = actions.give(f"ipc://{tmp_path}/ask", order)
        thread.join()

    assert (ack.id, ack.ok) == (order.id, False)
