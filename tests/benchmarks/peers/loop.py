"""One logger in a process of its own: ``python loop.py LOGGER SCALARS FOLDER``. Needs numpy and the logger.

It speaks with the process that started it, which counts the CPU time of others that it has started: it prints
``begin`` and ``end``, and goes on when it is given a line. The last line that it prints is what it measured, as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Log = Callable[[int, dict[str, float]], object]
Logger = tuple[Log, Callable[[], object]]  # and how it is closed

#: Calls that are measured, each after some work.
CALLS = 1500
_WARM_UP = 100
#: So long a logger may go on working behind its calls.
_LINGER_S = 1.0
_MATRIX = np.ones((160, 160))


def nothing(_folder: Path) -> Logger:
    return lambda _step, _row: None, lambda: None


def jsonl(folder: Path) -> Logger:
    file = (folder / "log.jsonl").open("w")

    def log(step: int, row: dict[str, float]) -> None:
        file.write(json.dumps({"step": step, "time": time.time(), **row}) + "\n")
        file.flush()

    return log, file.close


def bedside(_folder: Path) -> Logger:
    from torch import nn, optim

    import probe

    model = nn.Linear(2, 2)
    run = probe.attach(model, optim.SGD(model.parameters(), lr=0.1), name="bench")
    return lambda _step, row: run.log(**row), run.detach


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


LOGGERS = {each.__name__: each for each in (nothing, jsonl, bedside, wandb, tensorboard, trackio)}


def main(name: str, scalars: int, folder: Path) -> None:
    log, close = LOGGERS[name](folder)
    names = [f"metric_{i}" for i in range(scalars)]
    rows = [dict(zip(names, values, strict=True)) for values in np.random.default_rng(0).normal(size=(97, scalars))]
    rows = [{key: float(value) for key, value in row.items()} for row in rows]
    step = iter(range(1, 1_000_000))

    def call() -> tuple[int, int]:
        """Wall-clock time and CPU time of a call, in nanoseconds."""
        at = next(step)
        row = {name: value + 1.0 for name, value in rows[at % len(rows)].items()}  # numbers just made, as in a loop
        cpu_ns, wall_ns = time.thread_time_ns(), time.perf_counter_ns()
        log(at, row)
        wall_ns = time.perf_counter_ns() - wall_ns
        return wall_ns, time.thread_time_ns() - cpu_ns

    for _ in range(_WARM_UP):
        work()
        call()
    time.sleep(_LINGER_S)
    hand_over("begin")
    behind_ns = of_other_threads_ns()
    took = []
    for _ in range(CALLS):
        work()
        took.append(call())
    time.sleep(_LINGER_S)
    behind_ns = of_other_threads_ns() - behind_ns
    hand_over("end")
    close()
    wall_ns, cpu_ns = np.array(took).T
    cpu_us = (float(cpu_ns.mean()) + behind_ns / CALLS) / 1e3
    measured = {"took_us": (wall_ns / 1e3).tolist(), "cpu_us": cpu_us, "scalars": (next(step) - 1) * scalars}
    print(json.dumps(measured))


def of_other_threads_ns() -> int:
    return time.process_time_ns() - time.thread_time_ns()


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
