"""A run of 1,000 steps a second with 100 scalars each, recorded and watched: what grows, and what the training pays.

``python load.py train SECONDS`` is the training: nine seconds of ten it trains with the probe and logs, one without
either. ``python load.py watch`` is the monitor, less its screen. Both in processes of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STEPS_PER_S, SCALARS = 1000, 100
_ON_S, _OFF_S = 9.0, 1.0
#: The probe's own quantities of a step are some five more.
_LOGGED = {f"scalar{number}": 0.5 * number for number in range(SCALARS - 5)}
#: What the recorder may grow by after the first fifth, and what a scalar may take in the monitor, which keeps all: a
#: million steps of ten series are to fit into 250 MB, the program's own 50 included.
BAR_MIB, BAR_BYTES = 16, 20


def report(seconds: float) -> str:
    from figures import Figure, say, table, verdict

    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    training = subprocess.Popen([sys.executable, __file__, "train", str(seconds)], stdout=subprocess.PIPE, env=env)
    watching = subprocess.Popen([sys.executable, __file__, "watch"], stdout=subprocess.PIPE, env=env)
    recorder_pid = _recorder_of(training.pid)
    samples = []
    while training.poll() is None and watching.poll() is None:
        time.sleep(seconds / 50)
        try:
            samples.append((_resident_mib(recorder_pid), _resident_mib(watching.pid)))
        except FileNotFoundError:  # the run is over
            break
        say(f"load: recorder {samples[-1][0]:.0f} MiB, monitor {samples[-1][1]:.0f} MiB")
    paid = json.loads(training.communicate()[0])
    seen = json.loads(watching.communicate()[0])
    assert seen["gaps"] == 0, seen
    early, late = samples[len(samples) // 5], samples[-2]
    each_bytes = (late[1] - early[1]) * 2**20 / (0.8 * seen["scalars"])
    ratio = Figure(*paid["ratio"])
    heads = ("", "after a fifth", "at the end", "", "bar", "")
    grown = late[0] - early[0]
    recorder = [f"{early[0]:.0f} MiB", f"{late[0]:.0f} MiB", f"{grown:.0f} MiB more", f"{BAR_MIB} MiB"]
    monitor = [f"{early[1]:.0f} MiB", f"{late[1]:.0f} MiB", f"{each_bytes:.1f} bytes a scalar", f"{BAR_BYTES} bytes"]
    lines = [
        ["recorder", *recorder, verdict(grown, BAR_MIB)],
        ["monitor, which keeps every scalar", *monitor, verdict(each_bytes, BAR_BYTES)],
    ]
    return (
        f"{paid['rate']:.0f} steps a second with {seen['a_step']:.0f} scalars each for {seconds / 60:.1f} minutes: "
        f"{seen['scalars']:,} scalars, none missing. A step, of {1e6 * paid['plain_s']:.0f} µs of CPU time without "
        f"the probe, takes {ratio:.2f} times that with probe and logging.\n\n{table(heads, lines)}"
    )


def _recorder_of(pid: int) -> int:
    from monitor.record import registry

    while not (found := [run.recorder_pid for run in registry.live_runs() if run.pid == pid]):
        time.sleep(0.1)
    return found[0]


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def train(seconds: float) -> None:
    import torch
    from figures import figure
    from torch import nn
    from training import Switch
    from workloads import Training

    import probe

    torch.set_num_threads(1)
    model = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    training = Training(model, optimizer, torch.randn(16, 32), torch.randint(0, 10, (16,)))
    ratios, plain, rates = [], [], []
    with probe.attach(model, optimizer, name="load") as run:
        switch = Switch(run, training)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            probed_s, rate = _turn(training, _ON_S, run)
            switch.off()
            plain_s, _ = _turn(training, _OFF_S, None)
            switch.on()
            ratios.append(probed_s / plain_s)
            plain.append(plain_s)
            rates.append(rate)
    print(json.dumps({"ratio": figure(ratios), "plain_s": figure(plain).median, "rate": figure(rates).median}))


def _turn(training, seconds: float, run) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """CPU seconds of the training thread a step, and steps a second."""
    began_s, cpu_s, steps = time.perf_counter(), time.thread_time(), 0
    while (now_s := time.perf_counter() - began_s) < seconds:
        training.step()
        if run is not None:
            run.log(**_LOGGED)
        steps += 1
        time.sleep(max(0.0, steps / STEPS_PER_S - now_s))
    return (time.thread_time() - cpu_s) / steps, steps / (time.perf_counter() - began_s)


def watch() -> None:
    from monitor.commands.watching import to_come
    from monitor.session import Session

    session = Session(to_come().feed)
    session.start()
    while not (snapshot := session.latest()).state.is_over:
        time.sleep(0.25)  # as often as a screen asks
    scalars = sum(map(len, snapshot.series.values()))
    print(json.dumps({"scalars": scalars, "a_step": scalars / snapshot.step, "gaps": len(snapshot.gaps)}))
    session.close()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    train(float(sys.argv[2])) if sys.argv[1] == "train" else watch()
