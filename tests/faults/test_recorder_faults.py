"""What befalls the recorder or its disk costs the training nothing, and the record as little as can be."""

import os
import resource
import signal
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
import toy_trainer
import zmq
from histories import recorded, same, trained
from toy_run import only, points, until

from monitor.record import registry
from monitor.record.runfile import read_run
from probe import runtime, wire

#: A registry entry of a run that could not be registered.
NOWHERE = {"run_id": "", "name": "", "host": "", "pid": 0, "recorder_pid": 0, "started_s": 0.0, "file": ""}


def test_a_recorder_killed_in_the_middle_is_replaced_and_nothing_is_lost(toy_run):
    process = toy_run.train(1500, "finished", 0.002)
    first = toy_run.wait_live()
    until(lambda: len(toy_run.committed_steps()) > 300)
    os.kill(first.recorder_pid, signal.SIGKILL)
    second = until(lambda: (live := toy_run.live()) and live.recorder_pid != first.recorder_pid and live)
    process.communicate(timeout=30)
    toy_run.wait_recorder_gone()

    messages = list(read_run(toy_run.file()))
    steps, values = points(messages, "grad/norm")

    assert second.file == first.file
    assert [a.raised_step for a in messages if isinstance(a, wire.Alert) and a.rule == "non-finite"] == [50]
    np.testing.assert_array_equal(steps, np.arange(1, 1501))
    np.testing.assert_array_equal(values, [toy_trainer.value("grad/norm", step) for step in range(1, 1501)])
    assert only(messages, wire.Goodbye).reason == "finished"


def test_a_training_that_goes_elsewhere_and_changes_its_environment_stays_in_one_file(toy_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    process = toy_run.train(1500, "finished", 0.002, BEDSIDE_HOME="home", MOVES=str(elsewhere))
    first = toy_run.wait_live()
    until(lambda: len(toy_run.committed_steps()) > 300)
    os.kill(first.recorder_pid, signal.SIGKILL)
    second = until(lambda: (live := toy_run.live()) and live.recorder_pid != first.recorder_pid and live)
    _, said = process.communicate(timeout=30)
    toy_run.wait_recorder_gone()

    assert (second.file, said, list(elsewhere.iterdir())) == (first.file, "", [])
    assert list((toy_run.home / "runs").iterdir()) == [Path(first.file)]
    assert not [message for message in read_run(toy_run.file()) if isinstance(message, wire.Notice)]
    same(recorded(toy_run), trained(1500))


def test_a_monitor_follows_from_one_recorder_to_the_next(toy_run, monitor_of):
    toy_run.train(10_000_000, "wait", 0.002)
    first = toy_run.wait_live()
    monitor = monitor_of(first)
    seen = monitor.next(wire.Batch).seq
    os.kill(first.recorder_pid, signal.SIGKILL)

    until(lambda: (live := toy_run.live()) and live.recorder_pid != first.recorder_pid)
    followed = monitor.next(wire.Batch)
    while followed.seq < seen + 50:
        followed = monitor.next(wire.Batch)
    batches = [message for message in monitor.history(after_seq=seen)[1] if isinstance(message, wire.Batch)]

    assert (batches[0].first_seq or batches[0].seq) == seen + 1
    assert batches[-1].seq >= followed.seq


def test_a_run_that_went_down_with_its_recorder_is_closed_by_the_reader(toy_run):
    process = toy_run.train(10_000_000, "wait", 0.001)
    live = toy_run.wait_live()
    until(lambda: len(toy_run.committed_steps()) > 300)
    toy_run.lose_machine(process)
    toy_run.wait_recorder_gone()

    messages = list(read_run(toy_run.file()))
    steps, _ = points(messages, "train/loss")

    assert only(messages, wire.Goodbye).reason == "vanished"
    assert only(messages, wire.Goodbye).step == steps[-1] == len(steps)
    assert [path.suffix for path in (toy_run.home / "runs").iterdir()] == [".bedside"]
    assert [wire.encode(message) for message in read_run(toy_run.file())] == [wire.encode(m) for m in messages]
    assert registry.live_runs() == []
    assert not Path(live.ask.removeprefix("ipc://")).exists()


def test_a_home_that_cannot_be_written_costs_one_warning_and_the_run_is_served(toy_run, monitor_of, tmp_path):
    blocked = tmp_path / "a file"
    blocked.write_text("not a folder")
    process = toy_run.train(300, "wait", BEDSIDE_HOME=str(blocked / "home"))
    assert process.stdout.readline() == "trained\n"

    warning = process.stderr.readline()
    address = f"ipc://{runtime.socket_folder() / toy_run.run_id}"
    served = monitor_of(registry.LiveRun(**NOWHERE, live=f"{address}.live", ask=f"{address}.ask")).history()[1]
    process.kill()

    assert points(served, "lr/0")[0].tolist() == list(range(1, 301))
    assert only(served, wire.Notice).text in warning

    assert warning.startswith(f"probe WARNING This run is not on disk: {blocked}/home/runs/")
    assert "(Not a directory)" in warning
    assert "set BEDSIDE_HOME to a folder that can be written" in warning
    assert process.stderr.read() == ""


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux's prlimit to make the recorder's disk full")
def test_a_disk_full_in_the_middle_delays_the_record_and_loses_nothing(toy_run, monitor_of):
    process = toy_run.train(10_000_000, "wait", 0.001)
    live = toy_run.wait_live()
    monitor = monitor_of(live)
    until(lambda: len(toy_run.committed_steps()) > 300)

    # No file of the recorder's may grow, which is what a full disk is, for root as well.
    unlimited = resource.prlimit(live.recorder_pid, resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))
    notice = monitor.next(wire.Notice)
    while_full = monitor.next(wire.Batch)
    served = points(monitor.history()[1], "lr/0")[0]
    resource.prlimit(live.recorder_pid, resource.RLIMIT_FSIZE, unlimited)
    again = monitor.next(wire.Notice)
    monitor.close()
    process.kill()
    process.wait()
    toy_run.wait_recorder_gone()

    steps = points(read_run(toy_run.file()), "lr/0")[0]
    assert notice.text.startswith(f"The run file {toy_run.file()} cannot be written")
    assert again.text == "The run file can be written again; nothing that waited for it is lost."
    assert served[-1] >= while_full.start
    np.testing.assert_array_equal(steps, np.arange(1, len(steps) + 1))
    assert len(steps) > served[-1]


