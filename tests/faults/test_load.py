"""Many viewers, many scalars, long runs: nothing is lost and nothing grows."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toy_trainer
import zmq
from histories import same, trained
from toy_run import ROOT, only, points, until
from viewer import shown

from monitor.commands.watching import live_feed, run_rows
from monitor.model import Link, RunState
from monitor.record import registry
from monitor.record.naming import run_path
from monitor.record.runfile import Changes, RunFile, read_run
from monitor.rows import times_of
from monitor.session import Session
from probe import runtime, wire

VIEWERS, PROBES = 50, 200
LONG = 5_000_000
#: Scalars a step beside the toy trainer's own four, and seconds of training at 1,000 steps/s at most.
WIDE, SECONDS = 96, 20


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
def test_fifty_viewers_of_one_run_are_all_shown_all_of_it(toy_run):
    toy_run.train(4000, "wait", 0.002)
    live = toy_run.wait_live()
    alone_mib = resident_mib(live.recorder_pid)
    sessions = [Session(live_feed(live)) for _ in range(VIEWERS)]
    for session in sessions:
        session.start()

    until(lambda: all(session.latest().step == 4000 for session in sessions), timeout_s=120)
    watched_mib = resident_mib(live.recorder_pid)
    histories = [shown(session) for session in sessions]
    for session in sessions:
        session.close()

    print(f"recorder {alone_mib:.0f} MiB before the first viewer, {watched_mib:.0f} MiB with {VIEWERS}")
    assert watched_mib < alone_mib + 64
    for history in histories:
        same(history, trained(4000))


@pytest.mark.slow
def test_two_hundred_runs_are_followed_by_one_monitor_each_to_its_last_step(toy_run):
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("many_trainers.py")), str(PROBES), "300"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "record")])},
    )
    toy_run.processes.append(process)
    live = until(lambda: len(found := registry.live_runs()) == PROBES and found, timeout_s=300)
    toy_run.recorders |= {run.recorder_pid for run in live}
    listed_s = time.process_time()
    assert len([entry for entry in registry.run_files() if entry.live]) == PROBES
    rows = run_rows()
    listed_s = time.process_time() - listed_s
    sessions = [Session(live_feed(run)) for run in live]
    for session in sessions:
        session.start()
    until(lambda: all(session.latest().step == 300 for session in sessions), timeout_s=300)
    histories = [shown(session) for session in sessions]
    total_mib = resident_mib(os.getpid())
    for session in sessions:
        session.close()
    process.kill()
    process.wait()
    until(lambda: not registry.live_runs(), timeout_s=300)

    print(f"{PROBES} runs: listed in {1000 * listed_s:.0f} ms of CPU time, {total_mib:.0f} MiB with all of them open")
    assert all(row.state is RunState.TRAINING for row in rows)
    for history in histories:
        same(history, trained(300))


@pytest.mark.slow
def test_a_thousand_steps_a_second_with_a_hundred_scalars_grow_nothing_and_lose_nothing(toy_run):
    process = toy_run.train(1000 * SECONDS, "wait", 0.001, WIDE=str(WIDE))
    live = toy_run.wait_live()
    session = Session(live_feed(live))
    session.start()
    until(lambda: toy_run.summary_step() > 200 * SECONDS, timeout_s=8 * SECONDS)
    early_mib, early_watching_mib = resident_mib(live.recorder_pid), resident_mib(os.getpid())
    until(lambda: session.latest().step == 1000 * SECONDS, timeout_s=16 * SECONDS)
    late_mib, late_watching_mib = resident_mib(live.recorder_pid), resident_mib(os.getpid())
    gaps = session.latest().gaps
    session.close()
    process.kill()
    process.wait()
    toy_run.wait_recorder_gone()
    messages = list(read_run(toy_run.file()))

    times_s = np.concatenate([times_of(message) for message in messages if isinstance(message, wire.Batch)])
    rate = len(times_s) / (times_s[-1] - times_s[0])
    print(f"{rate:.0f} steps/s; recorder {early_mib:.0f} MiB after a fifth, {late_mib:.0f} MiB at the end")
    print(f"monitor, which keeps every scalar, {early_watching_mib:.0f} MiB and {late_watching_mib:.0f} MiB")
    assert late_mib < early_mib + 16
    assert late_watching_mib < early_watching_mib + 64
    assert gaps == ()
    assert [mark for message in messages if isinstance(message, wire.Batch) for mark in message.marks] == []
    for key in ("train/loss", f"wide/{WIDE - 1}"):
        assert points(messages, key)[0].tolist() == list(range(1, 1000 * SECONDS + 1))
    assert only(messages, wire.Goodbye).signal == "SIGKILL"


OPEN = """
import resource, sys, time
from monitor.session import Session
from monitor.commands.watching import resolve
started_s = time.perf_counter()
session = Session(resolve(sys.argv[1]).feed)
session.start()
while session.latest().step < int(sys.argv[2]):
    time.sleep(0.05)
