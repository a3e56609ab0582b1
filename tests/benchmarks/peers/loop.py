"""One logger in a process of its own: ``python loop.py LOGGER SCALARS FOLDER``. Needs numpy and the logger.

It speaks with the process that started it, which counts the CPU time of others that it has started: around each row
of paced calls it prints ``begin`` and ``end``, and goes on when it is given a line. The last line that it prints is
what it measured, as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Log = Callable[[int, dict[str, float]], object]
Logger = tuple[Log, Callable[[], object]]  # and how it is closed

#: Calls that are timed, each after some work; so many before each time that CPU time is counted.
TIMED = 250
#: How often that is, and over how many calls, 1 ms apart: for that of the thread that calls in turns with
#: as many empty ones, for that of all others in one row.
BLOCKS, TURNS, CALLS = 3, 60, 25
BLOCK = TURNS * CALLS
_WARM_UP = 100
_PAUSE_S = 0.001
#: So long a logger may go on working behind its calls.
_LINGER_S = 0.6
_MATRIX = np.ones((160, 160))
#: The numbers of a step, as a script has them.
metric_0 = metric_1 = metric_2 = metric_3 = metric_4 = metric_5 = metric_6 = metric_7 = metric_8 = metric_9 = 0.0


def nothing(_folder: Path) -> Logger:
    return lambda _step, _row: None, lambda: None


def jsonl(folder: Path) -> Logger:
    file = (folder / "log.jsonl").open("w")

    def log(step: int, row: dict[str, float]) -> None:
        file.write(json.dumps({"step": step, "time": time.time(), **row}) + "\n")
        file.flush()

    return log, file.close


def bedside(_folder: Path) -> Logger:
    run = _probe()
    return lambda _step, row: run.log(row), run.detach


def by_name(_folder: Path) -> Logger:
    """As it stands in a script, whose numbers have names of their own; ten of them."""
    run = _probe()

    def log(_step: int, _row: dict[str, float]) -> None:
        run.log(
            metric_0=metric_0, metric_1=metric_1, metric_2=metric_2, metric_3=metric_3, metric_4=metric_4,
            metric_5=metric_5, metric_6=metric_6, metric_7=metric_7, metric_8=metric_8, metric_9=metric_9,
        )  # fmt: skip

    return log, run.detach


def unpacked(_folder: Path) -> Logger:
    run = _probe()
    return lambda _step, row: run.log(**row), run.detach


def _probe() -> Any:
    from torch import nn, optim

    import probe

    model = nn.Linear(2, 2)
    return probe.attach(model, optim.SGD(model.parameters(), lr=0.1), name="bench")


def wandb(folder: Path) -> Logger:
    import wandb

    run = wandb.init(project="bench", mode="offline", dir=folder, settings=wandb.Settings(silent=True))
    return lambda _step, row: run.log(row), run.finish


def tensorboard(folder: Path) -> Logger:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(folder)

    def log(step: int, row: dict[str, float]) -> None:
        for name, value in row.items():
            writer.add_scalar(name, value, step)

    return log, writer.close


def trackio(_folder: Path) -> Logger:
    import trackio

    trackio.init(project="bench", embed=False, auto_log_gpu=False, auto_log_cpu=False)
    return lambda step, row: trackio.log(row, step=step), trackio.finish


LOGGERS = {each.__name__: each for each in (nothing, jsonl, bedside, by_name, unpacked, wandb, tensorboard, trackio)}


def main(name: str, scalars: int, folder: Path) -> None:
    log, close = LOGGERS[name](folder)
    names = [f"metric_{i}" for i in range(scalars)]
    rows = [dict(zip(names, values, strict=True)) for values in np.random.default_rng(0).normal(size=(97, scalars))]
    rows = [{key: float(value) for key, value in row.items()} for row in rows]
    step = iter(range(1, 1_000_000))

    def call(log: Log) -> int:
        """How long a call takes, in nanoseconds."""
        at = next(step)
        row = {name: value + 1.0 for name, value in rows[at % len(rows)].items()}  # numbers just made, as in a loop
        globals().update(row)
        begin = time.perf_counter_ns()
        log(at, row)
        return time.perf_counter_ns() - begin

    for _ in range(_WARM_UP):
        work()
        call(log)
    empty, _ = nothing(folder)
    took_us, counted = [], []
    for _ in range(BLOCKS):
        for _ in range(TIMED):
            work()
            took_us.append(call(log) / 1e3)
        time.sleep(_LINGER_S)
        added_s = added_cpu_s(call, log, empty)
        time.sleep(_LINGER_S)
        hand_over("begin")
        added_s += other_cpu_s(call, log)
        hand_over("end")
        counted.append(1e6 * added_s / BLOCK)
    close()
    scalars_in_all = scalars * (_WARM_UP + BLOCKS * (TIMED + 2 * BLOCK))
    print(json.dumps({"took_us": took_us, "cpu_us": counted, "scalars": scalars_in_all}))


def added_cpu_s(call: Callable[[Log], int], log: Log, empty: Log) -> float:
    """What the calls of a block add to as many empty ones in this thread; short turns let both drift alike."""
    return sum(paced_cpu_s(call, log, CALLS) - paced_cpu_s(call, empty, CALLS) for _ in range(TURNS))


def other_cpu_s(call: Callable[[Log], int], log: Log) -> float:
    """What all other threads take for a block of calls, and shortly after."""
    process_s, thread_s = time.process_time(), time.thread_time()
    paced_cpu_s(call, log, BLOCK)
    time.sleep(_LINGER_S)
    return time.process_time() - process_s - (time.thread_time() - thread_s)


def paced_cpu_s(call: Callable[[Log], int], log: Log, calls: int) -> float:
    """What this thread takes for so many calls and the pauses between them."""
    begin_s = time.thread_time()
    for _ in range(calls):
        time.sleep(_PAUSE_S)
        call(log)
    return time.thread_time() - begin_s


def work() -> None:
    """A training step of about 2 ms, half of it in Python and half in numpy."""
    sum(random.random() for _ in range(12_000))
    for _ in range(6):
        _MATRIX @ _MATRIX


def hand_over(word: str) -> None:
    print(word, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
