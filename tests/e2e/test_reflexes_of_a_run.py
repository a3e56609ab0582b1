"""What a training asked for in advance is done when the alarm comes, watched or not; the processes are real."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from world import ROOT, eventually

from probe import wire

ME = f"{getpass.getuser()}@{socket.gethostname()}"


@pytest.fixture
def poisoned(world):
    """A training whose loss is NaN from step 60 on."""

    def start(*options, steps=1_000_000, env=None):
        every = ("--steps", str(steps), "--pace-s", "0.005", "--nan-at", "60", "--name", "poisoned")
        return world.train(*every, *options, env=env)

    return start


def commands_of(world):
    """The marks that commands left: name and who."""
    marks = [mark for batch in world.recorded(wire.Batch) for mark in batch.marks]
    return [(mark.command, mark.by) for mark in marks if mark.kind == "command"]


def notices(world):
    return [notice.text for notice in world.recorded(wire.Notice)]


def do(world, *words):
    command = [sys.executable, "-m", "monitor", "do", "poisoned", *words]
    return subprocess.run(command, env=world.env, cwd=ROOT, capture_output=True, text=True, check=True)


def test_a_run_that_nobody_watches_leaves_a_checkpoint_and_ends_well(world, poisoned):
    training = poisoned("--on-alert", "non-finite", "checkpoint-and-stop")
    _, log = training.communicate(timeout=60)

    eventually(lambda: not world.live_entries())

    assert training.returncode == 0
    assert "non-finite at step 60: stop, as on_alert says." in log
    assert commands_of(world) == [("stop", "reflex non-finite")]
    (checkpoint,) = world.home.rglob("step-*.pt")
    (mark,) = [mark for batch in world.recorded(wire.Batch) for mark in batch.marks if mark.command == "stop"]
    assert (mark.applied["path"], mark.step > 60) == (str(checkpoint), True)


def test_without_being_asked_nothing_is_done(world, poisoned):
    training = poisoned(steps=200)
    out, log = training.communicate(timeout=60)

    assert (training.returncode, out.startswith("digest"), log) == (0, True, "")
    eventually(lambda: not world.live_entries())
    assert [alert.rule for alert in world.recorded(wire.Alert)][:1] == ["non-finite"]
    assert commands_of(world) == []


def test_a_pause_is_made_once_whatever_becomes_of_the_recorder(world, poisoned):
    training = poisoned("--on-alert", "non-finite", "pause")
    eventually(lambda: commands_of(world))
    (entry,) = world.live_entries()
    killed = json.loads(entry.read_text())["recorder_pid"]
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: json.loads(entry.read_text())["recorder_pid"] != killed)
    do(world, "resume")
    do(world, "lr", "x0.5")
    do(world, "stop", "--no-checkpoint")
    training.wait(60)
    eventually(lambda: not world.live_entries())

    assert commands_of(world) == [("pause", "reflex non-finite"), ("resume", ME), ("lr", ME), ("stop", ME)]


def test_a_reflex_that_is_refused_leaves_the_run_alone_and_says_why(world, poisoned, tmp_path):
    (tmp_path / "full").write_text("no folder")
    training = poisoned(
        "--on-alert",
        "non-finite",
        "checkpoint-and-stop",
        steps=1000,
        env={"BEDSIDE_CHECKPOINTS": str(tmp_path / "full")},
    )
    out, log = training.communicate(timeout=60)
    eventually(lambda: not world.live_entries())

    refused = "The reflex non-finite came to nothing: stop was refused: no checkpoint: Not a directory."
    assert (training.returncode, out.startswith("digest")) == (0, True)
    assert refused in log
    assert notices(world) == ["non-finite at step 60: stop, as on_alert says.", refused]


def test_a_name_that_is_no_rule_is_in_the_log_of_the_training(world):
    training = world.train("--steps", "200", "--pace-s", "0.005", "--on-alert", "non-finit", "pause")
    _, log = training.communicate(timeout=60)

    assert "on_alert names 'non-finit', which is no rule" in log
    assert "did you mean 'non-finite'?" in log
