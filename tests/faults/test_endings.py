"""However the training process ends: the record is complete, and says how it ended within two seconds."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from toy_run import only, points, until

from monitor.record.runfile import read_run
from probe import wire


@pytest.mark.parametrize(
    ("end", "reason", "exit_code", "signal_name"),
    [
        ("finished", "finished", 0, ""),
        ("exit 3", "exit", 3, ""),
        ("exception", "exception", 1, ""),
        ("_exit 4", "exit", 4, ""),
    ],
)
def test_an_end_of_its_own_is_told_with_its_exit_code(toy_run, end, reason, exit_code, signal_name):
    process = toy_run.train(500, end)
    toy_run.wait_live()
    process.communicate(timeout=20)
    toy_run.wait_recorder_gone()

    goodbye = only(read_run(toy_run.file()), wire.Goodbye)

    assert (goodbye.reason, goodbye.exit_code, goodbye.signal) == (reason, exit_code, signal_name)
    assert list(points(read_run(toy_run.file()), "lr/0")[0]) == list(range(1, 501))


@pytest.mark.parametrize(("end", "name"), [("segmentation fault", "SIGSEGV"), ("abort", "SIGABRT")])
def test_a_fault_of_its_own_is_told_with_its_signal(toy_run, end, name):
    process = toy_run.train(500, end)
    toy_run.wait_live()
    process.communicate(timeout=20)
    toy_run.wait_recorder_gone()

    goodbye = only(read_run(toy_run.file()), wire.Goodbye)

    assert (goodbye.reason, goodbye.signal) == ("signal", name)
    assert list(points(read_run(toy_run.file()), "lr/0")[0]) == list(range(1, 501))


@pytest.fixture
def memory_group():
    """A memory control group of 96 MiB, of either version."""
    group = next(filter(None, map(group_of, ("memory", ""))), None)
    if group is None:
        pytest.skip("no memory control group can be made here: it takes root and a writable /sys/fs/cgroup")
    yield group
    until(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


def group_of(version: str) -> Path | None:
    root = Path("/sys/fs/cgroup") / version
    group = root / f"bedside-{os.getpid()}"
    try:
        (root / "cgroup.procs").read_text()
        group.mkdir()
        (group / ("memory.limit_in_bytes" if version else "memory.max")).write_text(str(96 << 20))
    except OSError:
        return None
    return group


def test_a_memory_limit_is_told_as_such_and_what_was_recorded_is_there(toy_run, memory_group):
    process = toy_run.train(500, "memory", GROUP=str(memory_group / "cgroup.procs"))
    toy_run.wait_live()
    process.communicate(timeout=60)
    toy_run.wait_recorder_gone()

    goodbye = only(read_run(toy_run.file()), wire.Goodbye)

    assert (goodbye.reason, goodbye.signal) == ("out-of-memory", "SIGKILL")
    assert list(points(read_run(toy_run.file()), "lr/0")[0]) == list(range(1, 501))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV])
def test_a_signal_is_named_to_those_who_watch_within_two_seconds(toy_run, monitor_of, number):
    process = toy_run.train(10_000_000, "wait", 0.001)
    monitor = monitor_of(toy_run.wait_live())
    monitor.next(wire.Batch)

    process.send_signal(number)
    sent_s = time.time()
    process.wait(timeout=30)
    goodbye = monitor.next(wire.Goodbye, timeout_s=5.0)

    print(f"{number.name} told after {goodbye.time_s - sent_s:.2f} s")
    assert (goodbye.reason, goodbye.signal) == ("signal", number.name)
    assert goodbye.time_s - sent_s < 2.0
    assert only(monitor.history()[1], wire.Goodbye) == goodbye


def test_a_killed_trainer_loses_no_more_than_the_steps_since_the_sender_last_woke(toy_run):
    process = toy_run.train(10_000_000, "wait", 0.001)
    toy_run.wait_live()
    until(lambda: len(toy_run.committed_steps()) > 500)
    process.kill()
    killed_s = time.time()
    toy_run.wait_recorder_gone()

    messages = list(read_run(toy_run.file()))
    steps, _ = points(messages, "train/loss")
    last = [message for message in messages if isinstance(message, wire.Batch)][-1]

    np.testing.assert_array_equal(steps, np.arange(1, len(steps) + 1))
    # 0.5 s of gathering; the rest is for a machine on which the sender's thread had to wait for its turn.
    assert killed_s - np.frombuffer(last.times_s)[-1] < 0.8


def test_a_zombie_that_nobody_reaps_is_seen_to_be_gone(toy_run, monitor_of):
    process = toy_run.train(10_000_000, "wait", 0.001)
    monitor = monitor_of(toy_run.wait_live())

    process.kill()  # and not waited for
    goodbye = monitor.next(wire.Goodbye, timeout_s=5.0)

    assert (goodbye.reason, goodbye.signal) == ("signal", "SIGKILL")


def test_a_detached_run_is_over_although_the_process_goes_on(toy_run):
    process = toy_run.train(100, "detached")
    toy_run.wait_live()
    toy_run.wait_recorder_gone()

    assert only(read_run(toy_run.file()), wire.Goodbye).reason == "detached"
    assert process.poll() is None


def test_the_recorder_ends_although_it_was_told_to_leave_while_training_went_on(toy_run):
    process = toy_run.train(10_000_000, "wait", 0.001)
    live = toy_run.wait_live()
    os.kill(live.recorder_pid, signal.SIGTERM)
    os.kill(live.recorder_pid, signal.SIGINT)
    before = len(toy_run.committed_steps())
    until(lambda: len(toy_run.committed_steps()) > before + 200)
    process.kill()
    process.wait()
    toy_run.wait_recorder_gone()

    assert only(read_run(toy_run.file()), wire.Goodbye).signal == "SIGKILL"