steps, values = session.latest().series["train/loss"].tail(10)
took_s, most = time.perf_counter() - started_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"{took_s:.1f} s, {most / 1024:.0f} MiB")
print(*steps.astype(int).tolist())
"""


@pytest.mark.slow
def test_a_run_of_five_million_steps_opens(tmp_path):
    file = long_file(tmp_path / "long.bedside", wire.Hello(schema=1, run_id="5000000a", name="long", started_s=0.0))
    file.write(Changes(meta={"goodbye": wire.encode(wire.Goodbye(time_s=1.0, reason="finished", step=LONG))}))
    file.close()

    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(tmp_path / "long.bedside"), str(LONG)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )

    took, newest = done.stdout.splitlines()
    print(f"5 million steps: {took}")
    assert newest == " ".join(map(str, range(LONG - 9, LONG + 1)))


@pytest.mark.slow
def test_a_live_run_of_five_million_steps_is_followed_from_where_another_recorder_left_it(toy_run):
    hello = toy_trainer.hello(toy_run.run_id, started_s=1.0)
    long_file(run_path(hello), hello).close()
    folder = runtime.socket_folder()
    command = [sys.executable, "-m", "monitor.record", "--run-id", hello.run_id, "--folder", str(folder)]
    subprocess.run([*command, "--pid", str(os.getpid())], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    context = zmq.Context()
    training = context.socket(zmq.DEALER)
    training.connect(f"ipc://{folder / hello.run_id}.in")
    training.send(wire.encode(hello))
    live = toy_run.wait_live()
    began_s = time.monotonic()
    session = Session(live_feed(live))
    session.start()
    until(lambda: session.latest().link is Link.LIVE, timeout_s=300)
    opened_s = time.monotonic() - began_s
    training.send(wire.encode(page(LONG + 1, 256, seq=LONG // 256 + 2)))
    until(lambda: session.latest().step == LONG + 256, timeout_s=60)
    steps, values = shown(session)["grad/norm"]
    session.close()
    context.destroy(linger=0)
    os.kill(live.recorder_pid, signal.SIGKILL)

    print(f"5 million steps, live: {opened_s:.1f} s")
    np.testing.assert_array_equal(steps, np.arange(1, LONG + 257))
    np.testing.assert_array_equal(values, np.sqrt(steps))


def long_file(path: Path, hello: wire.Hello) -> RunFile:
    """A run of ``LONG`` steps of two series, which is not over."""
    file = RunFile.create(path)
    file.write(Changes(meta={"hello": wire.encode(hello)}))
    for first in range(1, LONG + 1, 256 * 64):
        batches = [page(start, min(256, LONG + 1 - start)) for start in range(first, first + 256 * 64, 256)]
        file.write(Changes(batches=[(batch, wire.encode(batch)) for batch in batches if batch.rows > 0]))
    return file


def page(start: int, rows: int, seq: int = 0) -> wire.Batch:
    steps = np.arange(start, start + rows, dtype=np.float64)
    loss, norm = (wire.Column(values=values.tobytes()) for values in (1 / steps, np.sqrt(steps)))
    return wire.Batch(
        seq=seq or 1 + start // 256,
        start=start,
        rows=rows,
        times_s=steps.tobytes(),
        scalars={"train/loss": loss, "grad/norm": norm},
    )
