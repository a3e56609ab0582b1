"""One training, its recorder and a monitor: real processes and sockets."""

from __future__ import annotations

import os
import re
import signal
import socket
import time

import pytest
from interventions import command
from jobs import ROOT, Job, until

from probe import wire

SCRIPT = ROOT / "tests" / "e2e" / "small_training.py"
FOR_EVER = ("--steps", "1000000", "--pace-s", "0.002")


@pytest.fixture
def job(tmp_path):
    job = Job(tmp_path)
    yield job
    job.close()


def test_a_stop_leaves_a_checkpoint_and_the_exit_code_of_success(job):
    job.script(SCRIPT, *FOR_EVER)
    stopped = job.ask("stop")
    out, err = job.processes[0].communicate(timeout=60)

    assert (job.processes[0].returncode, out, err) == (0, "", "")
    assert [str(path) for path in job.checkpoints()] == [stopped.applied["path"]]
    (mark,) = job.marks()
    assert (mark.command, mark.by, mark.step, mark.applied) == ("stop", "ada", stopped.step, stopped.applied)


def test_a_paused_run_outlives_its_monitor_and_its_recorder_and_goes_on_as_if_nothing_was(job, tmp_path):
    alone = Job(tmp_path / "alone")
    steps = ("--steps", "800", "--pace-s", "0.002")
    try:
        alone.script(SCRIPT, *steps)
        untouched = alone.processes[0].communicate(timeout=60)[0]
    finally:
        alone.close()
    job.script(SCRIPT, *steps)
    paused = job.ask("pause")
    job.reconnect()
    until(lambda: job.heartbeat().phase is wire.Phase.PAUSED)
    beats = [job.heartbeat() for _ in range(2)]
    recorder = job.live[0]["recorder_pid"]
    os.kill(recorder, signal.SIGKILL)
    until(lambda: (job.entries(1) or job.live)[0]["recorder_pid"] != recorder)
    job.connect(1)
    beats.append(job.heartbeat())
    resumed = job.ask("resume")

    assert (paused.step, paused.text) == (resumed.step, f"paused after step {paused.step}")
    assert [(beat.phase, beat.step) for beat in beats] == [(wire.Phase.PAUSED, paused.step)] * 3
    assert job.processes[0].communicate(timeout=60)[0] == untouched
    assert [(mark.command, mark.by, mark.step) for mark in job.marks()] == [
        ("pause", "ada", paused.step),
        ("resume", "ada", paused.step),
    ]


def test_ctrl_c_ends_a_paused_run(job):
    job.script(SCRIPT, *FOR_EVER)
    job.ask("pause")
    job.processes[0].send_signal(signal.SIGINT)
    job.processes[0].communicate(timeout=60)

    assert job.processes[0].returncode == -signal.SIGINT


def test_a_command_from_long_ago_is_refused(job):
    job.script(SCRIPT, *FOR_EVER)
    asked = job.send("lr", time_s=time.time() - 62.0, args={"factor": 0.5})

    text = job.answer(asked).text
    assert re.fullmatch(r"asked 6\d s ago by this machine's clock; a command is good for 60 s", text)


def test_a_training_that_takes_no_commands_says_so(job, tmp_path):
    script = tmp_path / "deaf.py"
    script.write_text(SCRIPT.read_text().replace("total_steps=args.steps", "control=False"))
    job.script(script, *FOR_EVER)

    assert job.ask("pause").text == "this run takes no commands"


def test_more_commands_than_a_person_gives_are_refused_but_never_the_one_that_resumes(job):
    job.script(SCRIPT, *FOR_EVER)
    answers = []
    for _ in range(7):
        asked = [job.send("note", args={"text": "look"}) for _ in range(3)]
        answers += [job.answer(each) for each in asked]

    assert [answer.ok for answer in answers] == [True] * 20 + [False]
    assert answers[-1].text == "more than 20 commands in 10 s"
    assert job.ask("resume").text == "it is not paused"


#: What a DEALER of ZMTP 3.0 says before its first message; after each part the other side has its say.
SIGNATURE = b"\xff" + bytes(7) + b"\x01\x7f"
GREETING = b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY" + b"\x0bSocket-Type" + (6).to_bytes(4, "big") + b"DEALER"


def send_by_hand(address, frame, missing):
    """Send a frame without its last bytes, and die."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(address.removeprefix("ipc://"))
        for part in (SIGNATURE, GREETING):
            line.sendall(part)
            line.recv(len(part), socket.MSG_WAITALL)
        line.sendall(bytes([4, len(READY)]) + READY)
        line.recv(1)
        line.sendall((bytes([0, len(frame)]) + frame)[: len(frame) + 2 - missing])


@pytest.mark.parametrize(
    ("missing", "left"),
    [pytest.param(0, ["pause", "note"], id="whole", marks=pytest.mark.slow), pytest.param(1, ["note"], id="half")],
)
def test_a_monitor_that_dies_while_it_sends_a_command_leaves_the_run_as_it_was(missing, left, job):
    job.script(SCRIPT, *FOR_EVER)
    send_by_hand(job.live[0]["ask"], wire.encode(command(job.run_id, "pause")), missing)
    until(lambda: missing or job.heartbeat().phase is wire.Phase.PAUSED)
    assert job.ask("note", text="still here").ok

    until(lambda: len(job.marks()) == len(left))
    assert [mark.command for mark in job.marks()] == left
    assert job.heartbeat().phase is (wire.Phase.TRAINING if missing else wire.Phase.PAUSED)