def test_hostile_frames_leave_the_recorder_alive_and_the_record_whole(toy_run, monitor_of):
    process = toy_run.train(10_000_000, "wait", 0.001)
    live = toy_run.wait_live()
    monitor = monitor_of(live)
    random = np.random.default_rng(0)
    real = wire.encode(toy_trainer.hello("ffffffff"))
    batch = wire.encode(wire.Batch(seq=1 << 63, start=1, rows=1, times_s=b"12345678"))
    ask = live.ask.removesuffix("ask")
    into = monitor.context.socket(zmq.DEALER)
    into.connect(f"{ask}in")

    for number in range(1000):
        for socket in (into, monitor.ask_socket):
            frame = [random.bytes(int(random.integers(0, 200))), real, batch, real[: number % len(real)]][number % 4]
            socket.send_multipart([frame] * (1 + number % 3))
    steps = points(monitor.history()[1], "train/loss")[0]
    process.kill()
    process.wait()
    goodbye = monitor.next(wire.Goodbye)

    np.testing.assert_array_equal(steps, np.arange(1, len(steps) + 1))
    assert goodbye.signal == "SIGKILL"
    assert toy_run.wait_live().recorder_pid == live.recorder_pid


def test_a_recorder_that_hangs_gets_what_is_left_when_it_goes_on(toy_run):
    process = toy_run.train(4000, "wait", 0.0005)
    live = toy_run.wait_live()
    os.kill(live.recorder_pid, signal.SIGSTOP)
    assert process.stdout.readline() == "trained\n"
    os.kill(live.recorder_pid, signal.SIGCONT)
    until(lambda: len(toy_run.committed_steps()) == 4000)

    assert toy_run.committed_steps() == list(range(1, 4001))


def test_what_is_given_up_while_the_recorder_starts_is_a_gap_that_is_drawn(toy_run):
    process = toy_run.train(20_000, "wait", LIMIT_BYTES="40000")
    assert process.stdout.readline() == "trained\n"

    until(lambda: toy_run.committed_steps()[-1:] == [20_000])
    batches = [message for message in read_run(toy_run.file()) if isinstance(message, wire.Batch)]
    gaps = {mark.step for batch in batches for mark in batch.marks if mark.kind == "gap"}
    steps = np.concatenate([[0], points(batches, "lr/0")[0]])

    assert {int(step) + 1 for step in steps[:-1][np.diff(steps) > 1]} <= gaps
    assert gaps.isdisjoint(steps.tolist())
    assert [b.first_seq or b.seq for b in batches[1:]] == [b.seq + 1 for b in batches[:-1]]


def test_a_recorder_that_cannot_start_costs_one_warning(toy_run):
    process = toy_run.train(100, "wait", HIDE="msgspec")
    assert process.stdout.readline() == "trained\n"

    line = process.stderr.readline()

    assert line.startswith("probe WARNING Bedside cannot record this run: its recorder does not run (")
    assert "No module named 'msgspec'" in line


def spoiled_while_stopped(file, recorder_pid):
    """Stop the recorder, and make its file one that it does not know; False if it was stopped while it wrote."""
    os.kill(recorder_pid, signal.SIGSTOP)
    db = sqlite3.connect(file, timeout=0)
    try:
        db.execute("PRAGMA user_version=99")
    except sqlite3.OperationalError:
        os.kill(recorder_pid, signal.SIGCONT)
        return False
    finally:
        db.close()
    return True


def test_a_file_that_is_not_a_run_file_and_lies_in_the_way_is_left_alone(toy_run):
    # The name is not known before the start, so the first recorder is the one to make it and the second to meet it.
    toy_run.train(10_000_000, "wait", 0.001)
    first = toy_run.wait_live()
    until(lambda: len(toy_run.committed_steps()) > 10)
    until(lambda: spoiled_while_stopped(toy_run.file(), first.recorder_pid))
    os.kill(first.recorder_pid, signal.SIGKILL)

    second = until(lambda: (live := toy_run.live()) and live.recorder_pid != first.recorder_pid and live)

    assert second.file == ""
    with sqlite3.connect(toy_run.file()) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)


def test_of_five_hundred_commands_given_at_once_each_is_answered(toy_run, monitor_of):
    toy_run.train(10_000_000, "wait", 0.002)
    live = toy_run.wait_live()
    monitor = monitor_of(live)
    until(toy_run.committed_steps)
    ids = [str(number) for number in range(500)]
    for id_ in ids:
        order = wire.Command(id=id_, run_id=live.run_id, name="pause", time_s=time.time())
        monitor.ask_socket.send(wire.encode(order))

    answers = [monitor.answer() for _ in ids]

    assert [answer.id for answer in answers] == ids
    assert {answer.text for answer in answers} == {"this run takes no commands"}
