"""Many viewers, many scalars, long runs: nothing is lost and nothing grows."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from histories import same, trained
from toy_run import ROOT, only, points, until
from viewer import shown

from monitor.record.runfile import Changes, RunFile, read_run
from monitor.rows import times_of
from monitor.session import Session
from monitor.watching import live_feed
from probe import wire

VIEWERS = 50
#: Scalars a step beside the toy trainer's own four, and seconds of training at 1,000 steps/s at most.
WIDE, MINUTE_S = 96, 60


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
def test_fifty_viewers_of_one_run_are_all_shown_all_of_it(toy_run):
    toy_run.train(4000, "wait", 0.002)
    live = toy_run.wait_live()
    sessions = [Session(live_feed(live)) for _ in range(VIEWERS)]
    for session in sessions:
        session.start()

    until(lambda: all(session.latest().step == 4000 for session in sessions), timeout_s=120)
    histories = [shown(session) for session in sessions]
    for session in sessions:
        session.close()

    for history in histories:
        same(history, trained(4000))


@pytest.mark.slow
def test_a_minute_of_a_thousand_steps_a_second_with_a_hundred_scalars_grows_nothing_and_loses_nothing(toy_run):
    process = toy_run.train(1000 * MINUTE_S, "wait", 0.001, WIDE=str(WIDE))
    live = toy_run.wait_live()
    until(lambda: toy_run.summary_step() > 200 * MINUTE_S, timeout_s=4 * MINUTE_S)
    early_mib = resident_mib(live.recorder_pid)
    until(lambda: toy_run.summary_step() == 1000 * MINUTE_S, timeout_s=8 * MINUTE_S)
    late_mib = resident_mib(live.recorder_pid)
    process.kill()
    process.wait()
    toy_run.wait_recorder_gone()
    messages = list(read_run(toy_run.file()))

    times_s = np.concatenate([times_of(message) for message in messages if isinstance(message, wire.Batch)])
    rate = len(times_s) / (times_s[-1] - times_s[0])
    print(f"{rate:.0f} steps/s; recorder {early_mib:.0f} MiB after a fifth, {late_mib:.0f} MiB at the end")
    assert late_mib < early_mib + 16
    assert [mark for message in messages if isinstance(message, wire.Batch) for mark in message.marks] == []
    for key in ("train/loss", f"wide/{WIDE - 1}"):
        assert points(messages, key)[0].tolist() == list(range(1, 1000 * MINUTE_S + 1))
    assert only(messages, wire.Goodbye).signal == "SIGKILL"


OPEN = """
import resource, sys, time
from monitor.session import Session
from monitor.watching import resolve
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
    last = 5_000_000
    hello = wire.Hello(schema=1, run_id="5000000a", name="long", started_s=0.0)
    file = RunFile.create(tmp_path / "long.bedside")
    file.write(Changes(meta={"hello": wire.encode(hello)}))
    for first in range(1, last + 1, 256 * 64):
        batches = [page(start, min(256, last + 1 - start)) for start in range(first, first + 256 * 64, 256)]
        file.write(Changes(batches=[(batch, wire.encode(batch)) for batch in batches if batch.rows > 0]))
    file.write(Changes(meta={"goodbye": wire.encode(wire.Goodbye(time_s=1.0, reason="finished", step=last))}))
    file.close()

    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(tmp_path / "long.bedside"), str(last)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )

    took, newest = done.stdout.splitlines()
    print(f"5 million steps: {took}")
    assert newest == " ".join(map(str, range(last - 9, last + 1)))


def page(start: int, rows: int) -> wire.Batch:
    steps = np.arange(start, start + rows, dtype=np.float64)
    loss, norm = (wire.Column(values=values.tobytes()) for values in (1 / steps, np.sqrt(steps)))
    return wire.Batch(
        seq=1 + start // 256,
        start=start,
        rows=rows,
        times_s=steps.tobytes(),
        scalars={"train/loss": loss, "grad/norm": norm},
    )
