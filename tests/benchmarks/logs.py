"""``run.log`` beside other loggers: each in a process and an environment of its own, in turns.

A call is timed in the training thread after some 2 ms of work, less an empty one. CPU time is counted over calls 1 ms
apart: in the thread that calls, what 25 of them add to 25 empty ones, in turns; of all other threads, what they take
for 1,500 in one row and shortly after; beside it that of the processes that the logger has started.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import psutil
from figures import say, table, verdict
from peers.environments import REQUIREMENTS, NotInstalledError, python_of
from peers.loop import BLOCK, BLOCKS, LOGGERS

_LOOP = Path(__file__).parent / "peers" / "loop.py"
_ROOT = Path(__file__).resolve().parents[2]
_NAMES = {
    "bedside": "**`run.log(row)`**",
    "by_name": "**`run.log(loss=loss, ...)`**",
    "unpacked": "**`run.log(**row)`**",
    "jsonl": "`json.dumps` and `flush`",
    "wandb": "wandb, offline",
    "tensorboard": "TensorBoard `SummaryWriter`",
    "trackio": "trackio",
}
#: The ways to call ``run.log``; the first is measured with more scalars, too.
_OURS = ("bedside", "by_name", "unpacked")
_BARS_ON = 10
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl


class Sample(NamedTuple):
    """One process of one logger; CPU times are a call."""

    took_us: list[float]
    cpu_us: list[float]  # of the calls and of all other threads of the process, in each block
    started_us: float  # of the processes that it has started
    bytes_a_scalar: float


class Cost(NamedTuple):
    median_us: float
    p99_us: float
    cpu_us: float
    started_us: float
    bytes_a_scalar: float


def report(rounds: int, *, peers: bool) -> str:
    adopt_orphans()
    pythons, missing = find_pythons([each for each in LOGGERS if peers or each not in REQUIREMENTS])
    parts = [f"{_NAMES[logger]} could not be installed here: {why}\n\n" for logger, why in missing.items()]
    for scalars in (_BARS_ON, 100):
        compared = [logger for logger in pythons if scalars == _BARS_ON or logger not in _OURS[1:]]
        samples: dict[str, list[Sample]] = {logger: [] for logger in compared}
        for turn in range(rounds if scalars == _BARS_ON else 1):
            for logger in compared:
                say(f"{logger}, {scalars} scalars, round {turn + 1}")
                samples[logger].append(sample(pythons[logger], logger, scalars))
        costs = {logger: cost(found, samples["nothing"]) for logger, found in samples.items()}
        parts += [logger_table(scalars, costs), "\n"]
        if scalars == _BARS_ON:
            parts += [bars(costs), "\n"]
    return "".join(parts).rstrip("\n") + "\n"


def find_pythons(loggers: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The interpreter of each logger, and for those that cannot be installed the reason."""
    pythons, missing = {}, {}
    for logger in loggers:
        try:
            pythons[logger] = python_of(logger)
        except NotInstalledError as error:
            missing[logger] = str(error)
    return pythons, missing


def sample(python: str, logger: str, scalars: int) -> Sample:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {
            **os.environ, "PYTHONPATH": str(_ROOT) if logger in _OURS else "",
            "BEDSIDE_HOME": name, "TRACKIO_DIR": name, "HF_HUB_OFFLINE": "1", "WANDB_SILENT": "true",
        }  # fmt: skip
        command = [python, str(_LOOP), logger, str(scalars), name]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            started_s = sum(-started_cpu_s(process, "begin") + started_cpu_s(process, "end") for _ in range(BLOCKS))
            output, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{logger}: {errors}")
        wait_for_orphans()
        found = json.loads(output.splitlines()[-1])
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Sample(found["took_us"], found["cpu_us"], 1e6 * started_s / (BLOCKS * BLOCK), size / found["scalars"])


def started_cpu_s(process: subprocess.Popen[str], word: str) -> float:
    """CPU time so far of what the process has started, when the loop says the word; then it may go on."""
    assert process.stdin is not None and process.stdout is not None
    while (line := process.stdout.readline()).strip() != word:
        if not line:
            raise RuntimeError(process.stderr.read() if process.stderr else "")
    started = [each for each in psutil.Process().children(recursive=True) if each.pid != process.pid]
    found_s = sum(cpu_s(each) for each in started)
    process.stdin.write("\n")
    process.stdin.flush()
    return found_s


def cpu_s(process: psutil.Process) -> float:
    """Of all its threads. On Linux by the clock of the process: psutil has hundredths of a second there."""
    if sys.platform == "linux":
        clock = ctypes.c_int()
        if ctypes.CDLL(None).clock_getcpuclockid(process.pid, ctypes.byref(clock)):
            raise psutil.NoSuchProcess(process.pid)
        return time.clock_gettime(clock.value)
    times = process.cpu_times()
    return times.user + times.system


def adopt_orphans() -> None:
    """On Linux, make processes that leave their parent (the recorder does) this one's, so that they are counted."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def wait_for_orphans() -> None:
    psutil.wait_procs(psutil.Process().children(recursive=True))


def cost(samples: list[Sample], empty: list[Sample]) -> Cost:
    took_us = np.concatenate([each.took_us for each in samples]) - median(median(each.took_us) for each in empty)
    return Cost(
        float(np.median(took_us)),
        float(np.percentile(took_us, 99)),
        median(cpu_us for each in samples for cpu_us in each.cpu_us),
        median(each.started_us for each in samples),
        median(each.bytes_a_scalar for each in samples),
    )


def logger_table(scalars: int, costs: dict[str, Cost]) -> str:
    heads = (
        f"{scalars} scalars a call",
        "median",
        "99 %",
        "CPU of the process, a call",
        "and of those it started",
        "bytes on disk a scalar",
    )
    rows = [
        [
            name,
            f"{found.median_us:.1f} µs",
            f"{found.p99_us:.1f} µs",
            f"{found.cpu_us:.0f} µs",
            f"{found.started_us:.0f} µs",
            f"{found.bytes_a_scalar:.1f}",
        ]
        for logger, name in _NAMES.items()
        if (found := costs.get(logger)) is not None
    ]
    return table(heads, rows)


def bars(costs: dict[str, Cost]) -> str:
    jsonl, wandb = costs["jsonl"], costs.get("wandb")
    rows = []
    for logger in _OURS:
        ours = costs[logger]
        ratios = [("a call, of JSONL's", ours.median_us / jsonl.median_us, 0.1)]
        if wandb is not None:
            ratios.append(("a call, of wandb's", ours.median_us / wandb.median_us, 0.01))
        ratios.append(("CPU of the process, of JSONL's", ours.cpu_us / jsonl.cpu_us, 0.25))
        name = _NAMES[logger].strip("*")
        rows += [[name, what, f"{ratio:.3f}", f"{bar:.3g}", verdict(ratio, bar)] for what, ratio, bar in ratios]
    return table(("10 scalars", "", "ratio", "bar", ""), rows)
